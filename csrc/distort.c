/* Random distortions of grey images: planar affine maps, and elastic displacements.
 *
 * Each pixel of the result asks where it came from and is interpolated there between four pixels.
 * The four are packed into one word beforehand, for every place between pixels and with a border
 * of background around, so that a pixel costs one load; what comes before and after that load is
 * arithmetic without a branch, in loops that compilers vectorise.
 *
 * Random numbers are a hash of the seed, the image's number and which of its numbers is wanted:
 * there is no state, so nothing depends on the order in which images are made, or by whom. */
#include <math.h>
#include <string.h>

#include "network.h"

static const float LEAST_SMOOTHNESS = 2.0f;  /* bounds the grid */

enum { STRIP = 8 };  /* rows that are made at once: whole vectors, whatever the width */

/* Where one call keeps things, in its workspace. */
typedef struct {
    int32_t height, width;
    int32_t stride;      /* of the next two: the width and a border */
    int32_t *corners;    /* [height + 2][stride]: levels at (y,x) (y,x+1) (y+1,x) (y+1,x+1) */
    uint8_t *padded;     /* [height + 4][stride] */
    /* of the strip at hand, [STRIP][width] each: the place in `corners`, what is there, and how far
     * behind it the pixel came from */
    int32_t *place, *found;
    float *part_x, *part_y;
    float *move_x, *move_y;  /* [width], the displacements of the row at hand */
    /* elastic: a grid of random values, smoothed along its rows, and the weight of each column of
     * the grid in each column of pixels */
    int32_t grid_rows, grid_columns;
    float *grid_x, *grid_y;  /* [grid_rows][width] */
    float *weight;           /* [grid_columns][width] */
} canvas;

/* The inverse of a map: pixel (x, y) shows what is at (xx x + xy y + x0, yx x + yy y + y0). */
typedef struct {
    double xx, xy, yx, yy, x0, y0;
} affine;

/* ---- workspace ------------------------------------------------------------------------------- */

/* A uniform cubic B-spline is as wide as a Gaussian of its spacing / sqrt(3). */
static float grid_spacing(float smoothness) { return smoothness * 1.7320508f; }

/* Splines that reach into n pixels: four over each. */
static int32_t grid_points(int32_t n, float spacing)
{
    return (int32_t)((float)(n - 1) / spacing) + 4;
}

static ptrdiff_t corners_size(int32_t height, int32_t width)
{
    return (ptrdiff_t)(height + 2) * (width + 3);
}

static ptrdiff_t padded_size(int32_t height, int32_t width)
{
    return (ptrdiff_t)(height + 4) * (width + 3);
}

/* All but `padded`, in units of 4 bytes. */
static ptrdiff_t words(int32_t height, int32_t width)
{
    const float spacing = grid_spacing(LEAST_SMOOTHNESS);
    const ptrdiff_t rows = grid_points(height, spacing), columns = grid_points(width, spacing);
    return corners_size(height, width) + (4 * STRIP + 2 + 2 * rows + columns) * (ptrdiff_t)width;
}

size_t lenet_distort_workspace(int32_t height, int32_t width)
{
    if (height < 1 || width < 1 || height > LENET_MAX_SIDE || width > LENET_MAX_SIDE) return 0;
    return (size_t)(4 * words(height, width) + padded_size(height, width));
}

/* spacing 0: without a grid. */
static canvas make_canvas(int32_t height, int32_t width, float spacing, void *workspace)
{
    const ptrdiff_t strip = (ptrdiff_t)STRIP * width;
    canvas c = {.height = height, .width = width, .stride = width + 3, .corners = workspace};
    c.place = c.corners + corners_size(height, width);
    c.found = c.place + strip;
    c.part_x = (float *)(c.found + strip);
    c.part_y = c.part_x + strip;
    c.move_x = c.part_y + strip;
    c.move_y = c.move_x + width;
    c.grid_rows = spacing != 0.0f ? grid_points(height, spacing) : 0;
    c.grid_columns = spacing != 0.0f ? grid_points(width, spacing) : 0;
    c.grid_x = c.move_y + width;
    c.grid_y = c.grid_x + (ptrdiff_t)c.grid_rows * width;
    c.weight = c.grid_y + (ptrdiff_t)c.grid_rows * width;
    c.padded = (uint8_t *)(c.corners + words(height, width));
    /* an image without displacements moves by 0 */
    memset(c.move_x, 0, 2 * (size_t)width * sizeof(float));
    memset(c.padded, 0, (size_t)padded_size(height, width));
    return c;
}

/* ---- random numbers -------------------------------------------------------------------------- */

/* The output function of SplitMix64 (Steele, Lea and Flood 2014). */
static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* The index-th number of a sequence. */
static uint64_t hash(uint64_t sequence, uint64_t index)
{
    return mix(sequence + (index + 1) * UINT64_C(0x9e3779b97f4a7c15));
}

/* In [-1, 1), a multiple of 2^-23. */
static float uniform(uint64_t image, uint64_t index)
{
    return (float)((int32_t)(hash(image, index) >> 40) - (1 << 23)) * (1.0f / (1 << 23));
}

enum { DX, DY, SCALE, SQUEEZE, SHEAR, ROTATION, GRID };  /* which number is for what */

/* ---- the map --------------------------------------------------------------------------------- */

static lenet_transform draw_transform(const lenet_distortion *d, uint64_t image)
{
    return (lenet_transform){.dx = d->translation * uniform(image, DX),
                             .dy = d->translation * uniform(image, DY),
                             .scale = 1.0f + d->scaling * uniform(image, SCALE),
                             .squeeze = 1.0f + d->squeezing * uniform(image, SQUEEZE),
                             .shear = d->shearing * uniform(image, SHEAR),
                             .rotation = d->rotation * uniform(image, ROTATION)};
}

static affine invert(const lenet_transform *t, int32_t height, int32_t width)
{
    const double angle = t->rotation * (3.14159265358979323846 / 180.0);
    const double c = t->rotation != 0.0f ? cos(angle) : 1.0;
    const double s = t->rotation != 0.0f ? sin(angle) : 0.0;
    const double k = t->shear, p = (double)t->scale * t->squeeze, q = t->scale / t->squeeze;
    const double middle_x = 0.5 * (width - 1), middle_y = 0.5 * (height - 1);
    affine a = {.xx = (c + k * s) / p, .xy = (s - k * c) / p, .yx = -s / q, .yy = c / q};
    a.x0 = middle_x - a.xx * (middle_x + t->dx) - a.xy * (middle_y + t->dy);
    a.y0 = middle_y - a.yx * (middle_x + t->dx) - a.yy * (middle_y + t->dy);
    return a;
}

/* ---- resampling ------------------------------------------------------------------------------ */

static void pack_corners(const canvas *c, const uint8_t *image)
{
    const int32_t stride = c->stride;
    for (int32_t y = 0; y < c->height; y++)
        memcpy(c->padded + (ptrdiff_t)(y + 1) * stride + 1, image + (ptrdiff_t)y * c->width,
               (size_t)c->width);
    const uint8_t *restrict above = c->padded, *restrict below = above + stride;
    int32_t *restrict corners = c->corners;
    const ptrdiff_t n = corners_size(c->height, c->width);
    for (ptrdiff_t i = 0; i < n; i++)
        corners[i] = (int32_t)((uint32_t)above[i] | (uint32_t)above[i + 1] << 8
                               | (uint32_t)below[i] << 16 | (uint32_t)below[i + 1] << 24);
}

/* Into 0 .. high, NaN too. */
static inline float clamp(float v, float high)
{
    v = v > 0.0f ? v : 0.0f;
    return v < high ? v : high;
}

/* Where the pixels of row y came from, into row `row` of the strip. */
static void find_places(const canvas *c, const affine *a, int32_t y, int32_t row)
{
    const int32_t w = c->width;
    const ptrdiff_t at = (ptrdiff_t)row * w;
    /* places are counted from the border, and beyond it there is nothing but background */
    const float x0 = (float)(a->xy * y + a->x0 + 1.0), xx = (float)a->xx;
    const float y0 = (float)(a->yy * y + a->y0 + 1.0), yx = (float)a->yx;
    const float high_x = (float)(w + 1), high_y = (float)(c->height + 1);
    const float stride = (float)c->stride;
    const float *restrict move_x = c->move_x, *restrict move_y = c->move_y;
    float *restrict part_x = c->part_x + at, *restrict part_y = c->part_y + at;
    int32_t *restrict place = c->place + at;
    for (int32_t x = 0; x < w; x++) {
        float from_x = clamp(xx * (float)x + x0 + move_x[x], high_x);
        float from_y = clamp(yx * (float)x + y0 + move_y[x], high_y);
        float left = (float)(int32_t)from_x, top = (float)(int32_t)from_y;
        part_x[x] = from_x - left;
        part_y[x] = from_y - top;
        place[x] = (int32_t)(top * stride + left);  /* exact: sides are at most 1024 */
    }
}

static void look_up(const canvas *c, ptrdiff_t n)
{
    const int32_t *restrict corners = c->corners, *restrict place = c->place;
    int32_t *restrict found = c->found;
    for (ptrdiff_t i = 0; i < n; i++) found[i] = corners[place[i]];
}

static void interpolate(const canvas *c, ptrdiff_t n, uint8_t *restrict out)
{
    const float *restrict part_x = c->part_x, *restrict part_y = c->part_y;
    const int32_t *restrict found = c->found;
    for (ptrdiff_t i = 0; i < n; i++) {
        float a = (float)(found[i] & 255), b = (float)(found[i] >> 8 & 255);
        float d = (float)(found[i] >> 16 & 255), e = (float)(found[i] >> 24 & 255);
        float above = a + part_x[i] * (b - a), below = d + part_x[i] * (e - d);
        out[i] = (uint8_t)(int32_t)(above + part_y[i] * (below - above) + 0.5f);
    }
}

/* ---- elastic displacements --------------------------------------------------------------------
 *
 * Simard, Steinkraus and Platt 2003 smooth a random displacement of every pixel with a Gaussian.
 * Here random displacements on a coarse grid are smoothed with cubic B-splines as wide as that
 * Gaussian: fields of the same kind from a hundredth of the random numbers. */

/* Weights of the four splines over a pixel; returns the first of them. */
static int32_t splines(int32_t at, float spacing, float weight[4])
{
    const float t = (float)at / spacing;
    const int32_t first = (int32_t)t;
    const float u = t - (float)first, v = 1.0f - u;
    weight[0] = v * v * v / 6.0f;
    weight[1] = (4.0f - 3.0f * u * u * (2.0f - u)) / 6.0f;
    weight[2] = (4.0f - 3.0f * v * v * (2.0f - v)) / 6.0f;
    weight[3] = u * u * u / 6.0f;
    return first;
}

static void fill_weights(const canvas *c, float spacing)
{
    memset(c->weight, 0, (size_t)c->grid_columns * (size_t)c->width * sizeof(float));
    for (int32_t x = 0; x < c->width; x++) {
        float weight[4];
        int32_t first = splines(x, spacing, weight);
        for (int k = 0; k < 4; k++)
            c->weight[(ptrdiff_t)(first + k) * c->width + x] = weight[k];
    }
}

/* Values of standard deviation `elastic` after smoothing along rows and columns: a uniform number
 * has one of 1/sqrt(3), and the squares of a row of splines sum to 151/315 in the mean. */
static void draw_grid(const canvas *c, float elastic, uint64_t image)
{
    const float size = elastic * (1.7320508f * 315.0f / 151.0f);
    const int32_t w = c->width;
    uint64_t index = GRID;
    for (int32_t row = 0; row < 2 * c->grid_rows; row++) {  /* grid_y lies behind grid_x */
        float *restrict values = c->grid_x + (ptrdiff_t)row * w;
        memset(values, 0, (size_t)w * sizeof *values);
        for (int32_t i = 0; i < c->grid_columns; i++) {
            const float *restrict weight = c->weight + (ptrdiff_t)i * w;
            const float value = size * uniform(image, index++);
            for (int32_t x = 0; x < w; x++) values[x] += value * weight[x];
        }
    }
}

static void smooth_down(const float *grid, const float weight[4], int32_t w, float *restrict move)
{
    const float *a = grid, *b = a + w, *d = b + w, *e = d + w;
    for (int32_t x = 0; x < w; x++)
        move[x] = weight[0] * a[x] + weight[1] * b[x] + weight[2] * d[x] + weight[3] * e[x];
}

/* The displacements of row y. */
static void displace(const canvas *c, float spacing, int32_t y)
{
    float weight[4];
    const ptrdiff_t at = (ptrdiff_t)splines(y, spacing, weight) * c->width;
    smooth_down(c->grid_x + at, weight, c->width, c->move_x);
    smooth_down(c->grid_y + at, weight, c->width, c->move_y);
}

/* One image; spacing 0: without displacements. */
static void make_image(const canvas *c, const affine *a, float spacing, const uint8_t *image,
                       uint8_t *out)
{
    pack_corners(c, image);
    for (int32_t y = 0; y < c->height; y += STRIP) {
        const int32_t left = c->height - y, rows = left < STRIP ? left : STRIP;
        for (int32_t row = 0; row < rows; row++) {
            if (spacing != 0.0f) displace(c, spacing, y + row);
            find_places(c, a, y + row, row);
        }
        look_up(c, (ptrdiff_t)rows * c->width);
        interpolate(c, (ptrdiff_t)rows * c->width, out + (ptrdiff_t)y * c->width);
    }
}

/* ---- calls ----------------------------------------------------------------------------------- */

static int is_within(float value, float high) { return value >= 0.0f && value < high; }

lenet_status lenet_distortion_check(const lenet_distortion *d)
{
    const float far = LENET_MAX_SIDE;
    return is_within(d->translation, far) && is_within(d->scaling, 1.0f)
                   && is_within(d->squeezing, 1.0f) && is_within(d->shearing, far)
                   && d->rotation >= 0.0f && d->rotation <= 180.0f && is_within(d->elastic, far)
                   && is_within(d->smoothness, far)
                   && (d->elastic == 0.0f || d->smoothness >= LEAST_SMOOTHNESS)
               ? LENET_OK
               : LENET_BAD_ARGUMENT;
}

void lenet_distort_some(const lenet_distortion *d, uint64_t first, const uint8_t *const *images,
                        int n, int32_t height, int32_t width, uint8_t *out, void *workspace)
{
    const int is_elastic = d->elastic != 0.0f;
    const float spacing = is_elastic ? grid_spacing(d->smoothness) : 0.0f;
    const canvas c = make_canvas(height, width, spacing, workspace);
    const uint64_t sequence = mix(d->seed);
    if (is_elastic) fill_weights(&c, spacing);
    for (int i = 0; i < n; i++, out += (ptrdiff_t)height * width) {
        const uint64_t image = hash(sequence, d->first + first + (uint64_t)i);
        const lenet_transform t = draw_transform(d, image);
        const affine a = invert(&t, height, width);
        if (is_elastic) draw_grid(&c, d->elastic, image);
        make_image(&c, &a, spacing, images[i], out);
    }
}

/* Sizes that both calls can take, and a workspace that will do. */
static lenet_status check_call(int64_t n, int32_t height, int32_t width, const void *workspace,
                               size_t size)
{
    const size_t needed = lenet_distort_workspace(height, width);
    if (n < 1 || !needed) return LENET_BAD_ARGUMENT;
    return size < needed || (uintptr_t)workspace % sizeof(float) ? LENET_NO_MEMORY : LENET_OK;
}

lenet_status lenet_distort(const lenet_distortion *d, const uint8_t *images, int64_t n,
                           int32_t height, int32_t width, uint8_t *out, void *workspace,
                           size_t size)
{
    lenet_status status = check_call(n, height, width, workspace, size);
    if (status == LENET_OK) status = lenet_distortion_check(d);
    if (status != LENET_OK) return status;
    for (int64_t i = 0; i < n; i++) {
        const ptrdiff_t at = (ptrdiff_t)i * height * width;
        const uint8_t *image = images + at;
        lenet_distort_some(d, (uint64_t)i, &image, 1, height, width, out + at, workspace);
    }
    return LENET_OK;
}

lenet_status lenet_transform_images(const lenet_transform *t, const uint8_t *images, int64_t n,
                                    int32_t height, int32_t width, uint8_t *out, void *workspace,
                                    size_t size)
{
    lenet_status status = check_call(n, height, width, workspace, size);
    if (status != LENET_OK) return status;
    if (!(t->scale > 0.0f && t->squeeze > 0.0f)) return LENET_BAD_ARGUMENT;
    const canvas c = make_canvas(height, width, 0.0f, workspace);
    const affine a = invert(t, height, width);
    for (int64_t i = 0; i < n; i++) {
        const ptrdiff_t at = (ptrdiff_t)i * height * width;
        make_image(&c, &a, 0.0f, images + at, out + at);
    }
    return LENET_OK;
}
