/* The diagonal of the Gauss-Newton matrix, for stochastic diagonal Levenberg-Marquardt (appendix C
 * of the paper).
 *
 * h_k is the mean over the images, by their weights, of the sum of d2E/du_ij^2 over the connections u_ij,
 * from unit j to unit i, that share parameter k. With a_i the sum that unit i squashes and x_j = f(a_j),
 *
 *     d2E/du_ij^2 = d2E/da_i^2 x_j^2,    d2E/da_j^2 = f'(a_j)^2 sum_i u_ij^2 d2E/da_i^2,
 *
 * which drops the terms with f'' (Gauss-Newton) and those off the diagonal. The four connections
 * of a 2x2 unit share its coefficient; a bias is a connection from a unit that is always 1.
 *
 * Those are the formulas of the gradient with squares for weights and inputs, so the backward kernels
 * compute them; by sums of products, which cannot be negative. The first factor comes from the loss.
 * With p_i the probability of class i, that of linear outputs is 2 for the squared error, else
 * p_i (1 - p_i); RBF units and loss together have one of their own (layers/rbf.c). */
#include "run/backward.h"
#include "run/forward.h"
#include "run/loss.h"
#include "run/open.h"
#include "run/train.h"

/* Behind a thread's other memory: squares of inputs, then of each image probabilities, targets and weight. */
typedef struct {
    ptrdiff_t squares, probabilities, targets, weights, total;
} extra;

static extra lay_out(const lenet_plan *plan)
{
    const lenet_layout *at = &plan->layout[1];
    ptrdiff_t widest = 0;
    for (int l = 0; l < plan->n_layers; l++) {
        const ptrdiff_t images = l < plan->first_flat ? at->lanes : at->block;
        if (plan->layers[l].in_size * images > widest) widest = plan->layers[l].in_size * images;
    }
    extra e = {.squares = at->total};
    e.probabilities = e.squares + plan_padded(widest);
    e.targets = e.probabilities + plan_padded(2 * (ptrdiff_t)plan->classes * at->block);
    e.weights = e.targets + plan_padded(2 * (ptrdiff_t)plan->classes * at->block);
    /* and a page between two threads' memories */
    e.total = e.weights + plan_padded(2 * (ptrdiff_t)at->block) + 1024;
    return e;
}

size_t lenet_curvature_workspace_size(const lenet_plan *plan, int64_t n, int32_t n_threads)
{
    const int64_t threads = lenet_clamp_threads(n_threads, lenet_blocks(1, n));
    const uint64_t each = (uint64_t)(lay_out(plan).total - plan->layout[1].total);
    return bytes_of_floats(each * (uint64_t)threads + (uint64_t)plan_padded(plan->n_parameters),
                           lenet_workspace_size(plan, 1, n, n_threads));
}

/* Second derivatives by the outputs, and what the layer that gave them wants to know. */
static void begin(const batch *b, float *memory, int64_t first, int n, int groups)
{
    const int last = b->plan->n_layers - 1, classes = b->plan->classes, lanes = b->at->lanes;
    const extra e = lay_out(b->plan);
    double *p = (double *)(memory + e.probabilities), *t = (double *)(memory + e.targets);
    double *weights = (double *)(memory + e.weights);
    for (int i = 0; i < groups * lanes; i++) {
        float *out = outputs_of(b, memory, last, i / lanes) + i % lanes;
        weights[i] = -1.0;
        if (i < n) {
            const ptrdiff_t at = (ptrdiff_t)i * classes;
            weights[i] = lenet_weight_of(b->loss, index_of(b, first + i));
            lenet_lose_twice(b, first + i, out, lanes, p + at, t + at);
        } else {
            for (int c = 0; c < classes; c++) out[c * lanes] = 0.0f;
        }
    }
}

static void step_back(const batch *b, float *memory, layer_call *c, float *in, const float *delta)
{
    const net_layer *layer = c->layer;
    const extra e = lay_out(b->plan);
    const ptrdiff_t n = layer->in_size * b->at->lanes * c->groups;
    float *squares = memory + e.squares;
    const int below = c->in_activation;
    for (ptrdiff_t i = 0; i < n; i++) squares[i] = in[i] * in[i];
    c->x = in;
    c->codes = c->weights;
    c->targets = (const double *)(memory + e.targets);
    c->probabilities = (const double *)(memory + e.probabilities);
    c->image_weights = (const double *)(memory + e.weights);
    c->scale = lenet_loss_scale(b->loss);
    if (layer->weights >= 0) c->weights = b->squares + layer->weights;
    c->in_activation = LENET_IDENTITY;
    layer->kind->curvature(c, squares, delta);
    if (!c->to_input) return;
    b->k->squash_backward(below, in, squares, n, squares);  /* times f'(a), twice */
    b->k->squash_backward(below, in, squares, n, in);
}

static void curvature_task(batch *b, int64_t i, float *memory, int add, float *curvature)
{
    int n;
    const int64_t first = block_start(b, i, &n);
    const int groups = lenet_run_forward(b, memory, first, n, 1);
    if (is_stopped(b, memory, 0.0)) return;
    begin(b, memory, first, n, groups);
    lenet_run_backward(b, memory, groups, add, curvature, step_back);
}

lenet_status lenet_curvature(const lenet_plan *plan, const float *parameters,
                             const lenet_images *images, const int64_t *labels, int64_t n,
                             const lenet_loss *loss, float *curvature, const lenet_run *run)
{
    lenet_watch watch;
    lenet_report report;
    batch b;
    lenet_status status
        = lenet_open_training(plan, parameters, images, labels, n, loss, run, &watch, &b);
    if (status != LENET_OK) return status;
    if (images->distortion) return LENET_BAD_ARGUMENT;
    if (run->workspace_size < lenet_curvature_workspace_size(plan, n, run->n_threads))
        return LENET_NO_MEMORY;
    const int32_t threads = lenet_clamp_threads(run->n_threads, lenet_blocks(1, n));
    b.memory_stride = lay_out(plan).total;
    b.squares = memory_of(&b, threads);
    b.partials = b.squares + b.partial_stride;
    b.arranged = NULL;  /* transformed weights have no squares of their own */
    for (ptrdiff_t i = 0; i < plan->n_parameters; i++)
        b.squares[i] = parameters[i] * parameters[i];
    reduction c = {.b = &b, .gradient = curvature};
    status = lenet_run_rounds(&b, curvature_task, threads, &c, &report);
    for (ptrdiff_t i = 0; i < plan->n_parameters; i++) curvature[i] /= (float)b.weight;
    return status;
}
