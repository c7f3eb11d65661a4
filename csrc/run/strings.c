/* Strips of characters side by side, to learn to read strings from.
 *
 * A strip is composed on a wide sheet: each character of one hand is distorted on a canvas of its own
 * (kernels/distort.h) and put down where the one before ends. Then it is cut to what is on it, and paper
 * and picture do to it what they do (kernels/corrupt.h).
 *
 * Random numbers are a hash of the seed, the strip's number, the character's and which of its numbers is
 * wanted: there is no state, so nothing depends on the order in which strips are made, or by whom. */
#include <math.h>
#include <string.h>

#include "kernels/kernels.h"
#include "run/distort.h"
#include "sys/watch.h"

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF  /* the same bytes on every processor */
#endif

enum {
    SIDE = LENET_CHARACTER_SIDE,
    HEIGHT = LENET_STRING_HEIGHT,
    WIDTH = 48,        /* of a character's canvas, as high as the strip */
    BEFORE = 96,       /* room on the sheet for what leads in and leans out, and as much behind */
    MARGIN = 8,        /* empty columns at each end */
    MOST_GAP = 128,
    LEAST_GAP = -16,
    MARK_WIDTH = 24    /* of a separator */
};
static const float MIDDLE = 15.5f, ORDINARY = 20.0f, SMOOTHNESS = 4.0f;

/* Which number of a strip's, or a character's, sequence is for what: two for each effect, then these. */
enum {
    LENGTH = 2 * LENET_STRING_EFFECTS, EMPTY, WRITER, PEN, LEAN, LINES, GAPS = 1024,
    PICK = LENGTH, LIKE, OTHER, FIELD, DETAIL,
    CHARACTERS = 1 << 12, MARKS = 1 << 13, ENDS = 1 << 14, PICTURE = 1 << 15, INVERTED = 1 << 20
};

typedef enum lenet_string_effect effect;

/* ---- what can be asked for -------------------------------------------------------------------- */

static const float most[LENET_STRING_EFFECTS] = {
    [LENET_STRING_SLANT] = 1.0f,      [LENET_STRING_DRIFT] = 0.5f,     [LENET_STRING_OFFSET] = 16.0f,
    [LENET_STRING_HEIGHT_OF] = 0.75f, [LENET_STRING_WIDTH_OF] = 0.75f, [LENET_STRING_WIDE] = 64.0f,
    [LENET_STRING_TIGHT] = 8.0f,      [LENET_STRING_ELASTIC] = 4.0f,   [LENET_STRING_ZEROS] = 0.75f,
    [LENET_STRING_FLAGS] = 1.5f,      [LENET_STRING_BARS] = 12.0f,     [LENET_STRING_SIZES] = 0.75f,
    [LENET_STRING_SQUEEZE] = 0.75f,   [LENET_STRING_SHEAR] = 1.0f,     [LENET_STRING_ROTATION] = 90.0f,
    [LENET_STRING_JITTER] = 16.0f,    [LENET_STRING_LARGE] = 0.75f,    [LENET_STRING_SPACES] = 64.0f,
    [LENET_STRING_JOINS] = 16.0f,     [LENET_STRING_SEPARATORS] = 2.0f,
    [LENET_STRING_FLOURISHES] = 32.0f, [LENET_STRING_CUTS] = 16.0f,    [LENET_STRING_THICKNESS] = 8.0f,
    [LENET_STRING_UNDERLINE] = 8.0f,  [LENET_STRING_BOX] = 8.0f,       [LENET_STRING_CELLS] = 8.0f,
    [LENET_STRING_SCRATCHES] = 64.0f, [LENET_STRING_SPECKS] = 256.0f,  [LENET_STRING_BLUR] = 4.0f,
    [LENET_STRING_LEVELS] = 0.75f,    [LENET_STRING_FADE] = 0.95f,     [LENET_STRING_CONTRAST] = 0.95f,
    [LENET_STRING_NOISE] = 0.95f,     [LENET_STRING_IMPULSES] = 0.95f, [LENET_STRING_INVERSION] = 0.5f,
    [LENET_STRING_MARGIN] = 8.0f,
};

float lenet_string_most(lenet_string_effect kind) { return most[kind]; }

static int is_share(float value) { return value >= 0.0f && value <= 1.0f; }

lenet_status lenet_strings_check(const lenet_strings *s)
{
    int good = s->writers >= 1 && s->classes >= 1 && is_share(s->empty) && is_share(s->repeat)
               && s->length[0] >= 1 && s->length[0] <= s->length[1] && s->length[1] <= LENET_MAX_STRING
               && s->gap[0] >= LEAST_GAP && s->gap[0] <= s->gap[1] && s->gap[1] <= MOST_GAP;
    for (int e = 0; e < LENET_STRING_EFFECTS; e++)
        good = good && s->strength[e] >= 0.0f && s->strength[e] <= most[e] && is_share(s->chance[e]);
    return good ? LENET_OK : LENET_BAD_ARGUMENT;
}

static int may(const lenet_strings *s, effect e) { return s->strength[e] > 0.0f && s->chance[e] > 0.0f; }

/* Columns of the sheet. */
static int32_t sheet_width(const lenet_strings *s)
{
    const int32_t gap = (s->gap[1] > 2 ? s->gap[1] : 2)
                        + (may(s, LENET_STRING_WIDE) ? (int32_t)s->strength[LENET_STRING_WIDE] + 1 : 0);
    const int32_t space = may(s, LENET_STRING_SPACES) ? (int32_t)s->strength[LENET_STRING_SPACES] + 1 : 0;
    const int32_t lean = may(s, LENET_STRING_SLANT) ? (int32_t)(HEIGHT * s->strength[LENET_STRING_SLANT]) : 0;
    const int32_t one = WIDTH + gap + space + lean, mark = MARK_WIDTH + gap;
    return 2 * BEFORE + (s->length[1] + 2) * one
           + (may(s, LENET_STRING_SEPARATORS) ? (s->length[1] + 3) * mark : 0);
}

int32_t lenet_strings_width(const lenet_strings *s) { return sheet_width(s) + 4 * MARGIN; }

int32_t lenet_strings_labels(const lenet_strings *s) { return 2 * s->length[1] + 2; }

/* ---- workspace: of each thread ---------------------------------------------------------------- */

static size_t rounded(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

static size_t distorting(void) { return rounded(lenet_distort_workspace(HEIGHT, WIDTH)); }

static size_t thread_size(const lenet_strings *s)
{
    return distorting() + 2 * HEIGHT * WIDTH + rounded((size_t)HEIGHT * (size_t)sheet_width(s))
           + rounded(lenet_corrupt_workspace(HEIGHT, lenet_strings_width(s)));
}

size_t lenet_strings_workspace(const lenet_strings *s, int32_t n_threads)
{
    return thread_size(s) * (size_t)(n_threads > 1 ? n_threads : 1);
}

/* ---- random numbers --------------------------------------------------------------------------- */

/* In [0, 1). */
static float share(uint64_t sequence, uint64_t index)
{
    return 0.5f + 0.5f * lenet_uniform(sequence, index);
}

static int64_t below(int64_t n, uint64_t sequence, uint64_t index)
{
    return (int64_t)((lenet_hash(sequence, index) >> 32) * (uint64_t)n >> 32);
}

static int acts(const lenet_strings *s, uint64_t sequence, effect e)
{
    return may(s, e) && share(sequence, 2 * (uint64_t)e) < s->chance[e];
}

/* Within +-strength if it acts, else 0. */
static float either(const lenet_strings *s, uint64_t sequence, effect e)
{
    return acts(s, sequence, e) ? s->strength[e] * lenet_uniform(sequence, 2 * (uint64_t)e + 1) : 0.0f;
}

/* From 0 to the strength if it acts, else 0. */
static float amount(const lenet_strings *s, uint64_t sequence, effect e)
{
    return acts(s, sequence, e) ? s->strength[e] * share(sequence, 2 * (uint64_t)e + 1) : 0.0f;
}

/* ---- drawing ---------------------------------------------------------------------------------- */

/* Rows of `stride` bytes, of which the first `width` may be drawn on. */
typedef struct sheet {
    uint8_t *pixels;
    int32_t width, stride;
} sheet;

static float clamped(float v, float low, float high) { return v < low ? low : v > high ? high : v; }

/* A straight stroke with round ends; pixels keep what is darker. */
static void draw_stroke(const sheet *to, float x0, float y0, float x1, float y1, float half, float level)
{
    const float dx = x1 - x0, dy = y1 - y0, squared = dx * dx + dy * dy, reach = half + 1.0f;
    const int32_t left = (int32_t)clamped((x0 < x1 ? x0 : x1) - reach, 0.0f, (float)to->width);
    const int32_t right = (int32_t)clamped((x0 > x1 ? x0 : x1) + reach + 1.0f, 0.0f, (float)to->width);
    const int32_t top = (int32_t)clamped((y0 < y1 ? y0 : y1) - reach, 0.0f, (float)HEIGHT);
    const int32_t bottom = (int32_t)clamped((y0 > y1 ? y0 : y1) + reach + 1.0f, 0.0f, (float)HEIGHT);
    const float part = squared > 0.0f ? 1.0f / squared : 0.0f;
    for (int32_t y = top; y < bottom; y++) {
        uint8_t *restrict row = to->pixels + (ptrdiff_t)y * to->stride;
        const float ay = (float)y - y0;
        for (int32_t x = left; x < right; x++) {
            const float ax = (float)x - x0;
            float t = (ax * dx + ay * dy) * part;
            t = t < 0.0f ? 0.0f : t > 1.0f ? 1.0f : t;
            const float ex = ax - t * dx, ey = ay - t * dy;
            float cover = half + 0.5f - sqrtf(ex * ex + ey * ey);
            cover = cover < 0.0f ? 0.0f : cover > 1.0f ? 1.0f : cover;
            const int32_t ink = (int32_t)(cover * level);
            row[x] = (uint8_t)(ink > row[x] ? ink : row[x]);
        }
    }
}

/* A bow from one point to another, drawn towards the third (a quadratic Bezier curve). */
static void draw_bow(const sheet *to, const float from[2], const float end[2], const float towards[2],
                     float half)
{
    enum { PIECES = 5 };
    float x = from[0], y = from[1];
    for (int k = 1; k <= PIECES; k++) {
        const float t = (float)k / PIECES, u = 1.0f - t;
        const float next_x = u * u * from[0] + 2.0f * u * t * towards[0] + t * t * end[0];
        const float next_y = u * u * from[1] + 2.0f * u * t * towards[1] + t * t * end[1];
        draw_stroke(to, x, y, next_x, next_y, half, 255.0f);
        x = next_x;
        y = next_y;
    }
}

/* ---- the hand --------------------------------------------------------------------------------- */

typedef struct hand {
    float slant, drift, offset, height, width, wide, tight, elastic, zeros, flags, bars;
    float half;  /* of its strokes' width */
    float lean;  /* of its flags, 0 to 1 */
    int has_cells;
} hand;

/* Not too short to be one. */
static float draw_flags(const lenet_strings *s, uint64_t sequence)
{
    const effect e = LENET_STRING_FLAGS;
    return acts(s, sequence, e) ? s->strength[e] * (0.3f + 0.7f * share(sequence, 2 * e + 1)) : 0.0f;
}

static hand draw_hand(const lenet_strings *s, uint64_t sequence)
{
    hand h = {.slant = either(s, sequence, LENET_STRING_SLANT),
              .drift = either(s, sequence, LENET_STRING_DRIFT),
              .offset = either(s, sequence, LENET_STRING_OFFSET),
              .height = 1.0f + either(s, sequence, LENET_STRING_HEIGHT_OF),
              .width = 1.0f + either(s, sequence, LENET_STRING_WIDTH_OF),
              .wide = amount(s, sequence, LENET_STRING_WIDE),
              .tight = amount(s, sequence, LENET_STRING_TIGHT),
              .elastic = amount(s, sequence, LENET_STRING_ELASTIC),
              .zeros = 1.0f - amount(s, sequence, LENET_STRING_ZEROS),
              .flags = draw_flags(s, sequence),
              .bars = amount(s, sequence, LENET_STRING_BARS),
              .half = 0.6f + 0.6f * share(sequence, PEN),
              .lean = share(sequence, LEAN),
              .has_cells = acts(s, sequence, LENET_STRING_CELLS)};
    if (h.slant < 0.0f) h.slant /= 3.0f;
    return h;
}

/* ---- one character ---------------------------------------------------------------------------- */

typedef struct glyph {
    const uint8_t *pixels;  /* [HEIGHT][WIDTH] */
    int32_t top, bottom;    /* rows with ink, first and last; bottom < top: there are none */
    int32_t raised;         /* how much lower it lies in its image than on the canvas */
    int32_t first[HEIGHT], last[HEIGHT];  /* columns with ink of these rows; or WIDTH and -1 */
} glyph;

/* The first and last of n bytes that are not 0, or n and -1; n a multiple of 8. */
static void find_ends(const uint8_t *bytes, int32_t n, int32_t *first, int32_t *last)
{
    uint64_t word;
    int32_t a = 0, b = n;
    for (; a < n; a += 8) {
        memcpy(&word, bytes + a, 8);
        if (word) break;
    }
    *first = n;
    *last = -1;
    if (a == n) return;
    while (!bytes[a]) a++;
    for (;; b -= 8) {
        memcpy(&word, bytes + b - 8, 8);
        if (word) break;
    }
    while (!bytes[b - 1]) b--;
    *first = a;
    *last = b - 1;
}

static void find_ink(glyph *g)
{
    g->top = HEIGHT;
    g->bottom = -1;
    for (int32_t y = 0; y < HEIGHT; y++) {
        find_ends(g->pixels + y * WIDTH, WIDTH, &g->first[y], &g->last[y]);
        if (g->last[y] < 0) continue;
        if (g->top == HEIGHT) g->top = y;
        g->bottom = y;
    }
}

/* The middle of a row's ink. */
static float middle_of(const glyph *g, int32_t y) { return 0.5f * (float)(g->first[y] + g->last[y]); }

/* Puts the image on the canvas, its box in the middle; returns how far down that moves it less than the
 * strip's two rows above an image would. */
static int32_t embed(const uint8_t *image, uint8_t *canvas, int32_t size[2])
{
    uint8_t columns[32] = {0}, ends[SIDE];
    int32_t top = SIDE, bottom = 0, left, right;
    for (int32_t y = 0; y < SIDE; y++) {
        uint8_t any = 0;
        for (int32_t x = 0; x < SIDE; x++) {
            columns[x] |= image[y * SIDE + x];
            any |= image[y * SIDE + x];
        }
        ends[y] = any;
    }
    for (int32_t y = 0; y < SIDE; y++)
        if (ends[y]) {
            if (top == SIDE) top = y;
            bottom = y;
        }
    find_ends(columns, 32, &left, &right);
    size[0] = bottom - top + 1;
    size[1] = right - left + 1;
    memset(canvas, 0, HEIGHT * WIDTH);
    if (right < 0) return 0;
    const int32_t down = (HEIGHT - size[0]) / 2, across = (WIDTH - size[1]) / 2;
    for (int32_t y = 0; y < size[0]; y++)
        memcpy(canvas + (down + y) * WIDTH + across, image + (top + y) * SIDE + left, (size_t)size[1]);
    return top + (HEIGHT - SIDE) / 2 - down;
}

/* An oblique stroke up to the top of a one, and sometimes a foot. */
static void draw_flag(const hand *h, uint64_t sequence, const glyph *g, uint8_t *canvas)
{
    const sheet to = {canvas, WIDTH, WIDTH};
    const float length = ORDINARY * h->flags * (0.7f + 0.3f * share(sequence, DETAIL));
    const float x = middle_of(g, g->top), y = (float)g->top + 0.5f, lean = 0.35f + 0.5f * h->lean;
    draw_stroke(&to, x, y, x - length * lean, y + length * (1.15f - lean), h->half, 255.0f);
    if (share(sequence, DETAIL + 1) < 0.15f) {
        const float below = (float)g->bottom - 0.5f, middle = middle_of(g, g->bottom);
        draw_stroke(&to, middle - 4.0f, below, middle + 4.0f, below, h->half, 255.0f);
    }
}

/* The stroke across the stem of a seven. */
static void draw_bar(const hand *h, uint64_t sequence, const glyph *g, uint8_t *canvas)
{
    const sheet to = {canvas, WIDTH, WIDTH};
    const int32_t row = (g->top + g->bottom + 1) / 2;
    const float x = middle_of(g, row) + lenet_uniform(sequence, DETAIL), y = (float)row;
    const float reach = h->bars * (0.7f + 0.3f * share(sequence, DETAIL + 1)) + 1.0f;
    const float tilt = 0.3f * reach * lenet_uniform(sequence, DETAIL + 2);
    draw_stroke(&to, x - reach, y + tilt, x + reach, y - tilt, h->half, 255.0f);
}

static lenet_transform draw_map(const lenet_strings *s, const hand *h, uint64_t sequence, int is_zero,
                                const int32_t size[2])
{
    const float wide = h->width * (1.0f + either(s, sequence, LENET_STRING_SQUEEZE));
    const float shear = -h->slant + either(s, sequence, LENET_STRING_SHEAR);
    float scale = h->height * (1.0f + either(s, sequence, LENET_STRING_SIZES))
                  * (1.0f + amount(s, sequence, LENET_STRING_LARGE)) * (is_zero ? h->zeros : 1.0f);
    /* all of it is to be on the canvas */
    const float high = scale * (float)size[0];
    const float broad = scale * (wide * (float)size[1] + fabsf(shear) * (float)size[0]);
    float least = high > HEIGHT - 2 ? (HEIGHT - 2) / high : 1.0f;
    if (broad * least > WIDTH - 2) least = (WIDTH - 2) / broad;
    const float squeeze = sqrtf(wide);
    return (lenet_transform){.scale = scale * least * squeeze, .squeeze = squeeze, .shear = shear,
                             .rotation = either(s, sequence, LENET_STRING_ROTATION)};
}

/* Where one thread works. */
typedef struct desk {
    const lenet_strings *strings;
    void *memory;
    lenet_canvas map;             /* with displacements or without, in `memory` */
    uint8_t *canvas, *distorted;  /* [HEIGHT][WIDTH] */
    sheet sheet;
    void *room;                   /* for corruptions */
} desk;

static void make_glyph(const desk *d, const hand *h, uint64_t sequence, int64_t image, int32_t class,
                       glyph *g)
{
    const lenet_strings *s = d->strings;
    int32_t size[2];
    g->pixels = d->canvas;
    g->raised = embed(s->images + image * (SIDE * SIDE), d->canvas, size);
    const int has_flag = h->flags > 0.0f && class == s->one;
    const int has_bar = h->bars > 0.0f && class == s->seven;
    if (has_flag || has_bar) {
        find_ink(g);
        if (g->bottom >= 0 && has_flag) draw_flag(h, sequence, g, d->canvas);
        if (g->bottom >= 0 && has_bar && g->last[(g->top + g->bottom + 1) / 2] >= 0)
            draw_bar(h, sequence, g, d->canvas);
    }
    const lenet_transform t = draw_map(s, h, sequence, class == s->zero, size);
    if (t.scale != 1.0f || t.squeeze != 1.0f || t.shear != 0.0f || t.rotation != 0.0f
        || h->elastic > 0.0f) {
        lenet_distort_one(&d->map, &t, h->elastic, lenet_hash(sequence, FIELD), d->canvas, d->distorted);
        g->pixels = d->distorted;
    }
    find_ink(g);
}

/* ---- the line --------------------------------------------------------------------------------- */

/* How far the writing has come. */
typedef struct line {
    const desk *desk;
    hand hand;
    uint64_t sequence;
    int64_t writer, n_gaps;
    float edge;            /* where the last thing ends, along the slant */
    int32_t left, right;   /* columns with ink; right < left: none yet */
    int is_first;          /* nothing stands here yet */
    float base, middle;    /* the row that characters stand on, in this column */
    float top[2], start[2], end[2];  /* of the last character: its top, its leftmost and rightmost ink */
} line;

/* How much to the right the slant puts a row. */
static float lean_at(const hand *h, float y) { return h->slant * (MIDDLE - y); }

static float base_at(const line *l, float x) { return l->base + l->hand.drift * (x - l->middle); }

static void widen(line *l, float first, float last)
{
    const int32_t a = (int32_t)clamped(first, 0.0f, (float)(l->desk->sheet.width - 1));
    const int32_t b = (int32_t)clamped(last, 0.0f, (float)(l->desk->sheet.width - 1));
    if (l->right < l->left) {
        l->left = a;
        l->right = b;
    }
    l->left = a < l->left ? a : l->left;
    l->right = b > l->right ? b : l->right;
}

/* The next gap, of which the first is none. */
static float next_gap(line *l)
{
    const lenet_strings *s = l->desk->strings;
    const uint64_t at = GAPS + (uint64_t)l->n_gaps++;
    if (l->is_first) return 0.0f;
    const float gap = (float)(s->gap[0] + below(s->gap[1] - s->gap[0] + 1, l->sequence, at));
    return floorf(gap + l->hand.wide - l->hand.tight + 0.5f);
}

static void put_down(line *l, const glyph *g, float gap, uint64_t sequence)
{
    const lenet_strings *s = l->desk->strings;
    const sheet *to = &l->desk->sheet;
    const hand *h = &l->hand;
    if (g->bottom < 0) return;
    float down = either(s, sequence, LENET_STRING_JITTER);
    if (!s->stands) {
        down += (float)g->raised + h->offset + base_at(l, l->edge) - l->base;
    } else {
        const float small = ORDINARY * h->height - (float)(g->bottom - g->top + 1);
        const float up = small > 4.0f ? 0.5f * small * share(sequence, OTHER) : 0.0f;
        down += base_at(l, l->edge) - (float)g->bottom - up;
    }
    const int32_t dy = (int32_t)floorf(down + 0.5f);
    float left = 2.0f * WIDTH, right = -2.0f * WIDTH;  /* of the box that leans as the hand does */
    for (int32_t y = g->top; y <= g->bottom; y++) {
        if (g->last[y] < 0) continue;
        const float lean = lean_at(h, (float)(y + dy));
        const float a = (float)g->first[y] - lean, b = (float)g->last[y] - lean;
        left = a < left ? a : left;
        right = b > right ? b : right;
    }
    const int32_t dx = (int32_t)floorf(l->edge + gap + 1.0f - left + 0.5f);
    const float before = l->edge;
    if ((float)dx + right > l->edge) l->edge = (float)dx + right;
    int32_t first = WIDTH, last = -1, first_row = g->top, last_row = g->top;
    for (int32_t y = g->top; y <= g->bottom; y++) {
        if (g->last[y] < 0) continue;
        if (g->first[y] < first) {
            first = g->first[y];
            first_row = y;
        }
        if (g->last[y] > last) {
            last = g->last[y];
            last_row = y;
        }
        const int32_t row = y + dy;
        if (row < 0 || row >= HEIGHT || dx + g->first[y] < 0 || dx + g->last[y] >= to->width) continue;
        const uint8_t *restrict from = g->pixels + y * WIDTH;
        uint8_t *restrict out = to->pixels + (ptrdiff_t)row * to->stride + dx;
        for (int32_t x = g->first[y]; x <= g->last[y]; x++) out[x] = from[x] > out[x] ? from[x] : out[x];
    }
    widen(l, (float)(dx + first), (float)(dx + last));
    if (h->has_cells && !l->is_first) {
        const float x = 0.5f * (before + (float)dx + left);
        const float half = 0.5f * s->strength[LENET_STRING_CELLS]
                           * (0.4f + 0.6f * share(l->sequence, 2 * LENET_STRING_CELLS + 1));
        draw_stroke(to, x, 2.0f, x, HEIGHT - 3.0f, half, 200.0f);
    }
    l->top[0] = (float)dx + middle_of(g, g->top);
    l->top[1] = (float)(dy + g->top) + 1.0f;
    l->start[0] = (float)(dx + first) + 0.5f;
    l->start[1] = (float)(dy + first_row);
    l->end[0] = (float)(dx + last) - 0.5f;
    l->end[1] = (float)(dy + last_row);
    l->is_first = 0;
}

static void put_character(line *l, int64_t image, int32_t class, int is_joined, uint64_t sequence)
{
    const desk *d = l->desk;
    const lenet_strings *s = d->strings;
    glyph g;
    const float gap = next_gap(l)
                      + (l->is_first ? 0.0f : floorf(amount(s, sequence, LENET_STRING_SPACES) + 0.5f));
    const float from[2] = {l->top[0], l->top[1]};
    make_glyph(d, &l->hand, sequence, image, class, &g);
    put_down(l, &g, gap, sequence);
    if (is_joined && g.bottom >= 0 && acts(s, sequence, LENET_STRING_JOINS)) {
        const float bow = either(s, sequence, LENET_STRING_JOINS);
        const float towards[2] = {0.5f * (from[0] + l->top[0]), 0.5f * (from[1] + l->top[1]) + bow};
        draw_bow(&d->sheet, from, l->top, towards, l->hand.half);
    }
}

/* A dot, a comma, a dash, or a double dash, which is a dash that does not count. */
static void put_mark(line *l, int kind, int is_double, uint64_t sequence)
{
    const lenet_strings *s = l->desk->strings;
    const sheet *to = &l->desk->sheet;
    const hand *h = &l->hand;
    const float size = s->strength[LENET_STRING_SEPARATORS]
                       * (0.6f + 0.4f * share(sequence, 2 * LENET_STRING_SEPARATORS + 1));
    float gap = next_gap(l), half = size * (0.5f + h->half);
    gap = gap > 1.0f ? gap : l->is_first ? 0.0f : 1.0f;
    const float base = base_at(l, l->edge) - 0.5f + 1.5f * lenet_uniform(sequence, DETAIL);
    const float at = l->edge + gap + 1.0f;
    float width = 2.0f * half;
    if (kind == 2) {
        const float y = base - ORDINARY * h->height * (0.3f + 0.3f * share(sequence, DETAIL + 1));
        const float x = at + lean_at(h, y), rise = 2.0f * lenet_uniform(sequence, DETAIL + 2);
        width = size * (4.0f + 5.0f * share(sequence, DETAIL + 3));
        half = h->half;
        draw_stroke(to, x, y, x + width, y - rise, half, 255.0f);
        if (is_double) draw_stroke(to, x, y + 5.0f, x + width, y + 5.0f - rise, half, 255.0f);
        widen(l, x - half, x + width + half);
    } else {
        const float x = at + half + lean_at(h, base);
        const float long_ = kind == 1 ? size * (3.0f + 2.0f * share(sequence, DETAIL + 1)) : 0.0f;
        half = kind == 1 ? h->half : half;
        draw_stroke(to, x, base, x - 0.5f * long_, base + long_, half, 255.0f);
        widen(l, x - 0.5f * long_ - half, x + half);
    }
    l->edge = at + width;
    l->is_first = 0;
}

/* A stroke into the first character or out of the last one; side -1 or 1. */
static void put_flourish(line *l, int side, uint64_t sequence)
{
    const lenet_strings *s = l->desk->strings;
    if (!acts(s, sequence, LENET_STRING_FLOURISHES)) return;
    const float *from = side < 0 ? l->start : l->end;
    const float length = 3.0f + amount(s, sequence, LENET_STRING_FLOURISHES);
    const float end[2] = {from[0] + (float)side * length,
                          from[1] + 0.6f * length * lenet_uniform(sequence, DETAIL)};
    const float towards[2] = {from[0] + 0.5f * (float)side * length,
                              from[1] + 0.8f * length * lenet_uniform(sequence, DETAIL + 1)};
    draw_bow(&l->desk->sheet, from, end, towards, l->hand.half);
    widen(l, end[0] - 1.0f, end[0] + 1.0f);
}

/* A number of a class's images by this writer, or of all of the writer's for class -1. */
static int64_t pick(const line *l, int32_t class, uint64_t sequence, uint64_t index, int32_t *found)
{
    const lenet_strings *s = l->desk->strings;
    const int64_t *starts = s->starts + l->writer * s->classes;
    const int64_t from = class < 0 ? starts[0] : starts[class];
    const int64_t end = class < 0 ? starts[s->classes] : starts[class + 1];
    const int64_t at = from + below(end - from, sequence, index);
    int32_t c = 0;
    while (starts[c + 1] <= at) c++;
    *found = c;
    return s->order[at];
}

/* The part of a neighbour that is still to be seen: at the left end its last columns, at the right end its
 * first. */
static void put_cut(line *l, int side)
{
    const desk *d = l->desk;
    const lenet_strings *s = d->strings;
    const uint64_t sequence = lenet_hash(l->sequence, ENDS + (uint64_t)(side > 0));
    if (!acts(s, sequence, LENET_STRING_CUTS)) return;
    glyph g;
    int32_t class;
    const int64_t image = pick(l, -1, sequence, PICK, &class);
    make_glyph(d, &l->hand, sequence, image, class, &g);
    int32_t first = WIDTH, last = -1;
    for (int32_t y = 0; y < HEIGHT; y++) {
        first = g.first[y] < first ? g.first[y] : first;
        last = g.last[y] > last ? g.last[y] : last;
    }
    /* less than half of it, which nobody reads as the whole */
    int32_t n = 1 + (int32_t)amount(s, sequence, LENET_STRING_CUTS);
    n = n < (last - first + 1) / 3 ? n : (last - first + 1) / 3;
    if (n < 1) return;
    if (side < 0) first = last - n + 1;
    else last = first + n - 1;
    uint8_t *pixels = g.pixels == d->canvas ? d->canvas : d->distorted;
    for (int32_t y = 0; y < HEIGHT; y++) {
        memset(pixels + y * WIDTH, 0, (size_t)first);
        memset(pixels + y * WIDTH + last + 1, 0, (size_t)(WIDTH - 1 - last));
    }
    find_ink(&g);
    const float gap = next_gap(l);
    put_down(l, &g, gap > 2.0f || l->is_first ? gap : 2.0f, sequence);
}

/* Marks that stand for nothing, or whose labels are put behind the others. */
static void try_mark(line *l, uint64_t place, int only_dash, int32_t *labels, int32_t *n)
{
    const lenet_strings *s = l->desk->strings;
    const uint64_t sequence = lenet_hash(l->sequence, MARKS + place);
    if (!acts(s, sequence, LENET_STRING_SEPARATORS)) return;
    const float which = share(sequence, PICK);
    const int kind = only_dash || which >= 0.8f ? 2 : which < 0.55f ? 0 : 1;
    const int is_double = !s->mark_counts[2] && share(sequence, LIKE) < 0.2f;
    put_mark(l, kind, is_double, sequence);
    if (s->mark_counts[kind]) labels[(*n)++] = s->classes + kind;
}

/* Writes the string; gives how many labels it has. */
static int32_t write_line(line *l, int32_t *labels)
{
    const lenet_strings *s = l->desk->strings;
    const int64_t length = s->length[0] + below(s->length[1] - s->length[0] + 1, l->sequence, LENGTH);
    int32_t n = 0, before = -1, marked = 0;
    /* few pixels in all, as of a line that was set straight */
    const float span = 18.0f * (float)length, steepest = 8.0f / span;
    l->middle = BEFORE + 0.5f * span;
    l->hand.drift = clamped(l->hand.drift, -steepest, steepest);
    put_cut(l, -1);
    if (share(lenet_hash(l->sequence, MARKS), OTHER) < 0.25f) try_mark(l, 0, 1, labels, &n);
    for (int64_t i = 0; i < length; i++) {
        const uint64_t sequence = lenet_hash(l->sequence, CHARACTERS + (uint64_t)i);
        const int repeats = before >= 0 && share(sequence, LIKE) < s->repeat;
        int32_t class;
        const int64_t image = pick(l, repeats ? before : -1, sequence, PICK, &class);
        const int is_joined = i > 0 && before == s->zero && class == s->zero && !marked;
        put_character(l, image, class, is_joined, sequence);
        labels[n++] = class;
        if (i == 0) put_flourish(l, -1, lenet_hash(l->sequence, ENDS + 2));
        if (i == length - 1) put_flourish(l, 1, lenet_hash(l->sequence, ENDS + 3));
        const float edge = l->edge;
        try_mark(l, 1 + (uint64_t)i, 0, labels, &n);
        marked = l->edge != edge;
        before = class;
    }
    try_mark(l, 1 + (uint64_t)length, 1, labels, &n);
    put_cut(l, 1);
    return n;
}

/* ---- paper and picture ------------------------------------------------------------------------ */

/* A ruled line that is worn here and there. */
static void draw_rule(const sheet *to, float x0, float y0, float x1, float y1, float half, uint64_t sequence)
{
    const float level = 120.0f + 135.0f * share(sequence, 0), length = x1 - x0;
    const float whole = share(sequence, 1) < 0.5f ? 1.0f : 0.4f + 0.5f * share(sequence, 2);
    uint64_t at = 3;
    for (float x = x0; x < x1; at += 2) {
        const float piece = 4.0f + 16.0f * share(sequence, at);
        const float end = x + piece < x1 ? x + piece : x1;
        if (share(sequence, at + 1) < whole)
            draw_stroke(to, x, y0 + (y1 - y0) * (x - x0) / length, end,
                        y0 + (y1 - y0) * (end - x0) / length, half, level);
        x = end;
    }
}

/* Lines around what is between these columns. */
static void draw_rules(const lenet_strings *s, const line *l, const sheet *to, float left, float right,
                       float shift)
{
    const float from = (float)l->left, end = (float)l->right;  /* on the sheet */
    const uint64_t sequence = lenet_hash(l->sequence, LINES);
    const float under = amount(s, l->sequence, LENET_STRING_UNDERLINE);
    const float box = amount(s, l->sequence, LENET_STRING_BOX);
    if (under > 0.0f) {
        const float below_ = 1.0f + 4.0f * share(sequence, 0), rise = 1.5f * lenet_uniform(sequence, 1);
        draw_rule(to, left, clamped(base_at(l, from) + below_ - rise, 4.0f, HEIGHT - 2.0f), right,
                  clamped(base_at(l, end) + below_ + rise, 4.0f, HEIGHT - 2.0f), 0.2f + 0.4f * under,
                  lenet_hash(sequence, 2));
    }
    if (box > 0.0f) {
        const float half = 0.2f + 0.4f * box;
        const float top = 1.0f + 3.0f * share(sequence, 3), bottom = HEIGHT - 2.0f - 2.0f * share(sequence, 4);
        const float which = share(sequence, 5);
        draw_rule(to, left, top, right, top + lenet_uniform(sequence, 6), half, lenet_hash(sequence, 7));
        if (which < 0.7f) draw_rule(to, left, bottom, right, bottom, half, lenet_hash(sequence, 8));
        if (which < 0.5f) draw_stroke(to, left + shift, top, left + shift, bottom, half, 200.0f);
        if (which < 0.4f) draw_stroke(to, right - shift, top, right - shift, bottom, half, 200.0f);
    }
}

static void draw_specks(const lenet_strings *s, uint64_t strip, const sheet *to)
{
    const uint64_t sequence = lenet_hash(strip, PICTURE);
    const int32_t n = (int32_t)ceilf(amount(s, strip, LENET_STRING_SPECKS));
    for (int32_t i = 0; i < n; i++) {
        const uint64_t at = 6 * (uint64_t)i;
        const float x = (float)to->width * share(sequence, at), y = HEIGHT * share(sequence, at + 1);
        draw_stroke(to, x, y, x + 3.0f * lenet_uniform(sequence, at + 2),
                    y + 1.5f * lenet_uniform(sequence, at + 3), 0.2f + 0.6f * share(sequence, at + 4),
                    60.0f + 195.0f * share(sequence, at + 5));
    }
}

/* Stretches levels as one does who knows how dark ink is here: what is fainter than `part` of that goes,
 * and the darkest becomes 255. */
static void stretch(uint8_t *restrict pixels, int32_t n, float part, float darkest)
{
    int32_t sum = 0, inked = 0;
    for (int32_t i = 0; i < n; i++) {
        sum += pixels[i] > 31 ? pixels[i] : 0;
        inked += pixels[i] > 31;
    }
    const float level = inked ? (float)sum / (float)inked : 255.0f, low = part * level;
    const float high = level + (255.0f - level) * darkest;
    const int32_t from = (int32_t)low, factor = (int32_t)(65536.0f * 255.0f / (high - low));
    for (int32_t i = 0; i < n; i++) {
        const int32_t above = pixels[i] > from ? pixels[i] - from : 0;
        const int32_t value = (above * factor) >> 16;
        pixels[i] = (uint8_t)(value < 255 ? value : 255);
    }
}

/* Ink paler along the strip, in waves. parts: room for a row. */
static void fade(uint8_t *pixels, int32_t width, float paler, uint64_t sequence, uint16_t *restrict parts)
{
    const float waves = 0.3f + 1.5f * share(sequence, 0), phase = share(sequence, 1);
    for (int32_t x = 0; x < width; x++) {
        float at = phase + waves * (float)x / (float)width;
        at -= floorf(at);
        parts[x] = (uint16_t)(256.0f * (1.0f - paler * fabsf(2.0f * at - 1.0f)));
    }
    for (int32_t y = 0; y < HEIGHT; y++) {
        uint8_t *restrict row = pixels + (ptrdiff_t)y * width;
        for (int32_t x = 0; x < width; x++) row[x] = (uint8_t)((row[x] * parts[x]) >> 8);
    }
}

static void invert(uint8_t *pixels, int32_t n, float part, uint64_t sequence)
{
    const uint32_t limit = (uint32_t)(part * 65536.0f + 0.5f);
    for (int32_t i = 0; i < n; i += 4) {
        const uint64_t bits = lenet_hash(sequence, INVERTED + (uint64_t)i);
        for (int k = 0; k < 4; k++)
            pixels[i + k] ^= (uint8_t)((bits >> (16 * k) & 0xffff) < limit ? 255 : 0);
    }
}

static void corrupt_strip(const desk *d, const lenet_distortion *c, uint64_t sequence, uint8_t *pixels,
                          int32_t width)
{
    lenet_kernels_active()->corrupt(c, sequence, HEIGHT, width, pixels, d->room);
}

static float if_acts(const lenet_strings *s, uint64_t sequence, effect e)
{
    return acts(s, sequence, e) ? s->strength[e] : 0.0f;
}

/* What the picture does to a strip whose lines are drawn. */
static void spoil(const desk *d, uint64_t strip, uint8_t *pixels, int32_t width)
{
    const lenet_strings *s = d->strings;
    const int32_t n = HEIGHT * width;
    const lenet_distortion lens = {.lines = if_acts(s, strip, LENET_STRING_SCRATCHES),
                                   .blur = if_acts(s, strip, LENET_STRING_BLUR),
                                   .chance = 1.0f};
    const lenet_distortion grain = {.contrast = if_acts(s, strip, LENET_STRING_CONTRAST),
                                    .noise = if_acts(s, strip, LENET_STRING_NOISE),
                                    .impulses = if_acts(s, strip, LENET_STRING_IMPULSES),
                                    .chance = 1.0f};
    if (lens.lines > 0.0f || lens.blur > 0.0f)
        corrupt_strip(d, &lens, lenet_hash(strip, PICTURE + 1), pixels, width);
    if (acts(s, strip, LENET_STRING_LEVELS))
        stretch(pixels, n, amount(s, strip, LENET_STRING_LEVELS), share(strip, LINES + 1));
    const float pale = amount(s, strip, LENET_STRING_FADE);
    if (pale > 0.0f) fade(pixels, width, pale, lenet_hash(strip, PICTURE + 2), d->room);
    if (grain.contrast > 0.0f || grain.noise > 0.0f || grain.impulses > 0.0f)
        corrupt_strip(d, &grain, lenet_hash(strip, PICTURE + 3), pixels, width);
    if (acts(s, strip, LENET_STRING_INVERSION))
        invert(pixels, n, s->strength[LENET_STRING_INVERSION], strip);
}

/* ---- one strip -------------------------------------------------------------------------------- */

static int32_t margin_of(const lenet_strings *s, uint64_t sequence, uint64_t end)
{
    const effect e = LENET_STRING_MARGIN;
    const float more = acts(s, sequence, e) ? s->strength[e] * lenet_uniform(sequence, LINES + 2 + end) : 0.0f;
    return MARGIN + (int32_t)floorf(more + 0.5f);
}

static int32_t make_strip(desk *d, uint64_t number, uint8_t *out, int32_t *labels, int32_t *count)
{
    const lenet_strings *s = d->strings;
    const uint64_t sequence = lenet_hash(lenet_mix(s->seed), number);
    line l = {.desk = d, .hand = draw_hand(s, sequence), .sequence = sequence,
              .writer = below(s->writers, sequence, WRITER), .edge = BEFORE - 1.0f, .right = -1,
              .is_first = 1};
    d->map = lenet_make_canvas(HEIGHT, WIDTH, l.hand.elastic > 0.0f ? SMOOTHNESS : 0.0f, d->memory);
    l.base = MIDDLE + 0.5f * ORDINARY * l.hand.height - 0.5f + l.hand.offset;
    memset(d->sheet.pixels, 0, (size_t)HEIGHT * (size_t)d->sheet.stride);
    *count = 0;
    if (share(sequence, EMPTY) >= s->empty) *count = write_line(&l, labels);
    else widen(&l, BEFORE, BEFORE + 8.0f + 72.0f * share(sequence, LENGTH));

    /* rules reach beyond the ink, and margins begin where they end */
    const int has_rules = acts(s, sequence, LENET_STRING_UNDERLINE) || acts(s, sequence, LENET_STRING_BOX);
    const float shift = 1.0f + 5.0f * share(sequence, LINES + 4);
    if (has_rules) widen(&l, (float)l.left - shift, (float)l.right + shift);
    const int32_t before = margin_of(s, sequence, 0), inked = l.right - l.left + 1;
    const int32_t width = before + inked + margin_of(s, sequence, 1);
    const sheet strip = {out, width, width};
    memset(out, 0, (size_t)HEIGHT * (size_t)width);
    for (int32_t y = 0; y < HEIGHT; y++)
        memcpy(out + (ptrdiff_t)y * width + before,
               d->sheet.pixels + (ptrdiff_t)y * d->sheet.stride + l.left, (size_t)inked);
    if (acts(s, sequence, LENET_STRING_THICKNESS)) {
        const lenet_distortion pen = {.thickness = s->strength[LENET_STRING_THICKNESS], .chance = 1.0f};
        corrupt_strip(d, &pen, lenet_hash(sequence, PICTURE + 4), out, width);
    }
    if (has_rules)
        draw_rules(s, &l, &strip, (float)before, (float)(before + inked - 1), 0.5f * shift);
    draw_specks(s, sequence, &strip);
    spoil(d, sequence, out, width);
    return width;
}

/* ---- calls ------------------------------------------------------------------------------------ */

typedef struct call {
    const lenet_strings *strings;
    uint8_t *out;
    int32_t *widths, *labels, *counts;
    char *workspace;
    int64_t n;
    lenet_watch *watch;
} call;

enum { BLOCK = 4 };  /* strips that a thread takes at once */

static desk make_desk(const lenet_strings *s, char *memory)
{
    desk d = {.strings = s, .memory = memory};
    d.canvas = (uint8_t *)memory + distorting();
    d.distorted = d.canvas + HEIGHT * WIDTH;
    d.sheet = (sheet){d.distorted + HEIGHT * WIDTH, sheet_width(s), sheet_width(s)};
    d.room = d.sheet.pixels + rounded((size_t)HEIGHT * (size_t)d.sheet.stride);
    return d;
}

static void make_block(void *context, int64_t block, int32_t thread)
{
    const call *c = context;
    const lenet_strings *s = c->strings;
    desk d = make_desk(s, c->workspace + (size_t)thread * thread_size(s));
    const ptrdiff_t size = (ptrdiff_t)HEIGHT * lenet_strings_width(s), n_labels = lenet_strings_labels(s);
    const double work = 64.0 * HEIGHT * WIDTH * (s->length[1] + 4);
    for (int64_t i = block * BLOCK; i < (block + 1) * BLOCK && i < c->n; i++) {
        if (lenet_stopped(c->watch, thread == 0, work)) return;
        c->widths[i] = make_strip(&d, s->first + (uint64_t)i, c->out + i * size, c->labels + i * n_labels,
                                  c->counts + i);
    }
}

lenet_status lenet_strings_draw(const lenet_strings *s, int64_t n, uint8_t *out, int32_t *widths,
                                int32_t *labels, int32_t *counts, int32_t n_threads, void *workspace,
                                size_t size)
{
    lenet_status status = n < 1 ? LENET_BAD_ARGUMENT : lenet_strings_check(s);
    if (status == LENET_OK && (size < lenet_strings_workspace(s, n_threads)
                               || (uintptr_t)workspace % sizeof(float)))
        status = LENET_NO_MEMORY;
    if (status == LENET_OK) status = lenet_init();
    if (status != LENET_OK) return status;
    lenet_watch watch;
    lenet_watch_host(&watch);
    call c = {.strings = s, .out = out, .widths = widths, .labels = labels, .counts = counts,
              .workspace = workspace, .n = n, .watch = &watch};
    lenet_parallel_for((n + BLOCK - 1) / BLOCK, n_threads > 1 ? n_threads : 1, make_block, &c);
    return lenet_stopped(&watch, 1, 0.0) ? LENET_INTERRUPTED : LENET_OK;
}
