/* Writes the characters of one hand on a sheet: each is distorted on a canvas of its own
 * (kernels/distort.h) and put down where the one before ends. */
#include <math.h>
#include <string.h>

#include "run/draw_strings.h"

enum { SIDE = LENET_CHARACTER_SIDE };
static const float MIDDLE = 15.5f, ORDINARY = 20.0f;

/* ---- the hand --------------------------------------------------------------------------------- */

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
    lenet_draw_stroke(&to, x, y, x - length * lean, y + length * (1.15f - lean), h->half, 255.0f);
    if (share(sequence, DETAIL + 1) < 0.15f) {
        const float below = (float)g->bottom - 0.5f, middle = middle_of(g, g->bottom);
        lenet_draw_stroke(&to, middle - 4.0f, below, middle + 4.0f, below, h->half, 255.0f);
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
    lenet_draw_stroke(&to, x - reach, y + tilt, x + reach, y - tilt, h->half, 255.0f);
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

line lenet_begin_line(const desk *d, uint64_t sequence)
{
    const lenet_strings *s = d->strings;
    line l = {.desk = d, .hand = draw_hand(s, sequence), .sequence = sequence,
              .writer = below(s->writers, sequence, WRITER), .edge = BEFORE - 1.0f, .right = -1,
              .is_first = 1};
    l.base = MIDDLE + 0.5f * ORDINARY * l.hand.height - 0.5f + l.hand.offset;
    return l;
}

/* How much to the right the slant puts a row. */
static float lean_at(const hand *h, float y) { return h->slant * (MIDDLE - y); }

void lenet_widen_line(line *l, float first, float last)
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
    lenet_widen_line(l, (float)(dx + first), (float)(dx + last));
    if (h->has_cells && !l->is_first) {
        const float x = 0.5f * (before + (float)dx + left);
        const float half = 0.5f * s->strength[LENET_STRING_CELLS]
                           * (0.4f + 0.6f * share(l->sequence, 2 * LENET_STRING_CELLS + 1));
        lenet_draw_stroke(to, x, 2.0f, x, HEIGHT - 3.0f, half, 200.0f);
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
        lenet_draw_bow(&d->sheet, from, l->top, towards, l->hand.half);
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
        lenet_draw_stroke(to, x, y, x + width, y - rise, half, 255.0f);
        if (is_double) lenet_draw_stroke(to, x, y + 5.0f, x + width, y + 5.0f - rise, half, 255.0f);
        lenet_widen_line(l, x - half, x + width + half);
    } else {
        const float x = at + half + lean_at(h, base);
        const float long_ = kind == 1 ? size * (3.0f + 2.0f * share(sequence, DETAIL + 1)) : 0.0f;
        half = kind == 1 ? h->half : half;
        lenet_draw_stroke(to, x, base, x - 0.5f * long_, base + long_, half, 255.0f);
        lenet_widen_line(l, x - 0.5f * long_ - half, x + half);
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
    lenet_draw_bow(&l->desk->sheet, from, end, towards, l->hand.half);
    lenet_widen_line(l, end[0] - 1.0f, end[0] + 1.0f);
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

int32_t lenet_write_line(line *l, int32_t *labels)
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
