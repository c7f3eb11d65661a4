"""Arguments of all public functions and methods: good ones, and up to two that are not."""

from __future__ import annotations

import functools
import io
import math
import os
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np

import lenet_c
from lenet_c import (
    RBF,
    SDLM,
    SGD,
    Adam,
    Architecture,
    AveragePool,
    BestWeights,
    CompiledLeNet5,
    Conv,
    Dense,
    Distortion,
    EarlyStopping,
    LeNet5,
    OneCycle,
    Rejection,
    Subsample,
    Trainer,
    codes,
    datasets,
    distort,
    kernels,
    preprocess,
    tables,
)
from tests.fuzz import hostile
from tests.fuzz.engine import Case, Guarded, expect, scratch
from tests.fuzz.files import TINY, networks

Good = Callable[[Random], Any]


def one(*values: Any) -> Good:
    """Give one of some values."""
    return lambda random: random.choice(values)


def real(low: float, high: float) -> Good:
    """Give a float between two."""
    return lambda random: random.uniform(low, high)


# Work that a caller asks for by a number is done, however long it takes: not more than this.
WORK = {"epochs": 3, "n": 50, "size": 200, "height": 200, "width": 200}


@dataclass
class Entry:
    """A callable with good values of its arguments, and what must hold of its result.

    Attributes
    ----------
    function : given the case's objects, what to call
    arguments : argument name to a maker of good values; in the order of the signature
    keywords : which of them are given by name
    check : called with the result of good or accepted arguments; raises Finding
    words : what an error may say instead of an argument's name
    """

    label: str
    function: Callable[[Any], Callable[..., Any]]
    arguments: dict[str, Good]
    keywords: Collection[str] = ()
    check: Callable[[Any], object] = lambda result: None
    words: Collection[str] = ()
    allowed: tuple[type[BaseException], ...] = (
        TypeError,
        ValueError,
        FloatingPointError,
        MemoryError,
        OSError,
    )
    may_refuse: bool = False  # good values are refused too, in some combinations
    weight: int = field(default=1)


def array(dtype: Any, *shape: int, most: float = 1.0) -> Good:
    """Give an array of noise."""

    def make(random: Random) -> np.ndarray:
        rng = np.random.default_rng(random.getrandbits(32))
        made = (rng.random(shape) - (np.dtype(dtype).kind == "f") * 0.5) * most
        return made.astype(dtype)

    return make


def is_array(dtype: Any, ndim: int | None = None) -> Callable[[Any], None]:
    """Check that results are arrays of a dtype, finite."""

    def check(result: Any) -> None:
        for part in result if isinstance(result, tuple) else (result,):
            if part is None:
                continue
            expect(isinstance(part, np.ndarray), f"a {type(part).__name__}, want an array")
            expect(part.dtype == dtype, f"dtype {part.dtype}, want {dtype}")
            expect(ndim is None or part.ndim == ndim, f"shape {part.shape}")

    return check


def entries() -> list[Entry]:
    """Give the table."""
    images = array("u1", 3, 8, 8, most=255.0)
    labels = array("i8", 3, most=3.0)
    threads = one(None, None, 1, 2, 3)
    run = {"images": images, "num_threads": threads}
    learn = {
        "images": images,
        "labels": labels,
        "loss": one(None, "map", "mse", "cross_entropy"),
        "j": real(0.1, 9.0),
        "temperature": real(0.1, 9.0),
        "num_threads": threads,
    }
    by_name = ("num_threads", "j", "temperature")
    outputs = ["outputs", "row", "finite"]

    def classes(result: Any) -> None:
        is_array(np.int64, 1)(result)
        expect(((result >= -1) & (result < 3)).all(), "classes out of range")

    def probabilities(result: Any) -> None:
        is_array(np.float32, 2)(result)
        expect(np.allclose(result.sum(axis=1), 1.0, atol=1e-4), "rows do not add up to 1")

    def gradient(result: Any) -> None:
        loss, values = result
        expect(isinstance(loss, float) and math.isfinite(loss), f"loss {loss!r}")
        is_array(np.float32, 1)(values)
        expect(np.isfinite(values).all(), "a gradient that is not finite")

    def evaluation(result: Any) -> None:
        expect(math.isfinite(result.loss) and 0 <= result.error_rate <= 1, f"{result}")

    def grey(result: Any) -> None:
        is_array(np.uint8)(result)

    rate = one("constant", "paper", "one_cycle")
    name = one("L")
    activation = one("tanh", "relu", "identity", "scaled_tanh")
    x = array("f4", 2, 2, 6, 6)
    flat = array("f4", 3, 5)
    table = [
        # ---- the network
        Entry(
            "LeNet5",
            lambda o: LeNet5,
            {
                "architecture": one(*TINY[2:]),
                "seed": one(0, 1, None),
                "codes": one(None),
                "init": one(None, "paper", "he", "glorot"),
            },
            ("seed", "codes", "init"),
        ),
        Entry(
            "LeNet5 codes",
            lambda o: LeNet5,
            {"architecture": one(TINY[0]), "codes": array("f4", 3, 5)},
            ("codes",),
        ),
        Entry("forward", lambda o: o.net.forward, run, by_name, is_array(np.float32, 2), weight=3),
        Entry(
            "predict",
            lambda o: o.net.predict,
            {**run, "reject": one(None, Rejection(margin=0.1))},
            ("num_threads", "reject"),
            classes,
            weight=3,
        ),
        Entry(
            "read",
            lambda o: o.net.read,
            {**run, "reject": one(None, Rejection(margin=0.1))},
            ("num_threads", "reject"),
            lambda result: classes(result.classes),
        ),
        Entry(
            "best_two",
            lambda o: o.net.best_two,
            run,
            by_name,
            lambda result: (is_array(np.int64, 2)(result[0]), is_array(np.float64, 2)(result[1])),
        ),
        Entry(
            "calibrate",
            lambda o: o.net.calibrate,
            {
                "images": array("u1", 12, 8, 8, most=255.0),
                "labels": array("i8", 12, most=3.0),
                "reject": one(None, 0.0, 0.2),
                "num_threads": threads,
            },
            ("num_threads", "reject"),
            words=["outputs", "row"],
            may_refuse=True,
        ),
        Entry("predict_proba", lambda o: o.net.predict_proba, run, by_name, probabilities),
        Entry(
            "activations",
            lambda o: o.net.activations,
            run,
            by_name,
            lambda result: [is_array(np.float32)(a) for a in result.values()],
        ),
        Entry(
            "loss_and_gradient",
            lambda o: o.net.loss_and_gradient,
            learn,
            by_name,
            gradient,
            outputs,
            weight=2,
        ),
        Entry(
            "curvature", lambda o: o.net.curvature, learn, by_name, is_array(np.float32, 1), outputs
        ),
        Entry("evaluate", lambda o: o.net.evaluate, learn, by_name, evaluation, outputs),
        Entry(
            "rejection_curve",
            lambda o: o.net.rejection_curve,
            {"images": images, "labels": labels, "by": one("margin", "penalty")},
            (),
            may_refuse=True,
        ),
        Entry("compile", lambda o: o.net.compile, {}),
        Entry(
            "CompiledLeNet5",
            lambda o: CompiledLeNet5,
            {"network": lambda random: networks()[0]},
        ),
        Entry(
            "compiled.forward", lambda o: o.compiled.forward, run, by_name, is_array(np.float32, 2)
        ),
        Entry(
            "compiled.predict",
            lambda o: o.compiled.predict,
            {**run, "reject": one(None, Rejection(margin=0.1))},
            ("num_threads", "reject"),
            classes,
        ),
        Entry(
            "compiled.read",
            lambda o: o.compiled.read,
            {**run, "reject": one(None, Rejection(margin=0.1))},
            ("num_threads", "reject"),
            lambda result: classes(result.classes),
        ),
        Entry(
            "compiled.predict_proba",
            lambda o: o.compiled.predict_proba,
            run,
            by_name,
            probabilities,
        ),
        Entry(
            "compiled.evaluate", lambda o: o.compiled.evaluate, learn, by_name, evaluation, outputs
        ),
        Entry(
            "compiled.activations",
            lambda o: o.compiled.activations,
            run,
            by_name,
            lambda result: [is_array(np.float32)(a) for a in result.values()],
        ),
        Entry(
            "copy_from",
            lambda o: o.net.copy_from,
            {
                "other": lambda random: networks()[0],
                "layers": one(None, ["C1"], ("S2.bias",), {"F3"}),
            },
        ),
        Entry(
            "net.with_classes",
            lambda o: o.net.with_classes,
            {
                "class_names": one("ABCD", ["x", "yes"]),
                "codes": one(None),
                "seed": one(0, 7),
            },
            ("codes", "seed"),
            may_refuse=True,
        ),
        Entry(
            "net[name]",
            lambda o: o.net.__getitem__,
            {"name": one("C1.weight")},
            allowed=(KeyError, TypeError, ValueError),
            words=["want one of", "hash"],
        ),
        Entry(
            "name in net",
            lambda o: o.net.__contains__,
            {"name": one("C1.weight")},
            allowed=(TypeError, ValueError),
            words=["hash"],
        ),
        Entry(
            "save",
            lambda o: o.net.save,
            {"path": lambda random: io.BytesIO()},
            words=["not a regular file", "null byte"],
            weight=2,
        ),
        Entry(
            "load",
            lambda o: LeNet5.load,
            {"path": lambda random: io.BytesIO(o_bytes())},
            words=["model file", "No such file", "null byte"],
        ),
        Entry("pretrained", lambda o: LeNet5.pretrained, {"name": one("mnist", "mnist-modern")}),
        Entry("notes", lambda o: o.save_notes, {"notes": one({}, {"a": [1, None]}, {"b": 2.5})}),
        Entry(
            "load_image",
            lambda o: preprocess.load_image,
            {"path": one("/nowhere")},
            may_refuse=True,
            words=["cannot be read", "No such file", "os.PathLike", "null byte", "directory"],
        ),
        Entry(
            "read_idx",
            lambda o: datasets.read_idx,
            {
                "path": one("/nowhere"),
                "ndim": one(None, 1),
                "item_shape": one(None, (2,)),
                "max_bytes": one(100),
            },
            ("ndim", "item_shape", "max_bytes"),
            may_refuse=True,
            words=["No such file", "IDX", "os.PathLike", "null byte"],
        ),
        Entry(
            "mnist",
            lambda o: functools.partial(datasets.mnist, download=False),
            {"folder": one("/nowhere")},
            may_refuse=True,
            words=["MNIST is not in", "os.PathLike", "null byte"],
        ),
        # ---- training
        Entry(
            "Trainer",
            lambda o: Trainer,
            {
                "network": lambda random: networks()[0],
                "optimizer": one(None, SGD(), Adam(), SDLM()),
                "loss": one(None, "map"),
                "j": real(1, 9),
                "temperature": real(1, 9),
                "batch_size": one(None, 1, 64),
                "distort": one(None, distort.AFFINE),
                "seed": one(0, None, 5),
                "freeze": one((), ["C1"]),
                "callbacks": one((), [EarlyStopping()]),
                "num_threads": threads,
            },
            (
                "j",
                "temperature",
                "batch_size",
                "distort",
                "seed",
                "freeze",
                "callbacks",
                "num_threads",
            ),
            weight=2,
        ),
        Entry(
            "fit",
            lambda o: o.trainer().fit,
            {
                "images": images,
                "labels": labels,
                "epochs": one(1, 2),
                "validation_data": one(None, (np.zeros((2, 8, 8), "u1"), [0, 1])),
                "num_threads": threads,
            },
            ("num_threads",),
            words=["images", "labels", "loss"],
        ),
        Entry(
            "step",
            lambda o: o.trainer().step,
            {"images": images, "labels": labels, "num_threads": threads},
            ("num_threads",),
            lambda result: expect(math.isfinite(result), f"loss {result}"),
            weight=2,
        ),
        Entry(
            "SGD",
            lambda o: SGD,
            {
                "lr": real(0, 1),
                "momentum": real(0, 0.9),
                "schedule": rate,
                "weight_decay": real(0, 1),
            },
            ("schedule", "weight_decay"),
        ),
        Entry(
            "Adam",
            lambda o: Adam,
            {
                "lr": real(0, 1),
                "beta1": real(0, 0.9),
                "beta2": real(0, 0.9),
                "epsilon": real(1e-8, 1),
                "schedule": rate,
                "weight_decay": real(0, 1),
            },
            ("schedule", "weight_decay"),
        ),
        Entry(
            "SDLM",
            lambda o: SDLM,
            {"lr": real(0, 1), "mu": real(0.01, 1), "samples": one(1, 500), "schedule": rate},
            ("schedule",),
        ),
        Entry("OneCycle", lambda o: OneCycle, {}),
        Entry(
            "EarlyStopping",
            lambda o: EarlyStopping,
            {"monitor": one("loss"), "patience": one(1, 3), "min_delta": real(0, 1)},
        ),
        Entry(
            "BestWeights",
            lambda o: BestWeights,
            {"path": one(None, "x"), "monitor": one("loss"), "restore": one(True, False)},
        ),
        Entry("Rejection", lambda o: Rejection, {"penalty": real(0, 9), "margin": real(0, 9)}),
        Entry(
            "set_num_threads",
            lambda o: lenet_c.set_num_threads,
            {"n": one(None, 1, 2)},
            words=["num_threads"],
        ),
        # ---- architectures
        Entry(
            "Conv",
            lambda o: Conv,
            {
                "name": name,
                "maps": one(1, 2),
                "kernel": one(1, 3),
                "table": one(None, ((0,), (0,))),
                "activation": activation,
                "padding": one(0, 1, 2),
            },
            may_refuse=True,
            words=["layer"],
        ),
        Entry(
            "Subsample",
            lambda o: Subsample,
            {"name": name, "activation": activation},
            words=["layer"],
        ),
        Entry("AveragePool", lambda o: AveragePool, {"name": name}, words=["layer"]),
        Entry(
            "Dense",
            lambda o: Dense,
            {"name": name, "units": one(1, 3), "activation": activation},
            words=["layer"],
        ),
        Entry(
            "RBF",
            lambda o: RBF,
            {"name": name, "classes": one(2, 3), "trained": one(True, False)},
            words=["layer"],
        ),
        Entry(
            "Architecture",
            lambda o: Architecture,
            {
                "name": name,
                "layers": one((Conv("C", 1, 3), Dense("D", 2, "identity"))),
                "input_shape": one((8, 8), (5, 9)),
                "background": real(-1, 0),
                "foreground": real(1, 2),
            },
            words=["layer", "grey", "input"],
        ),
        Entry(
            "from_dict",
            lambda o: Architecture.from_dict,
            {"data": lambda random: random.choice(TINY).to_dict()},
            words=["architecture"],
        ),
        Entry(
            "with_classes",
            lambda o: TINY[0].with_classes,
            {"classes": one(2, 5), "code_length": one(None, 7)},
            may_refuse=True,
        ),
        Entry("with_activation", lambda o: TINY[0].with_activation, {"activation": activation}),
        Entry(
            "table_from_art",
            lambda o: tables.table_from_art,
            {"text": one("X .\nX X")},
            words=["row"],
        ),
        Entry("table_art", lambda o: tables.table_art, {"table": one(((0,), (0, 1)))}),
        # ---- codes, distortions, pictures
        Entry(
            "codes.of", lambda o: codes.of, {"text": one("ABC", "0")}, (), is_array(np.float32, 2)
        ),
        Entry("codes.show", lambda o: codes.show, {"code": one(3, "A", np.zeros(84))}),
        Entry(
            "Distortion",
            lambda o: Distortion,
            {
                "translation": real(0, 3),
                "scaling": real(0, 0.5),
                "squeezing": real(0, 0.5),
                "shearing": real(0, 0.5),
                "rotation": real(0, 90),
                "elastic": real(0, 3),
                "smoothness": real(2, 9),
            },
        ),
        Entry(
            "preview",
            lambda o: distort.preview,
            {
                "images": images,
                "distortion": one(distort.AFFINE),
                "n": one(1, 2),
                "seed": one(0, 7),
            },
            ("n", "seed"),
            grey,
        ),
        Entry(
            "transform",
            lambda o: distort.transform,
            {
                "images": images,
                "dx": real(-3, 3),
                "dy": real(-3, 3),
                "scale": real(0.5, 2),
                "squeeze": real(0.5, 2),
                "shear": real(-1, 1),
                "rotation": real(-180, 180),
            },
            ("dx", "dy", "scale", "squeeze", "shear", "rotation"),
            grey,
        ),
        Entry(
            "centre",
            lambda o: preprocess.centre,
            {"ink": lambda random: np.full((5, 4), random.random() + 0.1), "size": one(5, 28)},
            (),
            grey,
            words=["size"],
        ),
        Entry(
            "resize",
            lambda o: preprocess.resize,
            {"image": array("f8", 5, 4), "height": one(1, 9), "width": one(1, 9)},
        ),
        Entry("pad", lambda o: preprocess.pad, {"images": images, "size": one(8, 33)}, (), grey),
        Entry(
            "normalize",
            lambda o: preprocess.normalize,
            {"images": images, "background": real(-1, 0), "foreground": real(0, 1)},
            (),
            is_array(np.float32),
        ),
        Entry(
            "normalize_columns",
            lambda o: preprocess.normalize_columns,
            {"images": images},
            (),
            is_array(np.float32),
        ),
        # ---- kernels
        Entry(
            "conv",
            lambda o: kernels.conv,
            {
                "x": x,
                "w": array("f4", 3, 2, 3, 3),
                "b": array("f4", 3),
                "table": one(None),
                "padding": one(0, 1, 2),
            },
            (),
            is_array(np.float32, 4),
        ),
        Entry(
            "conv_backward",
            lambda o: kernels.conv_backward,
            {
                "x": x,
                "w": array("f4", 3, 2, 3, 3),
                "dy": array("f4", 2, 3, 4, 4),
                "table": one(None),
                "padding": one(0),
            },
            (),
            is_array(np.float32),
        ),
        Entry(
            "subsample",
            lambda o: kernels.subsample,
            {"x": x, "coefficient": array("f4", 2), "bias": array("f4", 2)},
            (),
            is_array(np.float32, 4),
        ),
        Entry(
            "subsample_backward",
            lambda o: kernels.subsample_backward,
            {"x": x, "coefficient": array("f4", 2), "dy": array("f4", 2, 2, 3, 3)},
            (),
            is_array(np.float32),
        ),
        Entry(
            "dense",
            lambda o: kernels.dense,
            {"x": flat, "w": array("f4", 4, 5), "b": array("f4", 4)},
            (),
            is_array(np.float32, 2),
        ),
        Entry(
            "dense_backward",
            lambda o: kernels.dense_backward,
            {"x": flat, "w": array("f4", 4, 5), "dy": array("f4", 3, 4)},
            (),
            is_array(np.float32),
        ),
        Entry(
            "rbf",
            lambda o: kernels.rbf,
            {"x": flat, "codes": array("f4", 4, 5)},
            (),
            is_array(np.float32, 2),
        ),
        Entry(
            "rbf_backward",
            lambda o: kernels.rbf_backward,
            {"x": flat, "codes": array("f4", 4, 5), "dy": array("f4", 3, 4)},
            (),
            is_array(np.float32),
        ),
        Entry(
            "squash",
            lambda o: kernels.squash,
            {"a": flat, "activation": activation},
            (),
            is_array(np.float32),
        ),
        Entry(
            "squash_backward",
            lambda o: kernels.squash_backward,
            {"y": flat, "dy": flat, "activation": activation},
            (),
            is_array(np.float32),
        ),
    ]
    return [entry for entry in table for _ in range(entry.weight)]


_bytes: list[bytes] = []


def o_bytes() -> bytes:
    """Give a valid file."""
    if not _bytes:
        file = io.BytesIO()
        networks()[2].save(file)
        _bytes.append(file.getvalue())
    return _bytes[0]


class Objects:
    """What methods are called on: made anew once it may have changed."""

    def __init__(self) -> None:
        self.net = networks()[0]
        self.compiled = networks()[0].compile()

    def trainer(self) -> Trainer:
        """Train a copy, without much ado."""
        return Trainer(networks()[0], SGD(0.01), batch_size=2)

    def save_notes(self, notes: Any) -> None:
        """Save a network with notes, and load it."""
        net = networks()[2]
        net.notes = notes
        file = io.BytesIO()
        net.save(file)
        LeNet5.load(io.BytesIO(file.getvalue()))


class Arguments:
    """The fuzzer."""

    name = "arguments"

    def __init__(self) -> None:
        self.entries = entries()
        self.guarded = Guarded()
        self.objects = Objects()
        folder = scratch()
        os.chdir(folder)  # names of files that are none are written here
        os.environ.pop("LENET_C_DATA", None)
        os.environ["XDG_CACHE_HOME"] = folder

    def run(self, case: Case) -> None:
        """Call a few functions, each with up to two bad arguments."""
        for _ in range(4):
            self.one(case)

    def one(self, case: Case) -> None:
        """Call one."""
        random = case.random
        entry = random.choice(self.entries)
        given = {name: make(random) for name, make in entry.arguments.items()}
        bad = random.sample(list(given), min(len(given), random.choice([0, 1, 1, 1, 1, 2])))
        for name in given:
            if name in bad:
                close = isinstance(given[name], np.ndarray) and random.random() < 0.4
                given[name] = (
                    hostile.twisted(random, self._close(random, given[name]))
                    if close
                    else hostile.value(random)
                )
            if name in ("path", "folder") and isinstance(given[name], str):
                # what no file can be called on this system, Python itself refuses
                given[name] = given[name].replace("\ud800", "x")
            most = WORK.get(name, math.inf)
            if isinstance(given[name], (int, np.integer)) and given[name] > most:
                given[name] = most
            if type(given[name]) is np.ndarray and given[name].flags.c_contiguous:
                given[name] = self.guarded(given[name])
        # an error about a file has the file's name
        told = [
            os.fsdecode(given[name])
            for name in bad
            if isinstance(given[name], (str, bytes)) and given[name]
        ]
        function = entry.function(self.objects)
        case.show((entry.label, given))
        try:
            before = threading.active_count()
            result = case.call(
                function,
                *[value for name, value in given.items() if name not in entry.keywords],
                names=[*given, *entry.words, *told] if bad else (),
                allowed=entry.allowed,
                **{name: value for name, value in given.items() if name in entry.keywords},
            )
        except Exception as error:
            error.args = (f"{entry.label}: {error} [bad: {', '.join(bad)}]",)
            raise
        finally:
            lenet_c.set_num_threads(None)
        expect(threading.active_count() == before, "Python threads were left")
        if isinstance(result, BaseException):
            expect(bad or entry.may_refuse, f"{entry.label}: good arguments: {result!r:.200}")
        else:
            try:
                entry.check(result)
            except Exception as error:
                error.args = (f"{entry.label}: {error} [bad: {', '.join(bad)}]",)
                raise
        parameters = self.objects.net.parameters
        expect(np.isfinite(parameters).all(), f"{entry.label}: weights that are not finite")
        expect(parameters.shape == (self.objects.net.n_parameters,), "another shape")

    @staticmethod
    def _close(random: Random, good: np.ndarray) -> np.ndarray:
        """Give the same but for a dimension, a dtype or a value."""
        way = random.randrange(5)
        if way == 0 and good.ndim:
            return good[: random.randrange(good.shape[0] + 1)]
        if way == 1:
            with np.errstate(all="ignore"):
                return good.astype(random.choice(hostile.DTYPES[:16]))
        if way == 2 and good.ndim:
            return np.repeat(good, random.choice([2, 3]), axis=random.randrange(good.ndim))
        if way == 3 and good.dtype.kind == "f":
            good.reshape(-1)[random.randrange(good.size)] = random.choice(hostile.FLOATS[:3])
        if way == 4:
            return good[None]
        return good
