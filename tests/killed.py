"""Trainings that are killed, and what must be the same of one that went on."""

from __future__ import annotations

from typing import Any

from lenet_c import Callback, Trainer


class Killed(Exception):
    """What ends a run where a process would have been killed."""


class KillAt(Callback):
    """Saves into memory and ends the run, after an update or after a pass."""

    def __init__(self, file: Any, update: int | None = None, epoch: int | None = None) -> None:
        self.file, self.update, self.epoch = file, update, epoch

    def on_batch_end(self, trainer: Trainer, batch: dict[str, float]) -> None:
        if batch["step"] == self.update:
            self._end(trainer)

    def on_epoch_end(self, trainer: Trainer, record: dict[str, float]) -> None:
        if record["epoch"] == self.epoch:
            self._end(trainer)

    def _end(self, trainer: Trainer) -> None:
        trainer.save(self.file)
        raise Killed


def without_times(trainer: Trainer) -> list[dict[str, float]]:
    times = ("seconds", "images_per_second")
    return [{k: v for k, v in r.items() if k not in times} for r in trainer.history.epochs]
