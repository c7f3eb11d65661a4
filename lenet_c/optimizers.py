"""Optimizers: their settings and schedules. The arithmetic is in C, over the flat vector."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from lenet_c import _core, checks

MEASURE_EVERY = 100  # steps between two estimates of the curvature outside of fit

Curvature = Callable[[NDArray[np.int64] | None], NDArray[np.float32]]


class Schedule(Protocol):
    """How a rate changes over a training run: called before each update."""

    def __call__(self, step: int, n_steps: int, epoch: int) -> float:
        """Give the factor for update `step` of `n_steps` (from 0), in pass `epoch` (from 1)."""


@dataclass(frozen=True)
class Constant:
    """The same rate throughout."""

    def __call__(self, step: int, n_steps: int, epoch: int) -> float:
        """Give 1."""
        return 1.0


@dataclass(frozen=True)
class PaperSteps:
    """The steps of LeCun et al. 1998, section III.B: rates fall after passes 2, 5, 8 and 12.

    The paper's 0.0005, 0.0002, 0.0001, 0.00005 and 0.00001, as factors of the first.
    """

    def __call__(self, step: int, n_steps: int, epoch: int) -> float:
        """Give the pass's factor: 1, 0.4, 0.2, 0.1 or 0.02."""
        for last, factor in ((2, 1.0), (5, 0.4), (8, 0.2), (12, 0.1)):
            if epoch <= last:
                return factor
        return 0.02


@dataclass(frozen=True)
class OneCycle:
    """Up to the full rate and down again along two half cosines.

    Parameters
    ----------
    warm_up : float
        Share of the updates until the full rate, in [0, 1).
    start, end : float
        Factors of the first update and of the one that would follow the last, in [0, 1].
    """

    warm_up: float = 0.2
    start: float = 0.04
    end: float = 0.0

    def __post_init__(self) -> None:
        checks.real("warm_up", self.warm_up, 0.0, 1.0)
        checks.real("start", self.start, 0.0, 1.0, "both")
        checks.real("end", self.end, 0.0, 1.0, "both")

    def __call__(self, step: int, n_steps: int, epoch: int) -> float:
        """Give the factor for update `step` of `n_steps`."""
        peak = self.warm_up * n_steps
        if step < peak:
            low, way = self.start, step / peak
        else:
            low, way = self.end, (n_steps - step) / (n_steps - peak)
        return low + (1.0 - low) * 0.5 * (1.0 - math.cos(math.pi * way))


SCHEDULES: dict[str, Schedule] = {
    "constant": Constant(),
    "paper": PaperSteps(),
    "one_cycle": OneCycle(),
}


@dataclass(frozen=True)
class Optimizer:
    """What every optimizer has.

    Parameters
    ----------
    lr : float
        Learning rate; the schedule's factor multiplies it.
    schedule : str or Schedule
        "constant", "paper", "one_cycle", or a callable (step, n_steps, epoch) -> factor. One that
        seems to give rates is warned of in the first half of a run.
    weight_decay : float
        Decoupled: each update also takes rate * weight_decay * parameter off the parameter.
    """

    kind: ClassVar[str] = ""
    batch_size: ClassVar[int] = 64  # images an update, when a Trainer is not told
    measures: ClassVar[bool] = False  # whether it has a `prepare` of its own

    lr: float
    _: KW_ONLY
    schedule: str | Schedule = "constant"
    weight_decay: float = 0.0

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.measures = cls.prepare is not Optimizer.prepare

    def __post_init__(self) -> None:
        checks.real("lr", self.lr, 0.0, in_float32=True)
        checks.real("weight_decay", self.weight_decay, 0.0, in_float32=True)
        if isinstance(self.schedule, str) or not callable(self.schedule):
            other = ", or a callable (step, n_steps, epoch)"
            checks.one_of("schedule", self.schedule, SCHEDULES, other)

    def rate(self, step: int, n_steps: int, epoch: int) -> float:
        """Give the rate of update `step` of `n_steps` (from 0), in pass `epoch` (from 1)."""
        if isinstance(self.schedule, str):
            return self.lr * SCHEDULES[self.schedule](step, n_steps, epoch)
        factor = checks.real("schedule's factor", self.schedule(step, n_steps, epoch), 0.0)
        return self.lr * factor

    def new_state(self, n_parameters: int) -> _core.OptimizerState:
        """Make what the optimizer remembers, for so many parameters, before the first update."""
        raise TypeError(f"optimizer: got {type(self).__name__}, want SGD, Adam or SDLM")

    def prepare(
        self,
        state: _core.OptimizerState,
        n: int,
        curvature: Curvature,
        rng: np.random.Generator | None = None,
    ) -> tuple[NDArray[np.float32], int] | None:
        """Measure what updates need beside the gradient: before a pass, and before a single step.

        Parameters
        ----------
        state : OptimizerState
            What the optimizer remembers; not changed here.
        n : int
            Images of the pass, or of the step's batch.
        curvature : callable
            Gives the curvature, float32 (n_parameters,), over the images of the rows that it gets;
            None: over all.
        rng : numpy.random.Generator, optional
            Chooses among the images of a pass; None: a step.

        Returns
        -------
        (float32 array, int) or None
            The curvature to go on with and how many images it stands for; None: as before.
        """
        return None

    def set_rates(self, state: _core.OptimizerState, rate: float) -> None:
        """Give each parameter its rate in the update to come, where the optimizer has such."""


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent: v = momentum v + g, then p -= rate v.

    Parameters
    ----------
    lr : float
    momentum : float
        In [0, 1).
    schedule : str or Schedule
    weight_decay : float
    """

    kind: ClassVar[str] = "sgd"

    lr: float = 0.01
    momentum: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.real("momentum", self.momentum, 0.0, 1.0, in_float32=True)

    def new_state(self, n_parameters: int) -> _core.OptimizerState:
        """Make what the optimizer remembers, for so many parameters, before the first update."""
        return _core.OptimizerState(
            "sgd", n_parameters, momentum=self.momentum, weight_decay=self.weight_decay
        )


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam with decoupled weight decay (Kingma and Ba 2014; Loshchilov and Hutter 2017).

    Parameters
    ----------
    lr : float
    beta1, beta2 : float
        Decay of the averages of the gradient and its square, in [0, 1).
    epsilon : float
        Added to the root of the second average.
    schedule : str or Schedule
    weight_decay : float
    """

    kind: ClassVar[str] = "adam"

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.real("beta1", self.beta1, 0.0, 1.0, in_float32=True)
        checks.real("beta2", self.beta2, 0.0, 1.0, in_float32=True)
        checks.real("epsilon", self.epsilon, 0.0, in_float32=True)

    def new_state(self, n_parameters: int) -> _core.OptimizerState:
        """Make what the optimizer remembers, for so many parameters, before the first update."""
        return _core.OptimizerState(
            "adam",
            n_parameters,
            beta1=self.beta1,
            beta2=self.beta2,
            epsilon=self.epsilon,
            weight_decay=self.weight_decay,
        )


@dataclass(frozen=True)
class SDLM(Optimizer):
    r"""Stochastic diagonal Levenberg-Marquardt: p -= lr / (mu + h) g, each parameter at its rate.

    h is the curvature of the loss for the parameter, `LeNet5.curvature` (LeCun et al. 1998,
    appendix C). Before each pass `Trainer.fit` estimates it anew, on images of the training set
    chosen at random. The defaults are the paper's: eta = 0.0005 and its steps, one image an update.

    Parameters
    ----------
    lr : float
        The paper's eta.
    mu : float
        Keeps the rate within bounds where the loss is flat, above 0. With the paper's 0.02 the 1998
        network saturates in its first updates; 0.5 trains it (docs/reproduction.md).
    samples : int
        Images of an estimate, at least 1; all, if there are fewer.
    schedule : str or Schedule
    weight_decay : float
        0: this optimizer has none.

    Notes
    -----
    .. math:: p_k \leftarrow p_k - \frac{\eta}{\mu + h_{kk}} \frac{\partial E}{\partial p_k}

    `Trainer.step` has no training set to choose from. At its first update, and then at every
    hundredth, it measures h on its own batch and averages: over all images measured so far, until
    they are `samples`, and from then on each new one counts for a share of 1 / `samples`. An
    estimate of `fit` counts as `samples` images.
    """

    kind: ClassVar[str] = "sdlm"
    batch_size: ClassVar[int] = 1

    lr: float = 0.0005
    schedule: str | Schedule = field(default="paper", kw_only=True)
    mu: float = 0.02
    samples: int = 500

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.real("mu", self.mu, 0.0, closed="neither", in_float32=True)
        if self.weight_decay != 0.0:
            raise ValueError(f"weight_decay: got {self.weight_decay!r}, want 0: SDLM has none")
        checks.whole("samples", self.samples, 1)

    def new_state(self, n_parameters: int) -> _core.OptimizerState:
        """Make what the optimizer remembers, for so many parameters, before the first update."""
        return _core.OptimizerState("sdlm", n_parameters)

    def prepare(
        self,
        state: _core.OptimizerState,
        n: int,
        curvature: Curvature,
        rng: np.random.Generator | None = None,
    ) -> tuple[NDArray[np.float32], int] | None:
        """Estimate the curvature: anew by chance before a pass, in a running mean at a step."""
        if rng is not None:
            pick = rng.choice(n, min(self.samples, n), replace=False)
            return curvature(pick), self.samples
        if state.n_measured and state.n_updates % MEASURE_EVERY:
            return None
        n_measured = min(state.n_measured + n, self.samples)
        share = min(n / n_measured, 1.0)
        measured = curvature(None)
        if share < 1.0:
            assert state.second is not None
            measured = state.second + np.float32(share) * (measured - state.second)
        return measured, n_measured

    def set_rates(self, state: _core.OptimizerState, rate: float) -> None:
        """Give each parameter its rate, unless it has it from the update before."""
        if state.rate != rate:
            assert state.first is not None
            assert state.second is not None
            state.first[...] = self.rates(rate, state.second)
            state.rate = rate

    def rates(self, lr: float, curvature: NDArray[np.float32]) -> NDArray[np.float32]:
        """Give each parameter's rate, lr / (mu + h)."""
        with np.errstate(over="ignore"):  # what overflows spoils the update, which is told there
            rates: NDArray[np.float32] = np.float32(lr) / (np.float32(self.mu) + curvature)
        return rates


OPTIMIZERS: dict[str, Optimizer] = {one.kind: one for one in (Adam(), SGD(), SDLM())}
"""By name, each with its defaults."""


class Factors:
    """Notices a schedule of one's own that gives rates, where factors of the rate are wanted.

    Both may begin small: a warm-up's factors do. But they rise, to about 1, early in a run; rates
    stay near the optimizer's own. Where that is large, as in ``SGD(1.0, schedule=...)``, which
    makes rates of factors, nothing can be told apart.

    Parameters
    ----------
    optimizer : Optimizer

    Attributes
    ----------
    watches : bool
        Whether anything can be told apart.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        named = isinstance(optimizer.schedule, (str, Constant, PaperSteps, OneCycle))
        self.watches = not named and 0.0 < optimizer.lr <= 0.2
        self._lr = optimizer.lr
        self._least = min(max(0.02, 2 * self._lr), 0.1)  # a factor above is none of a rate
        self._first: float | None = None
        self._highest = 0.0
        self._told = False

    def look(self, rate: float, step: int, n_steps: int) -> None:
        """Warn, once a run, if the rates of the updates until this one are none of factors."""
        if step == 0:
            self._first, self._highest, self._told = None, 0.0, False
        if self._told or not self.watches:
            return
        factor = rate / self._lr
        if self._first is None:
            self._first = factor
        self._highest = max(self._highest, factor)
        has_risen = self._highest > self._first
        if self._highest > self._least * (1 + 1e-6):
            self._told = True
        elif self._highest > 0.0 and step >= n_steps * (0.5 if has_risen else 0.2):
            self._told = True
            checks.warn(
                f"schedule: its highest factor until update {step + 1:,} of {n_steps:,} is "
                f"{self._highest:g}, which makes a rate of {self._lr * self._highest:g}: a "
                f"schedule gives what lr is multiplied by, not the rate; let it give rate / "
                f"{self._lr:g}, or set lr to 1"
            )
