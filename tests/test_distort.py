"""Distortions: against the float64 reference, in training, and what is refused."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

import reference
from lenet_c import (
    LENET5_28,
    LENET5_1998,
    SGD,
    Adam,
    Architecture,
    Distortion,
    LeNet5,
    Trainer,
    datasets,
    distort,
)

EVERYTHING = Distortion(2.5, 0.3, 0.2, 0.4, rotation=30, elastic=1.5, elastic_smoothness=3)
# Coordinates are float32: at a place between black and white this is a little of a grey level.
LEVEL = 0.52


@pytest.fixture
def images(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (100, 28, 28)).astype(np.uint8)


LABELS = np.arange(100) % 10


# ---- single maps ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1), (3, 28, 28), (32, 32), (5, 17, 33), (1, 40), (2, 50, 3)])
def test_nothing_asked_for_leaves_every_bit(
    rng: np.random.Generator, shape: tuple[int, ...]
) -> None:
    images = rng.integers(0, 256, shape).astype(np.uint8)
    np.testing.assert_array_equal(distort.transform(images), images)
    versions = distort.preview(images, Distortion(), n=3)
    assert versions.shape == (*shape[:-2], 3, *shape[-2:])
    for k in range(3):
        np.testing.assert_array_equal(versions[..., k, :, :], images)


@pytest.mark.parametrize(("dx", "dy"), [(1, 0), (0, 1), (-3, 2), (5, -7), (-27, 27), (28, 0)])
def test_known_shifts_move_pixels_exactly(images: np.ndarray, dx: int, dy: int) -> None:
    wanted = np.zeros_like(images)
    for y in range(28):
        for x in range(28):
            if 0 <= y - dy < 28 and 0 <= x - dx < 28:
                wanted[:, y, x] = images[:, y - dy, x - dx]
    np.testing.assert_array_equal(distort.transform(images, dx=dx, dy=dy), wanted)


def test_half_a_pixel_is_the_mean_of_two() -> None:
    image = np.array([[0, 100, 201, 0]], np.uint8)
    np.testing.assert_array_equal(distort.transform(image, dx=0.5), [[0, 50, 151, 101]])


def test_quarter_turns_are_clockwise(images: np.ndarray) -> None:
    for turns in range(-2, 3):
        wanted = np.rot90(images, -turns, axes=(1, 2))
        np.testing.assert_array_equal(distort.transform(images, rotation=90 * turns), wanted)


def test_what_each_setting_does() -> None:
    image = np.zeros((41, 41), np.uint8)
    image[10, 30] = image[30, 30] = 255  # 10 right of the middle, 10 above and below it

    def brightest(**settings: float) -> list[tuple[int, int]]:
        out = distort.transform(image, **settings)
        return [tuple(np.argwhere(half == half.max())[0]) for half in (out[:20], out[20:])]

    assert brightest(scale=1.5) == [(5, 35), (15, 35)]
    assert brightest(squeeze=1.25) == [(12, 32), (8, 32)]  # wider, less high
    assert brightest(shear=0.5) == [(10, 25), (10, 35)]


@pytest.mark.parametrize("shape", [(28, 28), (32, 32), (9, 20), (1, 1), (33, 6)])
@pytest.mark.parametrize(
    "settings",
    [
        {"dx": 1.3, "dy": -2.6},
        {"scale": 1.37},
        {"scale": 0.2},
        {"squeeze": 1.2},
        {"shear": 0.45},
        {"rotation": 17.5},
        {"rotation": -170},
        {"dx": -1.2, "dy": 0.7, "scale": 1.1, "squeeze": 0.8, "shear": -0.3, "rotation": 8},
    ],
)
def test_maps_agree_with_the_reference(
    rng: np.random.Generator, shape: tuple[int, int], settings: dict[str, float]
) -> None:
    image = rng.integers(0, 256, shape).astype(np.uint8)
    wanted = reference.transform_image(image, **settings)
    assert np.abs(distort.transform(image, **settings) - wanted).max() < LEVEL


def test_far_away_is_background(images: np.ndarray) -> None:
    for settings in ({"dx": 3e38}, {"dy": -1e6}, {"scale": 1e-30}, {"shear": 1e30, "dx": 5.0}):
        out = distort.transform(images, **settings)
        assert (out[:, 3] == 0).all(), settings


# ---- random ones ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(28, 28), (32, 32), (11, 37)])
@pytest.mark.parametrize(
    "distortion",
    [
        Distortion(translation=3),
        Distortion(scaling=0.9),
        Distortion(squeezing=0.4),
        Distortion(shearing=0.6),
        Distortion(rotation=180),
        Distortion(elastic=1.4),
        Distortion(elastic=5, elastic_smoothness=2),
        Distortion(elastic=2, elastic_smoothness=50),
        EVERYTHING,
        distort.AFFINE,
    ],
    ids=str,
)
def test_random_ones_agree_with_the_reference(
    rng: np.random.Generator, shape: tuple[int, int], distortion: Distortion
) -> None:
    image = rng.integers(0, 256, shape).astype(np.uint8)
    seed = 2**64 - 17
    out = distort.preview(image, distortion, n=5, seed=seed)
    for number in range(5):
        wanted = reference.distort_image(image, distortion, seed, number)
        assert np.abs(out[number] - wanted).max() < LEVEL


CORRUPTIONS = [
    # and how far rounding between its passes may take it from the unrounded reference
    (Distortion(thickness=2.5, chance=1), 1.5),
    (Distortion(lines=4, chance=1), 1.1),
    (Distortion(blur=2, chance=1), 3.0),
    (Distortion(contrast=0.8, chance=1), 1.5),
    (Distortion(noise=0.4, chance=1), 0.6),
    (Distortion(impulses=0.4, chance=1), 0.0),
]
ALL_CORRUPTIONS = Distortion(
    thickness=1.5, lines=2, blur=1.2, contrast=0.6, noise=0.3, impulses=0.2, chance=0.3
)


@pytest.mark.parametrize("shape", [(28, 28), (11, 37), (1, 1), (1, 9), (9, 1)])
@pytest.mark.parametrize(("distortion", "levels"), CORRUPTIONS, ids=str)
def test_corruptions_agree_with_the_reference(
    rng: np.random.Generator, shape: tuple[int, int], distortion: Distortion, levels: float
) -> None:
    grey = rng.integers(0, 256, shape).astype(np.uint8)
    for image in (grey, np.where(grey < 50, 255, 0).astype(np.uint8)):
        out = distort.preview(image, distortion, n=6, seed=77)
        for number in range(6):
            wanted = reference.corrupt_image(image, distortion, 77, number)
            assert np.abs(out[number] - wanted).max() <= levels
        if image.size > 100:
            assert (out != image).any(axis=(1, 2)).sum() > 3


def test_corruptions_act_one_after_the_other_after_the_maps(images: np.ndarray) -> None:
    """In a sequence of many images every combination comes; none is as without them."""
    maps = Distortion(translation=2, rotation=20)
    both = dataclasses.replace(ALL_CORRUPTIONS, translation=2, rotation=20)
    plain, corrupted = (distort.preview(images[0], d, n=200, seed=5) for d in (maps, both))
    changed = (plain != corrupted).any(axis=(1, 2))
    # none of six acts on 0.7 ** 6 of the images; a blur of nearly nothing is left out too
    assert 0.8 < changed.mean() < 0.95
    for number in range(8):
        wanted = reference.corrupt_image(plain[number], both, 5, number)
        assert np.quantile(np.abs(corrupted[number] - wanted), 0.9) <= 3


def test_chance_is_the_share_of_images_that_a_corruption_acts_on(images: np.ndarray) -> None:
    for chance in (0.0, 0.25, 1.0):
        distortion = Distortion(noise=0.5, chance=chance)
        out = distort.preview(images[0], distortion, n=400)
        assert (out != images[0]).any(axis=(1, 2)).mean() == pytest.approx(chance, abs=0.07)


def test_elastic_is_a_standard_deviation() -> None:
    """Of a smooth field: neighbours move alike, pixels far from each other do not."""
    fields = np.array([reference.elastic_field(28, 28, 1.4, 4, 3, k) for k in range(60)])
    assert math.sqrt((fields**2).mean()) == pytest.approx(1.4, rel=0.05)
    variance = (fields**2).mean()
    assert (fields[..., 1:] * fields[..., :-1]).mean() > 0.95 * variance
    assert abs((fields[..., 20:] * fields[..., :-20]).mean()) < 0.1 * variance
    # a Gaussian smoother's correlation falls to exp(-1) at twice its standard deviation
    assert (fields[..., 8:] * fields[..., :-8]).mean() == pytest.approx(
        math.exp(-1) * variance, abs=0.1 * variance
    )


def test_random_numbers_fill_their_range() -> None:
    numbers = [reference.distortion_number(5, image, 2) for image in range(2000)]
    assert -1 <= min(numbers) < -0.99
    assert 0.99 < max(numbers) < 1
    assert abs(np.mean(numbers)) < 0.05
    assert np.var(numbers) == pytest.approx(1 / 3, rel=0.1)


def test_seeds_and_numbers_decide(images: np.ndarray) -> None:
    one = distort.preview(images, EVERYTHING, n=2, seed=4)
    np.testing.assert_array_equal(one, distort.preview(images, EVERYTHING, n=2, seed=4))
    assert (one != distort.preview(images, EVERYTHING, n=2, seed=5)).any(axis=(2, 3)).all()
    assert (one[:, 0] != one[:, 1]).any(axis=(1, 2)).all()
    assert (distort.preview(images[0], n=50) != images[0]).any(axis=(1, 2)).all()


def test_a_view_is_read_as_it_lies(images: np.ndarray) -> None:
    view = images[::-3, ::2, ::-1]
    np.testing.assert_array_equal(distort.preview(view), distort.preview(view.copy()))


# ---- in training ---------------------------------------------------------------------------------


def trained(
    images: np.ndarray,
    distortion: Distortion | None,
    threads: int = 1,
    architecture: Architecture = LENET5_1998,
    seed: int = 0,
    passes: tuple[int, ...] = (2,),
    batch_size: int = 40,
) -> np.ndarray:
    net = LeNet5(architecture, seed=1)
    trainer = Trainer(
        net, SGD(1e-3), batch_size=batch_size, distort=distortion, seed=seed, num_threads=threads
    )
    for epochs in passes:
        trainer.fit(images, LABELS, epochs)
    return net.parameters.copy()


def test_no_distortion_changes_no_bit(images: np.ndarray) -> None:
    np.testing.assert_array_equal(trained(images, Distortion()), trained(images, None))
    assert (trained(images, distort.AFFINE) != trained(images, None)).any()


@pytest.mark.parametrize("architecture", [LENET5_1998, LENET5_28], ids=lambda a: a.name)
@pytest.mark.parametrize("distortion", [distort.AFFINE, EVERYTHING], ids=["affine", "all"])
def test_same_bits_for_any_number_of_threads(
    images: np.ndarray, architecture: Architecture, distortion: Distortion
) -> None:
    one = trained(images, distortion, 1, architecture, batch_size=100)
    for threads in (2, 3):
        np.testing.assert_array_equal(
            trained(images, distortion, threads, architecture, batch_size=100), one
        )


def test_training_sees_what_preview_shows(images: np.ndarray) -> None:
    """Each image of each pass by numbers of its own, in the order in which it comes."""
    net, other = LeNet5(seed=1), LeNet5(seed=1)
    trainer = Trainer(net, SGD(1e-3), batch_size=40, distort=EVERYTHING, seed=7)
    trainer.fit(images, LABELS, epochs=2)
    random = np.random.default_rng(7)
    order = np.concatenate([random.permutation(100), random.permutation(100)])
    shown = distort.preview(images[order], EVERYTHING, n=1, seed=trainer._distort_seed)[:, 0]
    plain = Trainer(other, SGD(1e-3))
    for first, last in ((0, 40), (40, 80), (80, 100), (100, 140), (140, 180), (180, 200)):
        plain.step(shown[first:last], LABELS[order[first:last]])
    np.testing.assert_array_equal(net.parameters, other.parameters)


def test_single_images_are_distorted_too(images: np.ndarray) -> None:
    net, other = LeNet5(seed=1), LeNet5(seed=1)
    trainer = Trainer(net, SGD(1e-3), distort=distort.AFFINE)
    shown = distort.preview(images[0], n=3, seed=trainer._distort_seed)
    plain = Trainer(other, SGD(1e-3))
    for k in range(3):
        trainer.step(images[0], 4)
        plain.step(shown[k], 4)
    np.testing.assert_array_equal(net.parameters, other.parameters)


def test_the_seed_decides(images: np.ndarray) -> None:
    def losses(seed: int) -> list[float]:
        trainer = Trainer(LeNet5(seed=1), SGD(0.0), distort=distort.AFFINE, seed=seed)
        return [trainer.step(image, 4) for image in images[:3]]

    assert losses(3) == losses(3)
    assert not set(losses(3)) & set(losses(4))


def test_a_second_fit_goes_on(images: np.ndarray) -> None:
    """With new distortions, as with a new order: two passes in one call or in two."""
    once = trained(images, distort.AFFINE, passes=(2,))
    np.testing.assert_array_equal(trained(images, distort.AFFINE, passes=(1, 1)), once)


def test_validation_images_stay_as_they_are(images: np.ndarray) -> None:
    net = LeNet5(seed=1)
    trainer = Trainer(net, SGD(0.0), distort=EVERYTHING)
    history = trainer.fit(images, LABELS, 1, validation_data=(images, LABELS))
    assert history.epochs[0]["val_loss"] == net.evaluate(images, LABELS).loss
    assert history.epochs[0]["loss"] != history.epochs[0]["val_loss"]


def test_it_learns_the_digits() -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not there")
    (x, y), (xt, yt) = datasets.digits()
    rates = {}
    moved = distort.preview(xt, Distortion(translation=3), n=1, seed=9)[:, 0]
    for distortion in (None, Distortion(2, 0.1, 0.1, 0.1)):
        net = LeNet5(seed=0)
        Trainer(net, Adam(2e-3, schedule="one_cycle"), distort=distortion).fit(x, y, 20)
        rates[distortion] = [net.evaluate(images, yt).error_rate for images in (xt, moved)]
    plain, distorted = rates.values()
    assert distorted[0] < 0.06
    assert distorted[1] < 0.5 * plain[1]  # digits that are not where they used to be


# ---- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"translation": -1}, r"translation: got -1, want a number of at least 0 and below 1024"),
        ({"translation": math.nan}, "translation: got nan"),
        ({"translation": 1024}, "translation: got 1024"),
        ({"scaling": 1.0}, r"scaling: got 1\.0, want a number of at least 0 and below 1"),
        ({"scaling": 1 - 1e-12}, "scaling: got"),
        ({"squeezing": -0.1}, r"squeezing: got -0\.1"),
        ({"squeezing": 1.0}, r"squeezing: got 1\.0, want a number of at least 0 and below 1"),
        ({"shearing": math.inf}, "shearing: got inf"),
        ({"rotation": 180.1}, r"rotation: got 180\.1, want a number from 0 to 180"),
        ({"elastic": -2}, "elastic: got -2"),
        ({"elastic_smoothness": 1.9}, r"elastic_smoothness: got 1\.9, want a number of at least 2"),
    ],
)
def test_bad_strengths(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Distortion(**settings)


def test_strengths_at_their_limits_run(images: np.ndarray) -> None:
    below = float(np.nextafter(np.float32(1), np.float32(0)))
    strong = Distortion(1023, below, below, 1023, 180, 1023, 2)
    assert distort.preview(images, strong).shape == (100, 10, 28, 28)
    assert np.isfinite(trained(images, strong)).all()


def test_strengths_are_numbers_and_stay() -> None:
    with pytest.raises(TypeError, match="rotation: got '3', want a number"):
        Distortion(rotation="3")
    with pytest.raises(ValueError, match="rotation: got an integer of 16610 bits, want"):
        Distortion(rotation=10**5000)
    with pytest.raises(dataclasses.FrozenInstanceError):
        distort.AFFINE.translation = 4
    assert dataclasses.replace(distort.AFFINE, rotation=5).scaling == distort.AFFINE.scaling


def test_a_trainer_takes_a_distortion_and_grey_images_only(images: np.ndarray) -> None:
    with pytest.raises(
        TypeError,
        match=r"distort: got 0\.1, want a Distortion, None or one of affine, slight, world",
    ):
        Trainer(LeNet5(), distort=0.1)
    net = LeNet5(LENET5_28)
    before = net.parameters.copy()
    trainer = Trainer(net, distort=distort.AFFINE)
    normalised = (images / 255).astype(np.float32)
    message = r"images: dtype float32, want uint8 \(raw grey\) with distort"
    for call in (lambda: trainer.fit(normalised, LABELS), lambda: trainer.step(normalised, LABELS)):
        with pytest.raises(TypeError, match=message):
            call()
    np.testing.assert_array_equal(net.parameters, before)


@pytest.mark.parametrize("call", [distort.preview, distort.transform])
@pytest.mark.parametrize(
    ("array", "error", "message"),
    [
        (np.zeros((2, 28, 28), np.float32), TypeError, "images: dtype float32, want uint8"),
        (np.zeros(28, np.uint8), ValueError, r"images: shape \(28,\), want \(N, height, width\)"),
        (np.zeros((0, 28, 28), np.uint8), ValueError, "want at least one image"),
        (np.zeros((1, 1025), np.uint8), ValueError, "of 1x1 to 1024x1024"),
    ],
)
def test_bad_images(call: Any, array: np.ndarray, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(array)


def test_other_bad_arguments(images: np.ndarray) -> None:
    with pytest.raises(TypeError, match="distortion: got 3, want a Distortion"):
        distort.preview(images, 3)
    for n in (0, 1.5, True):
        with pytest.raises(ValueError if n == 0 else TypeError, match="n: got"):
            distort.preview(images, n=n)
    for seed in (-1, 2**64, 0.5):
        with pytest.raises(TypeError if seed == 0.5 else ValueError, match="seed: got"):
            distort.preview(images, seed=seed)
    for name in ("scale", "squeeze"):
        with pytest.raises(ValueError, match=f"{name}: got 0, want a finite number above 0"):
            distort.transform(images, **{name: 0})
    for bad in ("1", [1.0], True):
        with pytest.raises(TypeError, match=r"dx: got .*, want a number"):
            distort.transform(images, dx=bad)
    with pytest.raises(ValueError, match="shear: got nan, want a finite number"):
        distort.transform(images, shear=math.nan)
    with pytest.raises(ValueError, match=r"dx: got 1e\+39, want a finite number"):
        distort.transform(images, dx=1e39)
