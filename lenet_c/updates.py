"""One update of a network on a batch: what `Trainer.step` makes, and `Trainer.fit` many of."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import astuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenet_c import _core, checks, losses
from lenet_c.classes import classes_of, names_or_digits
from lenet_c.distort import DISTORTIONS, Distortion
from lenet_c.losses import Criterion
from lenet_c.model import LeNet5
from lenet_c.optimizers import OPTIMIZERS, Adam, Factors, Optimizer
from lenet_c.run import Run

LOOKS_OF_STEP = 16  # images that are looked at, to record what the network learns from
KEEP_EVERY = 64  # images between two copies of the weights, in case the loss becomes infinite


def strings_of(
    network: LeNet5, images: ArrayLike, labels: ArrayLike, argument: str = "labels"
) -> _core.LabelledPictures:
    """Give strips and what they spell as the core takes them.

    argument : what an error calls the labels, and if it is not "labels" the strips too.
    """
    if isinstance(labels, Iterator):
        raise TypeError(f"{argument}: got {checks.short(labels)}, want a list of strings")
    names = names_or_digits(network.class_names, network.architecture.characters)
    given = [labels] if isinstance(labels, str) else labels
    texts = [
        classes_of(f"{argument}: row {row}", text, names)
        for row, text in enumerate(checks.items(argument, given, "strings"))
    ]
    name = "images" if argument == "labels" else argument
    return _core.LabelledPictures(network._network, images, texts, name)


def _weighted(
    images: ArrayLike, labels: ArrayLike, sample_weight: ArrayLike
) -> tuple[ArrayLike, ArrayLike, ArrayLike]:
    """Leave out the images of weight 0, if there are some among several images."""
    classes = checks.array("labels", labels)
    if classes.ndim not in (1, 2):
        return images, labels, sample_weight
    weights = checks.weights("sample_weight", sample_weight, len(classes))
    pictures = checks.array("images", images)
    if weights.all() or pictures.ndim < 3 or len(pictures) != len(weights):
        return images, labels, weights
    kept = weights > 0
    share = kept.sum() / len(kept)
    _core.check_memory("images: a copy of those of a weight above 0", int(share * pictures.nbytes))
    return pictures[kept], classes[kept], weights[kept]


class Updates:
    """Has a network, an optimizer with what it remembers, and the last weights known to be good.

    Parameters and attributes are those of `Trainer`.
    """

    temperature = 1.0  # of those that were pickled before there was one
    _looks = True  # whether images are to look like those learnt from before

    def __init__(
        self,
        network: LeNet5,
        optimizer: Optimizer | str | None,
        loss: str | None,
        j: float,
        temperature: float,
        distort: Distortion | str | None,
        seed: int | None,
        freeze: Iterable[str],
        num_threads: int | None,
    ) -> None:
        self.network = checks.instance("network", network, LeNet5, "a LeNet5")
        if optimizer is None:
            optimizer = Adam(1e-3)
        self.optimizer = optimizer = checks.named(
            "optimizer", optimizer, OPTIMIZERS, Optimizer, "SGD(...), Adam(...), SDLM(...)"
        )
        self._factors = Factors(optimizer)
        if distort is not None:
            distort = checks.named(
                "distort", distort, DISTORTIONS, Distortion, "a Distortion, None"
            )
        self.distort = distort
        criterion = losses.checked(
            loss, j, temperature, network.codes is not None, network.architecture.blank
        )
        self.loss, self.j, self.temperature = criterion
        if self._learns_strings:
            if distort is not None:
                raise ValueError(
                    "distort: got a Distortion, want None with strings: those of datasets.strings "
                    "are distorted as they are made"
                )
            if optimizer.measures:
                raise ValueError(
                    f"optimizer: got {type(optimizer).__name__}, which has no curvature of "
                    "strings; want SGD or Adam"
                )
        _core.check_num_threads(num_threads)
        self.num_threads = num_threads
        if seed is not None:
            checks.whole("seed", seed, 0)
        seeds = np.random.SeedSequence(seed)
        self._rng = np.random.default_rng(seeds)
        self._distort_seed = int(seeds.spawn(1)[0].generate_state(1, np.uint64)[0])
        self._frozen = network._names_of(freeze, "freeze")
        if len(self._frozen) == len(network):
            raise ValueError("freeze: got every layer that has parameters, want some left to train")
        self._state = optimizer.new_state(network.n_parameters)
        self._state.freeze([network._ranges[name] for name in self._frozen])
        # weights whose loss was finite, kept when KEEP_EVERY images have been learnt since
        self._good: np.ndarray | None = None
        self._spare = np.empty_like(network.parameters)
        self._since_good = 0
        self._run: Run | None = None  # the fit under way

    @property
    def _learns_strings(self) -> bool:
        return self.loss in losses.STRING_LOSSES

    @property
    def _rubbish(self) -> float:
        """The rubbish class's penalty where strings are learnt: logits have none."""
        return self.j if self.network.codes is not None else math.inf

    @property
    def _criterion(self) -> Criterion:
        return Criterion(self.loss, self.j, self.temperature)

    @property
    def n_updates(self) -> int:
        """How many updates were made."""
        return self._state.n_updates

    def step(
        self,
        images: ArrayLike,
        labels: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        num_threads: int | None = None,
    ) -> float:
        """Make one update on one batch, at the optimizer's rate without its schedule.

        Parameters
        ----------
        images : as for `LeNet5.forward`; strips as for `LeNet5.sweep`, one position high, with a
            loss of strings
        labels : integer array (N,), or an integer for one image
            Or each class's probability, float (N, classes) (see `LeNet5.loss_and_gradient`). With a
            loss of strings as many texts, or arrays of classes, or a text for one strip.
        sample_weight : array (N,), optional
            What each image counts in the mean (see `LeNet5.loss_and_gradient`). Those of weight 0
            are left out. Strings have none.
        num_threads : int, optional
            None: the trainer's.

        Returns
        -------
        float
            The batch's mean loss before the update.

        Raises
        ------
        FloatingPointError
            If the loss is no longer finite; the network then has the last weights whose loss was
            finite, those before the last update (with less than 64 images an update, from up to 64
            images earlier).
        """
        threads = self._threads(num_threads)
        samples = self._samples(images, labels, LOOKS_OF_STEP, sample_weight)
        self._prepare(samples, threads)
        return self._update(samples, None, self.optimizer.lr, threads)[0]

    def apply(
        self,
        gradient: ArrayLike,
        n_images: int,
        *,
        rate: float | None = None,
        images: ArrayLike | None = None,
    ) -> None:
        """Make one update by a gradient that was computed elsewhere.

        It is what data-parallel training ends each step with (docs/scale.md): every process has
        the gradients of all, adds them in one order, and so goes on with the same bits.

        Parameters
        ----------
        gradient : float32 array (N,), a value a parameter
            Of the mean loss, in the order of `LeNet5.parameters`, as `LeNet5.loss_and_gradient`
            gives it.
        n_images : int
            Images that it is of, at least 1.
        rate : float, optional
            Of this update, `optimizer.rate(step, n_steps, epoch)` where there is a schedule. None:
            the optimizer's rate without its schedule.
        images : as for `step`, optional
            Those that the gradient is of, or some of them: what they look like is recorded in the
            network, as `step` does.

        Raises
        ------
        FloatingPointError
            If the weights would no longer be finite; the network is then as it was.
        ValueError
            If the gradient is not finite or of another length, or the optimizer is SDLM, which
            measures curvatures on images.

        Examples
        --------
        >>> import lenet_c
        >>> (x, y), _ = lenet_c.datasets.digits()
        >>> trainer = lenet_c.Trainer(lenet_c.LeNet5("lenet5-28"), "adam")
        >>> loss, gradient = trainer.network.loss_and_gradient(x[:64], y[:64])
        >>> trainer.apply(gradient, 64)  # the same bits as trainer.step(x[:64], y[:64])
        >>> trainer.n_updates
        1
        """
        if self.optimizer.measures:
            raise ValueError(
                f"optimizer: got {type(self.optimizer).__name__}, which measures on images; want "
                "SGD or Adam"
            )
        n_images = checks.whole("n_images", n_images, 1)
        rate = self.optimizer.lr if rate is None else checks.real("rate", rate, 0.0)
        values = checks.floats("gradient", checks.numbers("gradient", gradient))
        if values.shape != (self.network.n_parameters,):
            raise ValueError(
                f"gradient: shape {values.shape}, want ({self.network.n_parameters},), one for "
                "each parameter"
            )
        if images is not None:
            _core.Samples(self.network._network, images, learn=LOOKS_OF_STEP)
        turns = self.network._turns
        if turns.asked:
            turns.give_way()
        with turns.changing:
            before = self.network.parameters.copy()
            try:
                self.network._network.apply(values, n_images, self._state, rate, before)
            except FloatingPointError:
                raise FloatingPointError(
                    f"the weights are no longer finite at update {self.n_updates + 1} (rate "
                    f"{rate:g}); the network has those of before"
                ) from None
            self._good, self._since_good = before, n_images
            if (run := self._run) is not None:  # it is none of the pass under way
                run.done = run.done[0], self.n_updates, *run.done[2:]

    def _rate(self, step: int, n_steps: int, epoch: int) -> float:
        """Give the rate of an update; warn of a schedule that seems to give rates."""
        rate = self.optimizer.rate(step, n_steps, epoch)
        self._factors.look(rate, step, n_steps)
        return rate

    def _threads(self, num_threads: int | None) -> int | None:
        if num_threads is None:
            return self.num_threads
        _core.check_num_threads(num_threads)
        return num_threads

    def _samples(
        self, images: ArrayLike, labels: ArrayLike, learn: int, weights: ArrayLike | None
    ) -> _core.Samples | _core.LabelledPictures:
        if self._learns_strings:
            if weights is not None:
                raise ValueError("sample_weight: got weights, want None with strings")
            return strings_of(self.network, images, labels)
        if weights is not None:
            images, labels, weights = _weighted(images, labels, weights)
        # by place, not by keyword: 1% of a step of one image
        samples = _core.Samples(
            self.network._network, images, labels, learn, "images", self._looks, weights, True
        )
        if self.distort is not None and not samples.is_grey:
            raise TypeError("images: dtype float32, want uint8 (raw grey) with distort")
        return samples

    def _prepare(
        self,
        samples: _core.Samples | _core.LabelledPictures,
        threads: int | None,
        rng: np.random.Generator | None = None,
    ) -> None:
        """Let the optimizer measure what it needs: before a pass, with `rng`, or a step."""
        if not self.optimizer.measures:
            return
        assert isinstance(samples, _core.Samples)  # strings are learnt without measuring

        def curvature(pick: NDArray[np.int64] | None) -> NDArray[np.float32]:
            return self._curvature(samples, pick, threads)

        measured = self.optimizer.prepare(self._state, samples.n, curvature, rng)
        if measured is None:
            return
        assert self._state.second is not None
        with self.network._turns.changing:
            self._state.rate = None
            self._state.second[...], self._state.n_measured = measured

    def _curvature(
        self, samples: _core.Samples, pick: NDArray[np.int64] | None, threads: int | None
    ) -> NDArray[np.float32]:
        try:
            return self.network._network.curvature(samples, pick, *self._criterion, threads)
        except FloatingPointError:
            with self.network._turns.changing:
                if self._good is not None:  # the weights at hand may be what made the loss infinite
                    self.network.parameters[...] = self._good
                self._state.forget_if_bad()
            raise FloatingPointError(
                f"the curvature is not finite before update {self.n_updates + 1}; the network has "
                "the last weights again whose loss was finite"
            ) from None

    def _put_back(self, parameters: np.ndarray) -> None:
        if parameters.shape != self.network.parameters.shape:
            raise ValueError(
                f"parameters: the best weights are {parameters.shape}, the network has "
                f"{self.network.parameters.shape}"
            )
        with self.network._turns.changing:
            self.network.parameters[...] = parameters

    def _update(
        self,
        samples: _core.Samples | _core.LabelledPictures,
        batch: np.ndarray | None,
        rate: float,
        threads: int | None,
    ) -> tuple[float, int]:
        turns = self.network._turns
        if turns.asked:
            turns.give_way()
        with turns.changing:
            keep = self._good is None or self._since_good >= KEEP_EVERY
            if keep:
                np.copyto(self._spare, self.network.parameters)
            self.optimizer.set_rates(self._state, rate)
            distortion = None
            if self.distort is not None:
                distortion = (astuple(self.distort), self._distort_seed)
            # the weights at hand may be what makes the loss infinite: an older copy, if any
            fallback = self._spare if self._good is None else self._good
            try:
                if isinstance(samples, _core.LabelledPictures):
                    result = self.network._network.strings_step(
                        samples,
                        batch,
                        self.loss,
                        self._rubbish,
                        self.temperature,
                        self._state,
                        rate,
                        threads,
                        fallback,
                    )
                else:
                    result = self.network._network.step(
                        samples,
                        batch,
                        self.loss,  # not the criterion: to make it takes 1% of a step of one image
                        self.j,
                        self.temperature,
                        self._state,
                        rate,
                        threads,
                        distortion,
                        fallback,
                    )
            except FloatingPointError:
                raise FloatingPointError(
                    f"the loss is no longer finite at update {self.n_updates + 1} (rate {rate:g}); "
                    "the network has the last weights again whose loss was finite"
                ) from None
            if keep:
                spare = np.empty_like(self._spare) if self._good is None else self._good
                self._good, self._spare, self._since_good = self._spare, spare, 0
            self._since_good += samples.n if batch is None else len(batch)
            if (run := self._run) is not None:
                k, _, total_loss, n_errors = run.done
                if batch is not None:
                    k, n_errors = k + 1, n_errors + result[1]
                    total_loss += result[0] * (
                        samples.weight(batch) if isinstance(samples, _core.Samples) else len(batch)
                    )
                run.done = k, self.n_updates, total_loss, n_errors
            return result
