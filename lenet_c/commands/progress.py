"""How a training goes on, line by line and on a bar."""

from __future__ import annotations

import sys
import time
from typing import Any, TypeVar

from lenet_c.trainer import Trainer


class _Lines:
    """Lines on standard output, and on a terminal a bar below them until the block is left."""

    def __init__(self, description: str, total: int, unit: str) -> None:
        self.bar = _bar(description, total, unit)

    def __enter__(self: Own) -> Own:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def say(self, line: str) -> None:
        if self.bar is None:
            print(line)
        else:
            self.bar.write(line, file=sys.stdout)


Own = TypeVar("Own", bound=_Lines)


class Progress(_Lines):
    """A trainer's callback: a line an epoch, and on a terminal a bar below the lines."""

    def __init__(self, epochs: int, images: int) -> None:
        super().__init__(f"epoch 1/{epochs}", epochs * images, " images")
        self.epochs = epochs
        self.epoch, self.images, self.loss, self.errors = 1, 0, 0.0, 0

    def on_fit_begin(self, trainer: Trainer) -> None:
        """Begin where a resumed training stands."""
        done = len(trainer.history.epochs)
        self.epoch = done + 1
        if self.bar is not None and done:
            self.bar.update(done * self.bar.total // self.epochs)

    def on_batch_end(self, trainer: Trainer, batch: dict[str, Any]) -> None:
        """Move the bar on."""
        if self.bar is None:
            return
        self.images += batch["images"]
        self.loss += batch["loss"] * batch["images"]
        self.errors += batch["errors"]
        self.bar.set_description(f"epoch {self.epoch}/{self.epochs}", refresh=False)
        self.bar.set_postfix_str(
            f"loss {self.loss / self.images:.4f}, error {self.errors / self.images:.2%}",
            refresh=False,
        )
        self.bar.update(batch["images"])

    def on_epoch_end(self, trainer: Trainer, record: dict[str, float]) -> None:
        """Print the pass's line."""
        validation = ""
        if "val_error_rate" in record:
            validation = f"validation {record['val_error_rate']:7.2%}  "
        self.say(
            f"epoch {record['epoch']:{len(str(self.epochs))}}/{self.epochs}  "
            f"loss {record['loss']:.4f}  error {record['error_rate']:7.2%}  {validation}"
            f"{record['images_per_second']:,.0f} images/s"
        )
        self.epoch, self.images, self.loss, self.errors = self.epoch + 1, 0, 0.0, 0


class Steps(_Lines):
    """How a training of so many updates goes on: some twenty lines, and a bar on a terminal."""

    def __init__(self, steps: int, strips: int) -> None:
        super().__init__("training", steps * strips, " strips")
        self.steps, self.strips = steps, strips
        self.every = max(1, steps // 20)
        self.losses: list[float] = []
        self.began = time.perf_counter()

    def step(self, k: int, loss: float, wrong: float | None = None) -> None:
        """Move on by an update; `wrong` is the share of the validation texts read wrong."""
        self.losses.append(loss)
        if self.bar is not None:
            self.bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
            self.bar.update(self.strips)
        if k % self.every and k < self.steps:
            return
        seconds = time.perf_counter() - self.began
        validation = "" if wrong is None else f"validation {wrong:7.2%}  "
        self.say(
            f"update {k:{len(str(self.steps))}}/{self.steps}  "
            f"loss {sum(self.losses) / len(self.losses):.4f}  {validation}"
            f"{len(self.losses) * self.strips / seconds:,.0f} strips/s"
        )
        self.losses, self.began = [], time.perf_counter()


def _bar(description: str, total: int, unit: str) -> Any:
    if sys.stderr is None or not sys.stderr.isatty():
        return None
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(
        desc=description,
        total=total,
        unit=unit,
        unit_scale=True,
        leave=False,
        dynamic_ncols=True,
        bar_format="{desc}|{bar}| {elapsed}<{remaining}, {rate_fmt}{postfix}",
    )
