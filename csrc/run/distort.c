/* Random distortions of grey images: planar affine maps, and elastic displacements.
 *
 * Draws each image's map and displacements and says where things lie; a kernel (kernels/distort.h)
 * makes the image.
 *
 * Random numbers are a hash of the seed, the image's number and which of its numbers is wanted:
 * there is no state, so nothing depends on the order in which images are made, or by whom. */
#include <math.h>
#include <string.h>

#include "kernels/kernels.h"
#include "run/distort.h"

static const float LEAST_SMOOTHNESS = 2.0f;  /* bounds the grid */

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
    return corners_size(height, width) + (4 * LENET_STRIP + 2 + 2 * rows + columns) * (ptrdiff_t)width
           + 2 * rows * columns;
}

/* Where the workspace of the corruptions begins, in bytes: behind the rest, at an even place. */
static size_t corrupting(int32_t height, int32_t width)
{
    return (size_t)(4 * words(height, width) + padded_size(height, width) + 1) & ~(size_t)1;
}

size_t lenet_distort_workspace(int32_t height, int32_t width)
{
    if (height < 1 || width < 1 || height > LENET_MAX_SIDE || width > LENET_MAX_SIDE) return 0;
    return corrupting(height, width) + lenet_corrupt_workspace(height, width);
}

static void fill_weights(const lenet_canvas *c)
{
    memset(c->weight, 0, (size_t)c->grid_columns * (size_t)c->width * sizeof(float));
    for (int32_t x = 0; x < c->width; x++) {
        float weight[4];
        int32_t first = lenet_splines(x, c->spacing, weight);
        for (int k = 0; k < 4; k++)
            c->weight[(ptrdiff_t)(first + k) * c->width + x] = weight[k];
    }
}

lenet_canvas lenet_make_canvas(int32_t height, int32_t width, float smoothness, void *workspace)
{
    const float spacing = grid_spacing(smoothness);
    const ptrdiff_t strip = (ptrdiff_t)LENET_STRIP * width;
    lenet_canvas c = {.height = height, .width = width, .stride = width + 3, .spacing = spacing,
                      .corners = workspace};
    c.place = c.corners + corners_size(height, width);
    c.found = c.place + strip;
    c.part_x = (float *)(c.found + strip);
    c.part_y = c.part_x + strip;
    c.move_x = c.part_y + strip;
    c.move_y = c.move_x + width;
    c.grid_rows = spacing != 0.0f ? grid_points(height, spacing) : 0;
    c.grid_columns = spacing != 0.0f ? grid_points(width, spacing) : 0;
    c.smooth = c.move_y + width;
    c.weight = c.smooth + (ptrdiff_t)2 * c.grid_rows * width;
    c.drawn = c.weight + (ptrdiff_t)c.grid_columns * width;
    c.padded = (uint8_t *)(c.corners + words(height, width));
    /* an image without displacements moves by 0 */
    memset(c.move_x, 0, 2 * (size_t)width * sizeof(float));
    memset(c.padded, 0, (size_t)padded_size(height, width));
    if (spacing != 0.0f) fill_weights(&c);
    return c;
}

enum { DX, DY, SCALE, SQUEEZE, SHEAR, ROTATION, GRID };  /* which number is for what */

/* ---- the map --------------------------------------------------------------------------------- */

static lenet_transform draw_transform(const lenet_distortion *d, uint64_t image)
{
    return (lenet_transform){.dx = d->translation * lenet_uniform(image, DX),
                             .dy = d->translation * lenet_uniform(image, DY),
                             .scale = 1.0f + d->scaling * lenet_uniform(image, SCALE),
                             .squeeze = 1.0f + d->squeezing * lenet_uniform(image, SQUEEZE),
                             .shear = d->shearing * lenet_uniform(image, SHEAR),
                             .rotation = d->rotation * lenet_uniform(image, ROTATION)};
}

static lenet_affine invert(const lenet_transform *t, int32_t height, int32_t width)
{
    const double angle = t->rotation * (3.14159265358979323846 / 180.0);
    const double c = t->rotation != 0.0f ? cos(angle) : 1.0;
    const double s = t->rotation != 0.0f ? sin(angle) : 0.0;
    const double k = t->shear, p = (double)t->scale * t->squeeze, q = t->scale / t->squeeze;
    const double middle_x = 0.5 * (width - 1), middle_y = 0.5 * (height - 1);
    lenet_affine a = {.xx = (c + k * s) / p, .xy = (s - k * c) / p, .yx = -s / q, .yy = c / q};
    a.x0 = middle_x - a.xx * (middle_x + t->dx) - a.xy * (middle_y + t->dy);
    a.y0 = middle_y - a.yx * (middle_x + t->dx) - a.yy * (middle_y + t->dy);
    return a;
}

/* ---- elastic displacements --------------------------------------------------------------------
 *
 * Simard, Steinkraus and Platt 2003 smooth a random displacement of every pixel with a Gaussian.
 * Here random displacements on a coarse grid are smoothed with cubic B-splines as wide as that
 * Gaussian: fields of the same kind from a hundredth of the random numbers. */

/* Values of standard deviation `elastic` after smoothing along rows and columns: a uniform number
 * has one of 1/sqrt(3), and the squares of a row of splines sum to 151/315 in the mean. */
static void draw_grid(const lenet_canvas *c, float elastic, uint64_t image)
{
    const float size = elastic * (1.7320508f * 315.0f / 151.0f);
    const int32_t n = 2 * c->grid_rows * c->grid_columns;
    for (int32_t i = 0; i < n; i++) c->drawn[i] = size * lenet_uniform(image, GRID + (uint64_t)i);
}

/* ---- calls ----------------------------------------------------------------------------------- */

void lenet_distort_one(const lenet_canvas *c, const lenet_transform *t, float elastic, uint64_t image,
                       const uint8_t *from, uint8_t *to)
{
    const lenet_affine a = invert(t, c->height, c->width);
    if (c->spacing != 0.0f) draw_grid(c, elastic, image);
    lenet_kernels_active()->distort(c, &a, from, to);
}

/* Of one image, about in multiply-adds. */
static double work_of(int32_t height, int32_t width) { return 100.0 * height * width; }

static int is_within(float value, float high) { return value >= 0.0f && value < high; }

lenet_status lenet_distortion_check(const lenet_distortion *d)
{
    const float far = LENET_MAX_SIDE;
    return is_within(d->translation, far) && is_within(d->scaling, 1.0f)
                   && is_within(d->squeezing, 1.0f) && is_within(d->shearing, far)
                   && d->rotation >= 0.0f && d->rotation <= 180.0f && is_within(d->elastic, far)
                   && is_within(d->smoothness, far) && is_within(d->thickness, 16.0f)
                   && is_within(d->lines, 65.0f) && is_within(d->blur, 5.0f)
                   && is_within(d->contrast, 1.0f) && is_within(d->noise, 1.0f)
                   && is_within(d->impulses, 1.0f) && d->chance >= 0.0f && d->chance <= 1.0f
                   && (d->elastic == 0.0f || d->smoothness >= LEAST_SMOOTHNESS)
               ? LENET_OK
               : LENET_BAD_ARGUMENT;
}

void lenet_distort_some(const lenet_distortion *d, uint64_t first, const uint8_t *const *images,
                        int n, int32_t channels, int32_t height, int32_t width, uint8_t *out,
                        void *workspace, lenet_watch *watch, int is_caller)
{
    const int is_elastic = d->elastic != 0.0f;
    const lenet_canvas c = lenet_make_canvas(height, width, is_elastic ? d->smoothness : 0.0f,
                                             workspace);
    const uint64_t sequence = lenet_mix(d->seed);
    const int corrupts = d->chance > 0.0f;
    void *room = (char *)workspace + corrupting(height, width);
    const ptrdiff_t size = (ptrdiff_t)height * width;
    for (int i = 0; i < n; i++) {
        const uint64_t image = lenet_hash(sequence, d->first + first + (uint64_t)i);
        const lenet_transform t = draw_transform(d, image);
        const lenet_affine a = invert(&t, height, width);
        if (lenet_stopped(watch, is_caller, channels * work_of(height, width))) break;
        if (is_elastic) draw_grid(&c, d->elastic, image);
        for (int32_t channel = 0; channel < channels; channel++, out += size) {
            lenet_kernels_active()->distort(&c, &a, images[i] + channel * size, out);
            if (corrupts) lenet_kernels_active()->corrupt(d, image, height, width, out, room);
        }
    }
}

/* Sizes that both calls can take, a workspace that will do, and the instruction set. */
static lenet_status check_call(int64_t n, int32_t height, int32_t width, const void *workspace,
                               size_t size)
{
    const size_t needed = lenet_distort_workspace(height, width);
    if (n < 1 || !needed) return LENET_BAD_ARGUMENT;
    if (size < needed || (uintptr_t)workspace % sizeof(float)) return LENET_NO_MEMORY;
    return lenet_init();
}

lenet_status lenet_distort(const lenet_distortion *d, const uint8_t *images, int64_t n,
                           int32_t height, int32_t width, uint8_t *out, void *workspace,
                           size_t size)
{
    lenet_status status = check_call(n, height, width, workspace, size);
    if (status == LENET_OK) status = lenet_distortion_check(d);
    if (status != LENET_OK) return status;
    lenet_watch watch;
    lenet_watch_host(&watch);
    for (int64_t i = 0; i < n && !lenet_stopped(&watch, 1, 0.0); i++) {
        const ptrdiff_t at = (ptrdiff_t)i * height * width;
        const uint8_t *image = images + at;
        lenet_distort_some(d, (uint64_t)i, &image, 1, 1, height, width, out + at, workspace, &watch, 1);
    }
    return lenet_stopped(&watch, 1, 0.0) ? LENET_INTERRUPTED : LENET_OK;
}

lenet_status lenet_transform_images(const lenet_transform *t, const uint8_t *images, int64_t n,
                                    int32_t height, int32_t width, uint8_t *out, void *workspace,
                                    size_t size)
{
    lenet_status status = check_call(n, height, width, workspace, size);
    if (status != LENET_OK) return status;
    if (!(t->scale > 0.0f && t->squeeze > 0.0f)) return LENET_BAD_ARGUMENT;
    const lenet_canvas c = lenet_make_canvas(height, width, 0.0f, workspace);
    const lenet_affine a = invert(t, height, width);
    lenet_watch watch;
    lenet_watch_host(&watch);
    for (int64_t i = 0; i < n; i++) {
        if (lenet_stopped(&watch, 1, work_of(height, width))) return LENET_INTERRUPTED;
        const ptrdiff_t at = (ptrdiff_t)i * height * width;
        lenet_kernels_active()->distort(&c, &a, images + at, out + at);
    }
    return LENET_OK;
}
