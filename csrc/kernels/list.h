/* Every kernel, its signature stated once: KERNEL(what it returns, name, (arguments)).
 *
 * Included where something is made of each of them, with KERNEL defined as that: the table's type
 * (kernels.h), the table of each instruction set (table.h) and the list of checks (tests/c_kernels.c),
 * so that a kernel that lacks an implementation or a check does not compile. */
#ifndef KERNEL  /* opened by itself */
#include "kernels/kernels.h"
#define KERNEL(type, name, arguments) typedef type name##_kernel arguments;
#endif

/* n <= lanes images of height x width into the middle of [out_height][out_width][lane];
 * the pixels around and the lanes from n on become background. */
KERNEL(void, load_grey, (const uint8_t *const *images, int n, int height, int width,
                         float background, float foreground, int out_height, int out_width,
                         float *out))
/* rows[image][i] -> out[i][lane], lanes from n on become 0; and back. */
KERNEL(void, rows_to_lanes, (const float *const *rows, int n, ptrdiff_t count, float *out))
KERNEL(void, lanes_to_rows, (const float *in, int n, ptrdiff_t count, float *const *rows))

/* Output rows row .. row + n_rows - 1 of every map, after the squashing function; out is
 * where map 0's row `row` goes and map o's goes o * out_stride floats later. */
KERNEL(void, conv, (const lenet_conv_shape *s, const float *weights, const float *bias,
                    int activation, const float *in, int row, int n_rows, ptrdiff_t out_stride,
                    float *out))
/* The same in fewer multiply-adds and with other roundings, where lenet_can_winograd(s): weights
 * are transformed first, to lenet_winograd_weights(s) floats; scratch: lenet_winograd_scratch(s)
 * vectors. pool: NULL, or the layer above, for these rows: n_rows is even then, and `out` has
 * room for them even if they are not kept. */
KERNEL(void, winograd_weights, (const lenet_conv_shape *s, const float *weights, float *out))
KERNEL(void, winograd_conv, (const lenet_conv_shape *s, const float *weights, const float *bias,
                             int activation, const float *in, int row, int n_rows,
                             ptrdiff_t out_stride, float *scratch, float *out,
                             const lenet_pool *pool))
/* conv_backward_input and conv_backward_weights likewise, with lenet_winograd_back_scratch(s) vectors
 * of scratch.
 * The latter adds to dweights[connection][position][kernel row][lane]; from those, summed over the
 * lanes, winograd_gradient sets the weights' own, or adds to them if `add`. */
KERNEL(void, winograd_backward_input, (const lenet_conv_shape *s, const float *weights,
                                       const float *delta, int in_activation, float *scratch,
                                       float *in))
KERNEL(void, winograd_backward_weights, (const lenet_conv_shape *s, const float *in,
           const float *delta, float *scratch, float *dweights, float *dbias))
KERNEL(void, winograd_gradient, (const lenet_conv_shape *s, const float *in, int add,
                                 float *dweights))
KERNEL(void, conv_backward_input, (const lenet_conv_shape *s, const float *weights,
                                   const float *delta, int in_activation, float *in))
/* Adds to dweights[weight][lane] and dbias[map][lane]. */
KERNEL(void, conv_backward_weights, (const lenet_conv_shape *s, const float *in,
                                     const float *delta, float *dweights, float *dbias))

/* n_rows rows of 2x2 blocks of every map from rows that lie in_stride floats a map apart. */
KERNEL(void, subsample, (int maps, int width, const lenet_pool *pool, const float *in,
                         ptrdiff_t in_stride, int n_rows))
/* Adds to dcoefficient[map][lane] and dbias[map][lane] (NULL with the plain mean). */
KERNEL(void, subsample_backward, (int maps, int height, int width, const float *coefficient,
                                  const float *delta, int in_activation, float *in,
                                  float *dcoefficient, float *dbias))

/* The same with each block's largest value; a block's gradient goes to the first of those. */
KERNEL(void, max_pool, (int maps, int width, const lenet_pool *pool, const float *in,
                        ptrdiff_t in_stride, int n_rows))
KERNEL(void, max_pool_backward, (int maps, int height, int width, const float *delta,
                                 int in_activation, float *in))

KERNEL(void, dense, (const lenet_dense_shape *s, const float *weights, const float *bias,
                     int activation, const float *in, float *out))
KERNEL(void, dense_backward_input, (const lenet_dense_shape *s, const float *weights,
                                    const float *delta, int in_activation, float *in))
/* dweights [outputs][inputs] and dbias [outputs], summed over all lanes; those sums are set, or
 * added if `add`. scratch: lenet_dense_scratch(s) floats. */
KERNEL(void, dense_backward_weights, (const lenet_dense_shape *s, const float *in,
                                      const float *delta, float *scratch, int add, float *dweights,
                                      float *dbias))

KERNEL(void, rbf, (const lenet_dense_shape *s, const float *codes, const float *in, float *out))
KERNEL(void, rbf_backward_input, (const lenet_dense_shape *s, const float *codes,
                                  const float *delta, int in_activation, float *in))
KERNEL(void, rbf_backward_codes, (const lenet_dense_shape *s, const float *codes, const float *in,
                                  const float *delta, int add, float *dcodes))

/* One image, a map's columns in the lanes: rows of a map lie a stride apart, for the input of a
 * convolution whole vectors that hold the width, otherwise that or the plain width, backward
 * through a 2x2 layer only that. What lies past the width, and in the LENET_ROW_SLACK floats behind
 * every buffer, is finite. Between a convolution and a 2x2 layer, where lenet_keeps_maps(s), the maps
 * may be in the lanes instead (lenet_map_layout), deltas of unused lanes 0. A convolution's scratch:
 * lenet_conv_scratch_of_one floats; a 2x2 layer's: lenet_pool_scratch_of_one. */
KERNEL(void, load_grey_rows, (const uint8_t *image, int height, int width, float background,
                              float foreground, int out_height, int out_width,
                              ptrdiff_t out_stride, float *out))
/* conv_of_one with maps in the lanes arranges its weights so, to lenet_arranged_of_one(s) floats,
 * unless it is given them arranged. */
KERNEL(void, conv_weights_of_one, (const lenet_conv_shape *s, const float *weights, float *out))
KERNEL(void, conv_of_one, (const lenet_conv_shape *s, const float *weights, const float *arranged,
                           const float *bias, int activation, const float *in, ptrdiff_t in_stride,
                           lenet_map_layout out_layout, float *scratch, float *out))
KERNEL(void, subsample_of_one, (int maps, int height, int width, const float *coefficient,
                                const float *bias, int activation, const float *in,
                                lenet_map_layout in_layout, ptrdiff_t out_stride, float *scratch,
                                float *out))
KERNEL(void, max_pool_of_one, (int maps, int height, int width, const float *in,
                               lenet_map_layout in_layout, ptrdiff_t out_stride, float *scratch,
                               float *out))
KERNEL(void, dense_of_one, (const lenet_dense_shape *s, const float *weights, const float *bias,
                            int activation, const float *in, float *out))
KERNEL(void, rbf_of_one, (const lenet_dense_shape *s, const float *codes, const float *in,
                          float *out))

/* Backward for one image. A convolution's delta rows are whole vectors that hold its width and,
 * but for a first layer's, kernel - 1 more; past the width they are 0, and so are LENET_ROW_SLACK
 * floats before them. Gradients are set, or added if `add`. */
KERNEL(void, conv_backward_weights_of_one, (const lenet_conv_shape *s, const float *in,
           ptrdiff_t in_stride, const float *delta, lenet_map_layout delta_layout, int add,
           float *scratch, float *dweights, float *dbias))
KERNEL(void, conv_backward_input_of_one, (const lenet_conv_shape *s, const float *weights,
           const float *delta, lenet_map_layout delta_layout, int in_activation, float *scratch,
           float *in, ptrdiff_t in_stride))
KERNEL(void, subsample_backward_of_one, (int maps, int height, int width, const float *coefficient,
           const float *delta, ptrdiff_t delta_stride, int in_activation, float *in,
           lenet_map_layout in_layout, int add, float *scratch, float *dcoefficient, float *dbias))
KERNEL(void, max_pool_backward_of_one, (int maps, int height, int width, const float *delta,
           ptrdiff_t delta_stride, int in_activation, float *in, lenet_map_layout in_layout,
           float *scratch))
/* Both backward steps of a dense layer in one pass over its weights; gradients are set, or added
 * if `add`. scratch: as many floats as inputs. */
KERNEL(void, dense_backward_of_one, (const lenet_dense_shape *s, const float *weights,
                                     const float *delta, int in_activation, int add,
                                     float *scratch, float *in, float *dweights, float *dbias))
/* The same with a step of SGD without momentum instead of gradients: the bits that
 * dense_backward_of_one and update_sgd give. Returns as update_sgd. */
KERNEL(int, dense_step_of_one, (const lenet_dense_shape *s, const lenet_optimizer *o,
                                const float *delta, int in_activation, float *scratch, float *in,
                                float *weights, float *biases))
/* dcodes NULL: the codes are fixed. */
KERNEL(void, rbf_backward_of_one, (const lenet_dense_shape *s, const float *codes,
                                   const float *delta, int in_activation, int add, float *in,
                                   float *dcodes))

/* The squashing function, any alignment; a == y is allowed. NaN gives NaN. */
KERNEL(void, squash, (int activation, const float *a, ptrdiff_t n, float *y))
KERNEL(void, squash_backward, (int activation, const float *y, const float *dy, ptrdiff_t n,
                               float *da))

/* sums[i] = sum over lanes of in[i][lane], or that is added if `add`. */
KERNEL(void, sum_lanes, (const float *in, ptrdiff_t n, int add, float *sums))
/* sum[i] = partials[0][i] + partials[1][i] + ..., in that order, added to sum[i] if `add`.
 * sum may be the first of them. Returns 0 if one of the sums is not finite, else 1. */
KERNEL(int, sum_partials, (const float *partials, ptrdiff_t stride, int n_partials, int add,
                           ptrdiff_t n, float *sum))
/* Update parameters first .. first + n - 1; return as sum_partials, for the new values
 * (Adam's also for the second moments). */
KERNEL(int, update_sgd, (const lenet_optimizer *o, const float *gradient, ptrdiff_t first,
                         ptrdiff_t n, float *parameters))
KERNEL(int, update_adam, (const lenet_optimizer *o, const float *gradient, ptrdiff_t first,
                          ptrdiff_t n, float *parameters))
KERNEL(int, update_sdlm, (const lenet_optimizer *o, const float *gradient, ptrdiff_t first,
                          ptrdiff_t n, float *parameters))

/* One grey image through the map, and the canvas's displacements; the same bytes from every
 * table. */
KERNEL(void, distort, (const lenet_canvas *c, const lenet_affine *a, const uint8_t *image,
                       uint8_t *out))
/* Corrupts one grey image, as the distortion says and by the numbers of `sequence`; the same bytes
 * from every table. workspace: aligned to 2 bytes, of lenet_corrupt_workspace bytes. */
KERNEL(void, corrupt, (const lenet_distortion *d, uint64_t sequence, int32_t height, int32_t width,
                       uint8_t *image, void *workspace))

/* Runs `rounds` rounds of independent multiply-adds, x = x sink[0] + sink[1]; returns how many a
 * round has. loads: the addends are read from the six vectors behind the first, one for two. */
KERNEL(double, multiply_adds, (int64_t rounds, int loads, float *sink))

#undef KERNEL
