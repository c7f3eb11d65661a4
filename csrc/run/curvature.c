/* The diagonal of the Gauss-Newton matrix, for stochastic diagonal Levenberg-Marquardt (appendix C
 * of the paper).
 *
 * h_k is the mean over the images of the sum of d2E/du_ij^2 over the connections u_ij, from unit j
 * to unit i, that share parameter k. With a_i the sum that unit i squashes and x_j = f(a_j),
 *
 *     d2E/du_ij^2 = d2E/da_i^2 x_j^2,    d2E/da_j^2 = f'(a_j)^2 sum_i u_ij^2 d2E/da_i^2,
 *
 * which drops the terms with f'' (Gauss-Newton) and those off the diagonal. The four connections
 * of a 2x2 unit share its coefficient; a bias is a connection from a unit that is always 1.
 *
 * The first factor comes from the loss. With p_i the share of class i and p_0 that of the rubbish
 * class (MAP; of the squared error on penalties p_0 = 1, of the cross-entropy p_0 = 0):
 * - linear outputs: 2 for the squared error, else p_i (1 - p_i);
 * - RBF units and loss together, as a function of the units' inputs x_j: with the slopes
 *   g_ij = 2 (x_j - w_ij), g_0j = 0, exactly 2 p_0 + the variance of g_ij over i with weights p_i;
 * - trained codes w_ij: p_i (1 - p_i) g_ij^2 and, of the label's class only, 2 (1 - p_i): of the
 *   others that term, -2 p_i, is negative and dropped.
 * So no h_k is negative.
 *
 * One image after another, on rows of (maps, height, width); blocks of images are shared out to
 * threads and added in their order. */
#include <math.h>
#include <string.h>

#include "plan/plan.h"

enum {
    BLOCK = 16,  /* images of a task */
    ROUND = 8    /* blocks whose sums are kept before they are added up */
};

typedef struct {
    const lenet_plan *plan;
    const lenet_kernels *k;
    const float *parameters;
    const lenet_loss *loss;
    const lenet_images *images;
    const int64_t *labels;
    int64_t first, n;                     /* the images of this round */
    float *outputs[LENET_MAX_LAYERS];     /* of each layer, [image of the round][feature] */
    float *scratch, *partials;
    ptrdiff_t widest, shares, scratch_stride, partial_stride;  /* floats */
    lenet_watch *watch;
} round_of_images;

/* Whether the call is to end, on a thread that is about to do so much work; sums of products here are
 * not as fast as the kernels'. */
static int is_stopped(const round_of_images *r, int32_t thread, double work)
{
    return lenet_stopped(r->watch, thread == 0, 8.0 * work);
}

/* ---- the loss --------------------------------------------------------------------------------- */

/* Penalties of 100 are common: shares so small that their products would be denormal, and slow,
 * are nothing. */
static float without_dust(double x) { return x < 1e-20 ? 0.0f : (float)x; }

/* The shares p_i of the classes; 0 for the squared error, which has none. */
static void shares(const round_of_images *r, const float *y, int64_t label, double *p)
{
    const int is_rbf = plan_is_rbf(r->plan);
    lenet_verdict v;
    lenet_judge(r->loss, is_rbf, r->plan->classes, y, 1, label, &v);
    for (int32_t i = 0; i < r->plan->classes; i++) {
        const double slope = lenet_loss_slope(&v, i);
        if (r->loss->kind == LENET_MSE)
            p[i] = 0.0;
        else
            p[i] = (double)(i == label) + (is_rbf ? -slope : slope);
    }
}

/* Second derivatives by linear outputs y; p: room for the shares. */
static void linear_outputs(const round_of_images *r, const float *y, int64_t label, double *p,
                           float *d2)
{
    shares(r, y, label, p);
    for (int32_t i = 0; i < r->plan->classes; i++)
        d2[i] = r->loss->kind == LENET_MSE ? 2.0f : without_dust(p[i] * (1.0 - p[i]));
}

/* Second derivatives by the inputs x of RBF units whose outputs are y; adds those by their codes
 * to h_w, if they are trained. */
static void rbf_units(const round_of_images *r, const plan_layer *layer, const float *x,
                      const float *y, int64_t label, double *p, float *h_w, float *d2)
{
    const float *codes = layer->trained ? r->parameters + layer->weights : r->plan->codes;
    const ptrdiff_t inputs = layer->in_size;
    double rubbish = 1.0;
    shares(r, y, label, p);
    for (int32_t i = 0; i < layer->out_maps; i++) rubbish -= p[i];
    if (rubbish < 0.0) rubbish = 0.0;  /* by rounding */
    for (ptrdiff_t j = 0; j < inputs; j++) {
        double mean = 0.0, variance;
        for (int32_t i = 0; i < layer->out_maps; i++)
            mean += p[i] * 2.0 * ((double)x[j] - (double)codes[i * inputs + j]);
        variance = rubbish * mean * mean;
        for (int32_t i = 0; i < layer->out_maps; i++) {
            const double slope = 2.0 * ((double)x[j] - (double)codes[i * inputs + j]);
            variance += p[i] * (slope - mean) * (slope - mean);
            if (layer->trained)
                h_w[i * inputs + j] +=
                    without_dust(p[i] * (1.0 - p[i]) * slope * slope
                                 + (i == label ? 2.0 * (1.0 - p[i]) : 0.0));
        }
        d2[j] = without_dust(2.0 * rubbish + variance);
    }
}

/* ---- layers -----------------------------------------------------------------------------------
 *
 * d2: second derivatives by a layer's sums; squares: of its inputs; h_w and h_b are added to, and
 * below, the second derivatives by its inputs, is set, unless it is NULL. */

static float sum_of(const float *values, ptrdiff_t n)
{
    float sum = 0.0f;
    for (ptrdiff_t i = 0; i < n; i++) sum += values[i];
    return sum;
}

/* The sum over a map of d2 times the squares that one weight of a kernel meets. */
static float correlate(const float *d2, int32_t height, int32_t width, const float *squares,
                       int32_t stride)
{
    enum { COLUMNS = 256 };
    float columns[COLUMNS], sum = 0.0f;  /* a sum each, so that the compiler may use vectors */
    for (int32_t first = 0; first < width; first += COLUMNS) {
        const int32_t n = width - first < COLUMNS ? width - first : COLUMNS;
        const float *a = d2 + first, *b = squares + first;
        memset(columns, 0, (size_t)n * sizeof *columns);
        for (int32_t y = 0; y < height; y++, a += width, b += stride)
            for (int32_t x = 0; x < n; x++) columns[x] += a[x] * b[x];
        for (int32_t x = 0; x < n; x++) sum += columns[x];
    }
    return sum;
}

static void spread(const float *d2, int32_t height, int32_t width, float weight, float *below,
                   int32_t stride)
{
    const float square = weight * weight;
    for (int32_t y = 0; y < height; y++, d2 += width, below += stride)
        for (int32_t x = 0; x < width; x++) below[x] += square * d2[x];
}

static void convolution(const round_of_images *r, int32_t thread, const lenet_conv_shape *s,
                        const float *weights, const float *d2, const float *squares, float *h_w,
                        float *h_b, float *below)
{
    const int32_t taps = s->kernel * s->kernel;
    const ptrdiff_t in_map = (ptrdiff_t)s->in_height * s->in_width;
    const ptrdiff_t out_map = (ptrdiff_t)s->out_height * s->out_width;
    if (below) memset(below, 0, (size_t)(s->in_maps * in_map) * sizeof *below);
    for (int32_t o = 0; o < s->out_maps; o++, d2 += out_map) {
        h_b[o] += sum_of(d2, out_map);
        for (int32_t c = s->first[o]; c < s->first[o + 1]; c++) {
            if (is_stopped(r, thread, (double)taps * (double)out_map)) return;
            for (int32_t tap = 0; tap < taps; tap++) {
                const ptrdiff_t weight = (ptrdiff_t)c * taps + tap;
                const ptrdiff_t at = s->source[c] * in_map
                                     + (ptrdiff_t)(tap / s->kernel) * s->in_width
                                     + tap % s->kernel;
                h_w[weight] += correlate(d2, s->out_height, s->out_width, squares + at, s->in_width);
                if (below)
                    spread(d2, s->out_height, s->out_width, weights[weight], below + at,
                           s->in_width);
            }
        }
    }
}

/* Dense layers, and convolutions to maps of a single unit that sees everything. */
static void dense(const plan_layer *layer, const float *weights, const float *d2,
                  const float *squares, float *h_w, float *h_b, float *below)
{
    const ptrdiff_t inputs = layer->in_size;
    if (below) memset(below, 0, (size_t)inputs * sizeof *below);
    for (ptrdiff_t o = 0; o < layer->out_size; o++, weights += inputs, h_w += inputs) {
        h_b[o] += d2[o];
        for (ptrdiff_t i = 0; i < inputs; i++) h_w[i] += d2[o] * squares[i];
        if (below)
            for (ptrdiff_t i = 0; i < inputs; i++) below[i] += weights[i] * weights[i] * d2[o];
    }
}

/* 2x2 blocks; coefficients NULL: the plain mean, a connection of 1/4. */
static void pool(const plan_layer *layer, const float *coefficients, const float *d2,
                 const float *squares, float *h_c, float *h_b, float *below)
{
    const ptrdiff_t width = layer->in_width, in_map = layer->in_height * width;
    const ptrdiff_t out_map = (ptrdiff_t)layer->out_height * layer->out_width;
    if (below) memset(below, 0, (size_t)layer->in_size * sizeof *below);
    for (int32_t m = 0; m < layer->out_maps; m++, d2 += out_map, squares += in_map) {
        const float weight = coefficients ? coefficients[m] : 0.25f;
        float sum = 0.0f;
        for (ptrdiff_t i = 0; i < out_map; i++) {
            const ptrdiff_t at = i / layer->out_width * 2 * width + i % layer->out_width * 2;
            const float *x = squares + at;
            sum += d2[i] * (x[0] + x[1] + x[width] + x[width + 1]);
            if (!below) continue;
            float *to = below + m * in_map + at;
            to[0] = to[1] = to[width] = to[width + 1] = weight * weight * d2[i];
        }
        if (!coefficients) continue;
        h_c[m] += sum;
        h_b[m] += sum_of(d2, out_map);
    }
}

/* ---- one image -------------------------------------------------------------------------------- */

/* The inputs of layer l for image i of the round; the network's own go to `room` first. */
static const float *inputs_of(const round_of_images *r, int l, int64_t i, float *room)
{
    const lenet_images *images = r->images;
    const ptrdiff_t size = (ptrdiff_t)images->height * images->width;
    if (l > 0) return r->outputs[l - 1] + i * r->plan->layers[l].in_size;
    const ptrdiff_t at = ordered(images->order, r->first + i) * size;
    if (images->is_float) return (const float *)images->pixels + at;
    r->k->load_grey_rows((const uint8_t *)images->pixels + at, images->height, images->width,
                         r->plan->background, r->plan->foreground, r->plan->height,
                         r->plan->width, r->plan->width, room);
    return room;
}

static void add_image(const round_of_images *r, int64_t i, int32_t thread, float *h)
{
    const lenet_plan *plan = r->plan;
    const int last = plan->n_layers - 1;
    const float *y = r->outputs[last] + i * plan->classes;
    const int64_t label = r->labels[ordered(r->images->order, r->first + i)];
    float *scratch = r->scratch + thread * r->scratch_stride;
    double *p = (double *)scratch;
    float *room = scratch + r->shares, *squares = room + r->widest, *d2 = squares + r->widest;
    float *other = d2 + r->widest;
    if (!plan_is_rbf(plan)) linear_outputs(r, y, label, p, d2);
    for (int l = last; l >= 0; l--) {
        const plan_layer *layer = &plan->layers[l];
        const ptrdiff_t weights = layer->weights < 0 ? 0 : layer->weights;  /* -1: not used */
        const ptrdiff_t biases = layer->biases < 0 ? 0 : layer->biases;
        const float *x = inputs_of(r, l, i, room), *w = r->parameters + weights;
        float *h_w = h + weights, *h_b = h + biases, *below = l ? other : NULL;
        const int is_conv = layer->kind == LENET_CONV && l < plan->first_flat;
        if (is_stopped(r, thread, is_conv ? 0.0 : layer->work)) return;  /* it looks itself */
        for (ptrdiff_t j = 0; j < layer->in_size; j++) squares[j] = x[j] * x[j];
        if (layer->kind == LENET_RBF)
            rbf_units(r, layer, x, y, label, p, h_w, other);
        else if (layer->kind == LENET_AVERAGE_POOL)
            pool(layer, NULL, d2, squares, NULL, NULL, below);
        else if (layer->kind == LENET_SUBSAMPLE)
            pool(layer, w, d2, squares, h_w, h_b, below);
        else if (l >= plan->first_flat)
            dense(layer, w, d2, squares, h_w, h_b, below);
        else
            convolution(r, thread, &layer->conv, w, d2, squares, h_w, h_b, below);
        if (!below) break;
        for (int twice = 0; twice < 2; twice++)  /* times f'(a)^2 */
            r->k->squash_backward(plan->layers[l - 1].activation, x, below, layer->in_size, below);
        other = d2;
        d2 = below;
    }
}

static void block_task(void *context, int64_t i, int32_t thread)
{
    const round_of_images *r = context;
    float *h = r->partials + i * r->partial_stride;
    memset(h, 0, (size_t)r->plan->n_parameters * sizeof *h);
    for (int64_t at = i * BLOCK; at < (i + 1) * BLOCK && at < r->n; at++) {
        if (is_stopped(r, thread, 0.0)) return;
        add_image(r, at, thread, h);
    }
}

/* ---- the call --------------------------------------------------------------------------------- */

static int64_t round_size(int64_t n) { return n < BLOCK * ROUND ? n : BLOCK * ROUND; }

int64_t lenet_curvature_blocks(int64_t n) { return n / BLOCK + (n % BLOCK != 0); }

static int32_t clamp_threads(int32_t n_threads)
{
    if (n_threads > ROUND) n_threads = ROUND;
    return n_threads < 1 ? 1 : n_threads;
}

static float *take(float *memory, ptrdiff_t *at, ptrdiff_t floats)
{
    float *here = memory ? memory + *at : NULL;
    *at += floats;
    return here;
}

/* Says where things lie in `memory`, behind lenet_activations' own workspace, and how many bytes
 * all of it takes. */
static size_t lay_out(round_of_images *r, float *memory, int64_t n, int32_t n_threads)
{
    const lenet_plan *plan = r->plan;
    const int64_t images = round_size(n);
    const size_t own = lenet_workspace_size(plan, 1, images, n_threads) / sizeof(float);
    ptrdiff_t at = padded((ptrdiff_t)own), widest = (ptrdiff_t)plan->height * plan->width;
    for (int l = 0; l < plan->n_layers; l++) {
        const ptrdiff_t size = plan->layers[l].out_size;
        r->outputs[l] = take(memory, &at, padded(images * size));
        if (size > widest) widest = size;
    }
    r->widest = padded(widest + LENET_ROW_SLACK);
    r->shares = padded(2 * (ptrdiff_t)plan->classes);  /* doubles */
    r->scratch_stride = r->shares + 4 * r->widest + 1024;  /* a page between two threads' memories */
    r->scratch = take(memory, &at, r->scratch_stride * n_threads);
    r->partial_stride = padded(plan->n_parameters);
    r->partials = take(memory, &at, r->partial_stride * lenet_curvature_blocks(images));
    return (size_t)at * sizeof(float);
}

size_t lenet_curvature_workspace_size(const lenet_plan *plan, int64_t n, int32_t n_threads)
{
    round_of_images r = {.plan = plan};
    return lay_out(&r, NULL, n, clamp_threads(n_threads));
}

/* The outputs of every layer for the images of this round. */
static lenet_status run_round(const round_of_images *r, const lenet_run *run)
{
    lenet_images images = *r->images;
    const ptrdiff_t size = (ptrdiff_t)images.height * images.width
                           * (images.is_float ? (ptrdiff_t)sizeof(float) : 1);
    if (images.order)
        images.order += r->first;
    else
        images.pixels = (const char *)images.pixels + r->first * size;
    return lenet_activations(r->plan, r->parameters, &images, r->n, r->outputs, run);
}

lenet_status lenet_curvature(const lenet_plan *plan, const float *parameters,
                             const lenet_images *images, const int64_t *labels, int64_t n,
                             const lenet_loss *loss, float *curvature, const lenet_run *run)
{
    lenet_watch watch;
    round_of_images r = {.plan = plan,
                         .k = lenet_kernels_active(),
                         .parameters = parameters,
                         .loss = loss,
                         .images = images,
                         .labels = labels,
                         .watch = &watch};
    lenet_run inner = *run;
    if (n < 1) return LENET_BAD_ARGUMENT;
    lenet_status status = lenet_check_loss(plan, loss, images->order, labels, n);
    if (status != LENET_OK) return status;
    inner.n_threads = clamp_threads(run->n_threads);
    if (run->workspace_size < lay_out(&r, run->workspace, n, inner.n_threads))
        return LENET_NO_MEMORY;
    int finite = 1;
    lenet_watch_run(&watch, run);
    for (r.first = 0; r.first < n; r.first += r.n) {
        r.n = round_size(n - r.first);
        status = run_round(&r, &inner);
        if (status != LENET_OK) return status;
        const int64_t blocks = lenet_curvature_blocks(r.n);
        if (is_stopped(&r, 0, plan->work * (double)r.n / inner.n_threads)) return LENET_INTERRUPTED;
        lenet_watched_for(&watch, 16.0 * plan->work * BLOCK, blocks, inner.n_threads, block_task, &r);
        if (is_stopped(&r, 0, 0.0)) return LENET_INTERRUPTED;
        finite &= r.k->sum_partials(r.partials, r.partial_stride, (int)blocks, r.first > 0,
                                    plan->n_parameters, curvature);
    }
    for (ptrdiff_t i = 0; i < plan->n_parameters; i++) curvature[i] /= (float)n;
    return finite ? LENET_OK : LENET_NOT_FINITE;
}
