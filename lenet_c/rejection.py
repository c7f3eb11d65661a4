"""Rejection: answers that had better be left to somebody else, and what leaving them gains.

Every class of an image has a penalty, of which the smallest wins: an RBF output as it is, and for
logits minus the logarithm of the class's probability. An answer is rejected when its penalty is
too high, as for a picture of no character, or when the second best penalty is too close (LeCun et
al. 1998, section III, rejects by the difference between the best two). Of pictures that a network
was not made for, some look right to it: those are told by how unlike the class's images they are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lenet_c import checks

Integers = NDArray[np.int64]
Reals = NDArray[np.float64]

REJECTED = -1
"""What `LeNet5.predict` gives for an image whose answer is rejected."""

SCORES = ("margin", "penalty")


@dataclass(frozen=True)
class Rejection:
    """Which answers are rejected.

    Parameters
    ----------
    penalty : float
        The answer's penalty may be so high. RBF outputs: the smallest output. Logits: minus the
        logarithm of the largest probability, so that 0.7 asks for a probability of one half.
    margin : float
        The second smallest penalty must be so much higher. RBF outputs: the difference of the
        two. Logits: the difference of the largest two logits. Either way the logarithm of the
        ratio of the two classes' probabilities.
    distance : float
        The image may be so unlike those of its class: its Euclidean distance from
        `LeNet5.subspaces`. A network that `LeNet5.calibrate` has not given these has no distances.

    Raises
    ------
    TypeError, ValueError
        If one is no number, negative or NaN, or the margin is infinite.

    Notes
    -----
    `LeNet5.temperature` changes none of these scores: a threshold holds for any.

    Examples
    --------
    >>> Rejection(margin=2.0)
    Rejection(penalty=inf, margin=2.0, distance=inf)
    """

    penalty: float = math.inf
    margin: float = 0.0
    distance: float = math.inf

    def __post_init__(self) -> None:
        """Check the thresholds, and keep them as floats."""
        penalty = checks.number("penalty", self.penalty)
        margin = checks.real("margin", self.margin, 0.0)
        distance = checks.number("distance", self.distance)
        for name, value in (("penalty", penalty), ("distance", distance)):
            if not value >= 0.0:
                raise ValueError(
                    f"{name}: got {checks.short(getattr(self, name))}, want a number of at least 0"
                )
        object.__setattr__(self, "penalty", penalty)
        object.__setattr__(self, "margin", margin)
        object.__setattr__(self, "distance", distance)

    def to_dict(self) -> dict[str, float]:
        """Give the thresholds that reject anything, as JSON can hold them."""
        return {
            field.name: value
            for field in fields(self)
            if (value := getattr(self, field.name)) != field.default
        }

    @classmethod
    def from_dict(cls, thresholds: object) -> Rejection:
        """Make one of what `to_dict` gives; raise TypeError or ValueError for anything else."""
        given: dict[Any, Any] = checks.instance("rejection", thresholds, dict, "a dict")
        for name in given:
            checks.one_of("rejection", name, [field.name for field in fields(cls)])
        return cls(**given)

    def __call__(
        self, penalty: Reals, margin: Reals, distance: Reals | None = None
    ) -> NDArray[np.bool_]:
        """Tell which answers are rejected, given the scores of each.

        Without distances `self.distance` must be infinite: no image is rejected by it.
        """
        # what is not a number is rejected as well
        accepted = (penalty <= self.penalty) & (margin >= self.margin)
        if self.distance < math.inf:
            if distance is None:
                raise ValueError(f"distance: none given, want those that {self!r} is about")
            accepted &= distance <= self.distance
        return ~accepted


class RejectionPoint(NamedTuple):
    """A point of a `RejectionCurve`.

    Attributes
    ----------
    rejection : Rejection
        For `LeNet5.predict`.
    rejected : float
        Share of the images that it rejects.
    error_rate : float
        Share of wrong answers among those that are left.
    """

    rejection: Rejection
    rejected: float
    error_rate: float


@dataclass(frozen=True, eq=False)
class RejectionCurve:
    """Error rate against the share rejected, over all thresholds that make a difference.

    Attributes
    ----------
    by : str
        "margin" or "penalty": which threshold varies; the other rejects nothing.
    thresholds : float64 array (points,)
        Halfway between the scores of the last image accepted and of the first one rejected.
    rejected : float64 array (points,)
        Share of the images that is rejected, ascending from 0.
    error_rate : float64 array (points,)
        Share of wrong answers among the images that are left.
    """

    by: str
    thresholds: Reals
    rejected: Reals
    error_rate: Reals

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RejectionCurve):
            return NotImplemented
        return self.by == other.by and all(
            np.array_equal(getattr(self, name), getattr(other, name))
            for name in ("thresholds", "rejected", "error_rate")
        )

    def reaching(self, error_rate: float) -> RejectionPoint:
        """Find the threshold that rejects the fewest images for an error rate.

        Parameters
        ----------
        error_rate : float
            Wanted among the images that are left, in [0, 1].

        Returns
        -------
        RejectionPoint

        Raises
        ------
        ValueError
            If no threshold reaches it.
        """
        checks.real("error_rate", error_rate, 0.0, 1.0, "both")
        reached = np.flatnonzero(self.error_rate <= error_rate)
        if not len(reached):
            raise ValueError(
                f"error_rate: got {error_rate!r}, want at least {self.error_rate.min():g}, "
                f"the lowest that rejecting by {self.by} reaches on these images"
            )
        return self._point(int(reached[0]))

    def rejecting(self, share: float) -> RejectionPoint:
        """Find the threshold that rejects a share of the images.

        Parameters
        ----------
        share : float
            In [0, 1].

        Returns
        -------
        RejectionPoint
            The one that rejects the most, but no more than this share.

        Raises
        ------
        ValueError
            If the share is none.
        """
        checks.real("share", share, 0.0, 1.0, "both")
        # 0.07 of 100 images are 7 of them, however their share is rounded
        return self._point(int(np.flatnonzero(self.rejected <= share + 1e-12)[-1]))

    def _point(self, k: int) -> RejectionPoint:
        rejection = Rejection(**{self.by: float(self.thresholds[k])})
        return RejectionPoint(rejection, float(self.rejected[k]), float(self.error_rate[k]))


def _penalties(outputs: NDArray[np.float32], is_rbf: bool) -> Reals:
    """Give penalties, or negated logits, which order classes as their penalties do."""
    return outputs.astype(np.float64) if is_rbf else -outputs.astype(np.float64)


def best_two(outputs: NDArray[np.float32], is_rbf: bool) -> tuple[Integers, Reals, Reals]:
    """Give each image's class, its penalty and its margin.

    Parameters
    ----------
    outputs : float32 array (N, classes)
        What `LeNet5.forward` gives.
    is_rbf : bool
        Whether they are penalties, or else logits.

    Returns
    -------
    classes : int64 array (N,)
        The first of equals, as `LeNet5.predict`.
    penalty, margin : float64 array (N,)
        As `Rejection` has them; the margin of a network of one class is infinite.
    """
    penalties = _penalties(outputs, is_rbf)
    classes = penalties.argmin(axis=1)
    lowest = penalties.min(axis=1)
    with np.errstate(invalid="ignore"):  # spoiled weights give NaN, which is rejected
        if penalties.shape[1] == 1:
            margin = np.full(len(penalties), np.inf)
        else:
            margin = np.partition(penalties, 1, axis=1)[:, 1] - lowest
        if not is_rbf:
            # -log of the softmax's largest, which is 1 / the sum of e^(logit - largest logit)
            lowest = np.log(np.exp(lowest[:, None] - penalties).sum(axis=1))
    return classes, lowest, margin


def best_two_penalties(outputs: NDArray[np.float32], is_rbf: bool) -> tuple[Integers, Reals]:
    """Give each image's best two classes and their penalties.

    Parameters
    ----------
    outputs, is_rbf : as for `best_two`

    Returns
    -------
    classes : int64 array (N, 2)
        The best one first; (N, 1) for a network of one class.
    penalties : float64 array, of the same shape
    """
    penalties = _penalties(outputs, is_rbf)
    classes = penalties.argsort(axis=1, kind="stable")[:, :2]
    lowest = np.take_along_axis(penalties, classes, axis=1)
    if not is_rbf:
        # -log of a class's probability, which is e^(its logit) / the sum of e^logit
        gaps = lowest[:, :1] - penalties
        lowest += np.log(np.exp(gaps).sum(axis=1, keepdims=True)) - lowest[:, :1]
    return classes, lowest


def curve(by: str, scores: Reals, wrong: NDArray[np.bool_]) -> RejectionCurve:
    """Draw up the curve from each image's score.

    Parameters
    ----------
    by : str
        "margin" or "penalty": what the scores are.
    scores : float64 array (N,)
    wrong : bool array (N,)
        Whether the answer is.

    Returns
    -------
    RejectionCurve
    """
    sign = 1.0 if by == "penalty" else -1.0
    order = np.argsort(sign * scores, kind="stable")  # the surest first
    scores, n_wrong = scores[order], np.cumsum(wrong[order])
    # images of one score are accepted or rejected together
    last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))[::-1]
    nothing = math.inf if by == "penalty" else 0.0
    between = (scores[last[1:]] + scores[last[1:] + 1]) / 2
    accepted = last + 1
    return RejectionCurve(
        by,
        np.append(nothing, between),
        1.0 - accepted / len(scores),
        n_wrong[last] / accepted,
    )


def checked(name: str, value: object) -> Rejection:
    """Give a Rejection; raise TypeError for anything else."""
    return checks.instance(name, value, Rejection, "Rejection(penalty=..., margin=...)")
