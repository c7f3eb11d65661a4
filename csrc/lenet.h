/* LeNet-5 on a CPU: the public C interface, usable without Python.
 *
 * A network is a plan: a list of layers over an image of one or several channels. Its trainable
 * parameters are one contiguous float vector that the caller owns; the plan only says which
 * part of the vector belongs to which layer. Every buffer is the caller's; functions report by a
 * status code, print nothing and never abort (but for OpenMP's runtime: see lenet_set_threading).
 *
 * How to use it: lenet_plan_create; lenet_plan_parameters floats with initial values; a workspace
 * of lenet_workspace_size bytes; then lenet_step, again and again, or lenet_forward and
 * lenet_classify. A pointer may be NULL only where this file says so, and arrays are as long as
 * it says: nobody checks that. A plan does not change, so several threads may use it and the same
 * parameters at once, each with a workspace of its own, as long as no lenet_step writes to them.
 *
 * One seed gives the same bits with any number of threads: the work is cut into blocks of
 * images whose size does not depend on the threads, and sums over blocks are added in one order.
 */
#ifndef LENET_H
#define LENET_H

#include <stddef.h>
#include <stdint.h>

/* The version of this header, and of the library that goes with it: lenet_version() says what a program
 * runs with. As a number, say for #if: 10203 is 1.2.3. */
#define LENET_VERSION_MAJOR 0
#define LENET_VERSION_MINOR 1
#define LENET_VERSION_PATCH 0
#define LENET_VERSION_NUMBER \
    (LENET_VERSION_MAJOR * 10000 + LENET_VERSION_MINOR * 100 + LENET_VERSION_PATCH)
#define LENET_VERSION LENET_VERSION_OF(LENET_VERSION_MAJOR, LENET_VERSION_MINOR, LENET_VERSION_PATCH)
#define LENET_VERSION_OF(major, minor, patch) LENET_VERSION_TEXT(major, minor, patch)
#define LENET_VERSION_TEXT(major, minor, patch) #major "." #minor "." #patch

/* What a shared library exports, and nothing else. LENET_BUILD_SHARED: while one is built; LENET_SHARED:
 * in programs for Windows that use one. */
#if defined(_WIN32) && defined(LENET_BUILD_SHARED)
#define LENET_API __declspec(dllexport)
#elif defined(_WIN32) && defined(LENET_SHARED)
#define LENET_API __declspec(dllimport)
#elif defined(__GNUC__) && defined(LENET_BUILD_SHARED)
#define LENET_API __attribute__((visibility("default")))
#else
#define LENET_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum lenet_status {
    LENET_OK = 0,
    LENET_BAD_ARGUMENT,  /* a size, kind, strength or pointer that the call cannot take */
    LENET_BAD_LABEL,     /* a label outside 0 .. classes-1 */
    LENET_NO_MEMORY,     /* the plan could not be allocated, or the workspace is too small or not
                          * aligned */
    LENET_NOT_FINITE,    /* the loss is NaN or infinite and nothing was updated; or the gradient or a
                          * new parameter is, after the step: the parameters and all that the
                          * optimizer holds must then be restored. What the call would have
                          * given means nothing */
    LENET_INTERRUPTED,   /* run->interrupted said so; the same, and nothing was updated */
    LENET_UNKNOWN_ISA,   /* LENET_C_ISA names no instruction set */
    LENET_MISSING_ISA,   /* LENET_C_ISA names one that this processor or build lacks */
    LENET_BAD_THREADING, /* LENET_C_THREADS names threads that there are not in this build */
    LENET_TOO_SHORT,     /* a string needs more positions than its outputs have: one a character, and
                          * one between equal neighbours */
    LENET_NOT_ALLOWED,   /* a string that the grammar does not accept */
    LENET_NO_FILE,       /* it cannot be opened or read: errno says why */
    LENET_BAD_FILE,      /* it is damaged, is no model, or is larger than a model may be */
    LENET_NEWER_FILE     /* a newer lenet_c wrote it */
} lenet_status;

/* ---- the plan ------------------------------------------------------------------------- */

/* Bounds that keep every product of sizes far from overflow. Where a size has 32 bits (WebAssembly), a
 * network whose image, maps and weights have more than 2^21 values in all is LENET_NO_MEMORY. */
enum {
    LENET_MAX_LAYERS = 64,
    LENET_MAX_MAPS = 4096,      /* of a layer; units and classes too */
    LENET_MAX_CHANNELS = 16,    /* of an image */
    LENET_MAX_SIDE = 1024,
    LENET_MAX_INPUTS = 1 << 24  /* of a dense or RBF layer */
};

typedef enum lenet_layer_kind {
    LENET_CONV,          /* convolution, stride 1, a bias per map; valid, or with zeros around */
    LENET_SUBSAMPLE,     /* 2x2 sum times a trainable coefficient plus a trainable bias */
    LENET_AVERAGE_POOL,  /* plain 2x2 mean */
    LENET_DENSE,         /* every input to every unit, a bias per unit */
    LENET_RBF,           /* squared distances to one code per class; the last layer */
    LENET_MAX_POOL,      /* the largest of 2x2; its gradient goes to the first of equal ones */
    LENET_LAYER_KINDS    /* how many there are */
} lenet_layer_kind;

typedef enum lenet_activation {
    LENET_IDENTITY,
    LENET_SCALED_TANH,   /* 1.7159 tanh(2/3 a) */
    LENET_TANH,
    LENET_RELU,
    LENET_SIGMOID,       /* 1 / (1 + e^-a) */
    LENET_ACTIVATIONS    /* how many there are */
} lenet_activation;

/* Convolutions and 2x2 layers, then dense layers; the last is dense with LENET_IDENTITY, or RBF.
 * Fields that a kind has no use for are ignored. */
typedef struct lenet_layer {
    int32_t kind;          /* lenet_layer_kind */
    int32_t activation;    /* lenet_activation; ignored by the two pools and LENET_RBF */
    int32_t maps;          /* output maps, units or classes; of the 2x2 layers only with a table */
    int32_t kernel;        /* side of a convolution's kernel, up to its padded input's */
    const uint8_t *table;  /* convolution: [maps][input maps], 1 where connected; NULL: all.
                            * LENET_SUBSAMPLE: the same, one 1 in each row; NULL: map by map */
    int32_t trained;       /* LENET_RBF: 1 if the codes are parameters, 0 if they are fixed */
    int32_t padding;       /* convolution: zeros on each side of its input, 0 .. kernel - 1; of the
                            * first layer's images after normalising. With them an input's sides are
                            * LENET_MAX_SIDE at most */
} lenet_layer;

/* The images that a network reads. Level g of a channel of a uint8 image becomes that channel's
 * background + g/255 (foreground - background), and pixels outside a smaller image become background.
 * (A mean and a deviation of levels from 0 to 1 are a background of -mean / deviation and a foreground
 * of (1 - mean) / deviation.) */
typedef struct lenet_input {
    int32_t channels, height, width;
    float background[LENET_MAX_CHANNELS], foreground[LENET_MAX_CHANNELS];
} lenet_input;

typedef struct lenet_plan lenet_plan;

/* Checks the input and the layers, copies them and derives shapes; *plan is NULL unless it is LENET_OK.
 * The channels are the input maps of the first layer. codes: [classes][inputs] of a fixed RBF layer,
 * else NULL. */
LENET_API lenet_status lenet_plan_create(const lenet_layer *layers, int32_t n_layers,
                                         const lenet_input *input, const float *codes, lenet_plan **plan);
LENET_API void lenet_plan_free(lenet_plan *plan);  /* NULL: nothing to do */

/* Layer after layer its weights, then its biases: [maps][connected input maps][kernel][kernel] of a
 * convolution, a coefficient per map, [units][inputs] of a dense layer, [classes][inputs] of codes. */
LENET_API int64_t lenet_plan_parameters(const lenet_plan *plan);
/* Parameters may begin at any float. So many floats behind a 64-byte boundary a single image is read
 * and learnt fastest: the largest dense layer's weights then begin at one. */
LENET_API int64_t lenet_plan_margin(const lenet_plan *plan);
LENET_API int32_t lenet_plan_classes(const lenet_plan *plan);
/* Maps, height and width of the outputs of layer 0 .. n_layers - 1. */
LENET_API void lenet_plan_shape(const lenet_plan *plan, int32_t layer, int32_t shape[3]);

/* ---- distortions of uint8 images ---------------------------------------------------------- */

/* A map of the plane: what lies (x, y) pixels from the middle of the image, y downward, goes to
 * R H S (x, y) + (dx, dy), where S stretches x by scale * squeeze and y by scale / squeeze, H adds
 * shear * y to x, and R turns by `rotation` degrees, clockwise. */
typedef struct lenet_transform {
    float dx, dy, scale, squeeze, shear, rotation;
} lenet_transform;

/* Random maps: dx and dy are uniform in +-translation, scale in 1 +- scaling, squeeze in
 * 1 +- squeezing, shear in +-shearing and rotation in +-rotation. Each pixel also moves by a random
 * field, smooth over about `smoothness` pixels, of standard deviation `elastic`. Then,
 * each with probability `chance`: strokes become up to `thickness` pixels thicker or thinner; up to
 * `lines` thin lines are drawn; a Gaussian of standard deviation up to `blur` blurs; paper darkens and
 * ink pales by up to `contrast` together; noise of standard deviation up to `noise` is added; and up to
 * `impulses` of the pixels become 0 or 255. The random numbers of image i of a call depend on seed and
 * first + i, and on nothing else; all channels of an image have the same. */
typedef struct lenet_distortion {
    float translation;  /* pixels */
    float scaling;      /* below 1 */
    float squeezing;    /* below 1 */
    float shearing;     /* pixels a row */
    float rotation;     /* degrees, up to 180 */
    float elastic;      /* pixels; 0: no field */
    float smoothness;   /* pixels, at least 2 (of no account when elastic is 0) */
    float thickness;    /* pixels, below 16 */
    float lines;        /* a whole number, up to 64 */
    float blur;         /* pixels, below 5 */
    float contrast;     /* share of the range, below 1 */
    float noise;        /* share of the range, below 1 */
    float impulses;     /* share of the pixels, below 1 */
    float chance;       /* 0 to 1 */
    uint64_t seed, first;
} lenet_distortion;

/* LENET_OK if the strengths are 0 or more and within the bounds above, pixels below 1024; else
 * LENET_BAD_ARGUMENT. */
LENET_API lenet_status lenet_distortion_check(const lenet_distortion *distortion);

/* n images of height x width, 1 or more, to `out`, which may not overlap them; bilinear, with 0
 * outside. workspace: aligned to 4 bytes, of lenet_distort_workspace(height, width) bytes or more
 * (which is 0 for sides that are not 1 .. 1024). */
LENET_API size_t lenet_distort_workspace(int32_t height, int32_t width);
LENET_API lenet_status lenet_distort(const lenet_distortion *distortion, const uint8_t *images, int64_t n,
                                     int32_t height, int32_t width, uint8_t *out, void *workspace,
                                     size_t size);
/* The same map for all images; scale and squeeze above 0. */
LENET_API lenet_status lenet_transform_images(const lenet_transform *transform, const uint8_t *images,
                                              int64_t n, int32_t height, int32_t width, uint8_t *out,
                                              void *workspace, size_t size);

/* ---- strings made of single characters -------------------------------------------------------- */

enum {
    LENET_CHARACTER_SIDE = 28,  /* of the characters' images */
    LENET_STRING_HEIGHT = 32,   /* of the strips */
    LENET_STRING_MARKS = 3,     /* dot, comma, dash: what stands between characters */
    LENET_MAX_STRING = 256      /* characters */
};

/* What may happen to a strip, in the order of `strength` and `chance`. "Up to": uniform from 0 or, where
 * both signs make sense, from -strength. */
typedef enum lenet_string_effect {
    /* the hand: once a strip */
    LENET_STRING_SLANT,      /* leans by up to so many pixels a row to the right, a third of it to the left */
    LENET_STRING_DRIFT,      /* its line rises or falls by up to so many pixels a pixel */
    LENET_STRING_OFFSET,     /* lies up to so many pixels higher or lower */
    LENET_STRING_HEIGHT_OF,  /* higher or lower by up to this fraction */
    LENET_STRING_WIDTH_OF,   /* its characters are wider or narrower by up to this fraction */
    LENET_STRING_WIDE,       /* each gap wider by up to so many pixels */
    LENET_STRING_TIGHT,      /* each gap narrower by up to so many pixels */
    LENET_STRING_ELASTIC,    /* a field of up to such a deviation in pixels, for each character its own */
    LENET_STRING_ZEROS,      /* zeros smaller by up to this fraction */
    LENET_STRING_FLAGS,      /* ones have a stroke up to their top, as long as up to this share of 20 */
    LENET_STRING_BARS,       /* sevens are crossed by strokes of up to twice so many pixels */
    /* once a character, a gap or an end */
    LENET_STRING_SIZES,      /* larger or smaller by up to this fraction */
    LENET_STRING_SQUEEZE,    /* wider or narrower by up to this fraction */
    LENET_STRING_SHEAR,      /* leans by up to so many pixels a row more or less */
    LENET_STRING_ROTATION,   /* turned by up to so many degrees */
    LENET_STRING_JITTER,     /* up to so many pixels higher or lower */
    LENET_STRING_LARGE,      /* larger by up to this fraction */
    LENET_STRING_SPACES,     /* the gap wider by up to so many pixels */
    LENET_STRING_JOINS,      /* zero and zero linked at the top, by a bow of up to so many pixels */
    LENET_STRING_SEPARATORS, /* a dot, comma or dash, up to so large: 1 is ordinary */
    LENET_STRING_FLOURISHES, /* a stroke of up to so many pixels leads in or out */
    LENET_STRING_CUTS,       /* up to so many columns of a neighbour */
    /* the paper and the picture: once a strip */
    LENET_STRING_THICKNESS,  /* strokes thicker or thinner by up to so many pixels */
    LENET_STRING_UNDERLINE,  /* a line below, up to so thick in pixels */
    LENET_STRING_BOX,        /* lines above, below and at the ends, up to so thick */
    LENET_STRING_CELLS,      /* lines between the characters, up to so thick */
    LENET_STRING_SCRATCHES,  /* up to so many lines across, of which some cut through the ink */
    LENET_STRING_SPECKS,     /* up to so many specks */
    LENET_STRING_BLUR,       /* a Gaussian's deviation, up to so many pixels */
    LENET_STRING_LEVELS,     /* what is fainter than up to this share of the ink goes; darker */
    LENET_STRING_FADE,       /* ink paler, unevenly, by up to this share */
    LENET_STRING_CONTRAST,   /* paper darker and ink paler, together by up to this share */
    LENET_STRING_NOISE,      /* noise of up to such a deviation, as a share of the range */
    LENET_STRING_IMPULSES,   /* up to this share of the pixels become 0 or 255 */
    LENET_STRING_INVERSION,  /* this share of the pixels, exactly so much, is inverted */
    LENET_STRING_MARGIN,     /* the 8 empty columns at each end are up to so many more or fewer */
    LENET_STRING_EFFECTS
} lenet_string_effect;

/* An endless sequence of strips: what strip i is depends on all this and first + i, and on nothing else. */
typedef struct lenet_strings {
    const uint8_t *images;   /* [..][28][28], 0 background; none without ink */
    /* places of images: those of writer w and class c are order[starts[w * classes + c]] and on, up to the
     * next start; every writer has some. All characters of a strip are of one writer. */
    const int64_t *order, *starts;
    int32_t writers, classes;
    int32_t zero, one, seven;                     /* the classes of these digits, or -1 */
    int32_t mark_counts[LENET_STRING_MARKS];      /* whether a dot, comma, dash is a character of the string */
    int32_t stands;          /* characters stand on a line; else they lie as high as in their images */
    int32_t length[2];       /* the fewest and the most characters, up to LENET_MAX_STRING */
    int32_t gap[2];          /* pixels between characters' boxes, within +-128 */
    float empty, repeat;     /* the chance of no character at all; and of one that follows its like */
    float strength[LENET_STRING_EFFECTS], chance[LENET_STRING_EFFECTS];
    uint64_t seed, first;
} lenet_strings;

/* The largest strength that an effect may have. */
LENET_API float lenet_string_most(lenet_string_effect effect);
/* LENET_OK if lengths, gaps, strengths and chances are within bounds. */
LENET_API lenet_status lenet_strings_check(const lenet_strings *strings);
/* The widest that a strip can be, and the most labels that it can have; of checked strings. */
LENET_API int32_t lenet_strings_width(const lenet_strings *strings);
LENET_API int32_t lenet_strings_labels(const lenet_strings *strings);
/* Makes n strips, 1 or more, on up to n_threads threads. Strip i is at out + i * 32 * (the widest), its
 * 32 rows of widths[i] bytes one after another; its counts[i] labels at labels + i * (the most): classes,
 * and classes + 0, 1, 2 for a dot, comma, dash that counts. workspace: aligned to 4 bytes, of
 * lenet_strings_workspace bytes or more. */
LENET_API size_t lenet_strings_workspace(const lenet_strings *strings, int32_t n_threads);
LENET_API lenet_status lenet_strings_draw(const lenet_strings *strings, int64_t n, uint8_t *out,
                                          int32_t *widths, int32_t *labels, int32_t *counts,
                                          int32_t n_threads, void *workspace, size_t size);

/* ---- running it ------------------------------------------------------------------------ */

/* The images of a batch. */
typedef struct lenet_images {
    const void *pixels;     /* contiguous: [image][channel][height][width] */
    int32_t is_float;       /* 1: float, already normalised; 0: uint8, raw levels */
    int32_t height, width;  /* the network's; uint8 may be smaller, then centred */
    const int64_t *order;   /* image i of the batch is pixels[order[i]]; NULL: pixels[i] */
    /* NULL: as they are; lenet_gradient and lenet_step of uint8: each is distorted first, image i
     * of the batch by the numbers of distortion->first + i, and its channels all by the same */
    const lenet_distortion *distortion;
} lenet_images;

typedef enum lenet_part {
    LENET_LOAD, LENET_FORWARD, LENET_LOSS, LENET_BACKWARD_INPUT, LENET_BACKWARD_WEIGHTS,
    LENET_UPDATE, LENET_PARTS
} lenet_part;

/* Where the time goes, by part and, where a layer does it, layer; a 2x2 layer may count with the
 * convolution below, from which it takes its sums. Set it to 0 before the first of
 * the calls that add to it. */
typedef struct lenet_profile {
    double last;                                  /* when the last part ended */
    double seconds[LENET_PARTS][LENET_MAX_LAYERS];
} lenet_profile;

/* With what a call runs; nothing of the workspace needs to be kept between calls.
 *
 * A call that is to end does so when each thread has finished what it is at: one layer of one group of
 * lanes (a dense layer: of one block of 32 images), of a convolution under a 2x2 layer some of its
 * rows, and an update once it has begun. Calls that take less than 50 ms do not ask. */
typedef struct lenet_run {
    void *workspace;                      /* aligned to 64 bytes */
    size_t workspace_size;                /* bytes: at least what lenet_workspace_size says */
    int32_t n_threads;                    /* 1 or more; 256 at most are used */
    int32_t (*interrupted)(void *context);  /* asked every 50 ms on the calling thread: other than
                                             * 0 ends the call; or NULL */
    void *context;
    lenet_profile *profile;               /* NULL, or filled by calls with one thread */
    int32_t in_lanes;                     /* other than 0: lenet_forward never runs images one by one, so
                                           * that their outputs do not depend on how many there are */
} lenet_run;

typedef enum lenet_loss_kind {
    LENET_MSE,            /* eq. (8): penalty of the right class; linear: distance to +-1 targets */
    LENET_MAP,            /* eq. (9), with the rubbish class's penalty j */
    LENET_CROSS_ENTROPY   /* softmax over logits, or over negated penalties */
} lenet_loss_kind;

/* MAP and cross-entropy take outputs divided by a temperature: above 1, wrong classes count while they
 * are farther behind. */
typedef struct lenet_loss {
    int32_t kind;         /* lenet_loss_kind */
    double j;             /* LENET_MAP only; > 0 */
    double temperature;   /* not MSE; > 0 */
    /* What each image counts, finite, 0 or more and not all 0, indexed as the labels are; NULL: all the
     * same. Mean losses and their derivatives are then sums of an image's times its weight, divided by the
     * sum of the weights: an image of weight 0 might as well not be there. */
    const double *weights;
    /* Each class's probability, [n][classes], indexed as the labels are; NULL: 1 of the label's. None is
     * negative, and an image's add up to 1. The loss is the mean by them of the losses of single labels
     * (of linear outputs the squared error is that to 2 t - 1); labels then count errors alone. */
    const double *targets;
} lenet_loss;

typedef enum lenet_optimizer_kind { LENET_SGD, LENET_ADAM, LENET_SDLM } lenet_optimizer_kind;

/* Settings and memory of an optimizer: begin with step 0 and the arrays 0 (SDLM's are set by the
 * caller, from lenet_curvature). What the kind does not use may be 0 and NULL. */
typedef struct lenet_optimizer {
    int32_t kind;             /* lenet_optimizer_kind */
    float rate;               /* of this step; not SDLM's */
    float momentum;           /* SGD: v = momentum v + g */
    float beta1, beta2, epsilon;  /* Adam */
    float weight_decay;       /* decoupled: p -= rate * weight_decay * p; not SDLM's */
    int64_t step;             /* steps taken so far; lenet_step adds one */
    /* [parameters] each: SGD's v (NULL when momentum is 0); Adam's m and v; SDLM's rates in place of
     * the first, by parameter: eta / (mu + h) */
    float *first_moment, *second_moment;
    const int64_t *frozen;    /* [n_frozen][2]: parameters first .. end - 1 and what is remembered of
                               * them stay as they are; ascending, apart; NULL when n_frozen is 0 */
    int32_t n_frozen;
} lenet_optimizer;

typedef struct lenet_report {
    double loss;              /* mean over the images, by their weights if they have some */
    int64_t n_errors;         /* images, but those of weight 0, whose best class is not the label, before
                               * the update */
} lenet_report;

/* Bytes of workspace for a batch of up to n images, 1 or more; training: 1 for gradients, steps
 * and activations, 0 for lenet_forward. */
LENET_API size_t lenet_workspace_size(const lenet_plan *plan, int32_t training, int64_t n,
                                      int32_t n_threads);

/* Blocks of images that n images are cut into: more threads than this stay idle. */
LENET_API int64_t lenet_blocks(int32_t training, int64_t n);

/* outputs: [n][classes], penalties or logits. An image's are the same bits at every place of a batch
 * of n. Up to 8 images, by the instruction set, run one by one, with other roundings than more of
 * them: with n they may differ in the last bits, unless run->in_lanes says otherwise. */
LENET_API lenet_status lenet_forward(const lenet_plan *plan, const float *parameters,
                                     const lenet_images *images, int64_t n, float *outputs,
                                     const lenet_run *run);

/* outputs[layer]: [n][maps][height][width] after the squashing function; NULL: not wanted. */
LENET_API lenet_status lenet_activations(const lenet_plan *plan, const float *parameters,
                                         const lenet_images *images, int64_t n, float *const *outputs,
                                         const lenet_run *run);

/* ---- a packed model: parameters that are only read ----------------------------------------
 *
 * lenet_forward arranges weights for the kernels anew in each call, for the caller may have changed
 * them. A model holds a copy of the parameters and has them arranged once: its calls give the bits of
 * lenet_forward and lenet_activations with those parameters, and do not see what the caller's become.
 *
 * It lies in memory of the caller's, aligned to 64 bytes, of lenet_model_size(plan) bytes or more. Nothing
 * but that memory is to be freed. It may not be moved, copied or written to while it is used, and its
 * plan must outlive it. It does not change, so several threads may use it at once, each with a workspace
 * of its own, which is as large as for the plan (lenet_workspace_size). What it holds is for the
 * instruction set in use: do not store it, but the parameters, and make it anew. */
typedef struct lenet_model lenet_model;

LENET_API size_t lenet_model_size(const lenet_plan *plan);

/* *model is NULL unless it is LENET_OK. LENET_NO_MEMORY: too little, or not aligned. The parameters are
 * not needed any more. */
LENET_API lenet_status lenet_model_create(const lenet_plan *plan, const float *parameters, void *memory,
                                          size_t size, const lenet_model **model);

/* Its copy, as long as the model is there: [parameters]. */
LENET_API const float *lenet_model_parameters(const lenet_model *model);

/* As lenet_forward and lenet_activations. */
LENET_API lenet_status lenet_model_forward(const lenet_model *model, const lenet_images *images, int64_t n,
                                           float *outputs, const lenet_run *run);
LENET_API lenet_status lenet_model_activations(const lenet_model *model, const lenet_images *images,
                                               int64_t n, float *const *outputs, const lenet_run *run);

/* ---- model files ---------------------------------------------------------------------------------
 *
 * Networks that Python's LeNet5.save wrote, and those that come with the library. A file need not be
 * trusted: its checksums, its sizes and all numbers are checked before memory is taken for them, which is
 * in the end what the network takes, and meanwhile a file's size twice and 64 MiB at most.
 *
 * How much that is only shows once all has been checked, so these calls allocate themselves, as
 * lenet_plan_create does, and one call frees it; the bytes are not needed any more. A path is what the
 * system's fopen takes. Threads may share a network. Numbers are read in the locale of the process: do
 * not change it meanwhile. */
typedef struct lenet_network {
    lenet_plan *plan;
    const lenet_model *model;              /* for lenet_model_forward; its parameters are read-only */
    lenet_input input;
    int32_t classes;                       /* outputs */
    int32_t blank;                         /* 1: the last class is the blank, else 0 */
    int32_t is_rbf;                        /* 1: outputs are penalties; 0: logits */
    const char *const *class_names;        /* UTF-8, of all classes but the blank; NULL: they have none */
    double temperature;                    /* for lenet_probabilities */
    double penalty, margin;                /* for lenet_count_rejected; infinite and 0: nothing is rejected */
    void *memory;                          /* that it lies in */
} lenet_network;

/* *network is NULL unless it is LENET_OK. */
LENET_API lenet_status lenet_model_load(const char *path, lenet_network **network);
LENET_API lenet_status lenet_model_load_memory(const void *bytes, size_t size, lenet_network **network);
LENET_API void lenet_network_free(lenet_network *network);  /* NULL: nothing to do */

/* ---- wider and higher pictures ---------------------------------------------------------------
 *
 * A network may be swept over pictures larger than its input: the layers up to the last maps run over the
 * whole picture, those that follow at every position where the network fits, as if its window were moved
 * over the picture by as many pixels as its 2x2 layers take together (4 in LeNet-5). Nothing is computed
 * twice. The weights are those for single images. Convolutions with padding cannot be swept. */

typedef struct lenet_pictures {
    const void *const *pixels;        /* of each picture, contiguous: [channel][height][width] */
    const int32_t *heights, *widths;  /* 1 .. 2^24. What is smaller than the network's input is
                                       * centred in it; what of a larger one is left over behind the last
                                       * whole step has a position too: outside is background */
    int32_t is_float;                 /* as lenet_images */
} lenet_pictures;

/* By how many of its outputs a layer's maps grow for one more position; 0: it sees one position. */
LENET_API int32_t lenet_plan_stride(const lenet_plan *plan, int32_t layer);

/* Rows and columns of positions. */
LENET_API void lenet_positions(const lenet_plan *plan, int32_t height, int32_t width, int32_t positions[2]);

/* Bytes of workspace for n pictures, 1 or more; 0 if they cannot be swept, or for want of memory. */
LENET_API size_t lenet_sweep_workspace_size(const lenet_plan *plan, const lenet_pictures *pictures,
                                            int64_t n, int32_t n_threads);

/* outputs: [positions][classes], row by row, of one picture after another. Those of a picture do not
 * depend on the others. */
LENET_API lenet_status lenet_sweep(const lenet_plan *plan, const float *parameters,
                                   const lenet_pictures *pictures, int64_t n, float *outputs,
                                   const lenet_run *run);

/* Of one picture, outputs[layer]: [maps][height][width] of a layer that sees all of it, else
 * [positions][units]; NULL: not wanted. */
LENET_API lenet_status lenet_sweep_activations(const lenet_plan *plan, const float *parameters,
                                               const lenet_pictures *picture, float *const *outputs,
                                               const lenet_run *run);

/* ---- training it ------------------------------------------------------------------------- */

/* The mean loss and its gradient, [parameters]. The last images of a batch, fewer than a block of 32,
 * may run one by one if they are few, so that with the order of a batch its sums change in the last
 * bits. labels are indexed as the images are, through images->order. */
LENET_API lenet_status lenet_gradient(const lenet_plan *plan, const float *parameters,
                                      const lenet_images *images, const int64_t *labels, int64_t n,
                                      const lenet_loss *loss, float *gradient, lenet_report *report,
                                      const lenet_run *run);

/* The diagonal h of the Gauss-Newton matrix of the mean loss (appendix C), [parameters], by which
 * SDLM sets its rates; never negative. It has a workspace size of its own; its blocks are training's. */
LENET_API size_t lenet_curvature_workspace_size(const lenet_plan *plan, int64_t n, int32_t n_threads);
LENET_API lenet_status lenet_curvature(const lenet_plan *plan, const float *parameters,
                                       const lenet_images *images, const int64_t *labels, int64_t n,
                                       const lenet_loss *loss, float *curvature, const lenet_run *run);

/* One update of the parameters on one batch. */
LENET_API lenet_status lenet_step(const lenet_plan *plan, float *parameters, const lenet_images *images,
                                  const int64_t *labels, int64_t n, const lenet_loss *loss,
                                  lenet_optimizer *optimizer, lenet_report *report, const lenet_run *run);

/* One update by a gradient of the caller's, [parameters]: of several calls of lenet_gradient, say, each in
 * a process of its own. The same bits as lenet_step if the gradient is what that would have added up.
 * LENET_NOT_FINITE: a parameter or what is remembered of it no longer is, and all have changed. */
LENET_API lenet_status lenet_apply(const lenet_plan *plan, float *parameters, const float *gradient,
                                   lenet_optimizer *optimizer);

/* Loss and errors of outputs that lenet_forward gave; label i is of row i. */
LENET_API lenet_status lenet_score(const lenet_plan *plan, const float *outputs, const int64_t *labels,
                                   int64_t n, const lenet_loss *loss, lenet_report *report);

/* The class of each row: the smallest penalty or the largest logit; the first of equals. */
LENET_API void lenet_classify(const lenet_plan *plan, const float *outputs, int64_t n, int64_t *classes);

/* Rows that sum to one: softmax of the logits or of the negated penalties, divided by temperature
 * (1, or what makes it a confidence), from 1e-30 to 1e30. */
LENET_API void lenet_probabilities(const lenet_plan *plan, const float *outputs, int64_t n,
                                   double temperature, float *probabilities);

/* Index of the first value that is NaN or infinite, or n. */
LENET_API int64_t lenet_first_not_finite(const float *values, int64_t n);

/* ---- strings ------------------------------------------------------------------------------
 *
 * What a network says that is swept over a wide picture: outputs [positions][classes], contiguous. At
 * each position a path takes one class; it spells what is left of it when runs of one class are made one
 * and the blank class, which stands between and around characters, is left out. Its probability is the
 * product of the softmax probabilities of its classes, and a string's the sum over its paths. */

typedef enum lenet_string_kind {
    LENET_ALL_PATHS,      /* forward training (VI.C; connectionist temporal classification): minus the
                           * logarithm of the string's probability */
    LENET_BEST_PATH,      /* Viterbi training (VI.A): the same of the string's likeliest path alone, the
                           * first to move on of equal ones */
    LENET_ALLOWED_PATHS   /* discriminative forward training (VI.D): how much less likely the string is
                           * than all that a grammar allows together. Without one: as LENET_ALL_PATHS */
} lenet_string_kind;

/* A deterministic automaton over the classes but the blank, whose column is ignored. */
typedef struct lenet_grammar {
    int32_t states;         /* 1 or more; a string begins in the first */
    const int32_t *next;    /* [states][classes]: the state that a class leads to; -1: none */
    const uint8_t *accept;  /* [states]: other than 0 where a string may end */
} lenet_grammar;

typedef struct lenet_string_criterion {
    int32_t kind;       /* lenet_string_kind */
    int32_t blank;      /* the class */
    double scale;       /* what makes outputs evidence, the exponents of the softmax: 1 / temperature of
                         * logits, -1 / temperature of penalties */
    double j;           /* the rubbish class's penalty, 0 or more, which adds e^-j to the sum of each softmax
                         * (eq. 9); infinite: none. Against a grammar's paths it stands where blanks may */
    const lenet_grammar *grammar;  /* LENET_ALLOWED_PATHS; NULL: all strings */
} lenet_string_criterion;

/* Bytes for outputs and strings of up to these sizes. */
LENET_API size_t lenet_string_workspace(const lenet_string_criterion *criterion, int32_t positions,
                                        int32_t classes, int32_t length);

/* The loss of one strip for its label, [length] classes without the blank, and the loss's gradient for
 * the outputs, which may be where they are, or NULL. Evidence that is more than 1e12 behind its
 * position's best counts as that. workspace: aligned to 8 bytes. LENET_BAD_LABEL: a class out of range, or the
 * blank; LENET_NOT_FINITE: an output is NaN or infinite. After any error loss and gradient are as they were. */
LENET_API lenet_status lenet_string_loss(const lenet_string_criterion *criterion, const float *outputs,
                                         int32_t positions, int32_t classes, const int32_t *label,
                                         int32_t length, double *loss, float *gradient, void *workspace,
                                         size_t size);

/* ---- training on strings ------------------------------------------------------------------ */

/* Strips, one position high, and what each spells: lengths[i] classes from labels[i] on, without the blank.
 * A strip's width times the height of the network's input is 2^26 at most: LENET_MAX_STRIP. */
enum { LENET_MAX_STRIP = 1 << 26 };

typedef struct lenet_lines {
    lenet_pictures pictures;
    const int32_t *const *labels;
    const int32_t *lengths;
} lenet_lines;

/* Bytes of workspace for n strips; 0 if they cannot be learnt (see lenet_lines_gradient), or for want of
 * memory. */
LENET_API size_t lenet_lines_workspace_size(const lenet_plan *plan, const lenet_lines *strings, int64_t n,
                                            const lenet_string_criterion *criterion, int32_t n_threads);

/* As lenet_gradient and lenet_step; an error is a strip whose best path does not spell its label. Strips
 * share groups of lanes by their width, so with another order sums may change in the last bits.
 * LENET_TOO_SHORT, LENET_NOT_ALLOWED: one of the labels cannot be spelt. */
LENET_API lenet_status lenet_lines_gradient(const lenet_plan *plan, const float *parameters,
                                            const lenet_lines *strings, int64_t n,
                                            const lenet_string_criterion *criterion, float *gradient,
                                            lenet_report *report, const lenet_run *run);
LENET_API lenet_status lenet_lines_step(const lenet_plan *plan, float *parameters,
                                        const lenet_lines *strings, int64_t n,
                                        const lenet_string_criterion *criterion,
                                        lenet_optimizer *optimizer, lenet_report *report,
                                        const lenet_run *run);

/* ---- what images look like ----------------------------------------------------------------- */

/* Of images that are not blank, in the network's units: the least and the greatest median of an
 * image's border, darkest and lightest pixel, of all its channels together. n: images so far, 0: the
 * rest means nothing. */
typedef struct lenet_appearance {
    int64_t n;
    float border[2], low[2], high[2];
} lenet_appearance;

/* How an image is unlike those of a lenet_appearance; the first that holds. */
typedef enum lenet_unlike {
    LENET_ONES,      /* uint8, and the largest value is 1 */
    LENET_FAR,       /* beyond the range by 32 times the range */
    LENET_INVERTED,  /* border light where it was dark, or dark where it was light */
    LENET_RANGE,     /* border, darkest or lightest pixel beyond the range */
    LENET_FAINT,     /* a tenth of the range, and fainter than all of them */
    LENET_UNLIKE_KINDS  /* how many there are */
} lenet_unlike;

/* Looks at up to `looks` (2 or more) of n images for a network with this input, evenly apart. `order`
 * and `distortion` do not count. */
LENET_API void lenet_appearance_learn(lenet_appearance *look, const lenet_images *images, int64_t n,
                                      int64_t looks, const lenet_input *input);
LENET_API void lenet_appearance_compare(const lenet_appearance *look, const lenet_images *images,
                                        int64_t n, int64_t looks, const lenet_input *input,
                                        int64_t *n_seen, int64_t unlike[LENET_UNLIKE_KINDS]);
/* Of up to `looks` (2 or more) of n rows of outputs: how many have a penalty above, or a margin
 * below, the threshold. The penalty of logits is minus the logarithm of the largest probability. */
LENET_API int64_t lenet_count_rejected(const float *outputs, int64_t n, int32_t classes, int is_rbf,
                                       int64_t looks, double penalty, double margin);

/* ---- decoding strings ---------------------------------------------------------------------
 *
 * From the outputs of a network that is swept over a strip to the string that it shows. Evidence is
 * [positions][classes], contiguous: logits / T, or penalties / -T, so that a position's softmax says how
 * probable its classes are; paths, and what they spell, are as above ("strings"). Evidence that is more
 * than 1e12 behind its position's best counts as that; LENET_NOT_FINITE if some is NaN or infinite, and
 * what the call would have given means nothing. */

enum { LENET_MAX_BEAM = 4096 };

typedef struct lenet_decoder {
    int32_t classes, blank;
    int32_t beam;    /* 1 .. LENET_MAX_BEAM: beginnings of strings that are followed at once */
    int32_t n_best;  /* 1 .. beam: strings that are wanted */
    const lenet_grammar *grammar;  /* gives only strings that it accepts; NULL: all */
    const int32_t *least;          /* with a grammar: what lenet_grammar_least says of it */
    int32_t total;   /* with a grammar, other than 0: the sum over all strings that it accepts, too.
                      * Time and memory go with positions times edges */
} lenet_decoder;

/* Strings that were found, the likeliest first. */
typedef struct lenet_decoded {
    int32_t n;                /* how many: 0 where no accepted string can be spelt in the positions */
    double log_accepted;      /* logarithm of the probability of all accepted strings: 0 without a grammar,
                               * minus infinity when n is 0, NaN where it was not asked for or the
                               * probability is below 1e-250 */
    double *log_probability;  /* [n_best]: of a string among all strings, accepted or not */
    int32_t *length;          /* [n_best] */
    int32_t *string;          /* [n_best][positions]: classes */
    int32_t *span;            /* [n_best][positions][2]: first and last position of a character, on the
                               * string's likeliest path (of equal ones, the first to move on) */
    double *confidence;       /* [n_best][positions]: how probable a character's class is in its place,
                               * which reaches from the end of the character before to the beginning of
                               * the next: that one of its class begins there, summed over all paths, or
                               * over those of accepted strings. Where log_accepted is NaN: the share
                               * of the strings found of which one does */
} lenet_decoded;

/* The argmax of each position, the lower class of equal ones; n is 1. n_best is 1 for `strings`; room:
 * [positions]. */
LENET_API lenet_status lenet_best_path(const float *evidence, int32_t positions, int32_t classes,
                                       int32_t blank, lenet_decoded *strings, double *room);

/* least: [states][3], how many positions a string needs from each state to an accepted end, for
 * lenet_decode. LENET_BAD_ARGUMENT if a state is out of range. */
LENET_API lenet_status lenet_grammar_least(const lenet_grammar *grammar, int32_t classes, int32_t blank,
                                           int32_t *least);

/* The likeliest strings by prefix beam search. A beginning that cannot come to an accepted end in the
 * positions left is not followed, so a string is found wherever one can be spelt. Of strings of equal
 * probability, the one with the lower class first, or that ends first, comes first; where the beam is
 * full, the beginning that was there stays. Never the sum of the probabilities is above 1 by more than
 * rounding. workspace: aligned to 16 bytes, of lenet_decode_workspace bytes, which is 0 for numbers out
 * of range. */
LENET_API size_t lenet_decode_workspace(const lenet_decoder *decoder, int32_t positions);
LENET_API lenet_status lenet_decode(const lenet_decoder *decoder, const float *evidence, int32_t positions,
                                    lenet_decoded *strings, void *workspace, size_t size);

/* ---- single layers, on rows of (maps, height, width): for study and for tests -------------
 *
 * n rows of x, of inputs of that shape (a dense or RBF layer may follow any), and of y; gradients are
 * summed over the rows. Weights and biases lie as in a plan's parameters, and are NULL where a kind has
 * none. workspace: aligned to 64 bytes, of at least lenet_layer_sizes.workspace bytes. */

typedef struct lenet_layer_sizes {
    size_t workspace;             /* bytes */
    int64_t n_weights, n_biases;
    int32_t shape[3];             /* of the outputs: maps, height, width */
} lenet_layer_sizes;

/* LENET_BAD_ARGUMENT for a layer that cannot be. */
LENET_API lenet_status lenet_layer_describe(const lenet_layer *layer, const int32_t shape[3],
                                            lenet_layer_sizes *sizes);
LENET_API lenet_status lenet_layer_forward(const lenet_layer *layer, const int32_t shape[3],
                                           const float *weights, const float *biases, const float *x,
                                           int64_t n, float *y, void *workspace, size_t size);
/* Gradients for x, which may be NULL, weights and biases, given that for the sums that the layer
 * squashes, dy. Codes of a fixed RBF layer have none. */
LENET_API lenet_status lenet_layer_backward(const lenet_layer *layer, const int32_t shape[3],
                                            const float *weights, const float *x, const float *dy,
                                            int64_t n, float *dx, float *dweights, float *dbiases,
                                            void *workspace, size_t size);

/* y = f(a). NaN gives NaN. */
LENET_API lenet_status lenet_squash(int32_t activation, const float *a, int64_t n, float *y);
/* da = dy f'(a), from y = f(a). */
LENET_API lenet_status lenet_squash_backward(int32_t activation, const float *y, const float *dy,
                                             int64_t n, float *da);

/* ---- processor and threads -------------------------------------------------------------- */

/* Picks the kernels, once, and prepares for threads and forks; the other functions do it themselves
 * when it was not called, so call it before there are threads. The environment's LENET_C_ISA
 * (portable, avx2, avx512, neon, wasm) and LENET_C_THREADS (openmp, team) override; while one names what
 * cannot be had, functions that would run kernels return LENET_UNKNOWN_ISA, LENET_MISSING_ISA or
 * LENET_BAD_THREADING, and those without a status speak of the portable ones and the default. */
LENET_API lenet_status lenet_init(void);

/* The library's LENET_VERSION. */
LENET_API const char *lenet_version(void);

/* What the calls without a lenet_run, distortions and single layers, ask as lenet_run.interrupted is
 * asked, on whichever thread calls; NULL, as at first: nothing. Call it before there are threads. */
LENET_API void lenet_set_interrupted(int32_t (*interrupted)(void *context), void *context);

/* Name of the instruction set in use, and the n-th one this processor and build have (NULL
 * past the last). */
LENET_API const char *lenet_isa(void);
LENET_API const char *lenet_available_isa(int32_t n);
LENET_API int32_t lenet_lanes(void);
LENET_API const char *lenet_compiler(void);

/* Threads when a call does not say: lenet_set_threads, then what OpenMP is limited to on the calling
 * thread (OMP_NUM_THREADS, omp_set_num_threads), then the processors that this thread may use and
 * the control group grants. n = 0 forgets an earlier setting. A call itself reads only
 * lenet_run.n_threads: pass it what lenet_get_threads says. */
LENET_API void lenet_set_threads(int32_t n);
LENET_API int32_t lenet_get_threads(void);

/* Whose threads run a batch: "openmp", OpenMP's, the default where the build has them; "team", the
 * core's own; "none" where the build has neither. One call at a time has threads, others work alone
 * on their own; OpenMP's are those of the first thread that used them, as long as it lives, and
 * other threads and forked children have the team. "openmp" is the one exception to never aborting:
 * where the system refuses to start a thread, GNU's OpenMP ends the process with code 1. "team"
 * works with the threads that it gets.
 *
 * lenet_set_threading: NULL goes back to LENET_C_THREADS or the default; LENET_BAD_ARGUMENT if the
 * build has no such threads. It counts from the next loop on, in all threads. lenet_threading: what
 * is in use in this process; lenet_available_threading: the n-th kind of this build, the default
 * first (NULL past the last). */
LENET_API lenet_status lenet_set_threading(const char *name);
LENET_API const char *lenet_threading(void);
LENET_API const char *lenet_available_threading(int32_t n);

/* Runs `rounds` rounds of independent multiply-adds and returns how many that were: timed by the
 * caller, the most that the instruction set in use can do on this core. All in registers, or with
 * `loads` one vector read from L1 for every two. */
LENET_API double lenet_multiply_adds(int64_t rounds, int32_t loads);

#ifdef __cplusplus
}
#endif
#endif
