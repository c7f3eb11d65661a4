/* What the files share that draw strips: draw_strings.c, which makes them; draw_line.c, which writes the
 * characters; draw_paper.c, what becomes of that; draw_stroke.c. */
#ifndef LENET_DRAW_STRINGS_H
#define LENET_DRAW_STRINGS_H

#include "kernels/kernels.h"
#include "run/distort.h"

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF  /* the same bytes on every processor; in the files that include this too */
#endif

enum {
    HEIGHT = LENET_STRING_HEIGHT,
    WIDTH = 48,   /* of a character's canvas, as high as the strip */
    BEFORE = 96   /* room on the sheet for what leads in and leans out, and as much behind */
};

/* Which number of a strip's, or a character's, sequence is for what: two for each effect, then these. */
enum {
    LENGTH = 2 * LENET_STRING_EFFECTS, EMPTY, WRITER, PEN, LEAN, LINES, GAPS = 1024,
    PICK = LENGTH, LIKE, OTHER, FIELD, DETAIL,
    CHARACTERS = 1 << 12, MARKS = 1 << 13, ENDS = 1 << 14, PICTURE = 1 << 15, INVERTED = 1 << 20
};

typedef enum lenet_string_effect effect;

/* ---- random numbers --------------------------------------------------------------------------- */

/* In [0, 1). */
static inline float share(uint64_t sequence, uint64_t index)
{
    return 0.5f + 0.5f * lenet_uniform(sequence, index);
}

static inline int64_t below(int64_t n, uint64_t sequence, uint64_t index)
{
    return (int64_t)((lenet_hash(sequence, index) >> 32) * (uint64_t)n >> 32);
}

/* Whether an effect ever acts; whether it does here. */
static inline int may(const lenet_strings *s, effect e)
{
    return s->strength[e] > 0.0f && s->chance[e] > 0.0f;
}

static inline int acts(const lenet_strings *s, uint64_t sequence, effect e)
{
    return may(s, e) && share(sequence, 2 * (uint64_t)e) < s->chance[e];
}

/* Within +-strength if it acts, else 0. */
static inline float either(const lenet_strings *s, uint64_t sequence, effect e)
{
    return acts(s, sequence, e) ? s->strength[e] * lenet_uniform(sequence, 2 * (uint64_t)e + 1) : 0.0f;
}

/* From 0 to the strength if it acts, else 0. */
static inline float amount(const lenet_strings *s, uint64_t sequence, effect e)
{
    return acts(s, sequence, e) ? s->strength[e] * share(sequence, 2 * (uint64_t)e + 1) : 0.0f;
}

/* ---- strokes (draw_stroke.c) -------------------------------------------------------------------- */

/* Rows of `stride` bytes, of which the first `width` may be drawn on. */
typedef struct sheet {
    uint8_t *pixels;
    int32_t width, stride;
} sheet;

static inline float clamped(float v, float low, float high) { return v < low ? low : v > high ? high : v; }

/* A straight stroke with round ends; pixels keep what is darker. */
void lenet_draw_stroke(const sheet *to, float x0, float y0, float x1, float y1, float half, float level);

/* A bow from one point to another, drawn towards the third (a quadratic Bezier curve). */
void lenet_draw_bow(const sheet *to, const float from[2], const float end[2], const float towards[2],
                    float half);

/* ---- the line (draw_line.c) ----------------------------------------------------------------------- */

typedef struct hand {
    float slant, drift, offset, height, width, wide, tight, elastic, zeros, flags, bars;
    float half;  /* of its strokes' width */
    float lean;  /* of its flags, 0 to 1 */
    int has_cells;
} hand;

/* Where one thread works. */
typedef struct desk {
    const lenet_strings *strings;
    void *memory;
    lenet_canvas map;             /* with displacements or without, in `memory` */
    uint8_t *canvas, *distorted;  /* [HEIGHT][WIDTH] */
    sheet sheet;
    void *room;                   /* for corruptions */
} desk;

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

static inline float base_at(const line *l, float x) { return l->base + l->hand.drift * (x - l->middle); }

/* A line of a strip's writer and hand, on which nothing stands yet. */
line lenet_begin_line(const desk *d, uint64_t sequence);

/* Writes the string; gives how many labels it has. */
int32_t lenet_write_line(line *l, int32_t *labels);

/* Takes these columns to those with ink. */
void lenet_widen_line(line *l, float first, float last);

/* ---- paper and picture (draw_paper.c) ------------------------------------------------------------- */

/* Ruled lines reach so far beyond the ink on either side; 0: there are none. */
float lenet_reach_of_rules(const lenet_strings *s, uint64_t sequence);

/* What becomes of a strip in which the line's columns begin at `left`. */
void lenet_spoil(const line *l, const sheet *strip, int32_t left, float reach);

#endif
