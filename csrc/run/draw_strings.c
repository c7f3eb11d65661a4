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

#include "run/draw_strings.h"
#include "sys/watch.h"

enum {
    MARGIN = 8,        /* empty columns at each end */
    MOST_GAP = 128,
    LEAST_GAP = -16,
    MARK_WIDTH = 24    /* of a separator */
};
static const float SMOOTHNESS = 4.0f;

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
    const uint64_t bytes = (uint64_t)thread_size(s) * (uint64_t)(n_threads > 1 ? n_threads : 1);
    return (size_t)bytes == bytes ? (size_t)bytes : SIZE_MAX;
}

/* ---- one strip -------------------------------------------------------------------------------- */

static int32_t margin_of(const lenet_strings *s, uint64_t sequence, uint64_t end)
{
    const effect e = LENET_STRING_MARGIN;
    const float drawn = s->strength[e] * lenet_uniform(sequence, LINES + 2 + end);
    const float more = acts(s, sequence, e) ? drawn : 0.0f;
    return MARGIN + (int32_t)floorf(more + 0.5f);
}

static int32_t make_strip(desk *d, uint64_t number, uint8_t *out, int32_t *labels, int32_t *count)
{
    const lenet_strings *s = d->strings;
    const uint64_t sequence = lenet_hash(lenet_mix(s->seed), number);
    line l = lenet_begin_line(d, sequence);
    d->map = lenet_make_canvas(HEIGHT, WIDTH, l.hand.elastic > 0.0f ? SMOOTHNESS : 0.0f, d->memory);
    memset(d->sheet.pixels, 0, (size_t)HEIGHT * (size_t)d->sheet.stride);
    *count = 0;
    if (share(sequence, EMPTY) >= s->empty) *count = lenet_write_line(&l, labels);
    else lenet_widen_line(&l, BEFORE, BEFORE + 8.0f + 72.0f * share(sequence, LENGTH));

    /* margins begin where rules end */
    const float reach = lenet_reach_of_rules(s, sequence);
    if (reach > 0.0f) lenet_widen_line(&l, (float)l.left - reach, (float)l.right + reach);
    const int32_t before = margin_of(s, sequence, 0), inked = l.right - l.left + 1;
    const int32_t width = before + inked + margin_of(s, sequence, 1);
    const sheet strip = {out, width, width};
    memset(out, 0, (size_t)HEIGHT * (size_t)width);
    for (int32_t y = 0; y < HEIGHT; y++)
        memcpy(out + (ptrdiff_t)y * width + before,
               d->sheet.pixels + (ptrdiff_t)y * d->sheet.stride + l.left, (size_t)inked);
    lenet_spoil(&l, &strip, before, reach);
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
