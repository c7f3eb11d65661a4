"""Pictures: what is drawn, not how it looks."""

import pytest

from lenet_c import History

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

EPOCHS = [
    {"epoch": 1, "error_rate": 0.05, "val_error_rate": 0.04},
    {"epoch": 2, "error_rate": 0.02, "val_error_rate": 0.03},
]


def test_learning_curves():
    ax = History(EPOCHS).plot()
    curves = {line.get_label(): line.get_xydata().tolist() for line in ax.get_lines()}
    assert curves == {"training": [[1, 5], [2, 2]], "validation": [[1, 4], [2, 3]]}
    assert History(EPOCHS[:1]).plot(ax) is ax
    matplotlib.pyplot.close(ax.figure)


def test_an_empty_history():
    ax = History().plot()
    assert not ax.get_lines()
    matplotlib.pyplot.close(ax.figure)
