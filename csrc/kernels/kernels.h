/* The kernel table and what its kernels are given; list.h states their signatures.
 *
 * Kernels work on lanes: a group of `lanes` images, one image per lane of a vector, so that a
 * feature map is [y][x][lane] and a layer [map][y][x][lane]. Nothing is wasted at the edges of
 * a map, and the sparse C3 costs only the connections it has. All pointers to lanes are
 * aligned to 64 bytes; outputs come last.
 *
 * Backward kernels work in place: on entry `in` holds a layer's outputs f(a), on return
 * dE/da = dE/df(a) f'(a), which is what the layer below needs.
 *
 * For whoever calls kernels or asks what they need: plans, layers, runs. */
#ifndef LENET_KERNELS_H
#define LENET_KERNELS_H

#include "kernels/canvas.h"
#include "lenet.h"

enum {
    LENET_MAX_LANES = 16,
    LENET_ROW_SLACK = 4 * LENET_MAX_LANES,  /* see list.h on kernels for one image */
    LENET_MAX_SLOTS = 8
};

/* Which of a layer's maps are in the lanes of one image: lane i has map first + i * step. Neighbours go
 * to different groups: in the table of 1998 they have about as many connections. */
typedef struct { int first, step, maps; } lenet_lane_maps;

static inline int lenet_groups(int maps, int lanes) { return (maps + lanes - 1) / lanes; }

static inline lenet_lane_maps lenet_maps_of(int maps, int lanes, int group)
{
    const int groups = lenet_groups(maps, lanes);
    return (lenet_lane_maps){group, groups, (maps - group + groups - 1) / groups};
}

/* How the maps of one image lie: in rows `stride` floats apart, of which a kernel takes columns in the
 * lanes; or [group][y][x][lane] with the maps in the lanes, and no stride. */
typedef enum { LENET_ROWS, LENET_MAPS_IN_LANES } lenet_map_order;
typedef struct lenet_map_layout {
    lenet_map_order order;
    ptrdiff_t stride;
} lenet_map_layout;

static inline lenet_map_layout lenet_rows(ptrdiff_t stride)
{
    return (lenet_map_layout){LENET_ROWS, stride};
}

static inline lenet_map_layout lenet_maps_in_lanes(void)
{
    return (lenet_map_layout){.order = LENET_MAPS_IN_LANES};
}

/* Floats that such maps take. */
static inline ptrdiff_t lenet_map_floats(lenet_map_layout layout, int maps, int height, int width,
                                         int lanes)
{
    if (layout.order == LENET_ROWS) return maps * height * layout.stride;
    return (ptrdiff_t)lenet_groups(maps, lanes) * height * width * lanes;
}

/* What maps in the lanes are connected to: in slot k a lane has the k-th of its map's input maps. What a
 * map has more finds room in the last slot, in lanes that have less: those sums are then moved, round by
 * round, lane i's from lane from[round][i] where share is 1, not 0; round 0 is for a lane's own. */
typedef struct lenet_slots {
    int32_t slots, rounds;  /* rounds 0: nothing to move */
    int32_t connection[LENET_MAX_SLOTS][LENET_MAX_LANES];  /* -1: none */
    int32_t index[LENET_MAX_SLOTS][LENET_MAX_LANES];       /* its input map */
    int32_t owner[LENET_MAX_LANES];                        /* in the last slot: whom a lane works for */
    int32_t from[LENET_MAX_SLOTS][LENET_MAX_LANES];
    float share[LENET_MAX_SLOTS][LENET_MAX_LANES];
} lenet_slots;

/* A convolution's connections, listed by output map (as the weights are stored) and by input
 * map. Connection c has kernel weights[c * kernel * kernel ..]. */
typedef struct lenet_conv_shape {
    int32_t in_maps, in_height, in_width;
    int32_t out_maps, out_height, out_width;
    int32_t kernel;
    const int32_t *begin;         /* [out_maps + 1]: map o owns connections begin[o] .. begin[o+1] - 1 */
    const int32_t *source;        /* [connections]: the input map */
    const int32_t *target_begin;  /* [in_maps + 1]: the same by input map, into the next two */
    const int32_t *connection;    /* [connections]: which connection */
    const int32_t *target;        /* [connections]: its output map */
    const lenet_slots *slots;     /* of each group of lanes, for one image; NULL: input map by input map */
    int32_t swept;                /* of a wide plan: its width must not change the order of sums */
} lenet_conv_shape;

/* A 2x2 layer, and where its outputs go: those of the next map out_stride floats on. */
typedef struct lenet_pool {
    /* the table's subsample or max_pool, which has no use for the next three */
    void (*rows)(int maps, int width, const struct lenet_pool *pool, const float *in,
                 ptrdiff_t in_stride, int n_rows);
    const float *coefficient, *bias;  /* of each map; NULL: 1/4 and 0 */
    int activation;
    int keep;  /* for winograd_conv: whether what it pools is wanted too */
    float *out;
    ptrdiff_t out_stride;
} lenet_pool;

/* `groups` groups of lanes; the features of a group are consecutive and a group's begin
 * `stride` floats after the previous one's. */
typedef struct lenet_dense_shape {
    int32_t inputs, outputs, groups;
    ptrdiff_t in_stride, out_stride;
} lenet_dense_shape;

typedef struct lenet_kernels {
    const char *name;
    int32_t lanes;
    int32_t few;  /* so many images run faster one by one than as a group of lanes: a call's, */
    int32_t few_in_training;  /* and so many learn faster: a block's */
    int32_t winograd_maps;    /* its kernels beat conv from so many input maps on; 0: never */
    int32_t winograd_trains;  /* and backward */

#define KERNEL(type, name, arguments) type (*name) arguments;
#include "kernels/list.h"
} lenet_kernels;

enum {
    LENET_WINOGRAD_MAPS = 16,  /* output maps whose products are kept at once */
    LENET_WINOGRAD_PRODUCTS = LENET_WINOGRAD_MAPS * 6 * 25
};

/* Cuts `total` into the fewest pieces of at most `most`, as equal as can be: for (lenet_pieces
 * p = lenet_cut(total, most); p.size; p = lenet_next(p)) has size p.size at p.start. */
typedef struct { int start, size, larger, left; } lenet_pieces;

static inline lenet_pieces lenet_cut(int total, int most)
{
    int n = (total + most - 1) / most, size = total / n, larger = total % n;
    return (lenet_pieces){0, size + (larger > 0), larger, n};
}

static inline lenet_pieces lenet_next(lenet_pieces p)
{
    p.start += p.size;
    p.size -= p.larger == 1;
    p.larger -= p.larger > 0;
    if (--p.left == 0) p.size = 0;
    return p;
}

static inline size_t lenet_most(size_t a, size_t b) { return a > b ? a : b; }

static inline int lenet_can_winograd(const lenet_conv_shape *s)
{
    return s->kernel == 5 && s->out_width % 2 == 0;
}

static inline size_t lenet_winograd_weights(const lenet_conv_shape *s)
{
    return (size_t)s->begin[s->out_maps] * 6 * 5;
}

/* Room for products and for all input maps transformed; strips need no more. */
static inline size_t lenet_winograd_scratch(const lenet_conv_shape *s)
{
    const size_t tiles = (size_t)s->in_height * (size_t)(s->out_width / 2);
    return LENET_WINOGRAD_PRODUCTS + 6 * (size_t)s->in_maps * tiles;
}

static inline size_t lenet_winograd_back_scratch(const lenet_conv_shape *s)
{
    const size_t in_height = (size_t)s->in_height;
    const size_t tiles = 6 * in_height * (size_t)(s->out_width / 2);
    const size_t columns
        = (size_t)s->out_maps * (size_t)s->out_height + 10 * (size_t)s->in_maps * in_height;
    return lenet_most(tiles, columns);
}

/* Floats of scratch for dense_backward_weights, enough for every instruction set. */
static inline size_t lenet_dense_scratch(const lenet_dense_shape *s)
{
    size_t rows = (size_t)s->groups * LENET_MAX_LANES;
    return rows * ((size_t)s->inputs + (size_t)s->outputs + 2 * LENET_MAX_LANES);
}

/* Whether LANES maps in the lanes take fewer vectors of multiply-adds than the columns of each
 * connection, for one image. With four lanes columns waste little, and transposing costs more. Sums are
 * in another order, so what is swept decides as for whole vectors of columns, whatever its width. */
static inline int lenet_prefers_maps(const lenet_conv_shape *s, int lanes)
{
    if (lanes <= 4) return 0;
    const int64_t groups = lenet_groups(s->out_maps, lanes), width = s->swept ? lanes : s->out_width;
    const int64_t vectors = (width + lanes - 1) / lanes;
    return s->in_maps * groups * width <= s->begin[s->out_maps] * vectors;
}

/* Whether maps in the lanes stay there for a 2x2 layer; backward kernels take their columns in pairs. */
static inline int lenet_keeps_maps(const lenet_conv_shape *s, int lanes)
{
    return lenet_prefers_maps(s, lanes) && s->out_width % 2 == 0;
}

/* What a convolution with maps in the lanes needs, in vectors: a group of output maps, sums of two rows
 * to be moved, all input maps transposed for up to two columns past the width. */
static inline ptrdiff_t lenet_map_size(const lenet_conv_shape *s)
{
    return (ptrdiff_t)s->out_height * s->out_width;
}
static inline ptrdiff_t lenet_moved_sums(const lenet_conv_shape *s) { return 2 * s->out_width + 3; }
static inline ptrdiff_t lenet_transposed_pixels(const lenet_conv_shape *s)
{
    return (ptrdiff_t)s->in_height * (s->in_width + 1) + 1;
}

/* Vectors of weights of a group of maps in the lanes; and floats of all groups: 0 with columns in them. */
static inline ptrdiff_t lenet_map_weights(const lenet_conv_shape *s)
{
    return (ptrdiff_t)s->in_maps * s->kernel * s->kernel;
}
static inline size_t lenet_arranged_of_one(const lenet_conv_shape *s, int lanes)
{
    if (!lenet_prefers_maps(s, lanes)) return 0;
    return (size_t)lenet_groups(s->out_maps, lanes) * (size_t)lenet_map_weights(s) * (size_t)lanes;
}

/* Floats of scratch for a convolution's kernels for one image, forward or also backward. */
static inline size_t lenet_conv_scratch_of_one(const lenet_conv_shape *s, int lanes, int backward)
{
    const size_t taps = (size_t)s->kernel * (size_t)s->kernel, vector = (size_t)lanes;
    if (!lenet_prefers_maps(s, lanes))
        return backward ? vector * ((size_t)s->begin[s->out_maps] * taps + (size_t)s->out_maps) : 0;
    const size_t pixels = (size_t)lenet_transposed_pixels(s);
    const size_t forward = (size_t)lenet_moved_sums(s) + (size_t)s->in_maps * taps + pixels
                           + (size_t)lenet_map_size(s) + LENET_ROW_SLACK / vector;
    if (!backward) return vector * forward;
    const size_t deltas = (size_t)s->out_height * ((size_t)s->out_width + 1);
    const size_t row = ((size_t)(s->out_width + s->kernel - 1) + vector - 1) / vector * vector;
    const size_t rows = (size_t)s->out_maps * (size_t)s->out_height * row + 2 * LENET_ROW_SLACK;
    return lenet_most(vector * lenet_most(forward, 2 * deltas + taps + pixels), rows);
}

/* The same for a 2x2 layer's. */
static inline size_t lenet_pool_scratch_of_one(int maps, int height, int width, int lanes)
{
    const size_t blocks = (size_t)(height / 2) * (size_t)(width / 2);
    return (size_t)lanes * lenet_most(2 * (size_t)maps, blocks);
}

/* Fills slots of each group, where they save something and one image runs with maps in the lanes; else
 * returns 0 (slots.c). */
int lenet_deal(const lenet_conv_shape *s, int lanes, lenet_slots *slots);

const lenet_kernels *lenet_kernels_portable(void);
const lenet_kernels *lenet_kernels_avx2(void);
const lenet_kernels *lenet_kernels_avx512(void);
const lenet_kernels *lenet_kernels_neon(void);
const lenet_kernels *lenet_kernels_wasm(void);

/* The table in use; picked at the first call (dispatch.c). */
const lenet_kernels *lenet_kernels_active(void);

#endif
