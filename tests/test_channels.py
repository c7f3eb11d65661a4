"""Pictures of several channels: against the reference, on every path from the file to the plot."""

from __future__ import annotations

import dataclasses
import io
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from closeness import assert_close

import reference as ref
from lenet_c import (
    LENET5_28,
    LENET5_1998,
    RBF,
    SDLM,
    SGD,
    Adam,
    Architecture,
    AveragePool,
    Conv,
    Dense,
    InputWarning,
    LeNet5,
    Subsample,
    Trainer,
    _core,
    cli,
    distort,
    plot,
    preprocess,
)

RGB = ((0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2))
LAYERS = (
    Conv("C1", 6, 5, table=RGB),
    Subsample("S2"),
    Conv("C3", 9, 3),
    AveragePool("P4"),
    Dense("F5", 12, activation="tanh"),
    Dense("output", 4, activation="identity"),
)
COLOURS = Architecture(
    "colours", LAYERS, (3, 20, 18), background=(-0.5, 0.0, 1.0), foreground=(1.0, 2.0, -1.0)
)


def network(channels: int, *layers: Any, sides: tuple[int, int] = (20, 18)) -> Architecture:
    """With levels that differ by channel."""
    levels = np.linspace(0.0, 1.0, channels)
    return Architecture(
        f"{channels} channels",
        layers,
        (channels, *sides),
        background=tuple(float(x) for x in levels - 0.5),
        foreground=tuple(float(x) for x in 2.0 - 3.0 * levels),
    )


HEAD = Dense("output", 4, activation="identity")
NETWORKS = {
    "three, a table": COLOURS,
    "two, to Winograd": network(2, Conv("C1", 4, 5), AveragePool("P2"), Conv("C3", 5, 5), HEAD),
    "sixteen": network(16, Conv("C1", 20, 3), Subsample("S2"), HEAD),
    "C5 at once": network(5, Conv("C1", 7, 9), Dense("F", 6), RBF("R", 4), sides=(9, 9)),
    "pooled first": network(3, Subsample("S1"), Conv("C2", 4, 3), AveragePool("P3"), HEAD),
    "dense alone": network(3, Dense("F", 8), HEAD, sides=(7, 5)),
    "1x1 kernels": network(4, Conv("C1", 3, 1), Conv("C2", 2, 7), HEAD),
    "wide": network(3, Conv("C1", 6, 5), AveragePool("P2"), Conv("C3", 6, 5), HEAD, sides=(20, 70)),
}
EACH = pytest.mark.parametrize("made", NETWORKS.values(), ids=NETWORKS)


def net_of(made: Architecture, seed: int = 1) -> LeNet5:
    codes = None
    if made.code_length is not None:
        rows = np.random.default_rng(3).integers(0, 2, (made.classes, made.code_length))
        rows[:, 0], rows[:, 1] = np.arange(made.classes) % 2, np.arange(made.classes) // 2
        codes = 2.0 * rows - 1.0
    return LeNet5(made, seed=seed, codes=codes)


def levels_of(images: np.ndarray, made: Architecture) -> np.ndarray:
    """What the network is to see of uint8 images, in float64."""
    background, foreground = (np.array(each)[:, None, None] for each in made.levels)
    _, height, width = made.image_shape
    top, left = (height - images.shape[-2]) // 2, (width - images.shape[-1]) // 2
    pads = [(0, 0), (0, 0), (top, top), (left, left)]
    return background + np.pad(images, pads) / 255.0 * (foreground - background)


def bytes_of(rng: np.random.Generator, made: Architecture, n: int, less: int = 0) -> np.ndarray:
    channels, height, width = made.image_shape
    return rng.integers(0, 256, (n, channels, height - less, width - less), np.uint8)


# ---- the arithmetic ----


@EACH
@pytest.mark.parametrize("n", [1, 70])
def test_outputs_of_every_layer(rng: np.random.Generator, made: Architecture, n: int) -> None:
    net = net_of(made)
    images = bytes_of(rng, made, n)
    want = ref.forward(made, net.parameters, levels_of(images, made), net.codes)
    for name, got in net.activations(images).items():
        assert_close(got, want[name], 1e-5)
    last = want[made.layers[-1].name]
    assert_close(net.forward(images), last, 1e-5)
    assert_close(net.forward(images[0]), last[:1], 1e-5)
    assert_close(net.forward(levels_of(images, made).astype(np.float32)), last, 1e-5)
    assert_close(net.forward(levels_of(images, made)[0].astype(np.float32)), last[:1], 1e-5)


@EACH
def test_smaller_images_are_padded_with_each_channel_s_background(
    rng: np.random.Generator, made: Architecture
) -> None:
    net = net_of(made)
    for less in (2, 4):
        images = bytes_of(rng, made, 40, less)
        want = ref.forward(made, net.parameters, levels_of(images, made), net.codes)
        last = want[made.layers[-1].name]
        assert_close(net.forward(images), last, 1e-5)
        assert_close(net.forward(images[7]), last[7:8], 1e-5)


@EACH
@pytest.mark.parametrize("n", [1, 3, 45])
def test_gradient_and_curvature(rng: np.random.Generator, made: Architecture, n: int) -> None:
    net = net_of(made)
    images, labels = bytes_of(rng, made, n), rng.integers(0, made.classes, n)
    x = levels_of(images, made)
    loss, gradient = net.loss_and_gradient(images, labels, "map", j=0.5)
    want, slope = ref.loss_and_gradient(made, net.parameters, x, labels, "map", 0.5, net.codes)
    assert loss == pytest.approx(want, rel=1e-5)
    assert_close(gradient, slope, 1e-5)
    h = net.curvature(images, labels, "map", j=0.5)
    assert_close(h, ref.curvature(made, net.parameters, x, labels, "map", 0.5, net.codes), 1e-5)


@EACH
def test_a_step_on_one_image_is_that_of_its_gradient(
    rng: np.random.Generator, made: Architecture
) -> None:
    net, other = net_of(made), net_of(made)
    images, labels = bytes_of(rng, made, 1), [2]
    _, gradient = other.loss_and_gradient(images, labels)
    Trainer(net, SGD(0.125)).step(images, labels)
    np.testing.assert_array_equal(net.parameters, other.parameters - np.float32(0.125) * gradient)


@EACH
def test_any_number_of_threads_gives_the_same_bits(
    rng: np.random.Generator, made: Architecture
) -> None:
    images, labels = bytes_of(rng, made, 100), rng.integers(0, made.classes, 100)
    found = []
    for threads in (1, 3):
        net = net_of(made)
        trainer = Trainer(net, Adam(1e-3), batch_size=50, distort=distort.AFFINE, seed=4)
        trainer.fit(images, labels, epochs=2, num_threads=threads)
        found.append((net.parameters.copy(), net.forward(images, num_threads=threads)))
    for one, three in zip(*found, strict=True):
        np.testing.assert_array_equal(one, three)


def test_equal_channels_are_one_channel(rng: np.random.Generator) -> None:
    """A grey picture in three channels, read by weights that share out one channel's."""
    grey = LeNet5(LENET5_28, seed=5)
    layers = LENET5_28.layers
    colours = Architecture("rgb", layers, (3, 28, 28), background=0.0, foreground=1.0)
    net = LeNet5(colours)
    for name in list(net):
        net[name] = np.repeat(grey[name] / 3, 3, axis=1) if name == "C1.weight" else grey[name]
    images = rng.integers(0, 256, (50, 28, 28), np.uint8)
    assert_close(net.forward(np.stack([images] * 3, axis=1)), grey.forward(images), 1e-5)


# ---- shapes ----


def test_three_channels_or_three_images(rng: np.random.Generator) -> None:
    """(3, 32, 32) is one picture for a network of three channels, and three for one of one."""
    picture = rng.integers(0, 256, (3, 32, 32), np.uint8)
    layers = LENET5_1998.layers
    assert len(LeNet5(Architecture("rgb", layers, (3, 32, 32))).forward(picture)) == 1
    assert len(LeNet5().forward(picture)) == 3


REFUSED = [
    ((5, 20, 18, 3), "images = lenet_c.preprocess.channels_first(images)"),
    ((20, 18, 3), "images = lenet_c.preprocess.channels_first(images)"),
    ((5, 18, 16, 3), "images = lenet_c.preprocess.channels_first(images)"),
    ((5, 20, 18, 4), "images = lenet_c.preprocess.channels_first(images[..., :3])"),
    ((5, 20, 18), "images = np.stack([images] * 3, axis=-3)"),
    ((20, 18), "images = np.stack([images] * 3, axis=-3)"),
    ((5, 1, 20, 18), "images = images.repeat(3, axis=1)"),
    ((5, 3 * 20 * 18), "images = images.reshape(-1, 3, 20, 18)"),
    ((3 * 20 * 18,), "images = images.reshape(-1, 3, 20, 18)"),
]


@pytest.mark.parametrize(("shape", "line"), REFUSED)
def test_refused_with_the_line_that_mends_it(
    rng: np.random.Generator, shape: tuple[int, ...], line: str
) -> None:
    net = LeNet5(COLOURS)
    images = rng.integers(0, 256, shape, np.uint8)
    with pytest.raises(ValueError, match=r"images: shape .*, want \(N, 3, height, width\)") as told:
        net.forward(images)
    assert str(told.value).endswith(line)
    names = {"images": images, "np": np, "lenet_c": __import__("lenet_c")}
    exec(line, names)
    assert np.isfinite(net.forward(names["images"])).all()


@pytest.mark.parametrize("dtype", [np.int64, np.float64, bool, np.float16])
@pytest.mark.parametrize("shape", [(5, 3, 20, 18), (3, 20, 18), (5, 3, 18, 16)])
def test_refused_dtypes(rng: np.random.Generator, dtype: Any, shape: tuple[int, ...]) -> None:
    net = LeNet5(COLOURS)
    given = rng.integers(0, 256, shape)
    images = given > 127 if dtype is bool else given.astype(dtype)
    with pytest.raises(TypeError, match=r"want uint8 \(levels from 0 to 255\)") as told:
        net.forward(images)
    line = "images = " + str(told.value).split(": images = ", 1)[1]
    names = {"images": images, "np": np, "lenet_c": __import__("lenet_c")}
    exec(line, names)
    assert names["images"].dtype == np.uint8
    want = np.asarray(given > 127) * 255 if dtype is bool else given
    np.testing.assert_allclose(names["images"].astype(int), want, atol=1)
    assert np.isfinite(net.forward(names["images"])).all()


@pytest.mark.parametrize(
    "shape", [(5, 4, 20, 18), (5, 3, 7, 7), (2, 5, 3, 20, 18), (7,), (5, 3, 20, 17), (0, 3, 20, 18)]
)
def test_refused_without_a_line(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="images: "):
        LeNet5(COLOURS).forward(np.zeros(shape, np.uint8))


def test_floats_are_not_padded_and_finite(rng: np.random.Generator) -> None:
    net = LeNet5(COLOURS)
    with pytest.raises(ValueError, match="float32 images of 18x16, want 20x18"):
        net.forward(np.zeros((5, 3, 18, 16), np.float32))
    images = np.zeros((5, 3, 20, 18), np.float32)
    images[3, 2, 1, 1] = np.nan
    with pytest.raises(ValueError, match="row 3 has a pixel that is NaN"):
        net.forward(images)


def test_samples_of_another_network() -> None:
    samples = _core.Samples(LeNet5(COLOURS)._network, np.zeros((2, 3, 20, 18), np.uint8))
    grey = LeNet5(Architecture("grey", (HEAD,), (20, 18)))
    with pytest.raises(ValueError, match="for a network of 20x18 pixels of 3 channels and 4"):
        grey._network.forward(samples)


def test_channels_first(rng: np.random.Generator) -> None:
    last = rng.integers(0, 256, (4, 6, 5, 3), np.uint8)
    first = preprocess.channels_first(last)
    assert first.flags.c_contiguous
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first[2, 1], last[2, :, :, 1])
    np.testing.assert_array_equal(preprocess.channels_first(last[2]), first[2])
    for shape, hint in (
        ((4, 6, 17), "at most 16"),
        ((4, 3, 32, 32), "channels first already"),
        ((6, 5), "grey"),
        ((1, 2, 3, 4, 5), "want"),
    ):
        with pytest.raises(ValueError, match=hint):
            preprocess.channels_first(np.zeros(shape, np.uint8))
    with pytest.raises(TypeError, match="x: dtype"):
        preprocess.channels_first(np.full((2, 2, 3), "a"))


def test_normalize_and_pad(rng: np.random.Generator) -> None:
    images = bytes_of(rng, COLOURS, 4)
    got = preprocess.normalize(images, COLOURS.background, COLOURS.foreground)
    np.testing.assert_allclose(got, levels_of(images, COLOURS), atol=1e-6)
    np.testing.assert_array_equal(
        preprocess.normalize(images)[:, 1], preprocess.normalize(images[:, 1])
    )
    with pytest.raises(ValueError, match="background: got 2 levels, want a number or 3 of them"):
        preprocess.normalize(images, (0.0, 1.0))
    assert preprocess.pad(images, 22).shape == (4, 3, 22, 22)


# ---- the architecture ----


def test_one_channel_stays_as_it_was() -> None:
    assert LENET5_1998.to_dict()["input_shape"] == [32, 32]
    assert LENET5_1998.to_dict()["background"] == -0.1
    assert "input_shape=(32, 32), background=-0.1, foreground=1.175," in repr(LENET5_1998)
    assert LENET5_1998.image_shape == (1, 32, 32)
    assert LENET5_1998.levels == ((-0.1,), (1.175,))


WRONG = [
    ({"input_shape": (1, 32, 32)}, ValueError, r"want \(height, width\), \(32, 32\), for one"),
    ({"input_shape": (17, 32, 32)}, ValueError, "channels: got 17, want a whole number from 1 to"),
    ({"input_shape": (0, 32, 32)}, ValueError, "channels: got 0"),
    ({"input_shape": (3.0, 32, 32)}, TypeError, "channels: got 3.0"),
    ({"input_shape": (3, 0, 32)}, ValueError, "input_shape: side: got 0"),
    ({"input_shape": (3, 32, 32, 1)}, TypeError, "want a tuple"),
    ({"background": (0.0, 0.0)}, ValueError, "background: got 2 levels, want one number, or one"),
    ({"background": [0.0, 0.0, 0.0]}, TypeError, "want a number, or a tuple of one for each of 3"),
    ({"foreground": (1.0, np.nan, 1.0)}, ValueError, "foreground: got nan"),
    ({"foreground": (1.0, "1", 1.0)}, TypeError, "foreground: got '1'"),
    ({"background": (0.0, 1.0, 0.0), "foreground": 1.0}, ValueError, "want another grey"),
]


@pytest.mark.parametrize(("change", "error", "text"), WRONG)
def test_wrong_inputs(change: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        dataclasses.replace(COLOURS, **{"background": -0.5, "foreground": 3.0, **change})


def test_a_table_names_channels() -> None:
    with pytest.raises(ValueError, match="got 3, want a whole number from 0 to 2"):
        Architecture("few", (Conv("C1", 2, 3, ((0,), (3,))), HEAD), (3, 9, 9))


def test_the_core_refuses_too_many_channels() -> None:
    with pytest.raises(ValueError, match="want 1 to 16 channels"):
        _core.Network([("dense", "identity", 2, 0, None, False, 0)], (17, 4, 4), (0,), (1,), None)


def test_normalization(rng: np.random.Generator) -> None:
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.25, 0.5)
    made = COLOURS.with_normalization(mean, std)
    images = bytes_of(rng, made, 3)
    by_hand = (images / 255 - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    np.testing.assert_allclose(levels_of(images, made), by_hand, atol=1e-12)
    alike = COLOURS.with_normalization(0.5, [0.5, 0.5, 0.5])
    assert alike.levels == ((-1.0,) * 3, (1.0,) * 3)
    grey = LENET5_1998.with_normalization(0.1307, 0.3081)
    assert grey.background == -0.1307 / 0.3081
    assert grey.input_shape == (32, 32)
    with pytest.raises(ValueError, match="mean: got 2 numbers, want one, or one for each of 3"):
        COLOURS.with_normalization((0.5, 0.5), 0.5)
    with pytest.raises(ValueError, match="std: got 0"):
        COLOURS.with_normalization(0.5, 0)
    by_array = COLOURS.with_normalization(np.array(0.5), np.full(3, 0.5))
    assert by_array == alike
    with pytest.raises(TypeError, match="mean: got range"):
        COLOURS.with_normalization(range(3), 0.5)
    with pytest.raises(TypeError, match="std: got 'x'"):
        COLOURS.with_normalization(0.5, "x")


def test_files_and_pickles(rng: np.random.Generator) -> None:
    net = LeNet5(COLOURS, seed=3)
    images = bytes_of(rng, COLOURS, 5)
    file = io.BytesIO()
    net.save(file)
    for again in (LeNet5.load(io.BytesIO(file.getvalue())), pickle.loads(pickle.dumps(net))):
        assert again.architecture == COLOURS
        np.testing.assert_array_equal(again.forward(images), net.forward(images))
    data = COLOURS.to_dict()
    assert data["input_shape"] == [3, 20, 18]
    assert data["background"] == [-0.5, 0.0, 1.0]
    assert Architecture.from_dict(data) == COLOURS
    for name, value, text in (
        ("input_shape", [1, 20, 18], "for one channel"),
        ("background", [0.0], "background: got 1 levels"),
        ("foreground", [[1.0], 1.0, 1.0], "foreground: got"),
    ):
        with pytest.raises(ValueError, match=text):
            Architecture.from_dict({**data, name: value})


def test_summary_says_the_channels() -> None:
    text = LeNet5(COLOURS).summary()
    assert text.startswith("colours, input 3 x 20 x 18\n")
    row = next(line.split() for line in text.splitlines() if line.startswith("C1"))
    weights = sum(map(len, RGB)) * 25 + 6
    assert row[-2:] == [str(weights), f"{weights * 16 * 14:,}"]


@pytest.mark.parametrize(
    "command", [["predict", "{}", "x.png"], ["evaluate", "{}"], ["train", "--from", "{}"]]
)
def test_the_commands_want_a_network_of_grey_pictures(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "colours.npz"
    LeNet5(COLOURS).save(path)
    assert cli.main(["summary", str(path)]) == 0
    assert "input 3 x 20 x 18" in capsys.readouterr().out
    (tmp_path / "x.png").touch()
    assert cli.main([part.format(path) for part in command]) == 2
    error = capsys.readouterr().err
    assert f"{path}: the network reads pictures of 3 channels, want one of grey" in error


# ---- distortions ----


@pytest.mark.parametrize(
    "distortion",
    [distort.AFFINE, dataclasses.replace(distort.WORLD, chance=0.9, elastic=1.0)],
    ids=["affine", "elastic and corrupt"],
)
def test_channels_are_distorted_alike(
    rng: np.random.Generator, distortion: distort.Distortion
) -> None:
    """Each channel as the grey image that it is, by the numbers of its image."""
    images = rng.integers(0, 256, (4, 3, 21, 19), np.uint8)
    got = distort.preview(images, distortion, n=5, seed=7)
    assert got.shape == (4, 5, 3, 21, 19)
    for c in range(3):
        alone = distort.preview(images[:, c], distortion, n=5, seed=7)
        np.testing.assert_array_equal(got[:, :, c], alone)
    assert (got[:, 0] != got[:, 1]).any()


@pytest.mark.parametrize("n", [1, 40])
@pytest.mark.parametrize("chance", [0.0, 0.9])
def test_training_distorts_as_the_preview_shows(
    rng: np.random.Generator, n: int, chance: float
) -> None:
    """One step on distorted images is one on what `preview` gives, with the same bits."""
    distortion = dataclasses.replace(distort.WORLD, elastic=1.0, chance=chance)
    images, labels = bytes_of(rng, COLOURS, n, 2), rng.integers(0, 4, n)
    net, other = LeNet5(COLOURS), LeNet5(COLOURS)
    trainer = Trainer(net, SGD(0.1), distort=distortion, seed=6)
    trainer.step(images, labels)
    shown = distort.preview(images, distortion, n=1, seed=trainer._distort_seed)[:, 0]
    Trainer(other, SGD(0.1)).step(shown, labels)
    np.testing.assert_array_equal(net.parameters, other.parameters)


def test_transform_moves_every_channel(rng: np.random.Generator) -> None:
    images = rng.integers(0, 256, (2, 3, 9, 8), np.uint8)
    moved = distort.transform(images, dx=2)
    np.testing.assert_array_equal(moved[..., 2:], images[..., :-2])
    assert (moved[..., :2] == 0).all()


# ---- what images look like ----


def photographs(rng: np.random.Generator, n: int) -> np.ndarray:
    """Smooth colours of any brightness, to the edge."""
    coarse = rng.integers(0, 256, (n, 3, 5, 6), np.uint8)
    base, reach = rng.integers(0, 160, (n, 1, 1, 1)), rng.uniform(0.2, 1.0, (n, 1, 1, 1))
    small = np.clip(base + reach * coarse, 0, 255)
    return np.kron(small, np.ones((1, 1, 4, 3))).astype(np.uint8)


def told(call: Any, *arguments: Any, **keywords: Any) -> list[str]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        call(*arguments, **keywords)
    return [str(each.message) for each in found if each.category is InputWarning]


def test_photographs_are_no_surprise(rng: np.random.Generator) -> None:
    images, labels = photographs(rng, 300), rng.integers(0, 4, 300)
    for made in (COLOURS, COLOURS.with_normalization((0.5, 0.4, 0.3), (0.2, 0.25, 0.3))):
        net = LeNet5(made)
        assert told(Trainer(net, Adam(1e-3)).fit, images[:200], labels[:200], epochs=1) == []
        assert net.learnt_from is not None
        for others in (images[200:], 255 - images[200:], images[200:201]):
            assert told(net.predict, others) == []
            floats = preprocess.normalize(others, made.background, made.foreground)
            assert told(net.predict, floats) == []
        unknown = LeNet5(made)
        unknown.parameters = net.parameters  # no record: it is taken to have learnt from uint8
        for others in (images, 255 - images):
            assert told(unknown.predict, others) == []


def test_the_record_is_in_the_network_s_units(rng: np.random.Generator) -> None:
    images, labels = bytes_of(rng, COLOURS, 150), rng.integers(0, 4, 150)
    for given in (images, levels_of(images, COLOURS).astype(np.float32)):
        net = LeNet5(COLOURS)
        Trainer(net, Adam(1e-3)).fit(given, labels, epochs=1)
        look = net.learnt_from
        assert look is not None
        assert look.low[0] == pytest.approx(-1.0, abs=0.02)  # the third channel is turned
        assert look.high[1] == pytest.approx(2.0, abs=0.02)
        assert -0.5 < look.border[0] < look.border[1] < 1.0


def test_what_is_unlike_is_told(rng: np.random.Generator) -> None:
    images, labels = np.zeros((200, 3, 20, 18), np.uint8), rng.integers(0, 4, 200)
    images[:, :, 5:15, 5:13] = rng.integers(128, 256, (200, 3, 10, 8))
    net = LeNet5(Architecture("dark", LAYERS, (3, 20, 18), background=0.0, foreground=1.0))
    Trainer(net, Adam(1e-3)).fit(images, labels, epochs=1)
    assert told(net.predict, images) == []
    (message,) = told(net.predict, 255 - images)
    assert message.endswith("images = 255 - images")
    assert "light around" in message
    (message,) = told(net.predict, images // 16)
    assert "nearly blank" in message
    with pytest.raises(ValueError, match=r"uint8 whose largest value is 1.*images = images \* 255"):
        net.predict(images // 128)
    with pytest.raises(ValueError, match=r'want values around 0 to 1: images = .*"uint8"'):
        net.predict(images.astype(np.float32))
    (message,) = told(net.predict, images.astype(np.float32) / 127.5 - 1)
    line = message[message.rindex("images = ") :]
    names = {"images": images.astype(np.float32) / 127.5 - 1, "np": np}
    exec(line, names)
    np.testing.assert_allclose(names["images"].astype(int), images, atol=1)


# ---- learning ----


def shapes(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Red or green bars, upright or lying, on any dark colour: four classes.

    The mean of the channels tells nothing of red and green.
    """
    images = rng.integers(0, 90, (n, 3, 1, 1)) + rng.integers(0, 40, (n, 3, 32, 32))
    labels = np.arange(n) % 4
    for image, label in zip(images, labels, strict=True):
        top, left = rng.integers(2, 14, 2)
        height, width = (14, 5) if label < 2 else (5, 14)
        image[label % 2, top : top + height, left : left + width] = 220
    return images.astype(np.uint8), labels


def test_a_network_learns_colours(rng: np.random.Generator) -> None:
    layers = (
        Conv("C1", 6, 5, table=RGB, activation="tanh"),
        AveragePool("S2"),
        Conv("C3", 8, 5, activation="tanh"),
        AveragePool("S4"),
        Dense("output", 4, activation="identity"),
    )
    made = Architecture("shapes", layers, (3, 32, 32)).with_normalization(0.25, 0.25)
    x, y = shapes(rng, 1200)
    xt, yt = shapes(rng, 400)
    net = LeNet5(made, seed=0)
    trainer = Trainer(net, Adam(1e-2), batch_size=32, distort=distort.SLIGHT, seed=0)
    trainer.fit(x, y, epochs=8)
    read = net.predict(xt)
    assert (read == yt).mean() > 0.9
    assert (read % 2 == yt % 2).mean() > 0.99
    # it reads the colour: red for green is another class
    swapped = net.predict(xt[:, [1, 0, 2]])
    assert (swapped == (yt ^ 1)).mean() > 0.9
    net.calibrate(*shapes(rng, 400))
    reading = net.read(xt)
    assert reading.rejected.mean() < 0.1
    floats = preprocess.normalize(xt, made.background, made.foreground)
    np.testing.assert_allclose(net.read(floats).distance, reading.distance, rtol=1e-3)
    assert net.subspaces is not None
    assert net.subspaces.shape == (4, 21, 3, 8, 8)
    again = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(again.subspaces, net.subspaces)


def test_sdlm(rng: np.random.Generator) -> None:
    x, y = shapes(rng, 200)
    layers = (Conv("C1", 4, 5), Subsample("S2"), Dense("output", 4, activation="identity"))
    net = LeNet5(Architecture("sdlm", layers, (3, 32, 32), background=-0.5, foreground=1.5))
    first = net.evaluate(x, y).loss
    Trainer(net, SDLM(), batch_size=1).fit(x, y, epochs=1)
    assert net.evaluate(x, y).loss < first


def test_a_solid_colour_shows_nothing(rng: np.random.Generator) -> None:
    from lenet_c import calibration

    images = np.zeros((2, 3, 20, 18), np.uint8)
    images[0] = np.array([200, 30, 90])[:, None, None]
    images[1, 1] = 255
    images[1, 1, 0, 0] = 0
    seen = calibration.seen(images, COLOURS)
    assert not seen[0].any()
    assert seen[1].any()
    assert seen.shape == (2, int(np.prod(calibration.grid(COLOURS))))


# ---- plots ----


def test_plots(rng: np.random.Generator) -> None:
    pytest.importorskip("matplotlib")
    net = LeNet5(COLOURS)
    images, labels = bytes_of(rng, COLOURS, 6), np.arange(6) % 4
    figure = plot.feature_maps(net, images[0])
    shown = figure.axes[0].get_images()[0].get_array()
    np.testing.assert_allclose(shown, np.moveaxis(images[0], 0, -1) / 255, atol=1e-6)
    figure.canvas.draw()
    plot.feature_maps(net, images[:1])
    with pytest.raises(ValueError, match=r"want one image \(channels, height, width\)"):
        plot.feature_maps(net, images)
    ax = plot.filters(net, "C1")
    assert [t.get_text() for t in ax.get_yticklabels()] == ["0", "1", "2"]
    ax = plot.misclassified(images, labels, (labels + 1) % 4)
    mosaic = ax.get_images()[0].get_array()
    assert mosaic.ndim == 3
    np.testing.assert_allclose(mosaic[:20, :18], np.moveaxis(images[0], 0, -1) / 255, atol=1e-6)
    ax.figure.canvas.draw()
    floats = levels_of(images, COLOURS).astype(np.float32)
    plot.predictions(floats, labels, labels).figure.canvas.draw()
    two = plot.predictions(images[:, :2], labels, labels).get_images()[0].get_array()
    np.testing.assert_array_equal(two[:20, :36], np.hstack([images[0, 0], images[0, 1]]))
