"""The losses by name, and their constants; the core has their values and derivatives."""

from __future__ import annotations

from typing import NamedTuple

from lenet_c import _core, checks

LOSSES = tuple(_core.LOSSES)
STRING_LOSSES = tuple(_core.STRING_LOSSES)  # of strips that are strings, not of single images

# Penalty of the rubbish class. On a validation split of MNIST 3, 5 and 8 were equal within the
# noise of three seeds, and 0.1, 1 and 20 worse.
DEFAULT_J = 5.0


TEMPERATURES = (1e-30, 1e30)
"""Of losses and of probabilities: beyond these, outputs divided by one need not be finite."""


def evidence_scale(temperature: float, penalties: bool) -> float:
    """Check both, and give the factor that makes outputs the exponents of a softmax."""
    scale = 1.0 / checks.real("temperature", temperature, *TEMPERATURES, closed="both")
    return -scale if checks.truth("penalties", penalties) else scale


class Criterion(NamedTuple):
    """A loss with its constants.

    Attributes
    ----------
    loss : str
        One of `LOSSES`.
    j : float
        The constant of "map".
    temperature : float
        What "map" and "cross_entropy" divide penalties and logits by.
    """

    loss: str
    j: float
    temperature: float


def checked(
    loss: str | None, j: float, temperature: float, is_rbf: bool, blank: bool = False
) -> Criterion:
    """Check a loss and its constants.

    Parameters
    ----------
    loss : str or None
        One of `LOSSES`; None: "map" for RBF outputs, else "cross_entropy".
    j : float
        The constant of "map", above 0.
    temperature : float
        From 1e-30 to 1e30.
    is_rbf : bool
        Whether the network's outputs are penalties.
    blank : bool
        Whether it may learn strings: then None is "forward".

    Returns
    -------
    Criterion
    """
    if loss is None:
        loss = "forward" if blank else "map" if is_rbf else "cross_entropy"
    if isinstance(loss, str) and loss in STRING_LOSSES and not blank:
        raise ValueError(
            f"loss: {loss!r} wants strings, which a network without a blank class "
            "does not read; want one made with Architecture(..., blank=True)"
        )
    return Criterion(
        checks.one_of("loss", loss, (*LOSSES, *STRING_LOSSES) if blank else LOSSES),
        checks.real("j", j, 0.0, closed="neither"),
        checks.real("temperature", temperature, *TEMPERATURES, closed="both"),
    )
