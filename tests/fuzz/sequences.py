"""Sequences of operations on networks and trainers, beside what they should leave behind."""

from __future__ import annotations

import contextlib
import copy
import io
import pickle
import warnings
from random import Random
from typing import Any

import numpy as np

import lenet_c
from lenet_c import SDLM, SGD, Adam, LeNet5, Trainer, distort
from tests.fuzz import hostile
from tests.fuzz.engine import Case, Guarded, expect
from tests.fuzz.files import networks

TRAINING = (TypeError, ValueError, FloatingPointError)


class World:
    """A network, perhaps a trainer of it, and the weights that it must have.

    Each operation draws what it needs from `random`. After it `check` holds the network against
    `weights`, of which training alone gives no account.
    """

    def __init__(self, random: Random, case: Case | None = None) -> None:
        self.random = random
        self.case = case or Case(random)
        self.net = random.choice(networks())
        self.trainer: Trainer | None = None
        self.weights = self.net.parameters.copy()
        self.notes = dict(self.net.notes)

    @property
    def size(self) -> tuple[int, ...]:
        """The network's image."""
        return self.net.architecture.input_shape

    def images(self) -> np.ndarray:
        """Give a few images."""
        rng = np.random.default_rng(self.random.getrandbits(32))
        n = self.random.choice([1, 1, 2, 3, 17, 40])
        if self.random.random() < 0.3:
            return _guarded()(rng.normal(0, 1, (n, *self.size)).astype(np.float32))
        return _guarded()(rng.integers(0, 256, (n, *self.size), np.uint8))

    def labels(self, n: int) -> np.ndarray:
        """Give their labels."""
        rng = np.random.default_rng(self.random.getrandbits(32))
        return _guarded()(rng.integers(0, self.net.architecture.classes, n))

    def call(self, function: Any, *arguments: Any, **keywords: Any) -> Any:
        """Call the library."""
        return self.case.call(function, *arguments, **keywords)

    # ---- reading

    def predict(self) -> None:
        """Classes, outputs, and one by one."""
        images = self.images()
        outputs = self.call(self.net.forward, images, num_threads=self.random.choice([None, 1, 3]))
        expect(outputs.shape == (len(images), self.net.architecture.classes), "outputs")
        classes = self.call(self.net.predict, images)
        if isinstance(classes, np.ndarray):
            best = outputs.argmin(1) if self.net.codes is not None else outputs.argmax(1)
            expect(np.array_equal(classes, best), "other classes than the outputs say")
            single = self.call(self.net.forward, images[0])
            tolerance = 1e-3 * (1 + np.abs(outputs[0]).max())
            # large weights make large differences of roundings
            if np.abs(self.net.parameters).max() < 10:
                far = np.abs(single[0] - outputs[0]).max()
                expect(far < tolerance, "alone it reads otherwise")

    def same_for_threads(self) -> None:
        """One and three threads give the same bits."""
        images = self.images()
        labels = self.labels(len(images))
        one = self.call(self.net.loss_and_gradient, images, labels, num_threads=1)
        three = self.call(self.net.loss_and_gradient, images, labels, num_threads=3)
        if isinstance(one, tuple) and isinstance(three, tuple):
            expect(one[0] == three[0], "another loss with three threads")
            expect(np.array_equal(one[1], three[1]), "another gradient with three threads")
            expect(one[1].shape == (self.net.n_parameters,), "the gradient's shape")

    def other_calls(self) -> None:
        """Probabilities, activations, curvature, evaluation."""
        images = self.images()
        labels = self.labels(len(images))
        self.call(self.net.predict_proba, images)
        self.call(self.net.activations, images)
        self.call(self.net.curvature, images, labels)
        self.call(self.net.evaluate, images, labels)
        self.call(self.net.summary)
        self.call(repr, self.net)

    # ---- training

    def train(self) -> None:
        """An update or a pass."""
        if self.trainer is None:
            optimizer = self.random.choice([SGD(0.01, 0.9), SGD(0.1), Adam(), SDLM(), SGD(1e30)])
            freeze = self.random.choice([(), (), ["C1"], ["C1.bias"]])
            self.trainer = Trainer(self.net, optimizer, batch_size=4, freeze=freeze)
        images = self.images()
        if self.random.random() < 0.3 and images.dtype == np.uint8:
            self.trainer.distort = distort.AFFINE
        else:
            self.trainer.distort = None
        labels = self.labels(len(images))
        frozen = {name: np.array(self.net[name]) for name in self.trainer._frozen}
        if self.random.random() < 0.5:
            result = self.call(self.trainer.step, images, labels)
        else:
            result = self.call(self.trainer.fit, images, labels, 1)
        for name, before in frozen.items():
            if isinstance(result, FloatingPointError):
                break  # it has older weights again, from before others changed them
            expect(np.array_equal(before, self.net[name]), f"{name} is frozen and changed")
        self.weights = self.net.parameters.copy()

    def same_training(self) -> None:
        """Two copies of a trainer learn the same."""
        if self.trainer is None:
            return
        images = self.images()
        if self.trainer.distort is not None and images.dtype != np.uint8:
            return
        labels = self.labels(len(images))
        pair = [pickle.loads(pickle.dumps(self.trainer)), copy.deepcopy(self.trainer)]
        for trainer, threads in zip(pair, (1, 3), strict=True):
            self.call(trainer.step, images, labels, num_threads=threads)
        first, second = (trainer.network.parameters for trainer in pair)
        expect(np.array_equal(first, second, equal_nan=True), "copies of a trainer learn otherwise")

    # ---- keeping

    def keep(self) -> None:
        """Save and load, pickle, or copy; go on with what came back."""
        way = self.random.randrange(3)
        if way == 0:
            file = io.BytesIO()
            saved = self.call(self.net.save, file)
            if isinstance(saved, BaseException):
                return
            file.seek(0)
            self.net = self.call(LeNet5.load, file)
        elif way == 1:
            self.net = self.call(pickle.loads, pickle.dumps(self.net))
        else:
            self.net = self.call(copy.deepcopy, self.net)
        expect(isinstance(self.net, LeNet5), f"what was kept does not come back: {self.net!r:.200}")
        expect(dict(self.net.notes) == self.notes, "other notes")
        self.trainer = None

    def change_notes(self) -> None:
        """Set notes that JSON holds as they are."""
        self.notes = self.random.choice([{}, {"a": [1, None, "é"]}, {"b": {"c": 1.5}}])
        self.net.notes = dict(self.notes)

    def copy_from(self) -> None:
        """Take weights over."""
        other = LeNet5(self.net.architecture, seed=self.random.randrange(9), codes=self.net.codes)
        name = self.random.choice(list(self.net))
        self.call(self.net.copy_from, other, [name])
        self.weights = self._with(name, np.array(other[name]))

    # ---- what others may do to arrays that were handed out

    def misuse(self) -> None:
        """Change the shape, dtype or flags of an array that was handed out."""
        name = self.random.choice([None, *self.net])
        view = self.net.parameters if name is None else self.net[name]
        way = self.random.randrange(5)
        with (
            warnings.catch_warnings(),
            contextlib.suppress(ValueError, TypeError, AttributeError, KeyError),
        ):
            warnings.simplefilter("ignore")
            if way == 0:
                view.shape = self.random.choice([(1, view.size), (view.size, 1), (-1, 1, 1)])
            elif way == 1:
                view.dtype = self.random.choice([np.float64, np.int32, np.uint8, np.int16])
            elif way == 2:
                view.flags.writeable = False
            elif way == 3:
                view.strides = (0,) * view.ndim
            else:
                view.resize(self.random.choice([(1,), (10**6,)]), refcheck=False)

    def assign(self) -> None:
        """Set weights as a whole or a layer's: what does not fit changes nothing."""
        name = self.random.choice([None, *self.net])
        target = self.net.parameters if name is None else self.net[name]
        value: Any = np.full(target.shape, self.random.choice([0.0, 0.01, -0.02]), np.float32)
        fits = self.random.random() < 0.5
        if not fits:
            value = self.random.choice(
                [
                    np.full(target.shape, np.nan, np.float32),
                    value.reshape(-1)[:-1],
                    value[None][None],
                    value + 1j,
                    value.astype("U8"),
                    None,
                    "x",
                    hostile.value(self.random),
                ]
            )
        try:
            if name is None:
                self.net.parameters = value  # type: ignore[misc]
            else:
                self.net[name] = value  # type: ignore[index]
        except (TypeError, ValueError, AttributeError, KeyError, MemoryError):
            self.case.n_inputs += 1
            return
        self.case.n_inputs += 1
        self.weights = self.net.parameters.copy()
        if fits:
            expect(
                np.array_equal(self.net.parameters if name is None else self.net[name], value),
                "weights that were set are not there",
            )

    def in_place(self) -> None:
        """Multiply in place: it holds, or it raises and nothing has changed."""
        name = self.random.choice([None, *self.net])
        before = self.net.parameters.copy()
        try:
            if name is None:
                self.net.parameters *= 0.5  # type: ignore[misc]
            else:
                self.net[name] *= 0.5  # type: ignore[index]
        except (TypeError, ValueError, AttributeError):
            expect(
                np.array_equal(before, self.net.parameters), "it raised and weights have changed"
            )
        self.case.n_inputs += 1
        self.weights = self.net.parameters.copy()

    def threads(self) -> None:
        """Set how many threads there are, and of which kind."""
        lenet_c.set_num_threads(self.random.choice([None, 1, 2, 4]))
        set_threading = getattr(lenet_c, "set_threading", None)
        if set_threading is not None:
            with contextlib.suppress(ValueError):
                set_threading(self.random.choice(["openmp", "team", None]))

    # ---- what always holds

    def check(self) -> None:
        """Hold the network against what it should be."""
        parameters = self.net.parameters
        expect(type(parameters) is np.ndarray and parameters.dtype == np.float32, "another dtype")
        expect(parameters.shape == (self.net.n_parameters,), f"parameters of {parameters.shape}")
        expect(parameters.flags.writeable and parameters.flags.c_contiguous, "no longer writable")
        for name, shape in self.net.architecture.parameter_shapes.items():
            view = self.net[name]
            expect(view.shape == tuple(shape) and view.dtype == np.float32, f"{name}: {view.shape}")
            expect(np.shares_memory(view, parameters), f"{name} is no view any more")
        expect(np.array_equal(parameters, self.weights, equal_nan=True), "other weights")

    def _with(self, name: str, value: np.ndarray) -> np.ndarray:
        weights = self.weights.copy()
        first, end = self.net._ranges[name]
        weights[first:end] = value.reshape(-1)
        return weights


OPERATIONS = [
    World.predict,
    World.predict,
    World.same_for_threads,
    World.other_calls,
    World.train,
    World.train,
    World.same_training,
    World.keep,
    World.change_notes,
    World.copy_from,
    World.misuse,
    World.assign,
    World.in_place,
    World.threads,
]

_one: list[Guarded] = []


def _guarded() -> Guarded:
    if not _one:
        _one.append(Guarded())
    return _one[0]


class Sequences:
    """The fuzzer."""

    name = "sequences"

    def run(self, case: Case) -> None:
        """Make a world and do up to twelve things to it."""
        world = World(case.random, case)
        done = [type(world).__name__, world.net.architecture.name]
        try:
            for _ in range(case.random.randint(1, 12)):
                operation = case.random.choice(OPERATIONS)
                done.append(operation.__name__)
                case.show(done)
                operation(world)
                world.check()
        except Exception as error:
            error.args = (f"{' '.join(done[-3:])}: {error}",)
            raise
        finally:
            lenet_c.set_num_threads(None)
