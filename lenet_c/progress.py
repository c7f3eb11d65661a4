"""How a training goes on, for who asks: lines, and on a terminal or in a notebook a bar."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from lenet_c import checks
from lenet_c.callbacks import Callback
from lenet_c.history import History

if TYPE_CHECKING:
    from lenet_c.trainer import Trainer

__all__ = ["PassLines", "ProgressBar", "Steps", "shown", "steps_shown"]

_EVERY = 0.1  # seconds between two movements of a bar


# ---- passes, of Trainer.fit ----


class PassLines(Callback):
    """Prints a line a pass on standard output."""

    _bar: Any = None

    def on_epoch_end(self, trainer: Trainer, record: dict[str, float]) -> None:
        """Print the pass's line."""
        assert trainer._run is not None
        epochs = trainer._run.epochs
        validation = ""
        if "val_error_rate" in record:
            validation = f"validation {record['val_error_rate']:7.2%}  "
        _say(
            f"epoch {record['epoch']:{len(str(epochs))}}/{epochs}  "
            f"loss {record['loss']:.4f}  error {record['error_rate']:7.2%}  {validation}"
            f"{record['images_per_second']:,.0f} images/s",
            self._bar,
        )


class ProgressBar(PassLines):
    """Shows how a training goes on: a line a pass, and a bar below the lines while it runs.

    Lines go to standard output. The bar is tqdm's: on standard error where that is a terminal, and
    the notebook's own in one that has ipywidgets. Elsewhere, in a file say, there are only lines.
    ``Trainer.fit(verbose=True)`` makes one.

    Raises
    ------
    ImportError
        If tqdm is not installed (extra "progress"). `Trainer.fit` then has lines alone.

    Examples
    --------
    >>> trainer = Trainer(LeNet5(), callbacks=[ProgressBar()])          # doctest: +SKIP
    """

    def __init__(self) -> None:
        if not _has_tqdm():
            raise ImportError('ProgressBar needs tqdm: pip install "lenet_c[progress]"')
        self._due = 0.0  # when the bar moves again

    def __getstate__(self) -> dict[str, Any]:
        return {"_due": 0.0}  # a copy has no bar yet

    def on_fit_begin(self, trainer: Trainer) -> None:
        """Forget the run before."""
        self._close()
        self._due = 0.0

    def on_batch_end(self, trainer: Trainer, batch: dict[str, float]) -> None:
        """Move the bar on."""
        now = time.monotonic()
        run = trainer._run
        if now < self._due or run is None:
            return
        self._due = now + _EVERY
        updates, _, loss, errors = run.done  # of this pass
        done = len(trainer.history.epochs)
        seen = min(updates * trainer.batch_size, run.n_images)
        place = done * run.n_images + seen
        title = f"epoch {done + 1}/{run.epochs}"
        if self._bar is None:
            begun = place - int(batch["images"])
            self._bar = _bar(title, run.epochs * run.n_images, " images", begun)
            if self._bar is None:
                self._due = math.inf
                return
        self._bar.set_description(title, refresh=False)
        self._bar.set_postfix_str(
            f"loss {loss / seen:.4f}, error {errors / seen:.2%}", refresh=False
        )
        self._bar.update(place - self._bar.n)

    def on_epoch_end(self, trainer: Trainer, record: dict[str, float]) -> None:
        """Print the pass's line above the bar."""
        if self._bar is not None and trainer._run is not None:
            self._bar.n = len(trainer.history.epochs) * trainer._run.n_images
        super().on_epoch_end(trainer, record)

    def on_fit_end(self, trainer: Trainer, history: History) -> None:
        """Take the bar away."""
        if self._bar is not None and trainer.stop:
            self._bar.total = self._bar.n  # or a notebook would call it failed
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def shown(verbose: bool | int, callbacks: Iterable[Any] = ()) -> PassLines | None:
    """Give what shows a `Trainer.fit`, unless a callback does; else give None.

    Another `verbose` raises TypeError or ValueError.
    """
    level = _level(verbose)
    if not level or any(isinstance(callback, PassLines) for callback in callbacks):
        return None
    return ProgressBar() if level == 1 and _has_tqdm() else PassLines()


# ---- updates, of LineReader.fit ----


class Steps:
    """How a training of so many updates goes on: some twenty lines, and a bar below them.

    Parameters
    ----------
    steps : int
        Updates.
    strips : int
        Of an update.
    has_bar : bool
        Whether there is a bar, on a terminal or in a notebook and with tqdm.
    """

    def __init__(self, steps: int, strips: int, has_bar: bool = True) -> None:
        self.steps, self.strips = steps, strips
        self.every = max(1, steps // 20)
        self.losses: list[float] = []
        self.began = 0.0
        self._has_bar = has_bar
        self._bar: Any = None

    def __enter__(self) -> Steps:
        self.began = time.perf_counter()
        if self._has_bar:
            self._bar = _bar("training", self.steps * self.strips, " strips")
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def step(self, k: int, loss: float, wrong: float | None = None) -> None:
        """Move on by an update; `wrong` is the share of the validation texts read wrong."""
        self.losses.append(loss)
        if self._bar is not None:
            self._bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
            self._bar.update(self.strips)
        if k % self.every and k < self.steps:
            return
        seconds = time.perf_counter() - self.began
        validation = "" if wrong is None else f"validation {wrong:7.2%}  "
        _say(
            f"update {k:{len(str(self.steps))}}/{self.steps}  "
            f"loss {sum(self.losses) / len(self.losses):.4f}  {validation}"
            f"{len(self.losses) * self.strips / seconds:,.0f} strips/s",
            self._bar,
        )
        self.losses, self.began = [], time.perf_counter()


def steps_shown(
    verbose: bool | int, steps: int, strips: int
) -> AbstractContextManager[Steps | None]:
    """Give what shows a training of so many updates, in a block, or None in it."""
    level = _level(verbose)
    return Steps(steps, strips, level == 1) if level else nullcontext()


# ---- both ----


def _level(verbose: bool | int) -> int:
    return verbose if isinstance(verbose, bool) else checks.whole("verbose", verbose, 0, 2)


def _say(line: str, bar: Any) -> None:
    if bar is None:
        print(line, flush=True)
    else:
        bar.write(line, file=sys.stdout)


def _has_tqdm() -> bool:
    try:
        import tqdm  # noqa: F401
    except ImportError:
        return False
    return True


def _bar(description: str, total: int, unit: str, begun: int = 0) -> Any:
    """Make a bar where one can be seen; else give None."""
    on_terminal = sys.stderr is not None and sys.stderr.isatty()
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return None
    in_notebook = tqdm.__module__ == "tqdm.auto"  # else it is one of a terminal's, from elsewhere
    if not on_terminal and not in_notebook:
        return None
    return tqdm(
        desc=description,
        total=total,
        initial=begun,
        unit=unit,
        unit_scale=True,
        leave=False,
        dynamic_ncols=True,
        mininterval=_EVERY / 2,
        miniters=1,
        bar_format="{desc}|{bar}| {elapsed}<{remaining}, {rate_fmt}{postfix}",
    )
