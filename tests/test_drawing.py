"""Architectures drawn, filters in motion, and the command that draws."""

import itertools
import re
import sys

import numpy as np
import pytest

from lenet_c import (
    LENET5_28,
    LENET5_1998,
    LENET5_MODERN,
    Adam,
    Architecture,
    Conv,
    Dense,
    LeNet5,
    MaxPool,
    Trainer,
    cli,
    datasets,
    plot,
)
from lenet_c.networks import NETWORKS

matplotlib = pytest.importorskip("matplotlib")
Image = pytest.importorskip("PIL.Image")
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.patches import Rectangle  # noqa: E402

COLOURED = Architecture(
    "coloured-with-a-very-long-name",
    (
        Conv("first", maps=40, kernel=5, activation="relu", padding=2),
        MaxPool("pool"),
        Conv("$second_{layer}$ whose name is long", maps=2, kernel=3, table=((0, 5), (7,))),
        Dense("output", units=1000, activation="identity"),
    ),
    input_shape=(3, 20, 48),
)
PICTURES = np.zeros((40, 28, 28), np.uint8)
PICTURES[:, 6:22, 8:20] = np.random.default_rng(0).integers(0, 256, (40, 16, 12))
LABELS = np.arange(40) % 10


def texts_of(ax):
    return [text.get_text() for text in ax.texts]


def planes_of(ax):
    """The rectangles that are filled: planes and bars; as (x, y, width, height)."""
    filled = [p for p in ax.patches if isinstance(p, Rectangle) and p.get_facecolor()[3]]
    return [(*p.get_xy(), p.get_width(), p.get_height()) for p in filled]


# ---- architectures ----


@pytest.mark.parametrize("name", [*NETWORKS])
def test_every_network_that_has_a_name_is_drawn(name):
    architecture = NETWORKS[name]
    ax = plot.network(name)
    texts = texts_of(ax)
    title = f"{name}: {architecture.n_parameters:,} parameters, "
    assert title + f"{architecture.n_connections:,} connections" in texts
    for row in architecture.rows():
        maps, height, width = row.output_shape
        label = f"{maps:,}" if height == width == 1 else f"{maps}@{height}x{width}"
        assert label in texts
        assert any(text.partition(":")[0] == row.name for text in texts)
    shapes = [architecture.image_shape, *architecture.output_shapes.values()]
    planes = sum(1 if s[1:] == (1, 1) else min(s[0], 12) for s in shapes)
    assert len(planes_of(ax)) == planes
    ax.figure.canvas.draw()


def test_what_the_1998_network_says():
    texts = texts_of(plot.network(LENET5_1998))
    assert texts.count("convolution") == 2
    assert texts.count("subsampling") == 2
    assert texts.count("full connection") == 2  # C5 and F6, as in the paper
    assert texts.count("Gaussian connections") == 1
    assert texts.count("by a table") == 1
    assert texts.count("scaled tanh") == 6
    assert [t for t in texts if t in ("input", "32x32")] == ["input", "32x32"]
    modern = texts_of(plot.network(LeNet5(LENET5_MODERN)))
    assert modern.count("mean pooling") == 2
    assert "Gaussian connections" not in modern


def test_other_kinds_shapes_and_names():
    ax = plot.network(COLOURED)
    texts = texts_of(ax)
    for text in ("3@20x48", "40@20x48", "5x5, padding 2", "relu", "max pooling", "1,000"):
        assert text in texts
    assert "$second_{layer}…: maps" in texts
    planes = planes_of(ax)
    assert len(planes) == 3 + 12 + 12 + 2 + 1
    assert planes[0][2] > planes[0][3]  # wider than high
    ax.figure.canvas.draw()  # as it is written, not as a formula


@pytest.mark.parametrize("architecture", [*NETWORKS.values(), COLOURED], ids=lambda one: one.name)
def test_nothing_lies_over_its_neighbour(architecture):
    ax = plot.network(architecture)
    figure = ax.figure
    figure.canvas.draw()
    boxes = [(t.get_text(), t.get_window_extent()) for t in ax.texts]
    for (one, a), (other, b) in itertools.combinations(boxes, 2):
        assert not a.overlaps(b), f"{one} over {other}"
    for _, box in boxes:
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y0 >= 0
        assert box.y1 <= figure.bbox.y1
    for text, box in boxes:
        for patch in ax.patches:
            assert not box.overlaps(patch.get_window_extent()), text


def test_sizes_follow_those_of_the_maps():
    planes = planes_of(plot.network(LENET5_1998))
    first = {"input": planes[0], "C1": planes[1], "S2": planes[7], "C3": planes[13]}
    sides = [plane[2] for plane in first.values()]
    assert sides[0] > sides[1] > sides[3] > 0
    assert sides[1] > sides[2]
    assert planes[0][2] == planes[0][3]
    c5, f6, output = planes[-3:]
    assert c5[3] > f6[3] > output[3]


def test_on_axes_of_ones_own_and_what_is_refused():
    ax = Figure().subplots()
    assert plot.network("lenet5-28", ax) is ax
    with pytest.raises(ValueError, match="network: got 'lenet6', want one of lenet5-1998"):
        plot.network("lenet6")
    with pytest.raises(TypeError, match="network: got 3, want a LeNet5, an Architecture, or a"):
        plot.network(3)


def test_svg(tmp_path):
    for name in ("a.svg", "b.SVG"):
        plot.save(plot.network("lenet5-1998"), tmp_path / name)
    first = (tmp_path / "a.svg").read_text()
    assert first == (tmp_path / "b.SVG").read_text()
    assert "<svg" in first
    assert "<dc:date>" not in first
    assert len(re.findall("<path", first)) > 40
    with pytest.raises(TypeError, match="drawn: got None"):
        plot.save(None, tmp_path / "c.svg")


# ---- filters in motion ----


def trained(animation, epochs=2, network=LENET5_28, **more):
    net = LeNet5(network, seed=1)
    trainer = Trainer(net, Adam(3e-3), batch_size=8, callbacks=[animation], **more)
    trainer.fit(PICTURES, LABELS, epochs=epochs, num_threads=1)
    return net


def test_an_animation_keeps_the_kernels():
    animation = plot.Animation("C1", frames=4)
    start = LeNet5(LENET5_28, seed=1)["C1.weight"]
    net = trained(animation)
    # ten updates: those at which a quarter, a half and so on squared are reached
    assert animation.steps == [0, 1, 3, 6, 10]
    assert animation.n_steps == 10
    np.testing.assert_array_equal(animation._kernels[0], start)
    np.testing.assert_array_equal(animation._kernels[-1], net["C1.weight"])
    assert not np.array_equal(animation._kernels[1], animation._kernels[2])
    again = trained(animation, epochs=1)
    assert animation.steps == [0, 1, 2, 3, 5]
    np.testing.assert_array_equal(animation._kernels[-1], again["C1.weight"])


def test_more_frames_than_updates():
    animation = plot.Animation("C3", frames=1000)
    trained(animation, epochs=1, network=LENET5_1998, loss="map")
    assert animation.steps == [0, 1, 2, 3, 4, 5]
    first = animation._kernels[0]
    assert first.shape == (16, 6, 5, 5)
    assert np.isnan(first[0, 3:]).all()  # where Table I has no connection


def test_a_gif(tmp_path):
    animation = plot.Animation("C1", frames=4)
    trained(animation)
    path = tmp_path / "a.gif"
    path.write_text("old")
    animation.save(path, seconds=2.0)
    with Image.open(path) as gif:
        assert gif.format == "GIF"
        assert gif.n_frames == 5
        assert gif.info["loop"] == 0
        durations, frames = [], []
        for k in range(5):
            gif.seek(k)
            durations.append(gif.info["duration"])
            frames.append(np.asarray(gif.convert("RGB")).astype(int))
    assert durations == [400] * 4 + [1400]
    assert all(np.abs(a - b).max() > 30 for a, b in itertools.pairwise(frames))
    first = path.read_bytes()
    animation.save(path, seconds=2.0)
    assert path.read_bytes() == first
    assert [p.name for p in tmp_path.iterdir()] == ["a.gif"]


def test_a_training_that_goes_on(tmp_path):
    """The pictures are those of one that was not interrupted."""
    whole = plot.Animation("C3", frames=5)
    trained(whole, epochs=4, network=LENET5_1998, loss="map")

    class Stops(plot.Animation):
        def on_batch_end(self, trainer, batch):
            super().on_batch_end(trainer, batch)
            if batch["step"] == 13:
                raise KeyboardInterrupt

    Stops.__name__ = "Animation"
    net = LeNet5(LENET5_1998, seed=1)
    settings = {"loss": "map", "batch_size": 8}
    trainer = Trainer(net, Adam(3e-3), callbacks=[Stops("C3", frames=5)], **settings)
    path = tmp_path / "t.npz"
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(PICTURES, LABELS, epochs=4, checkpoint=path, num_threads=1)
    later = plot.Animation("C3", frames=5)
    Trainer.load(path, callbacks=[later]).resume(PICTURES, LABELS, num_threads=1)
    assert later.steps == whole.steps
    assert later.n_steps == whole.n_steps == 20
    np.testing.assert_array_equal(later._kernels, whole._kernels)
    other = plot.Animation("C1", frames=5)
    with pytest.raises(ValueError, match="layer: got 'C1', want 'C3' as before"):
        Trainer.load(path, callbacks=[other]).resume(PICTURES, LABELS, num_threads=1)


def test_what_an_animation_refuses(tmp_path):
    with pytest.raises(TypeError, match="layer: got 3, want a convolution's name"):
        plot.Animation(3)
    with pytest.raises(ValueError, match="frames: got 0"):
        plot.Animation(frames=0)
    with pytest.raises(ValueError, match="layer: got 'S2', want one of C1, C3"):
        trained(plot.Animation("S2"))
    animation = plot.Animation()
    with pytest.raises(ValueError, match="animation: has no pictures, want Trainer"):
        animation.save(tmp_path / "a.gif")
    trained(animation, epochs=1)
    with pytest.raises(ValueError, match="seconds: got -1"):
        animation.save(tmp_path / "a.gif", seconds=-1)
    with pytest.raises(ValueError, match="dpi: got 0"):
        animation.save(tmp_path / "a.gif", dpi=0)
    assert not list(tmp_path.iterdir())


def test_without_matplotlib(monkeypatch, tmp_path):
    animation = plot.Animation()
    trained(animation, epochs=1)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    for draw in (lambda: plot.network("lenet5-1998"), lambda: animation.save(tmp_path / "a.gif")):
        with pytest.raises(ImportError, match=r'plots need matplotlib: pip install "lenet_c\[plot'):
            draw()


# ---- the command ----


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def run(*arguments, code=0):
        capsys.readouterr()
        assert cli.main([*map(str, arguments)]) == code
        printed = capsys.readouterr()
        return printed.out if code == 0 else printed.err

    return run


def test_the_command_plots(command, tmp_path):
    pytest.importorskip("scipy")
    drawn = {
        ("network",): "network.png",
        ("network", "mnist-modern"): "network.png",
        ("network", "--architecture", "lenet-3x3", "--output", "a.svg"): "a.svg",
        ("filters", "mnist"): "filters.png",
        ("filters", "mnist", "--layer", "C3", "--output", "c3.png"): "c3.png",
        ("codes", "mnist"): "codes.png",
    }
    for arguments, file in drawn.items():
        assert command("plot", *arguments) == f"plotted the {arguments[0]} in {file}\n"
        content = (tmp_path / file).read_bytes()
        assert b"<svg" in content if file == "a.svg" else content[:4] == b"\x89PNG"
        (tmp_path / file).unlink()
    picture = np.kron(255 - PICTURES[0], np.ones((4, 4), np.uint8))
    Image.fromarray(picture).save(tmp_path / "seven.png")
    assert command("plot", "maps", "mnist", "seven.png") == "plotted the maps in maps.png\n"
    assert (tmp_path / "maps.png").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["filters"], "model: want one to draw the filters of, as lenet-c plot filters mnist"),
        (["maps", "mnist"], "image: want one to draw the maps of"),
        (["codes", "mnist", "a.png"], "image: got 'a.png', want none for codes"),
        (["network", "mnist", "--layer", "C1"], "--layer is for filters, not network"),
        (["filters", "mnist", "--layer", "S2"], "layer: got 'S2', want one of C1, C3, C5"),
        (["filters", "mnist", "--architecture", "lenet5-28"], "--architecture is for network"),
        (["network", "mnist", "--architecture", "lenet5-28"], "in place of a model"),
        (["network", "--output", "a.pdf"], "got 'a.pdf', want a name that ends in .png or .svg"),
        (["network", "--output", "missing/a.png"], "cannot write here"),
        (["codes", "mnist-modern"], "has none, want a network with an RBF output"),
        (["filters", "none.npz"], "none.npz: No such file"),
        (["maps", "mnist", "none.png"], "none.png"),
    ],
)
def test_what_the_command_cannot_plot(command, tmp_path, arguments, words):
    assert words in command("plot", *arguments, code=2)
    assert not list(tmp_path.iterdir())


def test_the_command_animates(command, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "digits", lambda: ((PICTURES, LABELS), (PICTURES, LABELS)))
    train = ("train", "--dataset", "digits", "--epochs", 2, "--quiet", "--threads", 1)
    out = command(*train, "--animate", "filters.gif")
    assert "animated the kernels of C1 in filters.gif" in out
    with Image.open(tmp_path / "filters.gif") as gif:
        assert gif.n_frames == 3
    assert "cannot write here" in command(*train, "--animate", "missing/a.gif", code=2)
    strings = ("train", "--strings", "--animate", "a.gif")
    assert "--animate" in command(*strings, code=2)


def test_a_network_without_convolutions(command, tmp_path):
    flat = Architecture(
        "flat",
        (Dense("hidden", units=5), Dense("output", units=10, activation="identity")),
        input_shape=(28, 28),
    )
    ax = plot.network(flat)
    assert texts_of(ax).count("full connection") == 2
    LeNet5(flat).save(tmp_path / "flat.npz")
    assert "flat.npz: has no convolution" in command("plot", "filters", "flat.npz", code=2)
