# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, embedsignature=False, freethreading_compatible=True
"""The only file that calls C: checks arrays, drops the GIL, turns status codes into exceptions.

Design: `Samples` is a validated batch (images, perhaps labels) whose memory is held for as long
as the object lives; `Network` is a plan with its parameter vector, `Model` one that only reads and
has its parameters packed; `OptimizerState` is what an optimizer remembers. Every call borrows a
workspace that its Python thread keeps.

Sizes are C integers, taken once. What Python may change, an array's shape or dtype, its content
while C runs, is never trusted as one: memory that C writes to between calls is the core's own
(`_Floats`), indices are copied before they are checked, and every function here checks the shapes
of its arrays by itself.
"""

from cpython.object cimport PyObject
from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer,
)
from libc.stdint cimport INT32_MAX, INT64_MAX, int32_t, int64_t, uint8_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memmove, memset

import functools
import operator

# C's variables: under the Limited API a name of the module is looked up anew at each use.
cdef object np, _array, _int64, _ndarray

import numpy as np

_array, _int64, _ndarray = np.array, np.int64, np.ndarray

from lenet_c import checks

cdef extern from "Python.h":
    # with noexcept the handler's exception stays set until _pending passes it on
    int PyErr_CheckSignals() noexcept
    PyObject *PyThreadState_GetDict() noexcept
    long PyLong_AsLongAndOverflow(object, int *) except? -1

cdef extern from "lenet.h" nogil:
    ctypedef enum lenet_status:
        LENET_OK, LENET_BAD_ARGUMENT, LENET_BAD_LABEL, LENET_NO_MEMORY, LENET_NOT_FINITE
        LENET_INTERRUPTED, LENET_UNKNOWN_ISA, LENET_MISSING_ISA, LENET_BAD_THREADING
        LENET_TOO_SHORT, LENET_NOT_ALLOWED
    ctypedef struct lenet_layer:
        int32_t kind, activation, maps, kernel, trained, padding
        const uint8_t *table
    ctypedef struct lenet_plan:
        pass
    ctypedef struct lenet_model:
        pass
    ctypedef struct lenet_transform:
        float dx, dy, scale, squeeze, shear, rotation
    ctypedef struct lenet_distortion:
        float translation, scaling, squeezing, shearing, rotation, elastic, smoothness
        float thickness, lines, blur, contrast, noise, impulses, chance
        uint64_t seed, first
    ctypedef struct lenet_images:
        const void *pixels
        int32_t is_float, height, width
        const int64_t *order
        const lenet_distortion *distortion
    enum:
        LENET_CONV, LENET_SUBSAMPLE, LENET_AVERAGE_POOL, LENET_DENSE, LENET_RBF, LENET_MAX_POOL
        LENET_IDENTITY, LENET_SCALED_TANH, LENET_TANH, LENET_RELU, LENET_SIGMOID
        LENET_MSE, LENET_MAP, LENET_CROSS_ENTROPY
        LENET_SGD, LENET_ADAM, LENET_SDLM
        LENET_LOAD, LENET_FORWARD, LENET_LOSS, LENET_BACKWARD_INPUT, LENET_BACKWARD_WEIGHTS
        LENET_UPDATE, LENET_PARTS
        LENET_MAX_LAYERS, LENET_MAX_MAPS, LENET_MAX_CHANNELS, LENET_MAX_SIDE, LENET_MAX_INPUTS
        LENET_MAX_STRIP
    ctypedef struct lenet_input:
        int32_t channels, height, width
        float background[LENET_MAX_CHANNELS]
        float foreground[LENET_MAX_CHANNELS]
    ctypedef struct lenet_profile:
        double seconds[LENET_PARTS][LENET_MAX_LAYERS]
    ctypedef struct lenet_run:
        void *workspace
        size_t workspace_size
        int32_t n_threads
        int32_t (*interrupted)(void *) noexcept nogil
        void *context
        lenet_profile *profile
        int32_t in_lanes
    ctypedef struct lenet_loss:
        int32_t kind
        double j, temperature
        const double *weights
        const double *targets
    ctypedef struct lenet_optimizer:
        int32_t kind
        float rate, momentum, beta1, beta2, epsilon, weight_decay
        int64_t step
        float *first_moment
        float *second_moment
        const int64_t *frozen
        int32_t n_frozen
    ctypedef struct lenet_report:
        double loss
        int64_t n_errors
    ctypedef struct lenet_layer_sizes:
        size_t workspace
        int64_t n_weights, n_biases
        int32_t shape[3]
    lenet_status lenet_plan_create(const lenet_layer *, int32_t, const lenet_input *,
                                   const float *, lenet_plan **)
    void lenet_plan_free(lenet_plan *)
    int64_t lenet_plan_parameters(const lenet_plan *)
    int64_t lenet_plan_margin(const lenet_plan *)
    int32_t lenet_plan_classes(const lenet_plan *)
    void lenet_plan_shape(const lenet_plan *, int32_t, int32_t *)
    size_t lenet_distort_workspace(int32_t, int32_t)
    lenet_status lenet_distort(const lenet_distortion *, const uint8_t *, int64_t, int32_t,
                               int32_t, uint8_t *, void *, size_t)
    lenet_status lenet_transform_images(const lenet_transform *, const uint8_t *, int64_t, int32_t,
                                        int32_t, uint8_t *, void *, size_t)
    enum: LENET_STRING_EFFECTS
    ctypedef struct lenet_strings:
        const uint8_t *images
        const int64_t *order
        const int64_t *starts
        int32_t writers, classes, zero, one, seven
        int32_t mark_counts[3]
        int32_t stands
        int32_t length[2]
        int32_t gap[2]
        float empty, repeat
        float strength[64]
        float chance[64]
        uint64_t seed, first
    ctypedef enum lenet_string_effect:
        pass
    float lenet_string_most(lenet_string_effect)
    int32_t lenet_strings_width(const lenet_strings *)
    int32_t lenet_strings_labels(const lenet_strings *)
    lenet_status lenet_strings_check(const lenet_strings *)
    size_t lenet_strings_workspace(const lenet_strings *, int32_t)
    lenet_status lenet_strings_draw(const lenet_strings *, int64_t, uint8_t *, int32_t *, int32_t *,
                                    int32_t *, int32_t, void *, size_t)
    size_t lenet_workspace_size(const lenet_plan *, int32_t, int64_t, int32_t)
    int64_t lenet_blocks(int32_t, int64_t)
    lenet_status lenet_forward(const lenet_plan *, const float *, const lenet_images *, int64_t,
                               float *, const lenet_run *)
    lenet_status lenet_activations(const lenet_plan *, const float *, const lenet_images *,
                                   int64_t, float **, const lenet_run *)
    ctypedef struct lenet_pictures:
        const void **pixels
        const int32_t *heights
        const int32_t *widths
        int32_t is_float
    void lenet_positions(const lenet_plan *, int32_t, int32_t, int32_t *)
    int32_t lenet_plan_stride(const lenet_plan *, int32_t)
    size_t lenet_sweep_workspace_size(const lenet_plan *, const lenet_pictures *, int64_t, int32_t)
    lenet_status lenet_sweep(const lenet_plan *, const float *, const lenet_pictures *, int64_t,
                             float *, const lenet_run *)
    lenet_status lenet_sweep_activations(const lenet_plan *, const float *, const lenet_pictures *,
                                         float **, const lenet_run *)
    size_t lenet_model_size(const lenet_plan *)
    lenet_status lenet_model_create(const lenet_plan *, const float *, void *, size_t,
                                    const lenet_model **)
    const float *lenet_model_parameters(const lenet_model *)
    lenet_status lenet_model_forward(const lenet_model *, const lenet_images *, int64_t, float *,
                                     const lenet_run *)
    lenet_status lenet_model_activations(const lenet_model *, const lenet_images *, int64_t,
                                         float **, const lenet_run *)
    lenet_status lenet_gradient(const lenet_plan *, const float *, const lenet_images *,
                                const int64_t *, int64_t, const lenet_loss *, float *,
                                lenet_report *, const lenet_run *)
    lenet_status lenet_step(const lenet_plan *, float *, const lenet_images *, const int64_t *,
                            int64_t, const lenet_loss *, lenet_optimizer *, lenet_report *,
                            const lenet_run *)
    lenet_status lenet_apply(const lenet_plan *, float *, const float *, lenet_optimizer *)
    size_t lenet_curvature_workspace_size(const lenet_plan *, int64_t, int32_t)
    lenet_status lenet_curvature(const lenet_plan *, const float *, const lenet_images *,
                                 const int64_t *, int64_t, const lenet_loss *, float *,
                                 const lenet_run *)
    lenet_status lenet_score(const lenet_plan *, const float *, const int64_t *, int64_t,
                             const lenet_loss *, lenet_report *)
    void lenet_classify(const lenet_plan *, const float *, int64_t, int64_t *)
    void lenet_probabilities(const lenet_plan *, const float *, int64_t, double, float *)
    int64_t lenet_first_not_finite(const float *, int64_t)

    lenet_status lenet_layer_describe(const lenet_layer *, const int32_t *, lenet_layer_sizes *)
    lenet_status lenet_layer_forward(const lenet_layer *, const int32_t *, const float *,
                                     const float *, const float *, int64_t, float *, void *, size_t)
    lenet_status lenet_layer_backward(const lenet_layer *, const int32_t *, const float *,
                                      const float *, const float *, int64_t, float *, float *,
                                      float *, void *, size_t)
    lenet_status lenet_squash(int32_t, const float *, int64_t, float *)
    lenet_status lenet_squash_backward(int32_t, const float *, const float *, int64_t, float *)

    enum:
        LENET_ALL_PATHS, LENET_BEST_PATH, LENET_ALLOWED_PATHS
    ctypedef struct lenet_grammar:
        int32_t states
        const int32_t *next
        const uint8_t *accept
    ctypedef struct lenet_string_criterion:
        int32_t kind, blank
        double scale, j
        const lenet_grammar *grammar
    size_t lenet_string_workspace(const lenet_string_criterion *, int32_t, int32_t, int32_t)
    ctypedef struct lenet_lines:
        lenet_pictures pictures
        const int32_t **labels
        const int32_t *lengths
    size_t lenet_lines_workspace_size(const lenet_plan *, const lenet_lines *, int64_t,
                                        const lenet_string_criterion *, int32_t)
    lenet_status lenet_lines_gradient(const lenet_plan *, const float *, const lenet_lines *,
                                        int64_t, const lenet_string_criterion *, float *,
                                        lenet_report *, const lenet_run *)
    lenet_status lenet_lines_step(const lenet_plan *, float *, const lenet_lines *, int64_t,
                                    const lenet_string_criterion *, lenet_optimizer *,
                                    lenet_report *, const lenet_run *)
    lenet_status lenet_string_loss(const lenet_string_criterion *, const float *, int32_t, int32_t,
                                   const int32_t *, int32_t, double *, float *, void *, size_t)

    lenet_status lenet_init()
    const char *lenet_isa()
    const char *lenet_available_isa(int32_t)
    int32_t lenet_lanes()
    const char *lenet_compiler()
    void lenet_set_threads(int32_t)
    int32_t lenet_get_threads()
    lenet_status lenet_set_threading(const char *)
    const char *lenet_threading()
    const char *lenet_available_threading(int32_t)
    double lenet_multiply_adds(int64_t, int32_t)

    ctypedef struct lenet_appearance:
        int64_t n
        float border[2]
        float low[2]
        float high[2]
    enum:
        LENET_ONES, LENET_FAR, LENET_INVERTED, LENET_RANGE, LENET_FAINT, LENET_UNLIKE_KINDS
    void lenet_appearance_learn(lenet_appearance *, const lenet_images *, int64_t, int64_t,
                                const lenet_input *)
    void lenet_appearance_compare(const lenet_appearance *, const lenet_images *, int64_t, int64_t,
                                  const lenet_input *, int64_t *, int64_t *)
    int64_t lenet_count_rejected(const float *, int64_t, int32_t, int, int64_t, double, double)
    void lenet_set_interrupted(int32_t (*)(void *) noexcept nogil, void *)

    ctypedef struct lenet_decoder:
        int32_t classes, blank, beam, n_best
        const lenet_grammar *grammar
        const int32_t *least
        int32_t total
    ctypedef struct lenet_decoded:
        int32_t n
        double log_accepted
        double *log_probability
        int32_t *length
        int32_t *string
        int32_t *span
        double *confidence
    enum:
        LENET_MAX_BEAM
    lenet_status lenet_best_path(const float *, int32_t, int32_t, int32_t, lenet_decoded *, double *)
    lenet_status lenet_grammar_least(const lenet_grammar *, int32_t, int32_t, int32_t *)
    size_t lenet_decode_workspace(const lenet_decoder *, int32_t)
    lenet_status lenet_decode(const lenet_decoder *, const float *, int32_t, lenet_decoded *, void *,
                              size_t)


cdef tuple _in_order(dict names):
    return tuple(names[i] for i in range(len(names)))


# The numbers and limits of lenet.h, by the names that Python uses.
KINDS = {"conv": LENET_CONV, "subsample": LENET_SUBSAMPLE, "average_pool": LENET_AVERAGE_POOL,
         "max_pool": LENET_MAX_POOL, "dense": LENET_DENSE, "rbf": LENET_RBF}
ACTIVATIONS = {"identity": LENET_IDENTITY, "scaled_tanh": LENET_SCALED_TANH, "tanh": LENET_TANH,
               "relu": LENET_RELU, "sigmoid": LENET_SIGMOID}
LOSSES = {"mse": LENET_MSE, "map": LENET_MAP, "cross_entropy": LENET_CROSS_ENTROPY}
STRING_LOSSES = {"forward": LENET_ALL_PATHS, "viterbi": LENET_BEST_PATH,
                 "discriminative": LENET_ALLOWED_PATHS}
STRING_REFUSALS = {LENET_BAD_LABEL: "bad_label", LENET_TOO_SHORT: "too_short",
                   LENET_NOT_ALLOWED: "not_allowed", LENET_NOT_FINITE: "not_finite"}
OPTIMIZERS = {"sgd": LENET_SGD, "adam": LENET_ADAM, "sdlm": LENET_SDLM}
MAX_LAYERS, MAX_MAPS, MAX_SIDE = LENET_MAX_LAYERS, LENET_MAX_MAPS, LENET_MAX_SIDE
MAX_CHANNELS = LENET_MAX_CHANNELS
MAX_INPUTS = LENET_MAX_INPUTS
MAX_BEAM = LENET_MAX_BEAM
UNLIKE = _in_order({LENET_ONES: "ones", LENET_FAR: "far", LENET_INVERTED: "inverted",
                    LENET_RANGE: "range", LENET_FAINT: "faint"})
PARTS = _in_order({LENET_LOAD: "load", LENET_FORWARD: "forward", LENET_LOSS: "loss",
                   LENET_BACKWARD_INPUT: "backward_input",
                   LENET_BACKWARD_WEIGHTS: "backward_weights", LENET_UPDATE: "update"})

cdef int64_t SIZE_LIMIT = <int64_t>1 << 46  # floats; more is a mistake, and products stay exact


# ---- processor and threads ---------------------------------------------------------------------

lenet_init()  # before there are threads


def available_isas():
    """Names of the instruction sets that this processor and build have, the best first."""
    names = []
    while lenet_available_isa(<int32_t>len(names)) != NULL:
        names.append(lenet_available_isa(<int32_t>len(names)).decode())
    return names


def available_threadings():
    """Names of the threads that this build has, the default first."""
    names = []
    while lenet_available_threading(<int32_t>len(names)) != NULL:
        names.append(lenet_available_threading(<int32_t>len(names)).decode())
    return names


cdef int _check_init() except -1:
    """Raises if LENET_C_ISA or LENET_C_THREADS asked for what is not there; at first use, so that
    import works."""
    cdef lenet_status status = lenet_init()
    if status == LENET_OK:
        return 0
    import os
    if status == LENET_BAD_THREADING:
        wanted = os.environ.get("LENET_C_THREADS", "")
        raise RuntimeError(f"LENET_C_THREADS={wanted}: {_no_threads(wanted)}")
    wanted = os.environ.get("LENET_C_ISA", "")
    what = ("no instruction set of that name" if status == LENET_UNKNOWN_ISA
            else "this processor or build lacks it")
    raise RuntimeError(
        f"LENET_C_ISA={wanted}: {what}; available here: {', '.join(available_isas())}")


cdef str _no_threads(str name):
    what = ("this build lacks these threads" if name in ("openmp", "team")
            else "no threads of that name")
    return f"{what}; available here: {', '.join(available_threadings())}"


def isa():
    """Name of the instruction set in use, and how many images it works on at once."""
    _check_init()
    return lenet_isa().decode(), lenet_lanes()


def compiler():
    """The compiler that built the core."""
    return lenet_compiler().decode()


def get_threading():
    """Whose threads are in use: openmp, team or none."""
    _check_init()
    return lenet_threading().decode()


def set_threading(name):
    """Picks whose threads run batches; None: as LENET_C_THREADS says, or the default."""
    if name is None:
        lenet_set_threading(NULL)
        return
    if not isinstance(name, str):
        raise TypeError(f"name: got {checks.short(name)}, want the name of threads or None")
    if name not in available_threadings():
        raise ValueError(f"name: got {checks.short(name)}: {_no_threads(name)}")
    lenet_set_threading(name.encode())


def set_num_threads(n):
    """Sets how many threads a call uses when it does not say; None: decide by the machine."""
    lenet_set_threads(0 if n is None else _checked_threads(n))


def get_num_threads():
    """Threads that a call uses when it does not say."""
    return lenet_get_threads()


def multiply_adds(int64_t rounds, bint loads=False):
    """Runs a loop of independent multiply-adds; returns how many.

    loads: reads a vector from memory for every two.
    """
    cdef double n
    _check_init()
    with nogil:
        n = lenet_multiply_adds(rounds, loads)
    return n


def check_num_threads(n):
    """Raises unless n is None or a whole number from 1 to 4096."""
    if n is not None:
        _checked_threads(n)


cdef int32_t _checked_threads(object n) except -1:
    cdef int too_large
    cdef long plain
    if type(n) is int:  # without the names and calls of what follows: a tenth of a microsecond
        plain = PyLong_AsLongAndOverflow(n, &too_large)
        if 1 <= plain <= 4096:
            return <int32_t>plain
    try:
        value = None if isinstance(n, bool) else operator.index(n)
    except TypeError:
        value = None
    if value is None:
        raise TypeError(
            f"num_threads: got {checks.short(n)}, want a whole number of at least 1")
    if not 1 <= value <= 4096:
        raise ValueError(f"num_threads: got {checks.short(n)}, want a whole number from 1 to 4096")
    return value


cdef int32_t _threads(object n, int64_t blocks) except -1:
    """The one reader of num_threads. Small work asks nobody: it runs on the calling thread."""
    cdef int32_t wanted = 1
    if n is not None:
        wanted = _checked_threads(n)
    elif blocks > 1:
        wanted = lenet_get_threads()
    return <int32_t>blocks if blocks < wanted else wanted


# ---- memory --------------------------------------------------------------------------------------

cdef enum:
    SMALL = 256  # classes whose outputs fit on the stack

cdef size_t KEEP = 64 << 20  # bytes that a thread keeps between calls, at most
cdef int64_t _memory_limit = <int64_t>2 << 30  # bytes; INT64_MAX: none

cdef str KEPT = "lenet_c workspace"  # in the dict of each Python thread


def set_memory_limit(limit):
    """Sets how many bytes a call may take; None: as many as it wants."""
    global _memory_limit
    _memory_limit = (INT64_MAX if limit is None
                     else min(checks.whole("limit", limit, 1), INT64_MAX))


def get_memory_limit():
    """Bytes that a call may take, or None."""
    return None if _memory_limit == INT64_MAX else _memory_limit


def check_memory(what, wanted, remedy=""):
    """Raises MemoryError if a call wants more bytes than it may take."""
    if wanted > _memory_limit:
        raise MemoryError(f"{what}: wants {wanted:,} bytes, at most {_memory_limit:,} are allowed"
                          f"; {remedy}lenet_c.set_memory_limit allows more")


cdef class _Workspace:
    cdef void *base
    cdef void *aligned
    cdef size_t size
    cdef Profile profile  # held while a call adds to it

    def __cinit__(self, size_t size):
        self.base = malloc(size + 64)
        if self.base == NULL:
            raise MemoryError(f"workspace: {size} bytes cannot be had")
        self.aligned = <void *>((<uintptr_t>self.base + 63) & ~<uintptr_t>63)
        self.size = size

    def __dealloc__(self):
        free(self.base)


cdef _Workspace _borrow(size_t size):
    """This thread's workspace, taken away until _give_back: a signal handler that calls in
    while it is in use gets one of its own."""
    cdef dict own = <dict>PyThreadState_GetDict()  # quicker than a threading.local
    cdef _Workspace kept = own.get(KEPT)
    if kept is not None and kept.size >= size:
        own[KEPT] = None
        return kept
    return _Workspace(size)


cdef void _give_back(_Workspace workspace):
    workspace.profile = None
    if workspace.size <= KEEP:
        (<dict>PyThreadState_GetDict())[KEPT] = workspace


cdef class _Floats:
    """n float32 zeros in memory of the core's own, `margin` floats behind a 64-byte boundary.

    Python gets arrays onto them, a new one each time: what is done to an array's shape or dtype is
    done to that array alone. Its base is this object, which cannot be resized or released.
    """

    cdef void *room
    cdef float *values
    cdef int64_t n

    def __cinit__(self, int64_t n, int64_t margin=0):
        if not 0 <= n <= SIZE_LIMIT:
            raise MemoryError(f"{n} parameters cannot be had")
        self.room = calloc(<size_t>n + 32, sizeof(float))
        if self.room == NULL:
            raise MemoryError(f"{n} parameters cannot be had")
        self.values = <float *>self.room + (
            (margin - <int64_t>(<uintptr_t>self.room // sizeof(float))) & 15)
        self.n = n

    def __dealloc__(self):
        free(self.room)

    @property
    def __array_interface__(self):
        return {"version": 3, "shape": (self.n,), "typestr": FLOAT32,
                "data": (<uintptr_t>self.values, False)}

    cdef object array(self):
        return np.asarray(self)

    cdef bint is_finite(self):
        return lenet_first_not_finite(self.values, self.n) == self.n


cdef str FLOAT32 = np.dtype(np.float32).str


cdef int32_t _interrupted(void *context) noexcept nogil:
    with gil:
        return PyErr_CheckSignals() != 0


lenet_set_interrupted(_interrupted, NULL)  # of the calls that have no lenet_run


cdef class Profile:
    """Where the time of a network's calls with one thread goes: see Network.profile."""

    cdef lenet_profile times

    def __cinit__(self):
        memset(&self.times, 0, sizeof(lenet_profile))

    def seconds(self, part, int layer=0):
        """So far, of a part (a name in PARTS) of a layer; the first, where it has no layers."""
        if not 0 <= layer < LENET_MAX_LAYERS:
            raise IndexError(f"layer: got {layer}, want 0 to {LENET_MAX_LAYERS - 1}")
        cdef int which = PARTS.index(part)
        if not 0 <= which < LENET_PARTS:
            raise ValueError(f"part: {part!r} is none of the core's")
        return self.times.seconds[which][layer]


cdef int _pending() except -1:
    return -1  # the exception that the signal handler raised is already set


cdef int _check(lenet_status status) except -1:
    if status == LENET_OK:
        return 0
    if status == LENET_INTERRUPTED:
        _pending()
    if status == LENET_NOT_FINITE:
        raise FloatingPointError("the loss, its gradient or the update is not finite")
    if status == LENET_NO_MEMORY:
        raise MemoryError("the core could not get the memory it needs")
    raise ValueError(f"the core refused the call (status {<int>status})")


# ---- samples -------------------------------------------------------------------------------------

cdef class Samples:
    """Images, and perhaps labels, checked against a network once and held.

    Parameters
    ----------
    network : Network or Model
    images : array, uint8 (N, h, w) raw grey or float32 (N, H, W) normalised; or one image. Of a
        network of several channels (N, channels, h, w)
    labels : integer array (N,), optional
    learn : int
        Look at so many images and remember what they look like; 0: compare only.
    name : str
        What a message calls the images.
    look : bool
        Whether to look at them at all.
    weights : array (N,), optional
        What each counts in losses; all the same by default.
    soft : bool
        Whether labels may be probabilities of the classes, a float array (N, classes).

    Notes
    -----
    What they look like is compared with what the network has learnt from (see inputs.py).
    """

    cdef Py_buffer view
    cdef bint is_open
    cdef lenet_images images
    cdef readonly int64_t n
    cdef readonly bint is_single
    cdef int32_t channels, height, width, classes  # of the network
    cdef int64_t size            # values of an image
    cdef object label_array      # given to nobody: C reads it
    cdef int64_t label           # of one image, if that is a plain integer,
    cdef const int64_t *first_label  # to which this then points
    cdef object weight_array     # given to nobody, too
    cdef const double *first_weight  # NULL: no weights
    cdef object target_array     # nor these: float64 (N, classes)
    cdef const double *first_target  # NULL: each label is certain
    cdef bint is_unlike          # what was learnt from, and that is told
    cdef object given            # as the caller has them

    def __cinit__(self, Plan network not None, images, labels=None, int64_t learn=0,
                  str name="images", bint look=True, weights=None, bint soft=False):
        cdef int64_t bad
        self.channels = network.input.channels
        self.height, self.width = network.input.height, network.input.width
        self.classes = network.characters
        self.given = images
        if not self._open_as_is(images):
            array = checks.array("images", images)
            if array.dtype != np.uint8 and array.dtype != np.float32:
                raise TypeError(f"images: dtype {array.dtype}, want uint8 "
                                + ("(raw grey, 0 background, 255 ink)" if self.channels == 1
                                   else "(levels from 0 to 255)")
                                + " or float32 (already normalised)"
                                + network.remedy(images))
            if not (array.flags.c_contiguous and array.flags.aligned):
                check_memory("images: a contiguous copy", array.nbytes,
                             "fewer images at a time take less; ")
            PyObject_GetBuffer(np.require(array, requirements=["C", "A"]), &self.view,
                               PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
            self.is_open = True
        self._describe(network, images)
        if self.images.is_float:
            with nogil:
                bad = lenet_first_not_finite(<const float *>self.view.buf, self.n * self.size)
            if bad < self.n * self.size:
                from lenet_c import inputs
                row = bad // self.size
                raise ValueError(f"images: row {row} has a pixel that is NaN or infinite, "
                                 "want finite values: " + inputs.FINITE)
        if self.is_single and type(labels) is int:
            self._read_label(network, labels)
        elif labels is not None:
            self._read_labels(network, labels, soft)
        if weights is not None:
            self._read_weights(weights)
        if look:
            network._look(self, learn, name)

    def __dealloc__(self):
        if self.is_open:
            PyBuffer_Release(&self.view)

    cdef bint _open_as_is(self, object images) except -1:
        """Opens what needs no copy: a contiguous, aligned buffer of a right dtype."""
        if not PyObject_CheckBuffer(images):
            return False
        if type(images) is not _ndarray and isinstance(images, np.ma.MaskedArray):
            return False  # its buffer has what is masked, too
        try:
            PyObject_GetBuffer(images, &self.view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
        except (BufferError, ValueError):
            return False  # not contiguous, or a dtype without a buffer format
        self.is_open = True
        if self.view.format != NULL:
            if self.view.itemsize == 1 and self.view.format[0] == b"B":
                return True
            if (self.view.itemsize == 4 and self.view.format[0] == b"f"
                    and <uintptr_t>self.view.buf % 4 == 0):
                return True
        self.is_open = False
        PyBuffer_Release(&self.view)
        return False

    cdef int _describe(self, Plan network, object given) except -1:
        cdef bint is_float = self.view.itemsize == 4
        cdef Py_ssize_t *shape
        cdef int32_t h = self.height, w = self.width
        cdef int axes = 2 if self.channels == 1 else 3  # of an image
        cdef bint fits = self.view.ndim == axes or self.view.ndim == axes + 1
        shape = self.view.shape + self.view.ndim - 2
        if not fits or (axes == 3 and (shape - 1)[0] != self.channels):
            sizes = tuple([self.view.shape[i] for i in range(self.view.ndim)])
            one = "height, width" if axes == 2 else f"{self.channels}, height, width"
            raise ValueError(f"images: shape {sizes}, want (N, {one}), or "
                             f"({one}) for one image{network.remedy(given)}")
        self.is_single = self.view.ndim == axes
        self.n = 1 if self.is_single else self.view.shape[0]
        if self.n == 0:
            raise ValueError("images: no images, want at least one")
        self.images.is_float = is_float
        if is_float and (shape[0] != h or shape[1] != w):
            raise ValueError(f"images: float32 images of {shape[0]}x{shape[1]}, want {h}x{w} "
                             f"(only uint8 images are padded){network.remedy(given)}")
        if shape[0] > h or shape[1] > w or shape[0] < 1 or shape[1] < 1 or (
                not is_float and ((h - shape[0]) % 2 or (w - shape[1]) % 2
                                  or h - shape[0] > 8 or w - shape[1] > 8)):
            raise ValueError(f"images: uint8 images of {shape[0]}x{shape[1]}, want "
                             f"{network.sizes()}{network.remedy(given)}")
        self.images.height = <int32_t>shape[0]
        self.images.width = <int32_t>shape[1]
        self.size = self.channels * <int64_t>shape[0] * shape[1]
        self.images.pixels = self.view.buf
        self.images.order = NULL
        self.images.distortion = NULL
        return 0

    cdef int _read_label(self, Plan network, object label) except -1:
        """What _read_labels does for one image, without making an array."""
        if not 0 <= label < network.characters:
            raise ValueError(f"labels: row 0 is {checks.short(label)}, want 0 to "
                             f"{network.characters - 1}")
        self.label = label
        self.first_label = &self.label
        return 0

    cdef int _read_labels(self, Plan network, object labels, bint soft) except -1:
        cdef const int64_t[::1] values
        cdef Py_ssize_t row
        given = labels if type(labels) is _ndarray else checks.array("labels", labels)
        kind = given.dtype.kind
        if soft and kind == "f" and given.ndim == 2 - (self.is_single and given.ndim == 1):
            return self._read_targets(network, checks.array("labels", given))
        if kind not in "iu":
            raise TypeError(f"labels: dtype {given.dtype}, want integers"
                            + (f", or probabilities, shape ({self.n}, {network.characters})"
                               if soft else ""))
        if self.is_single and given.ndim == 0:
            given = given.reshape(1)
        if given.ndim != 1 or given.shape[0] != self.n:
            raise ValueError(f"labels: shape {given.shape}, want ({self.n},), one for each image")
        if self.n == 1:
            return self._read_label(network, int(given[0]))
        self.label_array = values = np.array(given, np.int64)  # a copy, which stays as it is
        _fit("labels", (values.shape[0],), (self.n,))
        for row in range(self.n):
            if values[row] < 0 or values[row] >= network.characters:
                raise ValueError(f"labels: row {row} is {given[row]}, want 0 to "
                                 f"{network.characters - 1}")
        self.first_label = &values[0]
        return 0

    cdef int _read_targets(self, Plan network, object given) except -1:
        cdef const double[:, ::1] values
        check_memory("labels: a copy of the probabilities", 24 * self.n * network.classes)
        found = checks.targets("labels", given, self.n, network.characters, self.is_single)
        cdef const int64_t[::1] best
        blank = np.zeros((self.n, network.classes - network.characters))
        self.target_array = values = np.hstack([found, blank])
        self.first_target = &values[0, 0]
        self.label_array = best = found.argmax(axis=1).astype(np.int64)  # which counts errors
        self.first_label = &best[0]
        return 0

    cdef int _read_weights(self, object weights) except -1:
        given = checks.weights("sample_weight", weights, self.n, self.is_single)
        cdef const double[::1] values = given
        self.weight_array = values
        self.first_weight = &values[0]
        return 0

    @property
    def weights(self):
        """float64 (N,), a copy; None: they have none."""
        return None if self.weight_array is None else np.array(self.weight_array)

    def weight(self, const int64_t[::1] order=None):
        """What those that `order` names (None: all) count together."""
        cdef int64_t i, n = self.n if order is None else order.shape[0]
        cdef double total = 0.0
        if self.first_weight is NULL:
            return float(n)
        for i in range(n):
            if order is not None and not 0 <= order[i] < self.n:
                raise IndexError(f"order: entry {i} is {order[i]}, want 0 to {self.n - 1}")
            total += self.first_weight[i if order is None else order[i]]
        return total

    @property
    def labels(self):
        """As an array, a copy."""
        self._need_labels()
        if self.label_array is None:
            return np.array([self.label], np.int64)
        return self.label_array.copy()

    def some(self, int64_t most=256):
        """A copy of so many of the images, evenly apart: (n, height, width), or (n, channels,
        height, width)."""
        cdef int64_t n = min(self.n, most), k
        channels = () if self.channels == 1 else (self.channels,)
        values = np.empty((n, *channels, self.images.height, self.images.width),
                          np.float32 if self.images.is_float else np.uint8)
        cdef uint8_t[:, ::1] to = values.reshape(n, -1).view(np.uint8)
        for k in range(n):
            memcpy(&to[k, 0], <const uint8_t *>self.images.pixels
                   + (k * self.n // n) * to.shape[1], <size_t>to.shape[1])
        return values

    @property
    def is_grey(self):
        """Whether the images are uint8."""
        return not self.images.is_float

    cdef int _need_labels(self) except -1:
        if self.first_label is NULL:
            raise ValueError("labels: none were given")
        return 0


cdef Samples _samples(Plan network, object images):
    """Samples(network, images), without the cost of calling a type."""
    return Samples.__new__(Samples, network, images)


cdef enum:
    LONGEST = 1 << 24  # pixels of a picture's side; lenet.h
    PIECE = 128  # positions that a thread takes at once; plan.h's SWEEP_POSITIONS


cdef class Pictures:
    """Pictures of any sizes for `Plan.sweep`, checked once and held while C reads them.

    Parameters
    ----------
    network : Plan
    pictures : uint8 or float32 array (height, width), (N, height, width), or a sequence of arrays
        (height, width), all of one dtype; with channels in front of the height where the network
        has several.

    Attributes
    ----------
    n : int
    is_one_array : bool, they came as one array, and have one size
    positions : int32 array (n, 2), rows and columns
    """

    cdef lenet_pictures pictures
    cdef readonly int64_t n
    cdef readonly bint is_one_array
    cdef readonly object positions
    cdef int64_t n_positions  # of all of them
    cdef list held
    cdef _Workspace memory  # of pointers, heights and widths

    def __cinit__(self, Plan network not None, pictures, labels=None, str name=None):
        cdef int axes = 2 if network.input.channels == 1 else 3
        if name is None:
            name = "pictures" if labels is None else "images"
        cdef str one = "height, width" if axes == 2 else f"{network.input.channels}, height, width"
        self.is_one_array = not isinstance(pictures, (list, tuple))
        if self.is_one_array:
            pictures = checks.array(name, pictures)
            if pictures.ndim not in (axes, axes + 1):
                raise ValueError(f"{name}: shape {pictures.shape}, want ({one}) or (N, {one})")
        given = [pictures] if self.is_one_array and pictures.ndim == axes else list(pictures)
        if not given:
            raise ValueError(f"{name}: no pictures, want at least one")
        self._hold(network, given, axes, one, name)

    cdef int _hold(self, Plan network, list given, int axes, str one, str name) except -1:
        cdef int64_t i, n = len(given), bad
        cdef const uint8_t[:, :, ::1] bytes_of
        cdef const float[:, :, ::1] floats_of
        cdef const void **pixels
        cdef int32_t *heights
        cdef int32_t *widths
        cdef int32_t[:, ::1] positions = np.empty((n, 2), np.int32)
        self.n = n
        self.memory = _Workspace(<size_t>n * (sizeof(void *) + 2 * sizeof(int32_t)))
        pixels = <const void **>self.memory.aligned
        heights = <int32_t *>(pixels + n)
        widths = heights + n
        self.held = []
        for i in range(n):
            array = checks.array(f"{name}: {i}", given[i])
            if array.dtype != np.uint8 and array.dtype != np.float32:
                raise TypeError(f"{name}: {i} has dtype {array.dtype}, want uint8 "
                                "(raw grey, 0 background, 255 ink) or float32 "
                                "(already normalised)")
            if i and (array.dtype == np.float32) != bool(self.pictures.is_float):
                raise TypeError(f"{name}: {i} has dtype {array.dtype}, and those before it "
                                "another, want one dtype for all")
            self.pictures.is_float = array.dtype == np.float32
            if array.ndim != axes or (axes == 3 and array.shape[0] != network.input.channels):
                raise ValueError(f"{name}: {i} has shape {array.shape}, want ({one})")
            if not (1 <= array.shape[axes - 2] <= LONGEST and 1 <= array.shape[axes - 1] <= LONGEST):
                raise ValueError(f"{name}: {i} is {array.shape[axes - 2]}x"
                                 f"{array.shape[axes - 1]}, want sides of 1 to {LONGEST:,} pixels")
            array = np.require(array.reshape(-1, *array.shape[axes - 2:]),
                               requirements=["C", "A"])
            if self.pictures.is_float:
                floats_of = array
                self.held.append(floats_of)
                pixels[i] = &floats_of[0, 0, 0]
                heights[i], widths[i] = floats_of.shape[1], floats_of.shape[2]
                bad = lenet_first_not_finite(<const float *>pixels[i], floats_of.size)
                if bad < <int64_t>floats_of.size:
                    from lenet_c import inputs
                    raise ValueError(f"{name}: {i} has a pixel that is NaN or infinite, "
                                     "want finite values: " + inputs.FINITE)
            else:
                bytes_of = array
                self.held.append(bytes_of)
                pixels[i] = &bytes_of[0, 0, 0]
                heights[i], widths[i] = bytes_of.shape[1], bytes_of.shape[2]
            lenet_positions(network.plan, heights[i], widths[i], &positions[i, 0])
            self.n_positions += <int64_t>positions[i, 0] * positions[i, 1]
        self.pictures.pixels, self.pictures.heights = pixels, heights
        self.pictures.widths = widths
        self.positions = positions.base
        return 0


cdef class LabelledPictures(Pictures):
    """Strips, one position high, and the classes that each spells.

    Parameters
    ----------
    network : Plan
    pictures : as for `Pictures`
    labels : sequence of N int arrays, without the blank, which is the network's last class
    name : str, what an error calls the pictures, and if it is not "images" the labels too
    """

    cdef list labels  # int32 arrays that nobody else has

    def __cinit__(self, Plan network not None, pictures, labels, str name="images"):
        cdef const int32_t[::1] label
        cdef int32_t classes = network.classes, needed
        cdef int64_t i, k
        cdef str own = "labels" if name == "images" else name
        if len(labels) != self.n:
            raise ValueError(f"{own}: {len(labels)} strings, want {self.n}, one for each strip")
        self.labels = []
        for i in range(self.n):
            array = np.array(labels[i], np.int32).reshape(-1)
            label = array
            if self.positions[i, 0] != 1:
                raise ValueError(f"{name}: strip {i} is {self.pictures.heights[i]} pixels high, want "
                                 f"{network.input.height} or less")
            if <int64_t>self.pictures.widths[i] * network.input.height > LENET_MAX_STRIP:
                raise ValueError(f"{name}: strip {i} is {self.pictures.widths[i]:,} pixels wide, want "
                                 f"{LENET_MAX_STRIP // network.input.height:,} or less to learn from")
            needed = <int32_t>label.shape[0]
            for k in range(label.shape[0]):
                if not 0 <= label[k] < classes - 1:
                    raise ValueError(f"{own}: row {i} has class {label[k]} at place {k}, want 0 to "
                                     f"{classes - 2}")
                needed += k > 0 and label[k] == label[k - 1]
            if needed > self.positions[i, 1]:
                raise ValueError(
                    f"{own}: row {i} has {label.shape[0]} characters, which take {needed} positions "
                    "(one each, and one between equal neighbours); its strip is "
                    f"{self.pictures.widths[i]} pixels wide and has {self.positions[i, 1]}")
            self.labels.append(array)

    @property
    def classes(self):
        """What each strip spells, a list of int32 arrays, copies."""
        return [label.copy() for label in self.labels]


cdef class _ChosenStrings:
    """Some of LabelledPictures as C takes them, held until a call is over."""

    cdef lenet_lines strings
    cdef int64_t n
    cdef _Workspace memory
    cdef LabelledPictures source

    def __cinit__(self, LabelledPictures given not None, const int64_t[::1] order):
        cdef int64_t i, k
        cdef const void **pixels
        cdef const int32_t **labels
        cdef int32_t *heights
        cdef const int32_t[::1] label
        self.source = given
        self.n = given.n if order is None else order.shape[0]
        if self.n == 0:
            raise ValueError("order: no indices, want at least one")
        self.memory = _Workspace(<size_t>self.n * (2 * sizeof(void *) + 3 * sizeof(int32_t)))
        pixels = <const void **>self.memory.aligned
        labels = <const int32_t **>(pixels + self.n)
        heights = <int32_t *>(labels + self.n)
        for i in range(self.n):
            k = i if order is None else order[i]
            if not 0 <= k < given.n:
                raise IndexError(f"order: entry {i} is {k}, want 0 to {given.n - 1}")
            pixels[i] = given.pictures.pixels[k]
            heights[i] = given.pictures.heights[k]
            heights[self.n + i] = given.pictures.widths[k]
            label = given.labels[k]
            heights[2 * self.n + i] = <int32_t>label.shape[0]
            labels[i] = &label[0] if label.shape[0] else NULL
        self.strings.pictures.pixels = pixels
        self.strings.pictures.heights = heights
        self.strings.pictures.widths = heights + self.n
        self.strings.pictures.is_float = given.pictures.is_float
        self.strings.labels = labels
        self.strings.lengths = heights + 2 * self.n


cdef _Workspace _choose(lenet_images *images, int64_t *n, const int64_t[::1] order):
    """Takes of n images those that `order` names (None: all). They are named in the memory that it
    gives: a copy, since others may change `order` after the check."""
    cdef Py_ssize_t i
    cdef _Workspace memory
    cdef int64_t *chosen
    if order is None:
        return None
    if order.shape[0] == 0:
        raise ValueError("order: no indices, want at least one")
    memory = _Workspace(<size_t>order.shape[0] * sizeof(int64_t))
    chosen = <int64_t *>memory.aligned
    memcpy(chosen, &order[0], <size_t>order.shape[0] * sizeof(int64_t))
    for i in range(order.shape[0]):
        if chosen[i] < 0 or chosen[i] >= n[0]:
            raise IndexError(f"order: entry {i} is {chosen[i]}, want 0 to {n[0] - 1}")
    images.order = chosen
    n[0] = order.shape[0]
    return memory


cdef int _fit(str name, tuple shape, tuple wanted) except -1:
    """Raises ValueError unless an array has the shape that the core works by."""
    if shape != wanted:
        raise ValueError(f"{name}: shape {shape}, want {wanted}")
    return 0


cdef str _pixels(int32_t channels, int32_t height, int32_t width):
    return f"{height}x{width} pixels" + (f" of {channels} channels" if channels > 1 else "")


cdef int32_t _size(str name, Py_ssize_t size) except -1:
    """A side, or a number of maps or units, as C takes it."""
    if not 1 <= size <= INT32_MAX:
        raise ValueError(f"{name}: a size of {size}, want 1 to {INT32_MAX}")
    return <int32_t>size


cdef int64_t _some(str name, Py_ssize_t n) except -1:
    """A number of rows."""
    if n < 1:
        raise ValueError(f"{name}: it is empty")
    return n


cdef int _check_call(str doing, str item, int64_t n, int32_t threads, size_t size, double results,
                     str more="") except -1:
    """Raises MemoryError if a call for n items would take more than the limit."""
    remedies = [f"fewer {item}s at a time"] * (n > 1) + ["fewer threads"] * (threads > 1)
    check_memory(
        f"{doing}, {n} {item}{'s' * (n > 1)} on {threads} thread{'s' * (threads > 1)}{more}",
        size + int(results), f"{' or '.join(remedies)} take less; " if remedies else "")
    return 0


# ---- network -------------------------------------------------------------------------------------

cdef class OptimizerState:
    """What an optimizer remembers between updates.

    Parameters
    ----------
    kind : str, a key of OPTIMIZERS
    n : int, number of parameters
    momentum, beta1, beta2, epsilon, weight_decay : float

    Attributes
    ----------
    first, second : float32 array (n,), or None where the optimizer needs none; of SDLM the rates,
        which an update reads, and the curvature behind them, which only Python sees
    step : int, updates since it began, or forgot
    n_updates, n_images : int, updates so far and the images that they learnt
    n_measured : int, images behind the curvature
    rate : float or None, what SDLM's rates are made of

    Notes
    -----
    `Network.step` changes the moments and the counts together with the parameters, so that an
    interrupt cannot come between. SDLM's arrays, n_measured and rate are the trainer's to set.
    """

    cdef lenet_optimizer settings
    cdef int64_t n
    cdef _Floats first_values, second_values
    cdef readonly int64_t n_updates, n_images
    cdef public int64_t n_measured
    cdef public object rate
    cdef object ranges, made  # ranges is given to nobody: C reads it

    def __cinit__(self, kind, int64_t n, *, float momentum=0.0, float beta1=0.0,
                  float beta2=0.0, float epsilon=0.0, float weight_decay=0.0):
        self.made = functools.partial(
            OptimizerState, kind, n, momentum=momentum, beta1=beta1, beta2=beta2,
            epsilon=epsilon, weight_decay=weight_decay)
        memset(&self.settings, 0, sizeof(lenet_optimizer))
        self.n = n
        self.settings.kind = OPTIMIZERS[kind]
        self.settings.momentum = momentum
        self.settings.beta1 = beta1
        self.settings.beta2 = beta2
        self.settings.epsilon = epsilon
        self.settings.weight_decay = weight_decay
        if kind != "sgd" or momentum != 0.0:
            self.first_values = _Floats(n)
            self.settings.first_moment = self.first_values.values
        if kind != "sgd":
            self.second_values = _Floats(n)
            self.settings.second_moment = self.second_values.values

    @property
    def first(self):
        return None if self.first_values is None else self.first_values.array()

    @property
    def second(self):
        return None if self.second_values is None else self.second_values.array()

    @property
    def frozen(self):
        """The ranges that `freeze` got, an int64 array (n, 2), or None; a copy."""
        return None if self.ranges is None else self.ranges.copy()

    def freeze(self, ranges):
        """Keeps parameters as they are: a list of (first, end), ascending and apart."""
        array = np.array(ranges, np.int64).reshape(-1, 2)
        cdef const int64_t[:, ::1] values = array
        self.settings.n_frozen = _size("ranges", len(values)) if len(values) else 0
        self.settings.frozen = &values[0, 0] if len(values) else NULL
        self.ranges = array

    def forget_if_bad(self):
        """Begins anew if what it remembers is not finite."""
        if ((self.first_values is None or self.first_values.is_finite())
                and (self.second_values is None or self.second_values.is_finite())):
            return
        if self.first_values is not None:
            memset(self.first_values.values, 0, <size_t>self.n * sizeof(float))
        if self.second_values is not None:
            memset(self.second_values.values, 0, <size_t>self.n * sizeof(float))
        self.step = self.n_measured = 0
        self.rate = None

    def __reduce__(self):
        counts = self.step, self.n_updates, self.n_images, self.n_measured, self.rate
        return self.made, (), (counts, self.first, self.second, self.frozen)

    def __setstate__(self, state):
        counts, first, second, frozen = state
        self.step, self.n_updates, self.n_images, self.n_measured, self.rate = counts
        if first is not None:
            self.first[...] = first
        if second is not None:
            self.second[...] = second
        if frozen is not None:
            self.freeze(frozen)

    @property
    def step(self):
        return self.settings.step

    @step.setter
    def step(self, int64_t value):
        self.settings.step = value


cdef enum:
    READING, TRAINING, CURVATURE  # what a workspace is for
    LOOKS = 16  # images of a call that are looked at; more, where training remembers them
    LEARNT = 100  # so many tell what a network learnt from; less do not
    FRAMED = 20  # so many answers, of which more than half are rejected, are no accident

CALLS = ("reading", "training", "curvature")


cdef class _OwnedPlan:
    """Frees a plan when nobody uses it any more."""

    cdef lenet_plan *plan

    def __dealloc__(self):
        lenet_plan_free(self.plan)


cdef class Plan:
    """A plan, and what is done with images: `Network` and `Model` have its parameters.

    Attributes
    ----------
    profile : Profile or None
        Calls with one thread add to it; for measurements, and not from several threads at once.
    """

    cdef _OwnedPlan owner
    cdef lenet_plan *plan
    cdef public Profile profile
    cdef readonly int64_t n_parameters
    cdef lenet_input input
    cdef readonly int32_t classes, characters  # all; those that single images are read as
    cdef int32_t n_layers
    cdef readonly bint is_rbf
    cdef lenet_appearance seen
    cdef int64_t unturned  # images to come of which a twentieth may be rejected
    cdef readonly bint assumed  # `seen` is what the architecture's range says, not what was seen

    def __cinit__(self):
        if type(self) is Plan:
            raise TypeError("a plan by itself has no parameters: want a Network or a Model")

    cdef int _make(self, object layers, object image, object background, object foreground,
                   object codes, bint blank) except -1:
        cdef lenet_layer specs[LENET_MAX_LAYERS]
        cdef const uint8_t[:, ::1] table
        cdef const float[:, ::1] code_values
        cdef lenet_layer_sizes sizes
        cdef int32_t shape[3]
        cdef lenet_status status
        cdef Py_ssize_t i
        _check_init()
        memset(&self.input, 0, sizeof(lenet_input))
        self.input.channels, self.input.height, self.input.width = image
        if not 1 <= self.input.channels <= LENET_MAX_CHANNELS:
            raise ValueError(f"image: {image}, want 1 to {LENET_MAX_CHANNELS} channels")
        background, foreground = tuple(background), tuple(foreground)  # not to shrink meanwhile
        _fit("background", (len(background),), (self.input.channels,))
        _fit("foreground", (len(foreground),), (self.input.channels,))
        for i in range(self.input.channels):
            self.input.background[i], self.input.foreground[i] = background[i], foreground[i]
        layers = tuple(layers)
        if not 1 <= len(layers) <= LENET_MAX_LAYERS:
            raise ValueError(f"layers: {len(layers)} of them, want 1 to {LENET_MAX_LAYERS}")
        memset(specs, 0, sizeof(specs))
        tables = []  # copies, kept until the plan has taken theirs
        # what the next layer gets: the core trusts the sizes of tables and codes to fit it
        shape[:] = [self.input.channels, self.input.height, self.input.width]
        for i in range(len(layers)):
            kind, activation, maps, kernel, connections, trained, padding = layers[i]
            specs[i].kind = KINDS[kind]
            specs[i].activation = ACTIVATIONS[activation]
            specs[i].maps = maps
            specs[i].kernel = kernel
            specs[i].trained = trained
            specs[i].padding = padding
            if connections is not None:
                table = connections
                own = np.array(table)
                tables.append(own)
                table = own
                _fit(f"layers: table {i}", (table.shape[0], table.shape[1]),
                     (specs[i].maps, shape[0]))
                specs[i].table = &table[0, 0]
            if i + 1 < len(layers):
                _check(lenet_layer_describe(&specs[i], shape, &sizes))
                shape = sizes.shape
        if codes is not None:
            code_values = np.array(codes, np.float32, order="C", ndmin=2)
            _fit("codes", (code_values.shape[0], code_values.shape[1]),
                 (specs[len(layers) - 1].maps, <int64_t>shape[0] * shape[1] * shape[2]))
        self.owner = _OwnedPlan()
        status = lenet_plan_create(specs, <int32_t>len(layers), &self.input,
                                   &code_values[0, 0] if codes is not None else NULL,
                                   &self.owner.plan)
        _check(status)
        self.plan = self.owner.plan
        self.is_rbf = specs[len(layers) - 1].kind == LENET_RBF
        self.n_layers = <int32_t>len(layers)
        self.classes = lenet_plan_classes(self.plan)
        self.characters = self.classes - blank
        self.n_parameters = lenet_plan_parameters(self.plan)
        return 0

    cdef int _share(self, Plan other) except -1:
        """Takes another's plan, and what its images looked like."""
        self.owner = other.owner
        self.plan = other.plan
        self.input, self.classes = other.input, other.classes
        self.characters = other.characters
        self.is_rbf, self.n_layers = other.is_rbf, other.n_layers
        self.n_parameters = other.n_parameters
        self.seen, self.assumed = other.seen, other.assumed
        return 0

    cdef str sizes(self):
        cdef int32_t h = self.input.height, w = self.input.width
        smaller = f"{h - 4}x{w - 4} or " if h > 4 and w > 4 else ""
        return f"{smaller}{h}x{w} (at most 8 pixels smaller, by an even number)"

    @property
    def channels(self):
        return self.input.channels

    @property
    def height(self):
        return self.input.height

    @property
    def width(self):
        return self.input.width

    @property
    def background(self):
        """What level 0 becomes, a tuple of floats, one for each channel."""
        return tuple([self.input.background[c] for c in range(self.input.channels)])

    @property
    def foreground(self):
        """The same for level 255."""
        return tuple([self.input.foreground[c] for c in range(self.input.channels)])

    # ---- what images look like ----

    @property
    def learnt_from(self):
        """What the images that it learnt from looked like, (n, border, low, high), or None."""
        if self.seen.n == 0 or self.assumed:
            return None
        return (self.seen.n, (self.seen.border[0], self.seen.border[1]),
                (self.seen.low[0], self.seen.low[1]), (self.seen.high[0], self.seen.high[1]))

    @learnt_from.setter
    def learnt_from(self, values):
        cdef lenet_appearance look
        memset(&look, 0, sizeof(look))
        if values is not None:
            look.n, border, low, high = values
            look.border[0], look.border[1] = border
            look.low[0], look.low[1] = low
            look.high[0], look.high[1] = high
        self.seen = look
        self.assumed = False

    def assume(self):
        """Takes it that the network learnt from uint8 images, if nothing tells: with 0 around, or
        of several channels with anything around."""
        if self.seen.n:
            return
        self.seen = self._documented()
        self.assumed = True

    cdef lenet_appearance _documented(self):
        cdef lenet_appearance look
        cdef float low = self.input.background[0], high = low
        cdef int32_t c
        look.n = LEARNT
        for c in range(self.input.channels):
            low = min(low, self.input.background[c], self.input.foreground[c])
            high = max(high, self.input.background[c], self.input.foreground[c])
        look.border[:] = [self.input.background[0], self.input.background[0]]
        look.low[:] = [low, low]
        look.high[:] = [high, high]
        if self.input.channels > 1:  # a photograph may be light, and need not be of all levels
            look.border[:] = [low, high]
            look.low[:] = [low, high]
            look.high[:] = [low, high]
        return look

    def remedy(self, images):
        """How to bring refused images into a form that is taken, for an error's text."""
        from lenet_c import inputs
        text = inputs.refused(self, images)
        return f": {text}" if text else ""

    cdef int _look(self, Samples samples, int64_t learn, str name) except -1:
        """Raises or warns if most images are unlike those that were learnt from."""
        cdef int64_t unlike[LENET_UNLIKE_KINDS]
        cdef int64_t n_seen, n_unlike = 0
        cdef bint is_known = self.seen.n >= LEARNT
        cdef lenet_appearance known = self.seen
        cdef int k
        if not is_known:
            known = self._documented()
        lenet_appearance_compare(&known, &samples.images, samples.n, LOOKS, &self.input, &n_seen,
                                 unlike)
        for k in range(LENET_UNLIKE_KINDS if is_known else 2):  # at least what can never be right
            n_unlike += unlike[k]
        if 2 * n_unlike > n_seen:
            from lenet_c import inputs
            samples.is_unlike = True
            counts = [unlike[k] for k in range(LENET_UNLIKE_KINDS)]
            inputs.tell(self, samples.some(), UNLIKE[counts.index(max(counts))], name, learn > 0,
                        samples.given)
        if learn and (n_unlike or not is_known or self.assumed or learn > LOOKS):
            self.assumed = False
            lenet_appearance_learn(&self.seen, &samples.images, samples.n, learn, &self.input)
        return 0

    # ---- before a call ----

    cdef int _check_samples(self, Samples samples, bint labelled) except -1:
        if (samples.height != self.input.height or samples.width != self.input.width
                or samples.classes != self.characters or samples.channels != self.input.channels):
            pixels = _pixels(samples.channels, samples.height, samples.width)
            own = _pixels(self.input.channels, self.input.height, self.input.width)
            raise ValueError(f"samples: for a network of {pixels} and {samples.classes} classes, "
                             f"want {own} and {self.characters}")
        if labelled:
            samples._need_labels()
        return 0

    cdef size_t _workspace_size(self, int what, int64_t n, int32_t threads):
        if what == CURVATURE:
            return lenet_curvature_workspace_size(self.plan, n, threads)
        return lenet_workspace_size(self.plan, what == TRAINING, n, threads)

    def workspace_size(self, what, int64_t n, int32_t threads):
        """Bytes that a call takes for n images: "reading", "training" or "curvature"."""
        if n < 1 or threads < 1:
            raise ValueError(f"got {n} images and {threads} threads, want at least 1")
        return self._workspace_size(CALLS.index(what), n, threads)

    cdef _Workspace _prepare(self, int what, int64_t n, object num_threads, double results,
                             lenet_run *run):
        """Says with what a call for n images runs, and borrows its workspace, if the call takes no
        more than the limit; results: bytes of the arrays that it makes."""
        cdef int64_t blocks = lenet_blocks(what != READING, n)
        cdef int32_t threads = _threads(num_threads, blocks)
        cdef size_t size = self._workspace_size(what, n, threads)
        # the threads that nobody asked for are as many as fit
        while <double>size + results > <double>_memory_limit:
            if threads == 1 or num_threads is not None:
                self._refuse(what, n, threads, size, results)
            threads -= 1
            size = self._workspace_size(what, n, threads)
        return self._lend(size, threads, run)

    cdef _Workspace _lend(self, size_t size, int32_t threads, lenet_run *run):
        """A workspace of this size, which `run` then names beside all else that a call runs with."""
        cdef _Workspace workspace = _borrow(size)
        workspace.profile = self.profile
        run.workspace = workspace.aligned
        run.workspace_size = workspace.size
        run.n_threads = threads
        run.interrupted = _interrupted
        run.context = NULL
        run.in_lanes = 0
        run.profile = NULL if self.profile is None else &workspace.profile.times
        return workspace

    cdef int _refuse(self, int what, int64_t n, int32_t threads, size_t size,
                     double results) except -1:
        cdef int32_t i
        cdef int32_t shape[3]
        largest = (self.input.channels, self.input.height, self.input.width)
        for i in range(self.n_layers):
            lenet_plan_shape(self.plan, i, shape)
            if shape[0] * <int64_t>shape[1] * shape[2] > largest[0] * largest[1] * largest[2]:
                largest = (shape[0], shape[1], shape[2])
        return _check_call(
            CALLS[what], "image", n, threads, size, results,
            f", with a network of {self.n_parameters:,} parameters whose largest layer has "
            f"{'x'.join(map(str, largest))} units")

    # ---- calls ----

    cdef lenet_status _run(self, Samples samples, float *outputs, const lenet_run *run) noexcept:
        return LENET_BAD_ARGUMENT  # it has no parameters

    cdef lenet_status _run_all(self, Samples samples, float **outputs,
                               const lenet_run *run) noexcept:
        return LENET_BAD_ARGUMENT

    cdef const float *_parameters(self) noexcept:
        return NULL  # it has none

    cdef int _read(self, Samples samples, float *outputs, const lenet_run *run) except -1:
        _check(self._run(samples, outputs, run))
        return 0

    cdef object _forward(self, Samples samples, object num_threads, double others=0.0,
                         bint finite=True, bint in_lanes=False):
        """others: bytes for each image that the caller will ask for besides the outputs."""
        cdef lenet_run run
        cdef _Workspace workspace = self._prepare(
            READING, samples.n, num_threads, samples.n * (4.0 * self.classes + others), &run)
        run.in_lanes = in_lanes
        outputs = np.empty((samples.n, self.classes), np.float32)
        cdef float[:, ::1] out = outputs
        self._read(samples, &out[0, 0], &run)
        _give_back(workspace)
        if finite:
            self._need_finite(&out[0, 0], samples.n)
            self._hide_blank(&out[0, 0], samples.n)
        return outputs

    cdef void _hide_blank(self, float *outputs, int64_t n) noexcept:
        """Puts the blank, if there is one, behind all other classes."""
        cdef int64_t i
        cdef float last = 3e38 if self.is_rbf else -3e38
        if self.characters == self.classes:
            return
        for i in range(n):
            outputs[i * self.classes + self.classes - 1] = last

    cdef int _need_finite(self, const float *outputs, int64_t n) except -1:
        cdef int64_t bad = lenet_first_not_finite(outputs, n * self.classes)
        if bad < n * self.classes:
            raise FloatingPointError(
                f"the outputs for row {bad // self.classes} of images are NaN or infinite")
        return 0

    def forward(self, images, num_threads=None, bint finite=False, reader=None, bint in_lanes=False):
        """Outputs (N, classes), float32; finite: raises FloatingPointError if some are not, and
        puts the blank last, if there is one.

        images may be Samples. reader: the Reader whose network this is; warns if most answers are
        rejected by its thresholds. So do `predict`, `probabilities` and `evaluate`.
        in_lanes: also few images run by the kernels of many, so that an image's outputs do not
        depend on how many there are.
        """
        cdef Samples samples = images if isinstance(images, Samples) else _samples(self, images)
        self._check_samples(samples, False)
        outputs = self._forward(samples, num_threads, 0.0, finite, in_lanes)
        if reader is not None:
            self._check_framing(samples, outputs, reader)
        return outputs

    cdef int _check_framing(self, Samples samples, object given, object reader) except -1:
        """Warns if of many images more than half have rejected answers, or more than a twentieth
        where fewer would be if the images were turned."""
        cdef int64_t looks = min(samples.n, 2 * FRAMED)
        if samples.n < FRAMED or samples.is_unlike:
            return 0
        rejection = reader._rejection
        if rejection is None:
            return 0
        cdef const float[:, ::1] outputs = np.ascontiguousarray(given[:, :self.characters])
        cdef int64_t rejected = lenet_count_rejected(
            &outputs[0, 0], samples.n, self.characters, self.is_rbf, looks, rejection.penalty,
            rejection.margin)
        if 20 * rejected <= looks:
            return 0
        if 2 * rejected <= looks and self.unturned > 0:
            self.unturned -= samples.n
            return 0
        from lenet_c import inputs
        if not inputs.tell_framing(reader, samples.some(2 * FRAMED), samples.given):
            # to turn them in vain takes as long as to read 7 times as many
            self.unturned = 50 * 7 * 2 * FRAMED
        return 0

    def predict(self, images, num_threads=None, reader=None):
        """Best class of each image, (N,) int64."""
        cdef Samples samples = _samples(self, images)
        if samples.n == 1 and self.classes <= SMALL:
            return self._predict_one(samples, num_threads)
        cdef const float[:, ::1] outputs = self._forward(samples, num_threads, 8.0)
        classes = np.empty(samples.n, np.int64)
        cdef int64_t[::1] out = classes
        with nogil:
            lenet_classify(self.plan, &outputs[0, 0], samples.n, &out[0])
        if reader is not None:
            self._check_framing(samples, outputs, reader)
        return classes

    cdef object _predict_one(self, Samples samples, object num_threads):
        # what arrays cost would be felt here
        cdef float outputs[SMALL]
        cdef int64_t best
        cdef lenet_run run
        cdef _Workspace workspace = self._prepare(READING, 1, num_threads, 0.0, &run)
        self._read(samples, outputs, &run)
        _give_back(workspace)
        self._need_finite(outputs, 1)
        self._hide_blank(outputs, 1)
        lenet_classify(self.plan, outputs, 1, &best)
        return _array((best,), _int64)

    def probabilities(self, images, num_threads=None, double temperature=1.0, reader=None):
        """Softmax of the evidence over the temperature, (N, classes) float32."""
        if not 1e-30 <= temperature <= 1e30:
            raise ValueError(f"temperature: got {temperature}, want 1e-30 to 1e30")
        cdef Samples samples = _samples(self, images)
        cdef const float[:, ::1] outputs = self._forward(samples, num_threads, 4.0 * self.classes)
        result = np.empty((samples.n, self.classes), np.float32)
        cdef float[:, ::1] out = result
        with nogil:
            lenet_probabilities(self.plan, &outputs[0, 0], samples.n, temperature, &out[0, 0])
        if reader is not None:
            self._check_framing(samples, outputs, reader)
        return result

    def activations(self, images, num_threads=None):
        """Every layer's outputs, a list of (N, maps, height, width) float32; images may be Samples."""
        cdef Samples samples = images if isinstance(images, Samples) else _samples(self, images)
        self._check_samples(samples, False)
        cdef float *pointers[LENET_MAX_LAYERS]
        cdef int32_t shape[3]
        cdef float[:, :, :, ::1] values
        cdef double features = 0.0
        cdef lenet_run run
        cdef int32_t i
        for i in range(self.n_layers):
            lenet_plan_shape(self.plan, i, shape)
            features += <double>shape[0] * shape[1] * shape[2]
        cdef _Workspace workspace = self._prepare(
            TRAINING, samples.n, num_threads, 4.0 * features * samples.n, &run)
        arrays = []
        for i in range(self.n_layers):
            lenet_plan_shape(self.plan, i, shape)
            values = np.empty((samples.n, shape[0], shape[1], shape[2]), np.float32)
            arrays.append(values.base)
            pointers[i] = &values[0, 0, 0, 0]
        _check(self._run_all(samples, pointers, &run))
        _give_back(workspace)
        return arrays

    def positions(self, height, width):
        """Rows and columns of positions of a picture."""
        cdef int32_t found[2]
        if not (1 <= height <= LONGEST and 1 <= width <= LONGEST):
            raise ValueError(f"a picture of {height}x{width}, want sides of 1 to {LONGEST:,} pixels")
        lenet_positions(self.plan, height, width, found)
        return found[0], found[1]

    cdef _Workspace _prepare_sweep(self, Pictures pictures, object num_threads, double results,
                                   lenet_run *run):
        # as many as run through the flat layers at once
        cdef int32_t threads = _threads(num_threads, pictures.n_positions // PIECE + 1)
        cdef size_t size = lenet_sweep_workspace_size(self.plan, &pictures.pictures, pictures.n,
                                                      threads)
        if size == 0:
            raise ValueError("network: convolutions are padded, which see where a picture ends: want "
                             "none to sweep it (Architecture.sweepable)")
        while threads > 1 and num_threads is None and <double>size + results > <double>_memory_limit:
            threads -= 1
            size = lenet_sweep_workspace_size(self.plan, &pictures.pictures, pictures.n, threads)
        _check_call("sweeping", "picture", pictures.n, threads, size, results)
        return self._lend(size, threads, run)

    def sweep(self, pictures, num_threads=None):
        """Outputs at every position, of all pictures one after another: (positions, classes), and
        the Pictures."""
        cdef Pictures given = Pictures(self, pictures)
        cdef int64_t n = given.n_positions
        cdef lenet_status status
        cdef lenet_run run
        cdef _Workspace workspace = self._prepare_sweep(
            given, num_threads, 4.0 * n * self.classes, &run)
        outputs = np.empty((n, self.classes), np.float32)
        cdef float[:, ::1] out = outputs
        cdef const float *parameters = self._parameters()
        with nogil:
            status = lenet_sweep(self.plan, parameters, &given.pictures, given.n, &out[0, 0], &run)
        _check(status)
        _give_back(workspace)
        return outputs, given

    def sweep_activations(self, picture):
        """Every layer's outputs over a picture: a list of float32 (maps, height, width) of layers
        that see all of it, then (positions, units)."""
        cdef Pictures given = Pictures(self, [picture])
        cdef float *pointers[LENET_MAX_LAYERS]
        cdef int32_t shape[3]
        cdef float[::1] values
        cdef lenet_status status
        cdef lenet_run run
        cdef double size = 0.0
        rows, columns = int(given.positions[0, 0]), int(given.positions[0, 1])
        shapes = []
        for i in range(self.n_layers):
            lenet_plan_shape(self.plan, i, shape)
            stride = lenet_plan_stride(self.plan, i)
            if stride:
                shapes.append((shape[0], shape[1] + (rows - 1) * stride,
                               shape[2] + (columns - 1) * stride))
            else:
                shapes.append((rows * columns, shape[0] * shape[1] * shape[2]))
            size += 4.0 * functools.reduce(operator.mul, shapes[i])
        cdef _Workspace workspace = self._prepare_sweep(given, 1, size, &run)
        arrays = []
        for i in range(self.n_layers):
            arrays.append(np.empty(shapes[i], np.float32))
            values = arrays[i].reshape(-1)
            pointers[i] = &values[0]
        cdef const float *parameters = self._parameters()
        with nogil:
            status = lenet_sweep_activations(self.plan, parameters, &given.pictures, pointers, &run)
        _check(status)
        _give_back(workspace)
        return arrays

    def evaluate(self, Samples samples not None, loss, double j, double temperature,
                 num_threads=None, reader=None):
        """Mean loss, number of errors and the class of each image, (N,) int64."""
        cdef lenet_loss criterion = [LOSSES[loss], j, temperature, samples.first_weight,
                                     samples.first_target]
        cdef lenet_report report
        cdef lenet_status status
        self._check_samples(samples, True)
        cdef float[:, ::1] outputs = self._forward(samples, num_threads, 8.0, False)
        cdef int64_t i, n_errors = 0
        self._need_finite(&outputs[0, 0], samples.n)
        classes = np.empty(samples.n, np.int64)
        cdef int64_t[::1] out = classes
        with nogil:
            status = lenet_score(self.plan, &outputs[0, 0], samples.first_label, samples.n,
                                 &criterion, &report)
        _check(status)
        self._hide_blank(&outputs[0, 0], samples.n)  # the loss has seen it, as in training
        with nogil:
            lenet_classify(self.plan, &outputs[0, 0], samples.n, &out[0])
            for i in range(samples.n):
                n_errors += out[i] != samples.first_label[i]
        if reader is not None:
            self._check_framing(samples, outputs, reader)
        return report.loss, n_errors, classes


cdef class Model(Plan):
    """A plan that only reads, with a copy of parameters that is packed once.

    Parameters
    ----------
    network : Network, whose plan it shares
    parameters : float32 array (n_parameters,)
    """

    cdef _Workspace memory
    cdef const lenet_model *model

    def __cinit__(self, Network network not None, const float[::1] parameters not None):
        cdef size_t size = lenet_model_size(network.plan)
        cdef lenet_status status
        self._share(network)
        _fit("parameters", (parameters.shape[0],), (self.n_parameters,))
        check_memory(f"a compiled network of {self.n_parameters:,} parameters", size)
        self.memory = _Workspace(size)
        with nogil:
            status = lenet_model_create(self.plan, &parameters[0] if parameters.shape[0] else NULL,
                                        self.memory.aligned, size, &self.model)
        _check(status)

    @property
    def parameters(self):
        """float32 array (n_parameters,): a copy."""
        copy = np.empty(self.n_parameters, np.float32)
        cdef float[::1] to = copy
        if self.n_parameters:
            memcpy(&to[0], lenet_model_parameters(self.model),
                   <size_t>self.n_parameters * sizeof(float))
        return copy

    cdef const float *_parameters(self) noexcept:
        return lenet_model_parameters(self.model)

    cdef lenet_status _run(self, Samples samples, float *outputs, const lenet_run *run) noexcept:
        cdef lenet_status status
        with nogil:
            status = lenet_model_forward(self.model, &samples.images, samples.n, outputs, run)
        return status

    cdef lenet_status _run_all(self, Samples samples, float **outputs,
                               const lenet_run *run) noexcept:
        cdef lenet_status status
        with nogil:
            status = lenet_model_activations(self.model, &samples.images, samples.n, outputs, run)
        return status


cdef class Committee(Plan):
    """Models whose outputs are added, each times a number of its own: reads, and never changes.

    Parameters
    ----------
    members : sequence of Model, of one kind of images and as many classes
    scales : sequence of float, one for each; below 0 what penalties must have to count as logits

    Notes
    -----
    The outputs are penalties if those of all members are. The plan is that of the first member
    whose outputs are of this kind: what it says of outputs and images holds for all.
    """

    cdef tuple members
    cdef double[::1] scales

    def __cinit__(self, members, scales):
        cdef Model member, lead = None
        self.members = tuple(members)
        self.scales = np.array(scales, np.float64)
        if not self.members:
            raise ValueError("members: none, want one at least")
        _fit("scales", (self.scales.shape[0],), (len(self.members),))
        is_rbf = all([member.is_rbf for member in self.members])
        for member in self.members:
            if lead is None and member.is_rbf == is_rbf:
                lead = member
        self._share(lead)
        self.n_parameters = 0
        for member in self.members:
            if (member.classes != self.classes or member.characters != self.classes
                    or member.input.channels != self.input.channels
                    or member.input.height != self.input.height
                    or member.input.width != self.input.width):
                raise ValueError("members: of other images or classes, want the same")
            self.n_parameters += member.n_parameters

    cdef size_t _of_a_member(self, int64_t n, int32_t threads):
        """The largest workspace of one, a multiple of 64 bytes."""
        cdef Model member
        cdef size_t size = 0
        for member in self.members:
            size = max(size, lenet_workspace_size(member.plan, 0, n, threads))
        return (size + 63) & ~<size_t>63

    cdef size_t _workspace_size(self, int what, int64_t n, int32_t threads):
        # behind it are one member's outputs
        return (self._of_a_member(n, threads)
                + <size_t>n * <size_t>self.classes * sizeof(float))

    cdef int _read(self, Samples samples, float *outputs, const lenet_run *run) except -1:
        cdef Model member
        cdef lenet_run of_one = run[0]
        cdef int64_t i, size = samples.n * self.classes
        cdef Py_ssize_t k
        cdef double scale
        of_one.workspace_size = self._of_a_member(samples.n, run.n_threads)
        cdef float *own = <float *>(<char *>run.workspace + of_one.workspace_size)
        for k in range(len(self.members)):
            member = self.members[k]
            _check(member._run(samples, own, &of_one))
            scale = self.scales[k]
            with nogil:
                for i in range(size):
                    outputs[i] = <float>((outputs[i] if k else 0.0) + scale * own[i])
        return 0

    def sweep(self, pictures, num_threads=None):
        raise TypeError("a committee reads images of one size; sweep one of its networks")

    def sweep_activations(self, picture):
        raise TypeError("a committee has no layers; ask one of its networks")


cdef class Network(Plan):
    """A plan and its parameters.

    Parameters
    ----------
    layers : list of (kind, activation, maps, kernel, table or None, trained, padding), the numbers
        and names as in KINDS and ACTIVATIONS; a table is a uint8 array (maps, input maps)
    image : (int, int, int)
        Channels, height and width of an image.
    background, foreground : sequence of float, one for each channel
    codes : float32 array (classes, inputs), or None
    blank : bool, the last class is no character
    """

    cdef _Floats memory
    cdef float *values

    def __cinit__(self, layers, image, background, foreground, codes, bint blank=False):
        self._make(layers, image, background, foreground, codes, blank)
        self.memory = _Floats(self.n_parameters, lenet_plan_margin(self.plan))
        self.values = self.memory.values

    @property
    def parameters(self):
        """float32 array (n_parameters,): a new one each time, onto the same memory."""
        return self.memory.array()

    cdef const float *_parameters(self) noexcept:
        return self.values

    cdef lenet_status _run(self, Samples samples, float *outputs, const lenet_run *run) noexcept:
        cdef lenet_status status
        with nogil:
            status = lenet_forward(self.plan, self.values, &samples.images, samples.n, outputs, run)
        return status

    cdef lenet_status _run_all(self, Samples samples, float **outputs,
                               const lenet_run *run) noexcept:
        cdef lenet_status status
        with nogil:
            status = lenet_activations(self.plan, self.values, &samples.images, samples.n, outputs,
                                       run)
        return status

    def gradient(self, Samples samples not None, loss, double j, double temperature,
                 num_threads=None):
        """Mean loss, number of errors and the loss's gradient, flat float32."""
        cdef lenet_loss criterion = [LOSSES[loss], j, temperature, samples.first_weight,
                                     samples.first_target]
        cdef lenet_report report
        cdef lenet_status status
        cdef lenet_run run
        self._check_samples(samples, True)
        cdef _Workspace workspace = self._prepare(
            TRAINING, samples.n, num_threads, 4.0 * self.n_parameters, &run)
        gradient = np.empty(self.n_parameters, np.float32)
        cdef float[::1] out = gradient
        with nogil:
            status = lenet_gradient(self.plan, self.values, &samples.images, samples.first_label,
                                    samples.n, &criterion, &out[0], &report, &run)
        _check(status)
        _give_back(workspace)
        return report.loss, report.n_errors, gradient

    cdef lenet_string_criterion _string_criterion(self, object loss, double j,
                                                  double temperature) except *:
        cdef lenet_string_criterion criterion
        if not 1e-30 <= temperature <= 1e30:
            raise ValueError(f"temperature: got {temperature}, want 1e-30 to 1e30")
        criterion.kind = STRING_LOSSES[loss]
        criterion.blank = self.classes - 1
        criterion.scale = (-1.0 if self.is_rbf else 1.0) / temperature
        criterion.j = j
        criterion.grammar = NULL
        return criterion

    cdef _Workspace _prepare_strings(self, _ChosenStrings chosen,
                                     const lenet_string_criterion *criterion, object num_threads,
                                     double results, lenet_run *run):
        cdef int32_t threads = _threads(num_threads, (chosen.n - 1) // lenet_lanes() + 1)
        cdef size_t size = lenet_lines_workspace_size(self.plan, &chosen.strings, chosen.n,
                                                      criterion, threads)
        if size == 0:
            raise ValueError("network: convolutions are padded, which see where a picture ends: want "
                             "none to learn strings (Architecture.sweepable)")
        while threads > 1 and num_threads is None and <double>size + results > <double>_memory_limit:
            threads -= 1
            size = lenet_lines_workspace_size(self.plan, &chosen.strings, chosen.n, criterion, threads)
        _check_call("training", "strip", chosen.n, threads, size, results)
        return self._lend(size, threads, run)

    def strings_gradient(self, LabelledPictures strings not None, loss, double j, double temperature,
                         num_threads=None):
        """Mean loss, strips that are not read right and the loss's gradient, flat float32."""
        cdef lenet_string_criterion criterion = self._string_criterion(loss, j, temperature)
        cdef _ChosenStrings chosen = _ChosenStrings(strings, None)
        cdef lenet_report report
        cdef lenet_status status
        cdef lenet_run run
        cdef _Workspace workspace = self._prepare_strings(
            chosen, &criterion, num_threads, 4.0 * self.n_parameters, &run)
        gradient = np.empty(self.n_parameters, np.float32)
        cdef float[::1] out = gradient
        with nogil:
            status = lenet_lines_gradient(self.plan, self.values, &chosen.strings, chosen.n,
                                            &criterion, &out[0], &report, &run)
        _check(status)
        _give_back(workspace)
        return report.loss, report.n_errors, gradient

    def strings_step(self, LabelledPictures strings not None, const int64_t[::1] order, loss, double j,
                     double temperature, OptimizerState state not None, float rate,
                     num_threads=None, const float[::1] fallback=None):
        """One update on the strips that `order` names (None: all); as `step`."""
        cdef lenet_string_criterion criterion = self._string_criterion(loss, j, temperature)
        cdef _ChosenStrings chosen = _ChosenStrings(strings, order)
        cdef lenet_report report
        cdef lenet_status status
        cdef lenet_run run
        self._check_state(state, fallback)
        cdef _Workspace workspace = self._prepare_strings(chosen, &criterion, num_threads, 0.0, &run)
        cdef lenet_optimizer settings = state.settings
        ranges = state.ranges
        settings.rate = rate
        with nogil:
            status = lenet_lines_step(self.plan, self.values, &chosen.strings, chosen.n,
                                        &criterion, &settings, &report, &run)
        self._count(status, chosen.n, settings.step, state, fallback)
        _give_back(workspace)
        return report.loss, report.n_errors

    cdef int _check_state(self, OptimizerState state, const float[::1] fallback) except -1:
        if state.n != self.n_parameters:
            raise ValueError(f"optimizer state: for {state.n} parameters, want "
                             f"{self.n_parameters}")
        if fallback is not None and fallback.shape[0] != self.n_parameters:
            raise ValueError(f"fallback: {fallback.shape[0]} parameters, want "
                             f"{self.n_parameters}")
        return 0

    cdef int _count(self, lenet_status status, int64_t n, int64_t steps, OptimizerState state,
                    const float[::1] fallback) except -1:
        """After an update; raises what it came to."""
        state.settings.step = steps
        if status == LENET_OK:
            state.n_updates += 1
            state.n_images += n
        elif status == LENET_NOT_FINITE and fallback is not None:
            memmove(self.values, &fallback[0], <size_t>self.n_parameters * sizeof(float))
            state.forget_if_bad()
        _check(status)
        return 0

    def curvature(self, Samples samples not None, const int64_t[::1] order, loss, double j,
                  double temperature, num_threads=None):
        """Diagonal of the Gauss-Newton matrix over the samples that `order` names (None: all)."""
        cdef lenet_loss criterion = [LOSSES[loss], j, temperature, samples.first_weight,
                                     samples.first_target]
        cdef lenet_images images = samples.images
        cdef int64_t n = samples.n
        cdef lenet_status status
        cdef lenet_run run
        self._check_samples(samples, True)
        cdef _Workspace chosen = _choose(&images, &n, order)  # held until the end
        cdef _Workspace workspace = self._prepare(
            CURVATURE, n, num_threads, 4.0 * self.n_parameters, &run)
        curvature = np.empty(self.n_parameters, np.float32)
        cdef float[::1] out = curvature
        with nogil:
            status = lenet_curvature(self.plan, self.values, &images, samples.first_label, n,
                                     &criterion, &out[0], &run)
        _check(status)
        _give_back(workspace)
        return curvature

    def step(self, Samples samples not None, const int64_t[::1] order, loss, double j,
             double temperature, OptimizerState state not None, float rate, num_threads=None,
             distortion=None, const float[::1] fallback=None):
        """One update on the samples that `order` names (None: all); mean loss, errors.

        distortion: (strengths, seed), as for `distort` with images numbered as training saw them,
        or None. fallback: the parameters are set to these when the update is not finite.
        """
        cdef lenet_distortion distorted
        cdef lenet_loss criterion = [LOSSES[loss], j, temperature, samples.first_weight,
                                     samples.first_target]
        cdef lenet_images images = samples.images
        cdef int64_t n = samples.n
        cdef lenet_report report
        cdef lenet_status status
        cdef lenet_run run
        self._check_samples(samples, True)
        cdef _Workspace chosen = _choose(&images, &n, order)  # held until the end
        if distortion is not None:
            strengths, seed = distortion
            distorted = _distortion(strengths, seed, state.n_images)
            images.distortion = &distorted
        self._check_state(state, fallback)
        cdef _Workspace workspace = self._prepare(TRAINING, n, num_threads, 0.0, &run)
        # copied, and what it points to held: others may freeze anew meanwhile
        cdef lenet_optimizer settings = state.settings
        ranges = state.ranges
        settings.rate = rate
        with nogil:
            status = lenet_step(self.plan, self.values, &images, samples.first_label, n,
                                &criterion, &settings, &report, &run)
        self._count(status, n, settings.step, state, fallback)
        _give_back(workspace)
        return report.loss, report.n_errors

    def apply(self, const float[::1] gradient not None, int64_t n, OptimizerState state not None,
              float rate, const float[::1] fallback=None):
        """One update by a gradient of n images; fallback as for `step`."""
        cdef lenet_status status
        _fit("gradient", (gradient.shape[0],), (self.n_parameters,))
        self._check_state(state, fallback)
        cdef lenet_optimizer settings = state.settings
        ranges = state.ranges
        settings.rate = rate
        with nogil:
            status = lenet_apply(self.plan, self.values, &gradient[0], &settings)
        self._count(status, n, settings.step, state, fallback)


# ---- distortions (distort.py checks strengths) -----------------------------------------------------

cdef lenet_distortion _distortion(object strengths, uint64_t seed, uint64_t first) except *:
    cdef lenet_distortion d
    (d.translation, d.scaling, d.squeezing, d.shearing, d.rotation, d.elastic,
     d.smoothness, d.thickness, d.lines, d.blur, d.contrast, d.noise, d.impulses,
     d.chance) = strengths
    d.seed = seed
    d.first = first
    return d


cdef _Workspace _workspace_for(str name, size_t size):
    check_memory(f"{name}: its workspace", size)
    return _borrow(size)


def distort(strengths, uint64_t seed, uint64_t first, const uint8_t[:, :, ::1] images not None,
            uint8_t[:, :, ::1] out not None):
    """Distorts images first, first + 1, .. of a sequence, each by numbers of its own.

    strengths: the fields of lenet_distortion up to `chance`.
    """
    _check_init()
    cdef lenet_distortion d = _distortion(strengths, seed, first)
    cdef int64_t n = _some("images", images.shape[0])
    cdef int32_t h = _size("images", images.shape[1]), w = _size("images", images.shape[2])
    cdef lenet_status status
    _fit("out", (out.shape[0], out.shape[1], out.shape[2]), (n, h, w))
    cdef _Workspace workspace = _workspace_for("distort", lenet_distort_workspace(h, w))
    with nogil:
        status = lenet_distort(&d, &images[0, 0, 0], n, h, w, &out[0, 0, 0], workspace.aligned,
                               workspace.size)
    _check(status)
    _give_back(workspace)


def transform(parameters, const uint8_t[:, :, ::1] images not None,
              uint8_t[:, :, ::1] out not None):
    """Applies one map to all images. parameters: dx, dy, scale, squeeze, shear, rotation."""
    _check_init()
    cdef lenet_transform t
    cdef int64_t n = _some("images", images.shape[0])
    cdef int32_t h = _size("images", images.shape[1]), w = _size("images", images.shape[2])
    cdef lenet_status status
    t.dx, t.dy, t.scale, t.squeeze, t.shear, t.rotation = parameters
    _fit("out", (out.shape[0], out.shape[1], out.shape[2]), (n, h, w))
    cdef _Workspace workspace = _workspace_for("transform", lenet_distort_workspace(h, w))
    with nogil:
        status = lenet_transform_images(&t, &images[0, 0, 0], n, h, w, &out[0, 0, 0],
                                        workspace.aligned, workspace.size)
    _check(status)
    _give_back(workspace)


# ---- losses of strings (criteria.py checks what comes in) ------------------------------------------

cdef int64_t LOOK = 1 << 22  # classes and states of positions between two looks for a signal


def string_losses(kind, const float[:, ::1] outputs not None, positions, labels, lengths,
                  int32_t blank, double scale, double j, grammar, double[::1] losses not None,
                  float[:, ::1] gradient):
    """Losses of strips whose outputs lie one behind the other, as do their labels.

    positions, lengths: of each strip's outputs and label. grammar: next (states, classes) and accept
    (states,), or None. gradient: like outputs, or None. Gives None, or the first strip that is
    refused and why, a name of STRING_REFUSALS; what is before it is then done.
    """
    # copies, which nobody else can change
    cdef const int32_t[::1] places = np.array(positions, np.int32)
    cdef const int32_t[::1] sizes = np.array(lengths, np.int32)
    cdef const int32_t[::1] characters = np.array(labels, np.int32)
    cdef const int32_t[:, ::1] following
    cdef const uint8_t[::1] accept
    cdef int32_t classes = _size("outputs", outputs.shape[1]), states = 1
    cdef int64_t n = losses.shape[0], n_rows = 0, n_characters = 0, row = 0, character = 0
    cdef int64_t i = 0, work = 0
    cdef size_t size = 0
    cdef lenet_grammar automaton
    cdef lenet_string_criterion criterion
    cdef lenet_status status = LENET_OK
    cdef const float *first
    cdef float *slopes = NULL
    criterion.kind = STRING_LOSSES[kind]
    criterion.blank, criterion.scale, criterion.j = blank, scale, j
    criterion.grammar = NULL
    if grammar is not None:
        following = np.array(grammar[0], np.int32, order="C")
        accept = np.array(grammar[1], np.uint8)
        states = automaton.states = _size("grammar", accept.shape[0])
        _fit("grammar", (following.shape[0], following.shape[1]), (states, classes))
        automaton.next, automaton.accept = &following[0, 0], &accept[0]
        criterion.grammar = &automaton
    _fit("positions", (places.shape[0],), (n,))
    _fit("lengths", (sizes.shape[0],), (n,))
    if gradient is not None:
        _fit("gradient", (gradient.shape[0], gradient.shape[1]), (outputs.shape[0], classes))
    for i in range(n):
        _size("positions", places[i])
        if sizes[i] < 0:
            raise ValueError(f"lengths: got {sizes[i]}, want 0 or more")
        n_rows += places[i]
        n_characters += sizes[i]
        size = max(size, lenet_string_workspace(&criterion, places[i], classes, sizes[i]))
    _fit("outputs", (outputs.shape[0],), (n_rows,))
    _fit("labels", (characters.shape[0],), (n_characters,))
    if n == 0:
        return None
    cdef const int32_t *label = &characters[0] if n_characters else NULL
    cdef _Workspace workspace = _workspace_for("strings", size)
    first = &outputs[0, 0]
    if gradient is not None:
        slopes = &gradient[0, 0]
    with nogil:
        for i in range(n):
            status = lenet_string_loss(
                &criterion, first + row * classes, places[i], classes, label + character, sizes[i],
                &losses[i], NULL if slopes == NULL else slopes + row * classes, workspace.aligned,
                workspace.size)
            if status != LENET_OK:
                break
            row += places[i]
            character += sizes[i]
            work += 64 + <int64_t>places[i] * states * (classes + 2 * sizes[i])
            if work > LOOK:
                work = 0
                if _interrupted(NULL):
                    status = LENET_INTERRUPTED
                    break
    _give_back(workspace)
    if status in STRING_REFUSALS:
        return i, STRING_REFUSALS[status]
    _check(status)


# ---- streams of strips (strings.py checks what is asked for) ---------------------------------------

def string_limits():
    """The largest strength of each effect, in the order of lenet_string_effect."""
    return [lenet_string_most(<lenet_string_effect>e) for e in range(LENET_STRING_EFFECTS)]


cdef enum:
    AT_ONCE = 64  # strips that are made before they are copied to arrays of their own size


cdef class Strings:
    """What strips are made of, and how: private copies of the arrays, and all settings."""

    cdef lenet_strings strings
    cdef const uint8_t[:, :, ::1] images
    cdef const int64_t[::1] order, starts

    def __cinit__(self, images, order, starts, int32_t classes, digits, marks, bint stands, length,
                 gap, float empty, float repeat, strengths, chances, uint64_t seed):
        """Keeps the arrays, which nobody else may hold.

        order, starts: places of images by writer and class, as lenet_strings has them; digits: the
        classes of 0, 1 and 7, or -1; marks: for dot, comma and dash, whether it counts.
        """
        _check_init()
        cdef lenet_strings *s = &self.strings
        cdef int k
        self.images, self.order, self.starts = images, order, starts
        _fit("images", (self.images.shape[1], self.images.shape[2]), (28, 28))
        s.images = &self.images[0, 0, 0]
        s.order = &self.order[0]
        s.starts = &self.starts[0]
        s.classes = classes
        s.writers = <int32_t>((self.starts.shape[0] - 1) // classes)
        s.zero, s.one, s.seven = digits
        s.mark_counts[0], s.mark_counts[1], s.mark_counts[2] = marks
        s.stands = stands
        s.length[0], s.length[1] = length
        s.gap[0], s.gap[1] = gap
        s.empty, s.repeat, s.seed = empty, repeat, seed
        for k in range(LENET_STRING_EFFECTS):
            s.strength[k] = strengths[k]
            s.chance[k] = chances[k]
        _check(lenet_strings_check(s))

    def draw(self, int64_t n, uint64_t first, num_threads=None):
        """Makes strips first .. first + n - 1: arrays (32, W), and arrays of classes."""
        cdef int64_t done = 0, part = min(n, AT_ONCE), i
        cdef int32_t widest = lenet_strings_width(&self.strings)
        cdef int32_t most = lenet_strings_labels(&self.strings)
        cdef int32_t threads = _threads(num_threads, (part + 15) // 16)
        cdef size_t size = lenet_strings_workspace(&self.strings, threads), strip = 32 * widest
        # what is made at once, in the workspace: pixels, labels, widths, counts
        cdef size_t room = (strip + 4 * <size_t>(most + 2)) * <size_t>part
        check_memory(f"n: {n} strips", n * (<int64_t>strip + 256) + size + room,
                     "a smaller n takes less; ")
        cdef lenet_strings s = self.strings
        cdef lenet_status status
        cdef _Workspace workspace = _borrow(size + room)
        cdef uint8_t *out = <uint8_t *>workspace.aligned
        cdef int32_t *labels = <int32_t *>(out + strip * part)
        cdef int32_t *widths = labels + most * part
        cdef int32_t *counts = widths + part
        cdef void *rest = <char *>workspace.aligned + room
        cdef uint8_t[:, ::1] pixels
        cdef int64_t[::1] text
        cdef int64_t k
        strips, texts = [], []
        while done < n:
            part = min(part, n - done)
            s.first = first + <uint64_t>done
            with nogil:
                status = lenet_strings_draw(&s, part, out, widths, labels, counts, threads, rest,
                                            workspace.size - room)
            _check(status)
            for i in range(part):
                strips.append(np.empty((32, widths[i]), np.uint8))
                pixels = strips[i + done]
                memcpy(&pixels[0, 0], out + i * strip, 32 * widths[i])
                texts.append(np.empty(counts[i], np.int64))
                text = texts[i + done]
                for k in range(counts[i]):
                    text[k] = labels[i * most + k]
            done += part
        _give_back(workspace)
        return strips, texts


# ---- single layers -------------------------------------------------------------------------------

cdef class _OneLayer:
    """A layer by itself on rows like x (n, maps, height, width), and what it takes.

    Holds a copy of the table, which stays as it is while C counts the connections.
    """

    cdef lenet_layer layer
    cdef int32_t shape[3]
    cdef int64_t n
    cdef lenet_layer_sizes sizes
    cdef object table

    def __cinit__(self, kind, int32_t maps, int32_t kernel, const uint8_t[:, ::1] table,
                  const float[:, :, :, ::1] x not None, int32_t padding):
        cdef const uint8_t[:, ::1] own
        cdef int k
        _check_init()
        self.n = _some("x", x.shape[0])
        for k in range(3):
            self.shape[k] = _size("x", x.shape[k + 1])
        memset(&self.layer, 0, sizeof(lenet_layer))
        self.layer.kind = KINDS[kind]
        self.layer.maps = maps
        self.layer.kernel = kernel
        self.layer.trained = True
        self.layer.padding = padding
        if table is not None:
            _fit("table", (table.shape[0], table.shape[1]), (maps, self.shape[0]))
            self.table = np.array(table)
            own = self.table
            self.layer.table = &own[0, 0]
        _check(lenet_layer_describe(&self.layer, self.shape, &self.sizes))

    cdef int _fit_outputs(self, str name, const float[:, :, :, ::1] y) except -1:
        cdef int32_t *out = self.sizes.shape
        return _fit(name, _shape4(y), (self.n, out[0], out[1], out[2]))

    cdef int _fit_parameters(self, const float[::1] weights, const float[::1] biases) except -1:
        _fit("weights", (0 if weights is None else weights.shape[0],), (self.sizes.n_weights,))
        return _fit("biases", (0 if biases is None else biases.shape[0],), (self.sizes.n_biases,))


cdef tuple _shape4(const float[:, :, :, ::1] array):
    return (array.shape[0], array.shape[1], array.shape[2], array.shape[3])


cdef const float *_begin(const float[::1] values) noexcept:
    return &values[0] if values is not None and values.shape[0] else NULL


def layer_forward(kind, int32_t maps, int32_t kernel, const uint8_t[:, ::1] table,
                  const float[:, :, :, ::1] x not None, const float[::1] weights,
                  const float[::1] biases, float[:, :, :, ::1] y not None, int32_t padding=0):
    """Runs a layer of a kind of KINDS by itself; what it does not have is None, or 0."""
    cdef _OneLayer one = _OneLayer(kind, maps, kernel, table, x, padding)
    cdef lenet_status status
    cdef const float *w = _begin(weights)
    cdef const float *b = _begin(biases)
    one._fit_parameters(weights, biases)
    one._fit_outputs("y", y)
    cdef _Workspace workspace = _workspace_for(kind, one.sizes.workspace)
    with nogil:
        status = lenet_layer_forward(&one.layer, one.shape, w, b, &x[0, 0, 0, 0], one.n,
                                     &y[0, 0, 0, 0], workspace.aligned, workspace.size)
    _check(status)
    _give_back(workspace)


def layer_backward(kind, int32_t maps, int32_t kernel, const uint8_t[:, ::1] table,
                   const float[:, :, :, ::1] x not None, const float[::1] weights,
                   const float[:, :, :, ::1] dy not None, float[:, :, :, ::1] dx not None,
                   float[::1] dweights, float[::1] dbiases, int32_t padding=0):
    """Gradients through it."""
    cdef _OneLayer one = _OneLayer(kind, maps, kernel, table, x, padding)
    cdef lenet_status status
    cdef const float *w = _begin(weights)
    cdef float *dw = <float *>_begin(dweights)
    cdef float *db = <float *>_begin(dbiases)
    one._fit_parameters(weights, dbiases)
    one._fit_parameters(dweights, dbiases)
    one._fit_outputs("dy", dy)
    _fit("dx", _shape4(dx), _shape4(x))
    cdef _Workspace workspace = _workspace_for(f"{kind} backward", one.sizes.workspace)
    with nogil:
        status = lenet_layer_backward(&one.layer, one.shape, w, &x[0, 0, 0, 0], &dy[0, 0, 0, 0],
                                      one.n, &dx[0, 0, 0, 0], dw, db, workspace.aligned,
                                      workspace.size)
    _check(status)
    _give_back(workspace)


def squash(const float[::1] a not None, activation, float[::1] y not None):
    _check_init()
    cdef int32_t kind = ACTIVATIONS[activation]
    cdef int64_t n = _some("a", a.shape[0])
    cdef lenet_status status
    _fit("y", (y.shape[0],), (n,))
    with nogil:
        status = lenet_squash(kind, &a[0], n, &y[0])
    _check(status)


def squash_backward(const float[::1] y not None, const float[::1] dy not None, activation,
                    float[::1] da not None):
    _check_init()
    cdef int32_t kind = ACTIVATIONS[activation]
    cdef int64_t n = _some("y", y.shape[0])
    cdef lenet_status status
    _fit("dy", (dy.shape[0],), (n,))
    _fit("da", (da.shape[0],), (n,))
    with nogil:
        status = lenet_squash_backward(kind, &y[0], &dy[0], n, &da[0])
    _check(status)


# ---- decoding strings (decoding.py and patterns.py check what comes in) ----------------------------

cdef class Grammar:
    """A deterministic automaton over classes, for `decode`; holds copies, which nobody changes.

    following: int32 (states, classes), the state that a class leads to, or -1; a string begins in
    state 0. accept: uint8 (states,), where one may end.
    """

    cdef lenet_grammar grammar
    cdef object arrays
    cdef const int32_t *least
    cdef readonly int32_t classes, blank
    cdef readonly int64_t n_edges

    def __cinit__(self, following, accept, int32_t blank):
        cdef const int32_t[:, ::1] next = np.array(following, np.int32, order="C", ndmin=2)
        cdef const uint8_t[::1] end = np.array(accept, np.uint8, ndmin=1)
        cdef int32_t[:, ::1] least
        cdef lenet_status status
        self.grammar.states = _size("states", next.shape[0])
        self.classes = _size("classes", next.shape[1])
        self.blank = blank
        _fit("accept", (end.shape[0],), (next.shape[0],))
        if not 0 <= blank < self.classes:
            raise ValueError(f"blank: got {blank}, want 0 to {self.classes - 1}")
        least = np.empty((self.grammar.states, 3), np.int32)
        self.grammar.next, self.grammar.accept = &next[0, 0], &end[0]
        self.least = &least[0, 0]
        self.arrays = next, end, least
        with nogil:
            status = lenet_grammar_least(&self.grammar, self.classes, self.blank, &least[0, 0])
        _check(status)
        leads = np.asarray(next) >= 0
        leads[:, blank] = False
        self.n_edges = np.count_nonzero(leads)

    @property
    def n_states(self):
        return self.grammar.states

    @property
    def least_positions(self):
        """Positions that the shortest accepted string takes; None: it accepts none."""
        return None if self.least[0] >= INT32_MAX // 2 else self.least[0]


cdef class _Found:
    """Room for what is found."""

    cdef lenet_decoded found
    cdef readonly object log_probability, length, string, span, confidence

    def __cinit__(self, int32_t n, int32_t positions):
        cdef double[::1] log_probability
        cdef int32_t[::1] length
        cdef int32_t[:, ::1] string
        cdef int32_t[:, :, ::1] span
        cdef double[:, ::1] confidence
        self.log_probability = log_probability = np.empty(n)
        self.length = length = np.empty(n, np.int32)
        self.string = string = np.empty((n, positions), np.int32)
        self.span = span = np.empty((n, positions, 2), np.int32)
        self.confidence = confidence = np.empty((n, positions))
        self.found.log_probability = &log_probability[0]
        self.found.length = &length[0]
        self.found.string = &string[0, 0]
        self.found.span = &span[0, 0, 0]
        self.found.confidence = &confidence[0, 0]

    cdef list all(self):
        found = []
        for i in range(self.found.n):
            n = self.length[i]
            found.append((self.string[i, :n].tolist(), float(self.log_probability[i]),
                          self.span[i, :n].copy(), self.confidence[i, :n].copy()))
        return found


cdef const float *_evidence(const float[:, ::1] evidence, int32_t blank) except? NULL:
    _size("classes", evidence.shape[1])
    if evidence.shape[0] > INT32_MAX:
        raise ValueError(f"evidence: {evidence.shape[0]} positions, want at most {INT32_MAX}")
    if not 0 <= blank < evidence.shape[1]:
        raise ValueError(f"blank: got {blank}, want 0 to {evidence.shape[1] - 1}")
    return &evidence[0, 0] if evidence.shape[0] else NULL


cdef int _check_decoded(lenet_status status) except -1:
    if status == LENET_NOT_FINITE:
        raise ValueError("outputs: some are NaN or infinite, want finite values")
    return _check(status)


def best_path(const float[:, ::1] evidence not None, int32_t blank):
    """The class of each position, collapsed: [(classes, log probability, spans, confidence)]."""
    cdef const float *values = _evidence(evidence, blank)
    cdef int32_t positions = evidence.shape[0], classes = evidence.shape[1]
    cdef _Found found = _Found(1, positions)
    cdef lenet_status status
    cdef _Workspace workspace = _workspace_for("best_path", positions * sizeof(double))
    with nogil:
        status = lenet_best_path(values, positions, classes, blank, &found.found,
                                 <double *>workspace.aligned)
    _check_decoded(status)
    _give_back(workspace)
    return found.all()


def decode(const float[:, ::1] evidence not None, int32_t blank, int32_t beam, int32_t n_best,
           Grammar grammar=None, bint total=False):
    """The likeliest strings, as best_path has them, and the logarithm of the probability of all
    accepted ones (NaN if it is not asked for)."""
    cdef const float *values = _evidence(evidence, blank)
    cdef int32_t positions = evidence.shape[0]
    cdef lenet_decoder decoder
    cdef size_t size
    cdef lenet_status status
    memset(&decoder, 0, sizeof(decoder))
    decoder.classes, decoder.blank = evidence.shape[1], blank
    decoder.beam, decoder.n_best, decoder.total = beam, n_best, total
    if grammar is not None:
        _fit("grammar: classes and blank", (grammar.classes, grammar.blank),
             (decoder.classes, blank))
        decoder.grammar, decoder.least = &grammar.grammar, grammar.least
    size = lenet_decode_workspace(&decoder, positions)
    if size == 0:
        raise ValueError(f"beam: got {beam} with n_best {n_best} for {positions} positions, want 1 to "
                         f"{LENET_MAX_BEAM}, n_best up to that, and their product below 2 ** 31")
    cdef _Found found = _Found(n_best, positions)
    cdef _Workspace workspace = _workspace_for("decode", size)
    with nogil:
        status = lenet_decode(&decoder, values, positions, &found.found, workspace.aligned,
                              workspace.size)
    _check_decoded(status)
    _give_back(workspace)
    return found.all(), found.found.log_accepted
