"""Optimizers: their settings and schedules. The arithmetic is in C, over the flat vector."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from lenet_c import _core


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
        if not 0.0 <= self.warm_up < 1.0:
            raise ValueError(f"warm_up: got {self.warm_up}, want at least 0 and below 1")
        for name in ("start", "end"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name}: got {getattr(self, name)}, want 0 to 1")

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


def _check(name: str, value: float, low: float, high: float = math.inf) -> None:
    with np.errstate(over="ignore"):
        rounded = float(np.float32(value))  # what the core computes with
    if not (low <= rounded < high and math.isfinite(rounded)):
        limit = (
            f"{low} or more, finite in float32"
            if high == math.inf
            else f"at least {low} and below {high}"
        )
        raise ValueError(f"{name}: got {value!r}, want {limit}")


@dataclass(frozen=True)
class Optimizer:
    """What every optimizer has.

    Parameters
    ----------
    lr : float
        Learning rate; the schedule's factor multiplies it.
    schedule : str or Schedule
        "constant", "paper", "one_cycle", or a callable (step, n_steps, epoch) -> factor.
    weight_decay : float
        Decoupled: each update also takes rate * weight_decay * parameter off the parameter.
    """

    kind: ClassVar[str] = ""

    lr: float
    schedule: str | Schedule = "constant"
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        _check("lr", self.lr, 0.0)
        _check("weight_decay", self.weight_decay, 0.0)
        if not callable(self.schedule) and self.schedule not in SCHEDULES:
            raise ValueError(
                f"schedule: got {self.schedule!r}, want one of {', '.join(SCHEDULES)}, "
                "or a callable (step, n_steps, epoch)"
            )

    def rate(self, step: int, n_steps: int, epoch: int) -> float:
        """Give the rate of update `step` of `n_steps` (from 0), in pass `epoch` (from 1)."""
        schedule = SCHEDULES[self.schedule] if isinstance(self.schedule, str) else self.schedule
        return self.lr * schedule(step, n_steps, epoch)

    def new_state(self, n_parameters: int) -> _core.OptimizerState:
        """Make what the optimizer remembers, for so many parameters, before the first update."""
        raise TypeError(f"optimizer: got {type(self).__name__}, want SGD or Adam")


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent: v = momentum v + g, then p -= rate v.

    Parameters
    ----------
    lr : float
    schedule : str or Schedule
    weight_decay : float
    momentum : float
        In [0, 1).
    """

    kind: ClassVar[str] = "sgd"

    lr: float = 0.01
    momentum: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check("momentum", self.momentum, 0.0, 1.0)

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
    schedule : str or Schedule
    weight_decay : float
    beta1, beta2 : float
        Decay of the averages of the gradient and its square, in [0, 1).
    epsilon : float
        Added to the root of the second average.
    """

    kind: ClassVar[str] = "adam"

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        _check("beta1", self.beta1, 0.0, 1.0)
        _check("beta2", self.beta2, 0.0, 1.0)
        _check("epsilon", self.epsilon, 0.0)

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
