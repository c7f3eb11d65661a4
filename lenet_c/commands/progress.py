"""How a training goes on, line by line and on a bar."""

from __future__ import annotations

import sys
from typing import Any

from lenet_c.trainer import Trainer


class Progress:
    """A trainer's callback: a line an epoch, and on a terminal a bar below the lines."""

    def __init__(self, epochs: int, images: int) -> None:
        self.epochs = epochs
        self.bar = _bar(f"epoch 1/{epochs}", epochs * images)
        self.epoch, self.images, self.loss, self.errors = 1, 0, 0.0, 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.bar is not None:
            self.bar.close()

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
        line = (
            f"epoch {record['epoch']:{len(str(self.epochs))}}/{self.epochs}  "
            f"loss {record['loss']:.4f}  error {record['error_rate']:7.2%}  {validation}"
            f"{record['images_per_second']:,.0f} images/s"
        )
        if self.bar is None:
            print(line)
        else:
            self.bar.write(line, file=sys.stdout)
        self.epoch, self.images, self.loss, self.errors = self.epoch + 1, 0, 0.0, 0


def _bar(description: str, total: int) -> Any:
    if sys.stderr is None or not sys.stderr.isatty():
        return None
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(
        desc=description,
        total=total,
        unit=" images",
        unit_scale=True,
        leave=False,
        dynamic_ncols=True,
        bar_format="{desc}|{bar}| {elapsed}<{remaining}, {rate_fmt}{postfix}",
    )
