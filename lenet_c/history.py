"""What a training run records: a dict a pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RECORD = ("epoch", "loss", "error_rate", "rate", "seconds", "images_per_second")
VALIDATION_RECORD = ("val_loss", "val_error_rate")


@dataclass
class History:
    """What a training run recorded.

    Attributes
    ----------
    epochs : list of dict
        One a pass: "epoch" (from 1), "loss" and "error_rate" (over the pass, each batch before
        its update; with weights the loss is the mean by them, the error rate that of all images of
        a weight above 0), "rate" (of the last update; SDLM's eta), "seconds" (without the
        validation) and "images_per_second"; with validation data also "val_loss" and
        "val_error_rate".
    """

    epochs: list[dict[str, float]] = field(default_factory=list)

    def __getstate__(self) -> dict[str, Any]:
        return {"epochs": [dict(record) for record in list(self.epochs)]}

    def _repr_html_(self) -> str:
        from lenet_c import markup

        return markup.of_history(list(self.epochs))

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the learning curves with matplotlib (extra "plot").

        Parameters
        ----------
        ax : matplotlib Axes, optional

        Returns
        -------
        matplotlib Axes
        """
        from lenet_c import plot

        return plot.learning_curves(self, ax)
