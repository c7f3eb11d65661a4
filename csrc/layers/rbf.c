/* Euclidean RBF units (eq. 7): squared distances to one code per class. */
#include "layers/layer.h"

static lenet_status make(const lenet_layer *from, const net_layer *below, net_layer *layer)
{
    (void)below;
    if (layer->in_size > LENET_MAX_INPUTS || from->maps < 1 || from->maps > LENET_MAX_MAPS)
        return LENET_BAD_ARGUMENT;
    if (!layer_fits((double)layer->in_size * from->maps)) return LENET_NO_MEMORY;
    const ptrdiff_t n_codes = layer->in_size * from->maps;
    layer->out_maps = from->maps;
    layer->out_height = layer->out_width = 1;
    layer->activation = LENET_IDENTITY;
    layer->n_weights = layer->trained ? n_codes : 0;
    layer->n_fixed = layer->trained ? 0 : n_codes;
    layer->work = (double)n_codes;
    layer->stride = 1;
    layer->flat = layer->kind;
    layer->gives_units = layer->gives_penalties = 1;
    layer->may_be_last = layer->must_be_last = 1;
    return LENET_OK;
}

/* For the curvature of trained codes. */
static size_t scratch(const net_layer *layer, const layer_manner *manner, int training, int groups,
                      int alone)
{
    (void)manner;
    (void)groups;
    (void)alone;
    return training ? (size_t)layer->n_weights : 0;
}

static void forward(const layer_call *c, const float *in, float *out)
{
    const lenet_dense_shape s = layer_dense(c);
    c->k->rbf(&s, c->weights, in, out);
}

static void backward(const layer_call *c, float *in, const float *delta)
{
    const lenet_dense_shape s = layer_dense(c);
    if (c->dweights)
        c->k->rbf_backward_codes(&s, c->weights, in, delta, c->add, c->dweights);
    layer_lap(c, LENET_BACKWARD_WEIGHTS);
    if (c->to_input) c->k->rbf_backward_input(&s, c->weights, delta, c->in_activation, in);
}

static void forward_of_one(const layer_call *c, const float *in, float *out)
{
    const lenet_dense_shape s = layer_dense(c);
    c->k->rbf_of_one(&s, c->weights, in, out);
}

static void backward_of_one(const layer_call *c, float *in, const float *delta)
{
    const lenet_dense_shape s = layer_dense(c);
    c->k->rbf_backward_of_one(&s, c->weights, delta, c->in_activation, c->add, in, c->dweights);
    layer_lap(c, LENET_BACKWARD_WEIGHTS);
}

/* Penalties of 100 are common: probabilities so small that their products would be denormal, and
 * slow, are nothing. */
static float without_denormals(double x) { return x < 1e-20 ? 0.0f : (float)x; }

/* Units and loss together. With p_i the probability of class i, t_i its target, 1 of the label's, p_0 the
 * probability of the rubbish class, the rest, and g_ij = 2 (x_j - w_ij) the slope of penalty i by input j,
 * g_0j = 0: by x_j it is 2 p_0 + the variance of g_ij over i with weights p_i; by w_ij it is
 * p_i (1 - p_i) g_ij^2 + 2 (t_i - p_i), of which the last term is dropped where it is negative. Where the
 * loss scales penalties, slopes are scaled, and second derivatives of penalties, which are 2. */
static void curvature_of_image(const layer_call *c, const float *x, const double *p, const double *t,
                               double weight, float *in)
{
    const int32_t classes = c->layer->out_maps;
    const ptrdiff_t inputs = c->layer->in_size, lanes = c->k->lanes;
    const double scale = c->scale;
    double rubbish = 1.0;
    for (int32_t i = 0; i < classes; i++) rubbish -= p[i];
    if (rubbish < 0.0) rubbish = 0.0;  /* by rounding */
    for (ptrdiff_t j = 0; j < inputs; j++) {
        double mean = 0.0, variance;
        for (int32_t i = 0; i < classes; i++)
            mean += p[i] * 2.0 * ((double)x[j * lanes] - (double)c->codes[i * inputs + j]);
        variance = rubbish * mean * mean;
        for (int32_t i = 0; i < classes; i++) {
            const double slope = 2.0 * ((double)x[j * lanes] - (double)c->codes[i * inputs + j]);
            variance += p[i] * (slope - mean) * (slope - mean);
            if (c->dweights)
                c->scratch[i * inputs + j] +=
                    without_denormals(weight * scale * (scale * p[i] * (1.0 - p[i]) * slope * slope
                                               + (t[i] > p[i] ? 2.0 * (t[i] - p[i]) : 0.0)));
        }
        in[j * lanes] = without_denormals(weight * scale * (2.0 * rubbish + scale * variance));
    }
}

static void curvature(const layer_call *c, float *in, const float *delta)
{
    const ptrdiff_t inputs = c->layer->in_size, lanes = c->k->lanes, n = c->layer->n_weights;
    (void)delta;
    for (ptrdiff_t i = 0; i < n; i++) c->scratch[i] = 0.0f;
    for (ptrdiff_t image = 0; image < c->groups * lanes; image++) {
        const ptrdiff_t at = image / lanes * c->in_stride + image % lanes;
        const ptrdiff_t first = image * c->layer->out_maps;
        if (c->image_weights[image] >= 0.0)
            curvature_of_image(c, c->x + at, c->probabilities + first, c->targets + first,
                               c->image_weights[image], in + at);
        else
            for (ptrdiff_t j = 0; j < inputs; j++) in[at + j * lanes] = 0.0f;
    }
    /* summed up first: the same bits with and without `add` */
    for (ptrdiff_t i = 0; i < n; i++)
        c->dweights[i] = c->add ? c->dweights[i] + c->scratch[i] : c->scratch[i];
}

LAYER_KIND(rbf,
           .make = make,
           .resize = lenet_has_one_size,
           .manner = lenet_plain_manner,
           .scratch = scratch,
           .layout_of_one = lenet_in_whole_vectors,
           .learns_alone = lenet_always_learns_alone,
           .arrange = lenet_arranges_nothing,
           .forward = forward,
           .take_rows = lenet_takes_no_rows,
           .backward = backward,
           .sum_lanes = lenet_has_no_sums,
           .forward_of_one = forward_of_one,
           .backward_of_one = backward_of_one,
           .step_of_one = lenet_step_by_gradient,
           .curvature = curvature);
