"""What `LeNet5.read` gives: classes, and how sure the network is of each."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Reading"]

_SHOWN = 20  # rows of a table; of more the first and the last


@dataclass(frozen=True, eq=False)
class Reading:
    """Answers, each with its confidence: arrays, a row an image.

    ``reading[k]`` is one answer as a dict of plain Python values; ``reading[3:7]`` and
    ``reading[reading.rejected]`` are readings; ``print(reading)`` is a table.

    Attributes
    ----------
    classes : int64 array (N,)
        As `LeNet5.predict` gives them; those of rejected answers too.
    labels : str array (N,)
        What the classes are called: `LeNet5.class_names`, or the classes' numbers as text.
    probability : float64 array (N,)
        Of the class, as `LeNet5.predict_proba` has it.
    penalty, margin : float64 array (N,)
        See `Rejection`; the margin of a network of one class is infinite.
    distance : float64 array (N,)
        See `Rejection`; NaN where the network has no `subspaces`.
    rejected : bool array (N,)
        Doubtful answers, and pictures of no character that the network knows.
    """

    classes: NDArray[np.int64]
    labels: NDArray[np.str_]
    probability: NDArray[np.float64]
    penalty: NDArray[np.float64]
    margin: NDArray[np.float64]
    distance: NDArray[np.float64]
    rejected: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.classes)

    @overload
    def __getitem__(self, key: int) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, key: slice | ArrayLike) -> Reading: ...

    def __getitem__(self, key: Any) -> Reading | dict[str, Any]:
        if not isinstance(key, (slice, list, np.ndarray)):
            k = operator.index(key)
            if not -len(self) <= k < len(self):
                raise IndexError(f"image {k} of a reading of {len(self)}")
            return self[[k]].as_dicts()[0]
        return Reading(*(getattr(self, field.name)[key] for field in fields(self)))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.as_dicts())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Reading):
            return NotImplemented
        return all(
            np.array_equal(one, another, equal_nan=one.dtype.kind == "f")
            for one, another in zip(vars(self).values(), vars(other).values(), strict=True)
        )

    def as_dicts(self) -> list[dict[str, Any]]:
        """Give the answers as JSON and data frames take them.

        Returns
        -------
        list of dict
            "class" (int), "label" (str), "probability", "penalty", "margin", "distance" (float;
            None if infinite or NaN) and "rejected" (bool) of each image.
        """
        names = ["class", "label", *(field.name for field in fields(self)[2:])]
        columns = [getattr(self, field.name).tolist() for field in fields(self)]
        return [
            {
                name: None if isinstance(value, float) and not math.isfinite(value) else value
                for name, value in zip(names, row, strict=True)
            }
            for row in zip(*columns, strict=True)
        ]

    def __repr__(self) -> str:
        n = len(self)
        return f"Reading({n} image{'s' * (n != 1)}, {int(self.rejected.sum())} rejected)"

    def _repr_html_(self) -> str:
        from lenet_c import markup

        heading, *rows = self._table()
        title = markup.element("p", markup.element("b", repr(self)))
        return markup.element("div", title, markup.table(heading, rows))

    def _table(self) -> list[list[str]]:
        """Give the heading and a row an answer; of many the first and the last."""
        n = len(self)
        shown = list(range(n))
        if n > _SHOWN:
            shown = [*range(_SHOWN // 2), *range(n - _SHOWN // 2, n)]
        lines = [["", "label", "probability", "penalty", "margin", "distance", ""]]
        for k in shown:
            scores = (self.penalty, self.margin, self.distance)
            lines.append(
                [
                    str(k),
                    str(self.labels[k]),
                    f"{self.probability[k]:.4f}",
                    *(f"{score[k]:.4g}" for score in scores),
                    "rejected" if self.rejected[k] else "",
                ]
            )
        if n > _SHOWN:
            lines.insert(1 + _SHOWN // 2, ["...", *[""] * 6])
        if np.isnan(self.distance).all():
            lines = [[*line[:5], line[6]] for line in lines]
        return lines

    def __str__(self) -> str:
        lines = self._table()
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        text = []
        for line in lines:
            cells = [cell.rjust(width) for cell, width in zip(line, widths, strict=True)]
            text.append("  ".join([*cells[:1], line[1].ljust(widths[1]), *cells[2:]]).rstrip())
        return "\n".join(text)
