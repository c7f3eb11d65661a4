"""Pictures, with matplotlib (extra "plot")."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from lenet_c.trainer import History


def learning_curves(history: History, ax: Axes | None = None) -> Axes:
    """Draw the error rates of training and validation over the passes.

    Parameters
    ----------
    history : History
    ax : matplotlib Axes, optional
        A new figure's by default.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    try:
        from matplotlib import pyplot
    except ImportError:
        raise ImportError('plots need matplotlib: pip install "lenet_c[plot]"') from None
    if ax is None:
        _, ax = pyplot.subplots()
    passes = [record["epoch"] for record in history.epochs]
    for key, label in (("error_rate", "training"), ("val_error_rate", "validation")):
        if history.epochs and key in history.epochs[0]:
            ax.plot(passes, [100 * record[key] for record in history.epochs], "o-", label=label)
    ax.set_xlabel("pass over the training set")
    ax.set_ylabel("error rate (%)")
    ax.set_ylim(bottom=0)
    if history.epochs:
        ax.legend()
    return ax
