"""Pictures, with matplotlib (extra "plot").

Every function draws on the axes or the figure that it is given, or on a new figure that pyplot does
not know of, and returns what it drew on; `save` writes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenet_c import checks
from lenet_c.animation import Animation
from lenet_c.calibration import evidence
from lenet_c.canvas import (
    axes_of,
    convolution,
    draw_kernels,
    draw_values,
    figure_of,
    kernels_of,
    new_figure,
    save,
    tiled,
)
from lenet_c.codes import COLUMNS, ROWS
from lenet_c.drawing import network
from lenet_c.evaluation import Evaluation
from lenet_c.history import History
from lenet_c.losses import TEMPERATURES
from lenet_c.model import LeNet5
from lenet_c.rejection import REJECTED, RejectionCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "Animation",
    "codes",
    "columns",
    "confusion_matrix",
    "feature_maps",
    "filters",
    "learning_curves",
    "misclassified",
    "network",
    "new_figure",
    "predictions",
    "rejection_curve",
    "save",
]

_RIGHT, _WRONG, _QUIET = "#2a7f3f", "#c0272d", "#777777"
_MOST_COUNTS = 40  # classes whose counts a cell can still show


def learning_curves(
    history: History, ax: Axes | None = None, *, validation: str = "validation"
) -> Axes:
    """Draw the error rates of training and validation over the passes.

    Parameters
    ----------
    history : History
    ax : matplotlib Axes, optional
        A new figure's by default.
    validation : str
        What the legend calls the validation data.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    checks.instance("history", history, History, "a History")
    ax = axes_of(ax, 6.0, 4.0)
    passes = [record["epoch"] for record in history.epochs]
    for key, label in (("error_rate", "training"), ("val_error_rate", validation)):
        if history.epochs and key in history.epochs[0]:
            rates = [100 * record[key] for record in history.epochs]
            ax.plot(passes, rates, "o-", markersize=4, label=label)
    ax.set_xlabel("pass over the training set")
    ax.set_ylabel("error rate (%)")
    ax.set_ylim(bottom=0)
    ax.locator_params(axis="x", integer=True)
    if history.epochs:
        ax.legend()
        ax.set_ylim(top=1.1 * max(_highest(line.get_ydata()) for line in ax.get_lines()) or None)
    return _quiet(ax)


def rejection_curve(curve: RejectionCurve, ax: Axes | None = None) -> Axes:
    """Draw the error rate of what is left against the share rejected.

    Parameters
    ----------
    curve : RejectionCurve
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    checks.instance("curve", curve, RejectionCurve, "a RejectionCurve")
    ax = axes_of(ax, 6.0, 4.0)
    # the axis is logarithmic: what is gained is gained with the first few percent
    ax.step(100 * curve.rejected, 100 * curve.error_rate, where="post", label=f"by {curve.by}")
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_xlabel("rejected (%)")
    ax.set_ylabel("error rate of what is left (%)")
    ax.set_ylim(bottom=0)
    ax.legend()
    return _quiet(ax)


def confusion_matrix(
    result: Evaluation | ArrayLike, ax: Axes | None = None, *, names: Sequence[str] | None = None
) -> Axes:
    """Draw how many images of each class were read as which.

    The colour is of the errors alone: beside the right answers they would not be seen.

    Parameters
    ----------
    result : Evaluation, or its confusion, integer array (classes, classes)
    ax : matplotlib Axes, optional
    names : sequence of str, optional
        Of the classes; by default their numbers.

    Returns
    -------
    matplotlib Axes
    """
    given = result.confusion if isinstance(result, Evaluation) else result
    counts = checks.numbers("result", given, "iu")
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not len(counts):
        raise ValueError(f"result: shape {counts.shape}, want (classes, classes)")
    classes = len(counts)
    names = _checked_names(names, classes)
    ax = axes_of(ax, 6.0, 6.0)
    errors = np.ma.masked_array(counts, np.eye(classes, dtype=bool))
    most = int(errors.max()) if classes > 1 else 0
    draw_values(ax, errors, "Reds", 0, max(1, most))
    for row, column in np.argwhere(counts > 0) if classes <= _MOST_COUNTS else ():
        on_dark = row != column and counts[row, column] > 0.6 * most
        colour = _QUIET if row == column else "white" if on_dark else "black"
        ax.text(
            column, row, str(counts[row, column]), ha="center", va="center", size=9, color=colour
        )
    ax.set_xticks(range(classes), names)
    ax.set_yticks(range(classes), names)
    ax.set_xlabel("class read")
    ax.set_ylabel("right class")
    n = int(counts.sum())
    wrong = n - int(np.trace(counts))
    ax.set_title(f"{wrong:,} of {n:,} misread" + (f" ({wrong / n:.2%})" if n else ""))
    return ax


def filters(network: LeNet5, layer: str = "C1", ax: Axes | None = None) -> Axes:
    """Draw the kernels of a convolution: a column for each of its maps, a row for each input map.

    Red weights are above zero, blue ones below, on one scale; a field is empty where Table I has
    no connection.

    Parameters
    ----------
    network : LeNet5
    layer : str
        Name of a convolution.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the network has no convolution of this name.
    """
    checks.instance("network", network, LeNet5, "a LeNet5")
    conv = convolution(network.architecture, layer)
    n_inputs = network.architecture.input_shapes[conv.name][0]
    return draw_kernels(kernels_of(network[f"{conv.name}.weight"], conv, n_inputs), conv.name, ax)


def feature_maps(network: LeNet5, image: ArrayLike, figure: Figure | None = None) -> Figure:
    """Draw what every layer makes of one image, from left to right.

    Dark is ink in the image and above zero in a layer; each layer has a scale of its own. Three
    channels are drawn as red, green and blue, others side by side. The units of a layer of the
    codes' length lie as in a code.

    Parameters
    ----------
    network : LeNet5
    image : one image, as for `LeNet5.forward`
    figure : matplotlib Figure, optional

    Returns
    -------
    matplotlib Figure
        With an axes for the image and one for each layer, in order.
    """
    checks.instance("network", network, LeNet5, "a LeNet5")
    shown = checks.numbers("image", image)
    ndim = len(network.architecture.input_shape)
    if shown.ndim == ndim + 1 and len(shown) == 1:
        shown = shown[0]
    if shown.ndim != ndim:
        wanted = "(height, width)" if ndim == 2 else "(channels, height, width)"
        raise ValueError(f"image: shape {shown.shape}, want one image {wanted}")
    outputs = {name: array[0] for name, array in network.activations(shown).items()}
    last = network.architecture.layers[-1].name
    mosaics = [(layer, _laid_out(array)) for layer, array in outputs.items() if layer != last]
    widths = [1.0, *(_width(m) for _, m in mosaics), 0.7]
    figure = figure_of(figure, 1.1 * sum(widths) + 0.5, 4.2)
    axes = figure.subplots(1, len(outputs) + 1, width_ratios=widths)
    draw_values(axes[0], _pictures(shown[None])[0], "gray_r")
    axes[0].set_title("input", size=9)
    for ax, (layer, mosaic) in zip(axes[1:], mosaics, strict=False):
        limit = float(np.nanmax(np.abs(mosaic))) or 1.0
        draw_values(ax, mosaic, "gray_r", -limit, limit)
        ax.set_title(layer, size=9)
    for ax in axes[:-1]:
        ax.set_xticks([])
        ax.set_yticks([])
    _bars(axes[-1], outputs[last], network.codes is not None)
    axes[-1].set_title(last, size=9)
    return figure


def codes(
    codes: LeNet5 | ArrayLike, ax: Axes | None = None, *, names: Sequence[str] | None = None
) -> Axes:
    """Draw the codes of the classes as pictures, as figure 3 of LeCun et al. 1998 does.

    Parameters
    ----------
    codes : LeNet5, or array (classes, 84)
    ax : matplotlib Axes, optional
    names : sequence of str, optional
        Of the classes; by default their numbers.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the network has no codes, or they are no pictures of 7x12.
    """
    if isinstance(codes, LeNet5):
        if codes.codes is None:
            raise ValueError(f"codes: {codes!r} has none, want a network with an RBF output")
        codes = codes.codes
    array = checks.numbers("codes", codes).astype(np.float32)
    if array.ndim != 2 or array.shape[1] != ROWS * COLUMNS or not len(array):
        raise ValueError(f"codes: shape {array.shape}, want (classes, {ROWS * COLUMNS})")
    names = _checked_names(names, len(array))
    return _gallery(array.reshape(-1, ROWS, COLUMNS), names, None, ax, per_row=16, inch=0.5)


def misclassified(
    images: ArrayLike,
    labels: ArrayLike,
    answers: ArrayLike,
    ax: Axes | None = None,
    *,
    most: int = 100,
) -> Axes:
    """Draw the images that were misread: below each its class and, after the arrow, the answer.

    Parameters
    ----------
    images : array (N, height, width) or (N, channels, height, width)
        Three channels are drawn as red, green and blue, others side by side.
    labels : integer array (N,)
        The right classes.
    answers : integer array (N,)
        What `LeNet5.predict` gave; what it rejected is not misread.
    ax : matplotlib Axes, optional
    most : int
        Draw no more than the first so many.

    Returns
    -------
    matplotlib Axes
    """
    images, labels, answers = _batch(images, labels, answers)
    all_wrong = np.flatnonzero((answers != labels) & (answers != REJECTED))
    wrong = all_wrong[: checks.whole("most", most, 0)]
    texts = [f"{labels[i]}→{answers[i]}" for i in wrong]
    ax = _gallery(images[wrong], texts, [_WRONG] * len(wrong), ax)
    first = f", the first {len(wrong)}" if len(wrong) < len(all_wrong) else ""
    ax.set_title(f"{len(all_wrong):,} of {len(images):,} misread{first}")
    return ax


def predictions(
    images: ArrayLike,
    labels: ArrayLike,
    answers: ArrayLike,
    ax: Axes | None = None,
    *,
    most: int = 60,
) -> Axes:
    """Draw a batch: below each image the answer, and where it is wrong the class before an arrow.

    Parameters
    ----------
    images, labels, answers, ax, most : as for `misclassified`
        A rejected answer is a question mark.

    Returns
    -------
    matplotlib Axes
    """
    most = checks.whole("most", most, 0)
    images, labels, answers = (part[:most] for part in _batch(images, labels, answers))
    texts, colours = [], []
    for label, answer in zip(labels, answers, strict=True):
        read = "?" if answer == REJECTED else str(answer)
        texts.append(read if answer == label else f"{label}→{read}")
        wrong = _QUIET if answer == REJECTED else _WRONG
        colours.append(_RIGHT if answer == label else wrong)
    ax = _gallery(images, texts, colours, ax)
    n_right = int((answers == labels).sum())
    ax.set_title(f"{n_right} of {len(images)} read right")
    return ax


# ---- lines of characters ----


def columns(
    outputs: ArrayLike,
    class_names: Sequence[str] | None = None,
    *,
    strip: ArrayLike | None = None,
    temperature: float = 1.0,
    penalties: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Draw what a network sees along a strip, as the paper's Fig. 25: a row a class.

    Parameters
    ----------
    outputs : array (positions, classes)
        Of one strip, as `LineReader.outputs` and `LeNet5.sweep` give them; the blank comes last.
    class_names : sequence of str, optional
        Of the classes but the blank; their numbers by default.
    strip : array (32, W), optional
        What was read, drawn above in its place: as `preprocess.line` gives it.
    temperature : float
        The network's.
    penalties : bool
        Whether outputs are penalties, as those of RBF units.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
        The darker, the more probable. The columns are those of the strip.

    Examples
    --------
    >>> reader = LineReader.pretrained()                                  # doctest: +SKIP
    >>> strip = preprocess.line("field.png")                              # doctest: +SKIP
    >>> ax = plot.columns(reader.outputs([strip])[0], strip=strip)        # doctest: +SKIP
    """
    from lenet_c.strips import MARGIN, STRIDE

    given = checks.numbers("outputs", outputs)
    if given.ndim != 2 or 0 in given.shape:
        raise ValueError(f"outputs: shape {given.shape}, want (positions, classes) of one strip")
    n_positions, n_classes = given.shape
    names = _checked_names(class_names, n_classes - 1, "class_names")
    scale = checks.real("temperature", temperature, *TEMPERATURES, closed="both")
    shares = np.exp(evidence(given, penalties) / scale)
    shares /= shares.sum(axis=1, keepdims=True)

    half = STRIDE / 2
    left = 16 - MARGIN - half
    right = left + STRIDE * n_positions
    width = max(right + left, 60)
    ax = axes_of(ax, 1.5 + width / 28, 0.8 + 0.22 * n_classes + (0.9 if strip is not None else 0))
    ax.imshow(
        shares.T, cmap="Greys", vmin=0, vmax=1, extent=(left, right, n_classes, 0), aspect="auto"
    )
    ax.hlines(np.arange(1, n_classes), left, right, colors="0.85", linewidth=0.6)
    ax.set_yticks(np.arange(n_classes) + 0.5, [*names, "blank"])
    ax.tick_params(length=0)
    top = 0.0
    if strip is not None:
        picture = checks.numbers("strip", strip)
        if picture.ndim != 2:
            raise ValueError(f"strip: shape {picture.shape}, want (32, W)")
        top = -0.35 * n_classes
        extent = (0, picture.shape[1], -0.2, top)
        ax.imshow(picture, cmap="Greys", vmin=0, vmax=255, extent=extent, aspect="auto")
        right, left = max(right, picture.shape[1]), min(left, 0)
    ax.set_xlim(left, right)
    ax.set_ylim(n_classes, top)
    ax.set_xlabel("column of the strip")
    ax.spines[:].set_visible(False)
    return ax


# ---- what the functions share ----


def _quiet(ax: Axes) -> Axes:
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.3)
    return ax


def _highest(rates: ArrayLike) -> float:
    """Give the highest error rate, without that of the first pass where it dwarfs the others."""
    first, *rest = np.asarray(rates, float)
    return float(max(rest) if rest and first > 3 * max(rest) > 0 else max([first, *rest]))


def _laid_out(outputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Make a layer's outputs for one image one picture, higher than wide."""
    if outputs.ndim == 3 and outputs.shape[1:] != (1, 1):
        return tiled(outputs, max(1, len(outputs) // 8), gap=max(1, outputs.shape[1] // 9))
    units = outputs.reshape(-1)
    columns = COLUMNS if len(units) == ROWS * COLUMNS else max(1, round((len(units) / 3) ** 0.5))
    return tiled(units.reshape(-1, 1, 1), columns, gap=0)


def _pictures(images: NDArray[Any]) -> NDArray[Any]:
    """Give grey images (n, h, w) as they are, three channels as colours, others in a row."""
    if images.ndim == 3:
        return images
    if images.shape[1] != 3:
        return np.concatenate(list(images.swapaxes(0, 1)), axis=-1)
    colours = np.moveaxis(images, 1, -1).astype(np.float32)
    if images.dtype == np.uint8:
        return colours / 255
    low, high = colours.min(), colours.max()
    scaled: NDArray[np.float32] = (colours - low) / (high - low if low < high else 1)
    return scaled


def _width(mosaic: NDArray[np.float32]) -> float:
    height, width = mosaic.shape
    return float(min(1.0, max(0.4, 3.2 * width / height)))


def _bars(ax: Axes, values: NDArray[np.float32], is_rbf: bool) -> None:
    best = values.argmin() if is_rbf else values.argmax()
    classes = np.arange(len(values))
    ax.barh(classes, values, color=[_RIGHT if c == best else "#bbbbbb" for c in classes])
    ax.invert_yaxis()
    ax.tick_params(labelsize=7, length=2)
    if len(classes) <= _MOST_COUNTS:
        ax.set_yticks(classes)
        ax.get_yticklabels()[best].set(color=_RIGHT, weight="bold")
    ax.set_xlabel("penalty" if is_rbf else "logit", size=8)
    ax.spines[["top", "right"]].set_visible(False)


def _gallery(
    images: NDArray[Any],
    texts: Sequence[str],
    colours: Sequence[str] | None,
    ax: Axes | None,
    per_row: int = 20,
    inch: float = 0.45,
) -> Axes:
    """Draw pictures (n, h, w) or (n, channels, h, w) in rows, a text below each."""
    if not len(images):
        ax = axes_of(ax, 3.0, 1.0)
        ax.axis("off")
        return ax
    images = _pictures(images)
    height, width = images.shape[1:3]
    below = round(0.5 * width)
    per_row = min(per_row, len(images))
    gap = max(2, width // 8)
    mosaic = tiled(images, per_row, gap, below)
    scale = inch / (width + gap)
    ax = axes_of(ax, max(2.5, mosaic.shape[1] * scale), mosaic.shape[0] * scale + 0.3)
    # ink dark: grey levels and codes alike have it above the background
    draw_values(ax, mosaic, "gray_r", float(images.min()), float(images.max()))
    ax.set_facecolor("white")
    ax.set_xticks([])
    ax.set_yticks([])
    for i, text in enumerate(texts):
        ax.text(
            i % per_row * (width + gap) + (width - 1) / 2,
            i // per_row * (height + gap + below) + height,
            text,
            ha="center",
            va="top",
            size=8,
            color="black" if colours is None else colours[i],
        )
    return ax


def _checked_names(names: Sequence[str] | None, classes: int, argument: str = "names") -> list[str]:
    if names is None:
        return [str(c) for c in range(classes)]
    if not isinstance(names, Iterable):
        raise TypeError(f"{argument}: got {checks.short(names)}, want a list of names")
    names = list(names)
    if len(names) != classes:
        raise ValueError(f"{argument}: got {len(names)}, want {classes}, one for each class")
    return names


def _batch(
    images: ArrayLike, labels: ArrayLike, answers: ArrayLike
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    pictures = checks.numbers("images", images)
    if pictures.ndim not in (3, 4):
        raise ValueError(
            f"images: shape {pictures.shape}, want (N, height, width) or (N, channels, height, "
            "width)"
        )
    classes = []
    for name, given in (("labels", labels), ("answers", answers)):
        array = checks.numbers(name, given, "iu")
        if array.shape != pictures.shape[:1]:
            raise ValueError(f"{name}: shape {array.shape}, want ({len(pictures)},)")
        classes.append(array)
    return pictures, classes[0], classes[1]
