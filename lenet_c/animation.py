"""How filters change in training: a callback that keeps them, and makes a GIF of them."""

from __future__ import annotations

import io
import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from lenet_c import checks, files
from lenet_c.callbacks import Callback
from lenet_c.canvas import Floats, convolution, draw_kernels, kernels_of, mosaic_of, new_figure

if TYPE_CHECKING:
    from lenet_c.trainer import Trainer


class Animation(Callback):
    """Keeps the kernels of a convolution as they change in training, to be seen one by one.

    The times grow with the square of their number: what changes most, changes early.

    Parameters
    ----------
    layer : str
        Name of a convolution.
    frames : int
        Pictures after the first, which is of the weights before training.

    Attributes
    ----------
    steps : list of int
        Updates done before each picture.
    n_steps : int
        Updates of the whole run.

    Examples
    --------
    >>> animation = plot.Animation("C1")                                  # doctest: +SKIP
    >>> Trainer(net, callbacks=[animation]).fit(x, y, epochs=3)           # doctest: +SKIP
    >>> animation.save("filters.gif")                                     # doctest: +SKIP
    """

    def __init__(self, layer: str = "C1", frames: int = 60) -> None:
        self.layer = checks.instance("layer", layer, str, "a convolution's name")
        self.frames = checks.whole("frames", frames, 1, 1000)
        self.steps: list[int] = []
        self.n_steps = 0
        self._kernels: list[Floats] = []

    def on_fit_begin(self, trainer: Trainer) -> None:
        """Forget the run before; raise ValueError if the network has no such convolution."""
        convolution(trainer.network.architecture, self.layer)
        self.steps, self._kernels, self.n_steps = [], [], 0
        self._keep(trainer, 0)

    def on_batch_end(self, trainer: Trainer, batch: dict[str, float]) -> None:
        """Keep the kernels if it is time."""
        step, self.n_steps = int(batch["step"]), int(batch["n_steps"])
        if self._number(step) > self._number(step - 1) or step == self.n_steps:
            self._keep(trainer, step)

    def _number(self, step: int) -> int:
        return math.isqrt(self.frames * self.frames * step // self.n_steps)

    def _keep(self, trainer: Trainer, step: int) -> None:
        architecture = trainer.network.architecture
        conv = convolution(architecture, self.layer)
        weights = trainer.network[f"{self.layer}.weight"].copy()
        n_inputs = architecture.input_shapes[self.layer][0]
        self.steps.append(step)
        self._kernels.append(kernels_of(weights, conv, n_inputs))

    def state_dict(self) -> dict[str, Any]:
        """Give the kernels so far."""
        return {
            "layer": self.layer,
            "steps": list(self.steps),
            "n_steps": self.n_steps,
            # without a connection there is no weight, and a file has no NaN
            "kernels": np.nan_to_num(np.stack(self._kernels)) if self._kernels else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there; raise ValueError if it was another layer."""
        if state["layer"] != self.layer:
            raise ValueError(f"layer: got {self.layer!r}, want {state['layer']!r} as before")
        kernels, now = state["kernels"], self._kernels[-1]
        steps = [checks.whole("steps", step, 0) for step in state["steps"]]
        if kernels is None or kernels.shape != (len(steps), *now.shape):
            raise ValueError(f"kernels: want an array {(len(steps), *now.shape)}")
        missing = np.isnan(now)
        self.steps, self.n_steps = steps, checks.whole("n_steps", state["n_steps"], 0)
        self._kernels = [np.where(missing, np.nan, one).astype(np.float32) for one in kernels]

    def save(self, path: str | os.PathLike[str], *, seconds: float = 6.0, dpi: float = 80) -> None:
        """Write a GIF that shows the kernels one after the other, without end.

        Parameters
        ----------
        path : path
            Replaced whole or not at all.
        seconds : float
            From the first picture to the last, which stays for a second.
        dpi : float
            Pixels an inch.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If nothing has been kept: no training began.
        """
        if not self._kernels:
            raise ValueError("animation: has no pictures, want Trainer(callbacks=[animation]).fit")
        name = checks.path("path", path)
        seconds = checks.real("seconds", seconds, 0.0, 3600.0)
        pictures = self._drawn(checks.real("dpi", dpi, 1.0, 1000.0, closed="both"))
        each = max(20, round(1000 * seconds / len(pictures)))  # milliseconds, as players allow
        content = io.BytesIO()
        pictures[0].save(
            content,
            "GIF",
            save_all=True,
            append_images=pictures[1:],
            duration=[each] * (len(pictures) - 1) + [each + 1000],
            loop=0,
        )
        files.replace(name, content.getvalue())

    def _drawn(self, dpi: float) -> list[Any]:
        """Draw all pictures, on one scale."""
        figure: Any = new_figure(1, 1)  # tells what is missing
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from PIL import Image

        limit = max(float(np.nanmax(np.abs(one))) for one in self._kernels)
        ax = draw_kernels(self._kernels[0], self.layer, limit=limit or 1.0)
        figure = ax.figure
        figure.set_dpi(dpi)
        width, height = figure.get_size_inches()
        figure.set_size_inches(max(width, 3.2), height + 0.3)
        canvas: Any = FigureCanvasAgg(figure)
        ax.set_title("update", size=9)
        canvas.draw()
        figure.set_layout_engine("none")  # all as the first, and sooner
        pictures = []
        for step, kernels in zip(self.steps, self._kernels, strict=True):
            ax.get_images()[0].set_data(mosaic_of(kernels))
            ax.set_title(f"update {step:,} of {self.n_steps:,}", size=9)
            canvas.draw()
            picture = Image.fromarray(np.asarray(canvas.buffer_rgba()).copy()).convert("RGB")
            pictures.append(picture.quantize(128))
        return pictures
