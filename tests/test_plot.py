"""Pictures: what is drawn, not how it looks."""

import dataclasses
import sys

import numpy as np
import pytest

from lenet_c import (
    LENET5_28,
    LENET5_1998,
    LENET5_MODERN,
    AveragePool,
    History,
    LeNet5,
    MaxPool,
    codes,
    plot,
    rejection,
)

matplotlib = pytest.importorskip("matplotlib")
from matplotlib.colors import to_rgb  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

EPOCHS = [
    {"epoch": 1, "error_rate": 0.05, "val_error_rate": 0.04},
    {"epoch": 2, "error_rate": 0.02, "val_error_rate": 0.03},
]
CONFUSION = np.array([[7, 1, 0], [0, 0, 2], [5, 0, 9]])
IMAGES = np.random.default_rng(0).integers(0, 256, (5, 28, 28)).astype(np.uint8)
LABELS = np.array([4, 1, 7, 7, 0])
ANSWERS = np.array([4, 7, -1, 1, 0])
NET = LeNet5(seed=3)


@pytest.fixture(autouse=True)
def _pyplot_is_left_alone():
    yield
    if "matplotlib.pyplot" in sys.modules:
        assert not matplotlib.pyplot.get_fignums()


def picture_of(ax):
    """The one image on the axes, NaN where it is empty."""
    (image,) = ax.get_images()
    return image.get_array().astype(float).filled(np.nan)


def texts_of(ax):
    return [text.get_text() for text in ax.texts]


def rendered(figure):
    """As pixels, to see that what is described can be drawn."""
    figure.canvas.draw()
    return figure


# ---- curves ----


def test_learning_curves():
    ax = History(EPOCHS).plot()
    curves = {line.get_label(): line.get_xydata().tolist() for line in ax.get_lines()}
    assert curves == {"training": [[1, 5], [2, 2]], "validation": [[1, 4], [2, 3]]}
    assert History(EPOCHS[:1]).plot(ax) is ax
    ax = plot.learning_curves(History(EPOCHS), validation="test")
    assert [line.get_label() for line in ax.get_lines()] == ["training", "test"]
    assert ax.get_ylim() == pytest.approx((0, 1.1 * 5))
    rendered(ax.figure)


def test_a_first_pass_that_dwarfs_the_others():
    rates = [0.6, 0.05, 0.04]
    ax = History([{"epoch": k + 1, "error_rate": rates[k]} for k in range(3)]).plot()
    assert ax.get_ylim() == pytest.approx((0, 1.1 * 5))
    assert ax.get_lines()[0].get_ydata().tolist() == [100 * rate for rate in rates]
    assert History([{"epoch": 1, "error_rate": 0.0}]).plot().get_ylim()[1] > 0


def test_an_empty_history():
    assert not History().plot().get_lines()


def test_rejection_curve():
    curve = rejection.curve("margin", np.array([3.0, 1, 2, 5]), np.array([0, 1, 0, 1], bool))
    ax = plot.rejection_curve(curve)
    (line,) = ax.get_lines()
    assert line.get_label() == "by margin"
    np.testing.assert_allclose(line.get_xdata(), [0, 25, 50, 75])
    np.testing.assert_allclose(line.get_ydata(), [50, 100 / 3, 50, 100])
    assert plot.rejection_curve(curve, ax) is ax
    assert len(ax.get_lines()) == 2
    rendered(ax.figure)


# ---- confusion ----


def test_confusion_matrix():
    ax = plot.confusion_matrix(CONFUSION)
    wanted = CONFUSION.astype(float)
    np.fill_diagonal(wanted, np.nan)  # the right answers have no colour
    np.testing.assert_array_equal(picture_of(ax), wanted)
    counts = {text.get_position()[::-1]: text.get_text() for text in ax.texts}
    assert counts == {(r, c): str(CONFUSION[r, c]) for r, c in np.argwhere(CONFUSION)}
    assert ax.get_title() == "8 of 24 misread (33.33%)"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["0", "1", "2"]
    rendered(ax.figure)


def test_confusion_of_an_evaluation_with_names():
    result = NET.evaluate(IMAGES, LABELS)
    ax = Figure().subplots()
    names = [f"<{c}>" for c in range(10)]
    assert plot.confusion_matrix(result, ax, names=names) is ax
    assert [label.get_text() for label in ax.get_xticklabels()] == names
    assert sum(int(text) for text in texts_of(ax)) == 5


def test_confusion_of_many_classes_and_of_none_wrong():
    assert not texts_of(plot.confusion_matrix(np.eye(95, dtype=int)))
    assert plot.confusion_matrix(np.eye(2, dtype=int)).get_title() == "0 of 2 misread (0.00%)"
    rendered(plot.confusion_matrix(np.zeros((3, 3), int)).figure)
    rendered(plot.confusion_matrix([[3]]).figure)


# ---- filters ----


def test_filters_without_a_table():
    ax = plot.filters(NET)
    picture = picture_of(ax)
    assert picture.shape == (5, 6 * 6 - 1)
    for m in range(6):
        np.testing.assert_array_equal(picture[:, 6 * m : 6 * m + 5], NET["C1.weight"][m, 0])
    assert np.isnan(picture[:, 5::6]).all()
    (image,) = ax.get_images()
    assert image.get_clim() == pytest.approx((-abs(NET["C1.weight"]).max(), image.get_clim()[1]))
    assert sum(image.get_clim()) == 0
    rendered(ax.figure)


def test_filters_with_a_table():
    ax = Figure().subplots()
    assert plot.filters(NET, "C3", ax) is ax
    picture = picture_of(ax)
    assert picture.shape == (6 * 6 - 1, 16 * 6 - 1)
    table = LENET5_1998.layers[2].table
    pair = 0
    for m in range(16):
        for i in range(6):
            kernel = picture[6 * i : 6 * i + 5, 6 * m : 6 * m + 5]
            if i in table[m]:
                np.testing.assert_array_equal(kernel, NET["C3.weight"][pair])
                pair += 1
            else:
                assert np.isnan(kernel).all()
    assert pair == 60
    assert [label.get_text() for label in ax.get_yticklabels()] == list("012345")


def test_filters_of_a_deep_layer():
    rendered(plot.filters(NET, "C5").figure)


# ---- feature maps ----


MAX_POOLED = dataclasses.replace(
    LENET5_28,
    layers=tuple(
        MaxPool(layer.name) if isinstance(layer, AveragePool) else layer
        for layer in LENET5_28.layers
    ),
)


@pytest.mark.parametrize("architecture", [LENET5_1998, LENET5_MODERN, LENET5_28, MAX_POOLED])
def test_feature_maps(architecture):
    net = LeNet5(architecture, seed=1)
    figure = plot.feature_maps(net, IMAGES[0])
    names = [layer.name for layer in architecture.layers]
    assert [ax.get_title() for ax in figure.axes] == ["input", *names]
    outputs = {name: array[0] for name, array in net.activations(IMAGES[0]).items()}
    np.testing.assert_array_equal(picture_of(figure.axes[0]), IMAGES[0])
    for ax, name in zip(figure.axes[1:-1], names, strict=False):
        picture = picture_of(ax)
        shown = picture[~np.isnan(picture)]
        np.testing.assert_array_equal(np.sort(shown), np.sort(outputs[name].ravel()))
        (image,) = ax.get_images()
        assert sum(image.get_clim()) == 0
    side = outputs["C1"].shape[-1]
    np.testing.assert_array_equal(picture_of(figure.axes[1])[:side], outputs["C1"][0])
    # two columns of C3's maps, the second map beside the first
    side = outputs["C3"].shape[-1]
    np.testing.assert_array_equal(picture_of(figure.axes[3])[:side, -side:], outputs["C3"][1])
    f6 = figure.axes[1 + names.index("F6")]
    np.testing.assert_array_equal(picture_of(f6), outputs["F6"].reshape(12, 7))
    bars = figure.axes[-1].patches
    np.testing.assert_allclose([bar.get_width() for bar in bars], outputs["output"], rtol=1e-6)
    best = int(net.predict(IMAGES[0])[0])
    green = [bar.get_facecolor()[:3] == to_rgb(plot._RIGHT) for bar in bars]
    assert green == [c == best for c in range(10)]
    rendered(figure)


def test_feature_maps_of_a_padded_layer():
    first = dataclasses.replace(LENET5_28.layers[0], padding=2)
    architecture = dataclasses.replace(LENET5_28, layers=(first, *LENET5_28.layers[1:]))
    net = LeNet5(architecture, seed=1)
    axes = plot.feature_maps(net, IMAGES[0]).axes
    maps = net.activations(IMAGES[0])["C1"][0]
    assert maps.shape == (6, 28, 28)
    np.testing.assert_array_equal(picture_of(axes[1])[:28], maps[0])
    assert plot.filters(net, "C1").figure is not None


def test_feature_maps_on_a_figure_of_ones_own():
    figure = Figure()
    assert plot.feature_maps(NET, IMAGES[:1], figure) is figure
    assert len(figure.axes) == 8


# ---- codes and images ----


def test_codes():
    ax = plot.codes(NET)
    picture = picture_of(ax)
    for c in range(10):
        drawn = picture[:12, 9 * c : 9 * c + 7]
        np.testing.assert_array_equal(drawn, codes.DIGITS[c].reshape(12, 7))
    assert texts_of(ax) == list("0123456789")
    ax = Figure().subplots()
    assert plot.codes(codes.DIGITS[:2], ax, names=["o", "l"]) is ax
    assert texts_of(ax) == ["o", "l"]
    # more than a row of them
    many = plot.codes(np.repeat(codes.DIGITS, 4, axis=0))
    assert len({text.get_position()[1] for text in many.texts}) == 3
    rendered(many.figure)


def test_misclassified():
    ax = plot.misclassified(IMAGES, LABELS, ANSWERS)
    # 2 is rejected: not misread
    assert texts_of(ax) == ["1→7", "7→1"]
    assert ax.get_title() == "2 of 5 misread"
    picture = picture_of(ax)
    np.testing.assert_array_equal(picture[:28, :28], IMAGES[1])
    np.testing.assert_array_equal(picture[:28, 31 : 31 + 28], IMAGES[3])
    ax = Figure().subplots()
    assert plot.misclassified(IMAGES, LABELS, ANSWERS, ax, most=1) is ax
    assert texts_of(ax) == ["1→7"]
    assert ax.get_title() == "2 of 5 misread, the first 1"
    rendered(ax.figure)


def test_nothing_misclassified():
    ax = plot.misclassified(IMAGES, LABELS, LABELS)
    assert ax.get_title() == "0 of 5 misread"
    assert not ax.get_images()
    rendered(ax.figure)


def test_predictions():
    ax = plot.predictions(IMAGES, LABELS, ANSWERS)
    assert texts_of(ax) == ["4", "1→7", "7→?", "7→1", "0"]
    right, wrong, quiet = plot._RIGHT, plot._WRONG, plot._QUIET
    assert [text.get_color() for text in ax.texts] == [right, wrong, quiet, wrong, right]
    assert ax.get_title() == "2 of 5 read right"
    picture = picture_of(ax)
    for i in range(5):
        np.testing.assert_array_equal(picture[:28, 31 * i : 31 * i + 28], IMAGES[i])
    assert texts_of(plot.predictions(IMAGES, LABELS, ANSWERS, most=2)) == ["4", "1→7"]
    rendered(ax.figure)


def test_a_second_row():
    many = np.repeat(IMAGES, 5, axis=0)
    ax = plot.predictions(many, np.arange(25) % 10, np.arange(25) % 10)
    picture = picture_of(ax)
    # below an image there is room for its text
    np.testing.assert_array_equal(picture[45 : 45 + 28, 31 : 31 + 28], many[21])
    x, y = ax.texts[21].get_position()
    assert (x, y) == (31 + 13.5, 45 + 28)


# ---- files ----


def test_save(tmp_path):
    image = pytest.importorskip("PIL.Image")
    path = tmp_path / "a.png"
    path.write_text("old")
    ax = plot.misclassified(IMAGES, LABELS, ANSWERS)
    plot.save(ax, path)
    plot.save(ax.figure, tmp_path / "b.png", dpi=50)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png"]
    with image.open(path) as a, image.open(tmp_path / "b.png") as b:
        assert a.format == "PNG"
        assert a.size == tuple((100 * ax.figure.get_size_inches()).astype(int))
        assert abs(a.width - 2 * b.width) <= 1
        # the red of the text is there
        pixels = np.asarray(a.convert("RGB")).astype(int)
        assert (pixels[:, :, 0] - pixels[:, :, 1]).max() > 100
    same = path.read_bytes()
    plot.save(plot.misclassified(IMAGES, LABELS, ANSWERS), path)
    assert path.read_bytes() == same


def test_a_failure_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.png"
    path.write_text("old")
    with pytest.raises(ValueError):
        plot.save(plot.codes(NET), path, dpi=-1)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


# ---- what is refused ----


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plot.confusion_matrix(np.zeros((2, 3), int)), r"result: shape \(2, 3\), want"),
        (lambda: plot.confusion_matrix(np.zeros((0, 0), int)), r"result: shape \(0, 0\), want"),
        (lambda: plot.confusion_matrix(CONFUSION, names=["a"]), "names: got 1, want 3"),
        (lambda: plot.filters(NET, "S2"), "layer: got 'S2', want one of C1, C3, C5"),
        (lambda: plot.feature_maps(NET, IMAGES), r"image: shape \(5, 28, 28\), want one image"),
        (lambda: plot.codes(LeNet5(LENET5_28)), "has none, want a network with an RBF output"),
        (lambda: plot.codes(np.zeros((3, 80))), r"codes: shape \(3, 80\), want \(classes, 84\)"),
        (lambda: plot.codes(codes.DIGITS, names="ab"), "names: got 2, want 10"),
        (lambda: plot.misclassified(IMAGES[0], [1], [2]), r"images: shape \(28, 28\), want"),
        (lambda: plot.predictions(IMAGES, [1, 2], ANSWERS), r"labels: shape \(2,\), want \(5,\)"),
        (lambda: plot.predictions(IMAGES, LABELS, [0]), r"answers: shape \(1,\), want \(5,\)"),
    ],
)
def test_what_cannot_be_drawn(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plot.learning_curves(EPOCHS), r"history: got \[.*, want a History"),
        (lambda: plot.rejection_curve(NET), r"curve: got LeNet5\(.*, want a RejectionCurve"),
        (lambda: plot.filters("C1"), "network: got 'C1', want a LeNet5"),
        (lambda: plot.feature_maps(IMAGES[0], NET), "network: got array.*, want a LeNet5"),
        (lambda: plot.feature_maps(NET, "7"), "image: dtype <U1, want real numbers"),
        (lambda: plot.codes("A"), "codes: dtype <U1, want real numbers"),
        (lambda: plot.confusion_matrix([["1"]]), "result: dtype <U1, want integers"),
        (lambda: plot.confusion_matrix([[np.nan]]), "result: dtype float64, want integers"),
        (lambda: plot.confusion_matrix(CONFUSION, names=3), "names: got 3, want a list of names"),
        (lambda: plot.misclassified(IMAGES, LABELS, [0.0] * 5), "answers: dtype float64, want in"),
        (lambda: plot.predictions(IMAGES, "ABCDE", ANSWERS), "labels: dtype <U5, want integers"),
        (lambda: plot.save(None, "a.png"), "drawn: got None, want a matplotlib Axes or Figure"),
        (lambda: plot.save(Figure(), 3), "path: got 3, want a path"),
        (lambda: plot.network(NET, "a.png"), "ax: got 'a.png', want a matplotlib Axes"),
        (lambda: plot.filters(NET, ax=Figure()), "ax: got <Figure.*, want a matplotlib Axes"),
        (lambda: plot.misclassified(IMAGES, LABELS, ANSWERS, 4), "ax: got 4, want a matplotlib"),
        (lambda: plot.feature_maps(NET, IMAGES[0], "a"), "figure: got 'a', want a matplotlib Fig"),
    ],
)
def test_what_is_no_such_thing(draw, message):
    with pytest.raises(TypeError, match=f"^{message}"):
        draw()


@pytest.mark.parametrize("draw", [plot.misclassified, plot.predictions])
@pytest.mark.parametrize("most", [-1, 1.5, None])
def test_most_is_a_count(draw, most):
    error = ValueError if most == -1 else TypeError
    with pytest.raises(error, match=f"most: got {most}, want a whole number of at least 0"):
        draw(IMAGES, LABELS, ANSWERS, most=most)


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    for draw in (lambda: History(EPOCHS).plot(), lambda: plot.feature_maps(NET, IMAGES[0])):
        with pytest.raises(ImportError, match=r'plots need matplotlib: pip install "lenet_c\[plot'):
            draw()


# ---- lines of characters ----


def test_columns_of_a_strip():
    outputs = np.full((5, 4), -3.0, np.float32)
    outputs[[0, 1, 2, 3, 4], [3, 0, 3, 2, 3]] = 6.0
    strip = np.zeros((32, 40), np.uint8)
    strip[8:24, 14] = 255
    ax = plot.columns(outputs, "ab.", strip=strip, temperature=2.0)
    shares, above = ax.get_images()
    found = np.asarray(shares.get_array())
    assert found.shape == (4, 5)
    np.testing.assert_allclose(found.sum(axis=0), 1, rtol=1e-5)
    assert found.argmax(axis=0).tolist() == [3, 0, 3, 2, 3]
    assert found.max() == pytest.approx(1 / (1 + 3 * np.exp(-4.5)), rel=1e-5)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b", ".", "blank"]
    # the first position's middle is at column 16 - MARGIN
    assert shares.get_extent()[:2] == [8, 28]
    assert above.get_extent()[:2] == [0, 40]
    np.testing.assert_array_equal(np.asarray(above.get_array()), strip)
    rendered(ax.figure)

    of_penalties = plot.columns(-outputs, penalties=True, temperature=2.0).get_images()[0]
    np.testing.assert_allclose(np.asarray(of_penalties.get_array()), found)
    same = plot.columns(outputs, ax=ax)
    assert same is ax


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"outputs": np.zeros(3)}, r"outputs: shape \(3,\)"),
        ({"outputs": np.zeros((0, 3))}, "outputs: shape"),
        ({"class_names": "abc"}, "class_names: got 3, want 2"),
        ({"temperature": 0.0}, "temperature: got 0"),
        ({"strip": np.zeros(5)}, "strip: shape"),
    ],
)
def test_columns_that_are_none(settings, words):
    with pytest.raises(ValueError, match=words):
        plot.columns(**{"outputs": np.zeros((4, 3)), **settings})
