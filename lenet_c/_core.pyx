# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, embedsignature=False
"""The only file that calls C: checks arrays, drops the GIL, turns status codes into exceptions.

Design: `Samples` is a validated batch (images, perhaps labels) whose memory is held for as long
as the object lives; `Network` is a plan with its parameter vector; `OptimizerState` is what an
optimizer remembers. Every call borrows a workspace that its Python thread keeps.
"""

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer,
)
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

import functools
import operator
import threading

import numpy as np

from lenet_c import checks

cdef extern from "Python.h":
    # with noexcept the handler's exception stays set until _pending passes it on
    int PyErr_CheckSignals() noexcept

cdef extern from "lenet.h" nogil:
    ctypedef enum lenet_status:
        LENET_OK, LENET_BAD_ARGUMENT, LENET_BAD_LABEL, LENET_NO_MEMORY, LENET_NOT_FINITE
        LENET_INTERRUPTED, LENET_UNKNOWN_ISA, LENET_MISSING_ISA, LENET_BAD_THREADING
    ctypedef struct lenet_layer:
        int32_t kind, activation, maps, kernel, trained
        const uint8_t *table
    ctypedef struct lenet_plan:
        pass
    ctypedef struct lenet_transform:
        float dx, dy, scale, squeeze, shear, rotation
    ctypedef struct lenet_distortion:
        float translation, scaling, squeezing, shearing, rotation, elastic, smoothness
        uint64_t seed, first
    ctypedef struct lenet_images:
        const void *pixels
        int32_t is_float, height, width
        const int64_t *order
        const lenet_distortion *distortion
    enum:
        LENET_PARTS, LENET_MAX_LAYERS
    ctypedef struct lenet_profile:
        double seconds[LENET_PARTS][LENET_MAX_LAYERS]
    ctypedef struct lenet_run:
        void *workspace
        size_t workspace_size
        int32_t n_threads
        int32_t (*interrupted)(void *) noexcept nogil
        void *context
        lenet_profile *profile
    ctypedef struct lenet_loss:
        int32_t kind
        double j
    ctypedef struct lenet_optimizer:
        int32_t kind
        float rate, momentum, beta1, beta2, epsilon, weight_decay
        int64_t step
        float *first
        float *second
        const int64_t *frozen
        int32_t n_frozen
    ctypedef struct lenet_report:
        double loss
        int64_t n_errors
    ctypedef struct lenet_conv_call:
        int32_t in_maps, height, width, out_maps, kernel
        const uint8_t *table

    lenet_status lenet_plan_create(const lenet_layer *, int32_t, int32_t, int32_t, float, float,
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
    size_t lenet_workspace_size(const lenet_plan *, int32_t, int64_t, int32_t)
    int64_t lenet_blocks(int32_t, int64_t)
    lenet_status lenet_forward(const lenet_plan *, const float *, const lenet_images *, int64_t,
                               float *, const lenet_run *)
    lenet_status lenet_activations(const lenet_plan *, const float *, const lenet_images *,
                                   int64_t, float **, const lenet_run *)
    lenet_status lenet_gradient(const lenet_plan *, const float *, const lenet_images *,
                                const int64_t *, int64_t, const lenet_loss *, float *,
                                lenet_report *, const lenet_run *)
    lenet_status lenet_step(const lenet_plan *, float *, const lenet_images *, const int64_t *,
                            int64_t, const lenet_loss *, lenet_optimizer *, lenet_report *,
                            const lenet_run *)
    size_t lenet_curvature_workspace_size(const lenet_plan *, int64_t, int32_t)
    int64_t lenet_curvature_blocks(int64_t)
    lenet_status lenet_curvature(const lenet_plan *, const float *, const lenet_images *,
                                 const int64_t *, int64_t, const lenet_loss *, float *,
                                 const lenet_run *)
    lenet_status lenet_score(const lenet_plan *, const float *, const int64_t *, int64_t,
                             const lenet_loss *, lenet_report *)
    void lenet_classify(const lenet_plan *, const float *, int64_t, int64_t *)
    void lenet_probabilities(const lenet_plan *, const float *, int64_t, float *)
    int64_t lenet_first_not_finite(const float *, int64_t)

    size_t lenet_conv_workspace(const lenet_conv_call *)
    lenet_status lenet_conv(const lenet_conv_call *, const float *, const float *, const float *,
                            int64_t, float *, void *, size_t)
    lenet_status lenet_conv_backward(const lenet_conv_call *, const float *, const float *,
                                     const float *, int64_t, float *, float *, float *, void *,
                                     size_t)
    size_t lenet_subsample_workspace(int32_t, int32_t, int32_t)
    lenet_status lenet_subsample(int32_t, int32_t, int32_t, const float *, const float *,
                                 const float *, int64_t, float *, void *, size_t)
    lenet_status lenet_subsample_backward(int32_t, int32_t, int32_t, const float *,
                                          const float *, const float *, int64_t, float *,
                                          float *, float *, void *, size_t)
    size_t lenet_dense_workspace(int32_t, int32_t)
    lenet_status lenet_dense(int32_t, int32_t, const float *, const float *, const float *,
                             int64_t, float *, void *, size_t)
    lenet_status lenet_dense_backward(int32_t, int32_t, const float *, const float *,
                                      const float *, int64_t, float *, float *, float *, void *,
                                      size_t)
    size_t lenet_rbf_workspace(int32_t, int32_t)
    lenet_status lenet_rbf(int32_t, int32_t, const float *, const float *, int64_t, float *,
                           void *, size_t)
    lenet_status lenet_rbf_backward(int32_t, int32_t, const float *, const float *,
                                    const float *, int64_t, float *, float *, void *, size_t)
    lenet_status lenet_squash(int32_t, const float *, int64_t, float *)
    lenet_status lenet_squash_backward(int32_t, const float *, const float *, int64_t, float *)

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


# The numbers of lenet.h's enums, by the names that Python uses.
KINDS = {"conv": 0, "subsample": 1, "average_pool": 2, "dense": 3, "rbf": 4}
ACTIVATIONS = {"identity": 0, "scaled_tanh": 1, "tanh": 2, "relu": 3}
LOSSES = {"mse": 0, "map": 1, "cross_entropy": 2}
OPTIMIZERS = {"sgd": 0, "adam": 1, "sdlm": 2}
PARTS = ("load", "forward", "loss", "backward_input", "backward_weights", "update")

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


# ---- workspace -----------------------------------------------------------------------------------

cdef enum:
    SMALL = 256  # classes whose outputs fit on the stack

cdef size_t KEEP = 64 << 20  # bytes that a thread keeps between calls, at most

_local = threading.local()


cdef class _Workspace:
    cdef void *base
    cdef void *aligned
    cdef size_t size

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
    cdef _Workspace kept = getattr(_local, "workspace", None)
    if kept is not None and kept.size >= size:
        _local.workspace = None
        return kept
    return _Workspace(size)


cdef void _give_back(_Workspace workspace):
    if workspace.size <= KEEP:
        _local.workspace = workspace


cdef int32_t _interrupted(void *context) noexcept nogil:
    with gil:
        return PyErr_CheckSignals() != 0


cdef class Profile:
    """Where the time of a network's calls with one thread goes: see Network.profile."""

    cdef lenet_profile times

    def __cinit__(self):
        memset(&self.times, 0, sizeof(lenet_profile))

    def seconds(self, part, int layer=0):
        """So far, of a part (a name in PARTS) of a layer; the first, where it has no layers."""
        if not 0 <= layer < LENET_MAX_LAYERS:
            raise IndexError(f"layer: got {layer}, want 0 to {LENET_MAX_LAYERS - 1}")
        return self.times.seconds[<int>PARTS.index(part)][layer]


cdef lenet_run _run(_Workspace workspace, int32_t n_threads, Profile profile):
    cdef lenet_run run
    run.workspace = workspace.aligned
    run.workspace_size = workspace.size
    run.n_threads = n_threads
    run.interrupted = _interrupted
    run.context = NULL
    run.profile = NULL if profile is None else &profile.times
    return run


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
    network : Network
    images : array, uint8 (N, h, w) raw grey or float32 (N, H, W) normalised; or one image
    labels : integer array (N,), optional
    """

    cdef Py_buffer view
    cdef bint is_open
    cdef lenet_images images
    cdef readonly int64_t n
    cdef readonly bint is_single
    cdef object label_array
    cdef int64_t label           # of one image, if that is a plain integer,
    cdef const int64_t *first_label  # to which this then points

    def __cinit__(self, Network network, images, labels=None):
        cdef int64_t bad
        if not self._open_as_is(images):
            try:
                array = np.asarray(images)
            except ValueError as error:
                raise ValueError(f"images: not an array ({error})") from None
            if array.dtype != np.uint8 and array.dtype != np.float32:
                raise TypeError(f"images: dtype {array.dtype}, want uint8 (raw grey, 0 "
                                "background, 255 ink) or float32 (already normalised)")
            PyObject_GetBuffer(np.require(array, requirements=["C", "A"]), &self.view,
                               PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
            self.is_open = True
        self._describe(network)
        if self.images.is_float:
            with nogil:
                bad = lenet_first_not_finite(<const float *>self.view.buf,
                                             self.n * self.images.height * self.images.width)
            if bad < self.n * self.images.height * self.images.width:
                row = bad // (self.images.height * self.images.width)
                raise ValueError(f"images: row {row} has a pixel that is NaN or infinite, "
                                 "want finite values")
        if self.is_single and type(labels) is int:
            self._read_label(network, labels)
        elif labels is not None:
            self._read_labels(network, labels)

    def __dealloc__(self):
        if self.is_open:
            PyBuffer_Release(&self.view)

    cdef bint _open_as_is(self, object images) except -1:
        """Opens what needs no copy: a contiguous, aligned buffer of a right dtype."""
        if not PyObject_CheckBuffer(images):
            return False
        try:
            PyObject_GetBuffer(images, &self.view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
        except (BufferError, ValueError):
            return False  # not contiguous, or a dtype without a buffer format
        self.is_open = True
        if self.view.itemsize == 1 and self.view.format[0] == b"B":
            return True
        if (self.view.itemsize == 4 and self.view.format[0] == b"f"
                and <uintptr_t>self.view.buf % 4 == 0):
            return True
        self.is_open = False
        PyBuffer_Release(&self.view)
        return False

    cdef int _describe(self, Network network) except -1:
        cdef bint is_float = self.view.itemsize == 4
        cdef Py_ssize_t *shape
        cdef int32_t h = network.height, w = network.width
        if self.view.ndim != 2 and self.view.ndim != 3:
            sizes = tuple([self.view.shape[i] for i in range(self.view.ndim)])
            raise ValueError(f"images: shape {sizes}, want (N, height, width), or "
                             "(height, width) for one image")
        self.is_single = self.view.ndim == 2
        shape = self.view.shape if self.is_single else self.view.shape + 1
        self.n = 1 if self.is_single else self.view.shape[0]
        if self.n == 0:
            raise ValueError("images: no images, want at least one")
        self.images.is_float = is_float
        if is_float and (shape[0] != h or shape[1] != w):
            raise ValueError(f"images: float32 images of {shape[0]}x{shape[1]}, want {h}x{w} "
                             "(only uint8 images are padded)")
        if shape[0] > h or shape[1] > w or shape[0] < 1 or shape[1] < 1 or (
                not is_float and ((h - shape[0]) % 2 or (w - shape[1]) % 2
                                  or h - shape[0] > 8 or w - shape[1] > 8)):
            raise ValueError(f"images: uint8 images of {shape[0]}x{shape[1]}, want "
                             f"{network.sizes()}")
        self.images.height = <int32_t>shape[0]
        self.images.width = <int32_t>shape[1]
        self.images.pixels = self.view.buf
        self.images.order = NULL
        self.images.distortion = NULL
        return 0

    cdef int _read_label(self, Network network, object label) except -1:
        """What _read_labels does, without making an array."""
        if not 0 <= label < network.classes:
            raise ValueError(f"labels: row 0 is {checks.short(label)}, want 0 to "
                             f"{network.classes - 1}")
        self.label = label
        self.first_label = &self.label
        return 0

    cdef int _read_labels(self, Network network, object labels) except -1:
        cdef const int64_t[::1] values
        cdef Py_ssize_t row
        try:
            array = np.array(labels)  # a copy: what is checked here stays as it is
        except ValueError as error:
            raise ValueError(f"labels: not an array ({error})") from None
        if array.dtype.kind not in "iu":
            raise TypeError(f"labels: dtype {array.dtype}, want integers")
        if self.is_single and array.ndim == 0:
            array = array.reshape(1)
        if array.ndim != 1 or array.shape[0] != self.n:
            raise ValueError(f"labels: shape {array.shape}, want ({self.n},), one for each image")
        self.label_array = values = array.astype(np.int64)
        for row in range(self.n):
            if values[row] < 0 or values[row] >= network.classes:
                raise ValueError(f"labels: row {row} is {array[row]}, want 0 to "
                                 f"{network.classes - 1}")
        self.first_label = &values[0]
        return 0

    @property
    def labels(self):
        """As an array."""
        self._need_labels()
        return np.array([self.label], np.int64) if self.label_array is None else self.label_array

    @property
    def is_grey(self):
        """Whether the images are uint8."""
        return not self.images.is_float

    cdef int _need_labels(self) except -1:
        if self.first_label is NULL:
            raise ValueError("labels: none were given")
        return 0


cdef int64_t _choose(lenet_images *images, int64_t n, const int64_t[::1] order) except -1:
    """Takes of n images those that `order` names (None: all); how many."""
    cdef Py_ssize_t i
    if order is None:
        return n
    if order.shape[0] == 0:
        raise ValueError("order: no indices, want at least one")
    for i in range(order.shape[0]):
        if order[i] < 0 or order[i] >= n:
            raise IndexError(f"order: entry {i} is {order[i]}, want 0 to {n - 1}")
    images.order = &order[0]
    return order.shape[0]


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
    cdef readonly object first, second
    cdef readonly int64_t n_updates, n_images
    cdef public int64_t n_measured
    cdef public object rate
    cdef object frozen, made

    def __init__(self, kind, int64_t n, *, float momentum=0.0, float beta1=0.0, float beta2=0.0,
                 float epsilon=0.0, float weight_decay=0.0):
        self.made = functools.partial(
            OptimizerState, kind, n, momentum=momentum, beta1=beta1, beta2=beta2,
            epsilon=epsilon, weight_decay=weight_decay)
        memset(&self.settings, 0, sizeof(lenet_optimizer))
        self.settings.kind = OPTIMIZERS[kind]
        self.settings.momentum = momentum
        self.settings.beta1 = beta1
        self.settings.beta2 = beta2
        self.settings.epsilon = epsilon
        self.settings.weight_decay = weight_decay
        self.first = self.second = None
        cdef float[::1] values
        if kind != "sgd" or momentum != 0.0:
            self.first = np.zeros(n, np.float32)
            values = self.first
            self.settings.first = &values[0]
        if kind != "sgd":
            self.second = np.zeros(n, np.float32)
            values = self.second
            self.settings.second = &values[0]

    def freeze(self, ranges):
        """Keeps parameters as they are: a list of (first, end), ascending and apart."""
        self.frozen = np.array(ranges, np.int64).reshape(-1, 2)
        cdef const int64_t[:, ::1] values = self.frozen
        self.settings.n_frozen = <int32_t>len(self.frozen)
        self.settings.frozen = &values[0, 0] if len(self.frozen) else NULL

    def forget_if_bad(self):
        """Begins anew if what it remembers is not finite."""
        if not (_is_finite(self.first) and _is_finite(self.second)):
            for values in (self.first, self.second):
                if values is not None:
                    values[...] = 0.0
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


cdef bint _is_finite(const float[::1] values):
    return values is None or lenet_first_not_finite(&values[0], len(values)) == len(values)


def _zeros_behind(int64_t margin, int64_t n):
    """n zeros that begin so many floats behind a 64-byte boundary."""
    room = np.zeros(n + 32, np.float32)
    first = (margin - room.ctypes.data // 4) % 16
    return room[first:first + n]


cdef class Network:
    """A plan and its parameters.

    Parameters
    ----------
    layers : list of (kind, activation, maps, kernel, table or None, trained), the numbers and
        names as in KINDS and ACTIVATIONS; a table is a uint8 array (maps, input maps)
    height, width : int
    background, foreground : float
    codes : float32 array (classes, inputs), or None

    Attributes
    ----------
    profile : Profile or None
        Calls with one thread add to it; for measurements, and not from several threads at once.
    """

    cdef lenet_plan *plan
    cdef public Profile profile
    cdef readonly object parameters, shapes
    cdef float[::1] values
    cdef readonly int32_t height, width, classes
    cdef int32_t n_layers

    def __cinit__(self, layers, int32_t height, int32_t width, float background,
                  float foreground, codes):
        cdef Py_ssize_t i, n = len(layers)
        cdef const uint8_t[:, ::1] table
        cdef const float[:, ::1] code_values
        cdef int32_t shape[3]
        cdef lenet_status status
        _check_init()
        cdef lenet_layer *specs = <lenet_layer *>malloc((n + 1) * sizeof(lenet_layer))
        if specs == NULL:
            raise MemoryError()
        tables = []
        try:
            memset(specs, 0, (n + 1) * sizeof(lenet_layer))
            for i in range(n):
                kind, activation, maps, kernel, connections, trained = layers[i]
                specs[i].kind = KINDS[kind]
                specs[i].activation = ACTIVATIONS[activation]
                specs[i].maps = maps
                specs[i].kernel = kernel
                specs[i].trained = trained
                if connections is not None:
                    tables.append(connections)  # kept until the plan has copied it
                    table = connections
                    specs[i].table = &table[0, 0]
            if codes is not None:
                code_values = codes
            status = lenet_plan_create(specs, <int32_t>n, height, width, background, foreground,
                                       &code_values[0, 0] if codes is not None else NULL,
                                       &self.plan)
        finally:
            free(specs)
        _check(status)
        self.height = height
        self.width = width
        self.n_layers = <int32_t>n
        self.classes = lenet_plan_classes(self.plan)
        self.parameters = _zeros_behind(lenet_plan_margin(self.plan),
                                        lenet_plan_parameters(self.plan))
        self.values = self.parameters
        self.shapes = []
        for i in range(n):
            lenet_plan_shape(self.plan, <int32_t>i, shape)
            self.shapes.append((shape[0], shape[1], shape[2]))

    def __dealloc__(self):
        lenet_plan_free(self.plan)

    cdef str sizes(self):
        cdef int32_t h = self.height, w = self.width
        smaller = f"{h - 4}x{w - 4} or " if h > 4 and w > 4 else ""
        return f"{smaller}{h}x{w} (at most 8 pixels smaller, by an even number)"

    cdef int _run_forward(self, Samples samples, object num_threads, float *out) except -1:
        cdef int32_t threads = _threads(num_threads, lenet_blocks(0, samples.n))
        cdef _Workspace workspace = _borrow(
            lenet_workspace_size(self.plan, 0, samples.n, threads))
        cdef lenet_run run = _run(workspace, threads, self.profile)
        cdef lenet_status status
        with nogil:
            status = lenet_forward(self.plan, &self.values[0], &samples.images, samples.n, out,
                                   &run)
        _check(status)
        _give_back(workspace)
        return 0

    cdef object _forward(self, Samples samples, object num_threads, bint finite=True):
        if samples.n > SIZE_LIMIT // self.classes:
            raise MemoryError(f"images: {samples.n} rows are more than an array can hold")
        outputs = np.empty((samples.n, self.classes), np.float32)
        cdef float[:, ::1] out = outputs
        self._run_forward(samples, num_threads, &out[0, 0])
        if finite:
            self._need_finite(&out[0, 0], samples.n)
        return outputs

    cdef int _need_finite(self, const float *outputs, int64_t n) except -1:
        cdef int64_t bad = lenet_first_not_finite(outputs, n * self.classes)
        if bad < n * self.classes:
            raise FloatingPointError(
                f"the outputs for row {bad // self.classes} of images are NaN or infinite")
        return 0

    def forward(self, images, num_threads=None, bint finite=False):
        """Outputs (N, classes), float32; finite: raises FloatingPointError if some are not."""
        return self._forward(Samples(self, images), num_threads, finite)

    def predict(self, images, num_threads=None):
        """Best class of each image, (N,) int64."""
        cdef Samples samples = Samples(self, images)
        if samples.n == 1 and self.classes <= SMALL:
            return self._predict_one(samples, num_threads)
        cdef const float[:, ::1] outputs = self._forward(samples, num_threads)
        classes = np.empty(samples.n, np.int64)
        cdef int64_t[::1] out = classes
        with nogil:
            lenet_classify(self.plan, &outputs[0, 0], samples.n, &out[0])
        return classes

    cdef object _predict_one(self, Samples samples, object num_threads):
        # what arrays cost would be felt here
        cdef float outputs[SMALL]
        cdef int64_t best
        self._run_forward(samples, num_threads, outputs)
        self._need_finite(outputs, 1)
        lenet_classify(self.plan, outputs, 1, &best)
        return np.array((best,), np.int64)

    def probabilities(self, images, num_threads=None):
        """Softmax of the evidence, (N, classes) float32."""
        cdef Samples samples = Samples(self, images)
        cdef const float[:, ::1] outputs = self._forward(samples, num_threads)
        result = np.empty((samples.n, self.classes), np.float32)
        cdef float[:, ::1] out = result
        with nogil:
            lenet_probabilities(self.plan, &outputs[0, 0], samples.n, &out[0, 0])
        return result

    def activations(self, images, num_threads=None):
        """Every layer's outputs, a list of (N, maps, height, width) float32."""
        cdef Samples samples = Samples(self, images)
        cdef int32_t threads = _threads(num_threads, lenet_blocks(1, samples.n))
        cdef lenet_status status
        cdef lenet_run run
        cdef float[:, :, :, ::1] values
        cdef _Workspace workspace
        cdef int i
        cdef float **pointers = <float **>malloc(self.n_layers * sizeof(float *))
        if pointers == NULL:
            raise MemoryError()
        try:
            arrays = [np.empty((samples.n, *shape), np.float32) for shape in self.shapes]
            for i in range(self.n_layers):
                values = arrays[i]
                pointers[i] = &values[0, 0, 0, 0]
            workspace = _borrow(lenet_workspace_size(self.plan, 1, samples.n, threads))
            run = _run(workspace, threads, self.profile)
            with nogil:
                status = lenet_activations(self.plan, &self.values[0], &samples.images,
                                           samples.n, pointers, &run)
            _give_back(workspace)
        finally:
            free(pointers)
        _check(status)
        return arrays

    def evaluate(self, Samples samples, loss, double j, num_threads=None):
        """Mean loss, number of errors and the class of each image, (N,) int64."""
        cdef lenet_loss criterion = [LOSSES[loss], j]
        cdef lenet_report report
        cdef lenet_status status
        samples._need_labels()
        cdef const float[:, ::1] outputs = self._forward(samples, num_threads)
        classes = np.empty(samples.n, np.int64)
        cdef int64_t[::1] out = classes
        with nogil:
            lenet_classify(self.plan, &outputs[0, 0], samples.n, &out[0])
            status = lenet_score(self.plan, &outputs[0, 0], samples.first_label, samples.n,
                                 &criterion, &report)
        _check(status)
        return report.loss, report.n_errors, classes

    def gradient(self, Samples samples, loss, double j, num_threads=None):
        """Mean loss, number of errors and the loss's gradient, flat float32."""
        cdef lenet_loss criterion = [LOSSES[loss], j]
        cdef int32_t threads = _threads(num_threads, lenet_blocks(1, samples.n))
        cdef lenet_report report
        cdef lenet_status status
        cdef lenet_run run
        samples._need_labels()
        gradient = np.empty(self.parameters.shape[0], np.float32)
        cdef float[::1] out = gradient
        cdef _Workspace workspace = _borrow(
            lenet_workspace_size(self.plan, 1, samples.n, threads))
        run = _run(workspace, threads, self.profile)
        with nogil:
            status = lenet_gradient(self.plan, &self.values[0], &samples.images,
                                    samples.first_label, samples.n, &criterion, &out[0],
                                    &report, &run)
        _check(status)
        _give_back(workspace)
        return report.loss, report.n_errors, gradient

    def curvature(self, Samples samples, const int64_t[::1] order, loss, double j,
                  num_threads=None):
        """Diagonal of the Gauss-Newton matrix over the samples that `order` names (None: all)."""
        cdef lenet_loss criterion = [LOSSES[loss], j]
        cdef lenet_images images = samples.images
        cdef int64_t n = _choose(&images, samples.n, order)
        cdef lenet_status status
        cdef lenet_run run
        samples._need_labels()
        curvature = np.empty(self.parameters.shape[0], np.float32)
        cdef float[::1] out = curvature
        cdef int32_t threads = _threads(num_threads, lenet_curvature_blocks(n))
        cdef _Workspace workspace = _borrow(
            lenet_curvature_workspace_size(self.plan, n, threads))
        run = _run(workspace, threads, self.profile)
        with nogil:
            status = lenet_curvature(self.plan, &self.values[0], &images,
                                     samples.first_label, n, &criterion, &out[0], &run)
        _check(status)
        _give_back(workspace)
        return curvature

    def step(self, Samples samples, const int64_t[::1] order, loss, double j,
             OptimizerState state, float rate, num_threads=None, distortion=None,
             const float[::1] fallback=None):
        """One update on the samples that `order` names (None: all); mean loss, errors.

        distortion: (strengths, seed), as for `distort` with images numbered as training saw them,
        or None. fallback: the parameters are set to these when the update is not finite.
        """
        cdef lenet_distortion distorted
        cdef lenet_loss criterion = [LOSSES[loss], j]
        cdef lenet_images images = samples.images
        cdef int64_t n = _choose(&images, samples.n, order)
        cdef lenet_report report
        cdef lenet_status status
        cdef lenet_run run
        samples._need_labels()
        if distortion is not None:
            strengths, seed = distortion
            distorted = _distortion(strengths, seed, state.n_images)
            images.distortion = &distorted
        if state.first is not None and len(state.first) != self.parameters.shape[0]:
            raise ValueError(f"optimizer state: for {len(state.first)} parameters, want "
                             f"{self.parameters.shape[0]}")
        if fallback is not None and len(fallback) != len(self.values):
            raise ValueError(f"fallback: {len(fallback)} parameters, want {len(self.values)}")
        cdef int32_t threads = _threads(num_threads, lenet_blocks(1, n))
        cdef _Workspace workspace = _borrow(lenet_workspace_size(self.plan, 1, n, threads))
        state.settings.rate = rate
        run = _run(workspace, threads, self.profile)
        with nogil:
            status = lenet_step(self.plan, &self.values[0], &images, samples.first_label, n,
                                &criterion, &state.settings, &report, &run)
        if status == LENET_OK:
            state.n_updates += 1
            state.n_images += n
        elif status == LENET_NOT_FINITE and fallback is not None:
            memcpy(&self.values[0], &fallback[0], len(fallback) * sizeof(float))
            state.forget_if_bad()
        _check(status)
        _give_back(workspace)
        return report.loss, report.n_errors


# ---- distortions (distort.py checks shapes and strengths) ------------------------------------------

cdef lenet_distortion _distortion(object strengths, uint64_t seed, uint64_t first) except *:
    cdef lenet_distortion d
    (d.translation, d.scaling, d.squeezing, d.shearing, d.rotation, d.elastic,
     d.smoothness) = strengths
    d.seed = seed
    d.first = first
    return d


def distort(strengths, uint64_t seed, uint64_t first, const uint8_t[:, :, ::1] images,
            uint8_t[:, :, ::1] out):
    """Distorts images first, first + 1, .. of a sequence, each by numbers of its own.

    strengths: translation, scaling, squeezing, shearing, rotation, elastic, smoothness.
    """
    _check_init()
    cdef lenet_distortion d = _distortion(strengths, seed, first)
    cdef int32_t h = <int32_t>images.shape[1], w = <int32_t>images.shape[2]
    cdef _Workspace workspace = _borrow(lenet_distort_workspace(h, w))
    cdef lenet_status status
    with nogil:
        status = lenet_distort(&d, &images[0, 0, 0], images.shape[0], h, w, &out[0, 0, 0],
                               workspace.aligned, workspace.size)
    _check(status)
    _give_back(workspace)


def transform(parameters, const uint8_t[:, :, ::1] images, uint8_t[:, :, ::1] out):
    """Applies one map to all images. parameters: dx, dy, scale, squeeze, shear, rotation."""
    _check_init()
    cdef lenet_transform t
    cdef int32_t h = <int32_t>images.shape[1], w = <int32_t>images.shape[2]
    cdef _Workspace workspace = _borrow(lenet_distort_workspace(h, w))
    cdef lenet_status status
    t.dx, t.dy, t.scale, t.squeeze, t.shear, t.rotation = parameters
    with nogil:
        status = lenet_transform_images(&t, &images[0, 0, 0], images.shape[0], h, w,
                                        &out[0, 0, 0], workspace.aligned, workspace.size)
    _check(status)
    _give_back(workspace)


# ---- single kernels (kernels.py checks shapes) -----------------------------------------------------

cdef lenet_conv_call _conv_call(const float[:, :, :, ::1] x, int32_t maps, int32_t kernel,
                                const uint8_t[:, ::1] table):
    cdef lenet_conv_call call
    call.in_maps = <int32_t>x.shape[1]
    call.height = <int32_t>x.shape[2]
    call.width = <int32_t>x.shape[3]
    call.out_maps = maps
    call.kernel = kernel
    call.table = NULL
    if table is not None:
        call.table = &table[0, 0]
    return call


def conv(const float[:, :, :, ::1] x, const float[::1] weights, const float[::1] bias,
         int32_t kernel, const uint8_t[:, ::1] table, float[:, :, :, ::1] y):
    _check_init()
    cdef lenet_conv_call call = _conv_call(x, <int32_t>bias.shape[0], kernel, table)
    cdef _Workspace workspace = _borrow(lenet_conv_workspace(&call))
    cdef lenet_status status
    with nogil:
        status = lenet_conv(&call, &x[0, 0, 0, 0], &weights[0], &bias[0], x.shape[0],
                            &y[0, 0, 0, 0], workspace.aligned, workspace.size)
    _check(status)
    _give_back(workspace)


def conv_backward(const float[:, :, :, ::1] x, const float[::1] weights, int32_t kernel,
                  const uint8_t[:, ::1] table, const float[:, :, :, ::1] dy,
                  float[:, :, :, ::1] dx, float[::1] dw, float[::1] db):
    _check_init()
    cdef lenet_conv_call call = _conv_call(x, <int32_t>db.shape[0], kernel, table)
    cdef _Workspace workspace = _borrow(lenet_conv_workspace(&call))
    cdef lenet_status status
    with nogil:
        status = lenet_conv_backward(&call, &x[0, 0, 0, 0], &weights[0], &dy[0, 0, 0, 0],
                                     x.shape[0], &dx[0, 0, 0, 0], &dw[0], &db[0],
                                     workspace.aligned, workspace.size)
    _check(status)
    _give_back(workspace)


def subsample(const float[:, :, :, ::1] x, const float[::1] coefficient, const float[::1] bias,
              float[:, :, :, ::1] y):
    _check_init()
    cdef int32_t maps = <int32_t>x.shape[1], h = <int32_t>x.shape[2], w = <int32_t>x.shape[3]
    cdef _Workspace workspace = _borrow(lenet_subsample_workspace(maps, h, w))
    cdef lenet_status status
    with nogil:
        status = lenet_subsample(maps, h, w, &x[0, 0, 0, 0], &coefficient[0], &bias[0],
                                 x.shape[0], &y[0, 0, 0, 0], workspace.aligned, workspace.size)
    _check(status)
    _give_back(workspace)


def subsample_backward(const float[:, :, :, ::1] x, const float[::1] coefficient,
                       const float[:, :, :, ::1] dy, float[:, :, :, ::1] dx,
                       float[::1] dcoefficient, float[::1] dbias):
    _check_init()
    cdef int32_t maps = <int32_t>x.shape[1], h = <int32_t>x.shape[2], w = <int32_t>x.shape[3]
    cdef _Workspace workspace = _borrow(lenet_subsample_workspace(maps, h, w))
    cdef lenet_status status
    with nogil:
        status = lenet_subsample_backward(maps, h, w, &x[0, 0, 0, 0], &coefficient[0],
                                          &dy[0, 0, 0, 0], x.shape[0], &dx[0, 0, 0, 0],
                                          &dcoefficient[0], &dbias[0], workspace.aligned,
                                          workspace.size)
    _check(status)
    _give_back(workspace)


def dense(const float[:, ::1] x, const float[:, ::1] weights, const float[::1] bias,
          float[:, ::1] y):
    _check_init()
    cdef int32_t inputs = <int32_t>weights.shape[1], outputs = <int32_t>weights.shape[0]
    cdef _Workspace workspace = _borrow(lenet_dense_workspace(inputs, outputs))
    cdef lenet_status status
    with nogil:
        status = lenet_dense(inputs, outputs, &x[0, 0], &weights[0, 0], &bias[0], x.shape[0],
                             &y[0, 0], workspace.aligned, workspace.size)
    _check(status)
    _give_back(workspace)


def dense_backward(const float[:, ::1] x, const float[:, ::1] weights, const float[:, ::1] dy,
                   float[:, ::1] dx, float[:, ::1] dw, float[::1] db):
    _check_init()
    cdef int32_t inputs = <int32_t>weights.shape[1], outputs = <int32_t>weights.shape[0]
    cdef _Workspace workspace = _borrow(lenet_dense_workspace(inputs, outputs))
    cdef lenet_status status
    with nogil:
        status = lenet_dense_backward(inputs, outputs, &x[0, 0], &weights[0, 0], &dy[0, 0],
                                      x.shape[0], &dx[0, 0], &dw[0, 0], &db[0],
                                      workspace.aligned, workspace.size)
    _check(status)
    _give_back(workspace)


def rbf(const float[:, ::1] x, const float[:, ::1] codes, float[:, ::1] y):
    _check_init()
    cdef int32_t inputs = <int32_t>codes.shape[1], classes = <int32_t>codes.shape[0]
    cdef _Workspace workspace = _borrow(lenet_rbf_workspace(inputs, classes))
    cdef lenet_status status
    with nogil:
        status = lenet_rbf(inputs, classes, &x[0, 0], &codes[0, 0], x.shape[0], &y[0, 0],
                           workspace.aligned, workspace.size)
    _check(status)
    _give_back(workspace)


def rbf_backward(const float[:, ::1] x, const float[:, ::1] codes, const float[:, ::1] dy,
                 float[:, ::1] dx, float[:, ::1] dcodes):
    _check_init()
    cdef int32_t inputs = <int32_t>codes.shape[1], classes = <int32_t>codes.shape[0]
    cdef _Workspace workspace = _borrow(lenet_rbf_workspace(inputs, classes))
    cdef lenet_status status
    with nogil:
        status = lenet_rbf_backward(inputs, classes, &x[0, 0], &codes[0, 0], &dy[0, 0],
                                    x.shape[0], &dx[0, 0], &dcodes[0, 0], workspace.aligned,
                                    workspace.size)
    _check(status)
    _give_back(workspace)


def squash(const float[::1] a, activation, float[::1] y):
    _check_init()
    cdef int32_t kind = ACTIVATIONS[activation]
    cdef lenet_status status
    with nogil:
        status = lenet_squash(kind, &a[0], a.shape[0], &y[0])
    _check(status)


def squash_backward(const float[::1] y, const float[::1] dy, activation, float[::1] da):
    _check_init()
    cdef int32_t kind = ACTIVATIONS[activation]
    cdef lenet_status status
    with nogil:
        status = lenet_squash_backward(kind, &y[0], &dy[0], y.shape[0], &da[0])
    _check(status)
