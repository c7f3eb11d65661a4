"""The compiled module by itself: None, short arrays, wrong dtypes and numbers in every place."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, Literal

import numpy as np

from lenet_c import _core
from tests.fuzz import hostile
from tests.fuzz.arguments import array, one, real
from tests.fuzz.engine import Case, Guarded, expect
from tests.fuzz.files import networks

# Any of these will do, whatever its text: nobody but the library itself calls this module.
ALLOWED = (
    TypeError,
    ValueError,
    IndexError,
    KeyError,
    OverflowError,
    BufferError,
    MemoryError,
    FloatingPointError,
    AttributeError,
    NotImplementedError,  # Python's own, of iterating a memoryview of several dimensions
)

LAYERS = [
    ("conv", "tanh", 2, 3, None, False, 1),
    ("average_pool", "identity", 0, 0, None, False, 0),
    ("dense", "identity", 3, 0, None, False, 0),
]

MAX_POOL = ("max_pool", "identity", 0, 0, None, False, 0)


class Core:
    """The fuzzer."""

    name = "core"
    warnings: Literal["ignore"] = (
        "ignore"  # of casts: what is given here is the library's to choose
    )

    def __init__(self) -> None:
        self.guarded = Guarded()
        images, labels = array("u1", 3, 8, 8, most=255), array("i8", 3, most=3)
        x, y = array("f4", 2, 2, 6, 6), array("f4", 2, 3, 4, 4)
        flat, out = array("f4", 3, 5, 1, 1), array("f4", 3, 4, 1, 1)
        matrix = array("f4", 20)
        loss, order = one("map", "mse", "cross_entropy"), one(None, np.array([0, 1, 1]))
        threads, bias = one(None, 1, 3), array("f4", 2)
        samples = lambda random: self.samples()  # noqa: E731
        state = lambda random: _core.OptimizerState("adam", self.net.parameters.size)  # noqa: E731
        strengths = one((1.0, 0.1, 0.1, 0.1, 5.0, 1.0, 3.0, 2.0, 2.0, 1.5, 0.5, 0.3, 0.2, 0.5))
        image = [one((2, 8, 8), (2, 9, 8)), one((-1.0, 0.0)), one((0.5, 1.0)), one(None)]
        self.table: list[tuple[str, Callable[[], Any], list[Callable[[Random], Any]]]] = [
            ("Samples", lambda: _core.Samples, [lambda r: self.net, images, labels]),
            ("forward", lambda: self.net.forward, [images, threads, one(True, False)]),
            ("predict", lambda: self.net.predict, [images, threads]),
            ("probabilities", lambda: self.net.probabilities, [images, threads]),
            ("activations", lambda: self.net.activations, [images, threads]),
            (
                "evaluate",
                lambda: self.net.evaluate,
                [samples, loss, real(1, 2), real(1, 9), threads],
            ),
            (
                "gradient",
                lambda: self.net.gradient,
                [samples, loss, real(1, 2), real(1, 9), threads],
            ),
            (
                "curvature",
                lambda: self.net.curvature,
                [samples, order, loss, real(1, 2), real(1, 9), threads],
            ),
            (
                "Model",
                lambda: _core.Model,
                [lambda r: self.net, lambda r: self.net.parameters.copy()],
            ),
            ("model forward", lambda: self.model.forward, [images, threads, one(True, False)]),
            ("model predict", lambda: self.model.predict, [images, threads]),
            ("model activations", lambda: self.model.activations, [images, threads]),
            (
                "model evaluate",
                lambda: self.model.evaluate,
                [samples, loss, real(1, 2), real(1, 9), threads],
            ),
            (
                "step",
                lambda: self.net.step,
                [
                    samples,
                    order,
                    loss,
                    real(1, 2),
                    real(1, 9),
                    state,
                    real(0, 0.01),
                    threads,
                    one(
                        None,
                        ((1.0, 0.1, 0.1, 0.1, 5.0, 1.0, 3.0, 2.0, 2.0, 1.5, 0.5, 0.3, 0.2, 0.5), 7),
                    ),
                    lambda r: r.choice([None, self.net.parameters.copy()]),
                ],
            ),
            ("Network", lambda: _core.Network, [lambda r: list(LAYERS), *image]),
            (
                "Network of any layers",
                lambda: _core.Network,
                [lambda r: [self.layer(r) for _ in LAYERS], *image],
            ),
            (
                "OptimizerState",
                lambda: _core.OptimizerState,
                [one("sgd", "adam", "sdlm"), one(1, 9)],
            ),
            ("freeze", lambda: state(None).freeze, [one([], [(0, 3)], [(0, 1), (2, 3)])]),
            (
                "set state",
                lambda: state(None).__setstate__,
                [one(((1, 1, 1, 1, None), None, None, None))],
            ),
            ("seconds", lambda: _core.Profile().seconds, [one(*_core.PARTS), one(0, 63)]),
            ("multiply_adds", lambda: _core.multiply_adds, [one(1, 9), one(True, False)]),
            ("set_num_threads", lambda: _core.set_num_threads, [threads]),
            ("distort", lambda: _core.distort, [strengths, one(0, 1), one(0, 1), images, images]),
            (
                "transform",
                lambda: _core.transform,
                [one((1.0, 2.0, 1.0, 1.0, 0.0, 5.0)), images, images],
            ),
            (
                "layer_forward",
                lambda: _core.layer_forward,
                [one("conv"), one(3), one(3), one(None), x, array("f4", 54), array("f4", 3), y],
            ),
            (
                "layer_backward",
                lambda: _core.layer_backward,
                [
                    *(one("conv"), one(3), one(3), one(None)),
                    *(x, array("f4", 54), y, x, array("f4", 54), array("f4", 3)),
                ],
            ),
            (
                "layer_forward of units",
                lambda: _core.layer_forward,
                [one("dense"), one(4), one(0), one(None), flat, matrix, array("f4", 4), out],
            ),
            (
                "layer_forward of codes",
                lambda: _core.layer_forward,
                [one("rbf"), one(4), one(0), one(None), flat, matrix, one(None), out],
            ),
            (
                "layer_backward of units",
                lambda: _core.layer_backward,
                [
                    *(one("dense"), one(4), one(0), one(None)),
                    *(flat, matrix, out, flat, matrix, array("f4", 4)),
                ],
            ),
            (
                "layer_backward of codes",
                lambda: _core.layer_backward,
                [
                    *(one("rbf"), one(4), one(0), one(None)),
                    *(flat, matrix, out, flat, matrix, one(None)),
                ],
            ),
            (
                "layer_forward of maps",
                lambda: _core.layer_forward,
                [
                    *(one("subsample"), one(0), one(0), one(None), x, bias, bias),
                    array("f4", 2, 2, 3, 3),
                ],
            ),
            (
                "layer_backward of maps",
                lambda: _core.layer_backward,
                [
                    *(one("subsample"), one(0), one(0), one(None), x, bias),
                    *(array("f4", 2, 2, 3, 3), x, bias, bias),
                ],
            ),
            ("squash", lambda: _core.squash, [array("f4", 9), one("tanh"), array("f4", 9)]),
            (
                "squash_backward",
                lambda: _core.squash_backward,
                [array("f4", 9), array("f4", 9), one("relu", "sigmoid"), array("f4", 9)],
            ),
        ]
        self.net = networks()[0]._network
        self.model = _core.Model(self.net, self.net.parameters)

    def samples(self) -> _core.Samples:
        """Give three images with labels."""
        return _core.Samples(self.net, np.zeros((3, 8, 8), np.uint8), np.array([0, 1, 2]))

    @staticmethod
    def layer(random: Random) -> Any:
        """Give a layer's description of which something is wrong."""
        layer: list[Any] = list(random.choice([*LAYERS, MAX_POOL]))
        layer[random.randrange(7)] = hostile.value(random)
        return tuple(layer)

    def run(self, case: Case) -> None:
        """Call a few functions, each with up to two bad arguments."""
        random = case.random
        for _ in range(4):
            label, function, makers = random.choice(self.table)
            given = [make(random) for make in makers]
            bad = random.sample(range(len(given)), min(len(given), random.choice([0, 1, 1, 1, 2])))
            for k in range(len(given)):
                if k in bad:
                    given[k] = self.bad(random, given[k])
                is_plain = type(given[k]) is np.ndarray and given[k].flags.c_contiguous
                if is_plain and given[k].flags.writeable:
                    given[k] = self.guarded(given[k])
            if label == "multiply_adds":
                given[0] = self.bounded(given[0])
            case.show((label, given))
            if label in ("step", "curvature", "gradient", "evaluate"):
                self.net = networks()[0]._network
            result = case.call(function(), *given, allowed=ALLOWED)
            _core.set_num_threads(None)
            may_refuse = (
                bad or label == "Network of any layers" or isinstance(result, FloatingPointError)
            )
            expect(may_refuse or not isinstance(result, Exception), f"{label}: {result!r:.200}")

    @staticmethod
    def bounded(rounds: Any) -> Any:
        """Give what takes no longer than a call may, of whatever counts as a number."""
        if isinstance(rounds, (str, bytes, bytearray)):
            return rounds
        try:
            return min(int(rounds), 1000)  # as C takes a number, also a masked array of one
        except (TypeError, ValueError, OverflowError):
            return rounds

    def bad(self, random: Random, good: Any) -> Any:
        """Give None, a shorter array, or anything."""
        way = random.randrange(4)
        if way == 0:
            return None
        if way == 1 and isinstance(good, np.ndarray):
            axis = random.randrange(good.ndim)
            cut = [slice(None)] * good.ndim
            cut[axis] = slice(0, random.randrange(good.shape[axis]))
            return np.ascontiguousarray(good[tuple(cut)])
        if way == 2 and isinstance(good, np.ndarray):
            return np.zeros(random.choice([0, 1, 5]), good.dtype).reshape(
                (-1,) + (1,) * (good.ndim - 1)
            )
        return hostile.value(random)
