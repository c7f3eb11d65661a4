"""preprocess: any picture of a character in, MNIST's form out."""

import contextlib
import io
import os
import struct
import sys
import tracemalloc
import zlib

import numpy as np
import pytest

from lenet_c import LENET_3X3, Adam, LeNet5, Trainer, datasets, preprocess
from lenet_c.preprocess import _finding


def seven(height=120, width=160, top=20, left=30, size=70, stroke=9):
    """Draw a 7 as ink from 0 to 1: a bar on top and a leg on the right."""
    ink = np.zeros((height, width))
    ink[top : top + stroke, left : left + size // 2] = 1
    ink[top : top + size, left + size // 2 - stroke : left + size // 2] = 1
    return ink


def dark(ink):
    return np.rint(255 - 255 * ink).astype(np.uint8)


def light(ink):
    return np.rint(255 * ink).astype(np.uint8)


def assert_mnist_form(image, side=20):
    assert image.shape == (28, 28)
    assert image.dtype == np.uint8
    assert image.min() == 0
    assert image.max() == 255
    rows, columns = (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == side
    index = np.arange(28)
    mass = image.sum(dtype=float)
    assert abs(image.sum(axis=1, dtype=float) @ index / mass - 14) <= 0.5 + 1e-6
    assert abs(image.sum(axis=0, dtype=float) @ index / mass - 14) <= 0.5 + 1e-6


WANTED = preprocess.character(dark(seven()))


def difference(image, wanted=WANTED):
    return np.abs(image.astype(float) - wanted).mean()


def test_form():
    assert_mnist_form(WANTED)
    rows, columns = (np.flatnonzero(WANTED.any(axis=axis)) for axis in (1, 0))
    assert np.ptp(rows) + 1 == 20
    assert np.ptp(columns) + 1 == 10
    # A 7, upright and not mirrored: a bar above, a leg on the right.
    assert WANTED[rows[0], columns].min() > 180
    assert WANTED[rows, columns[-1]].min() > 200
    assert WANTED[rows[5] :, : columns[5]].max() == 0


@pytest.mark.parametrize("draw", [dark, light])
@pytest.mark.parametrize("where", [(0, 0), (5, 90), (50, 0), (50, 125)])
def test_polarity_and_position(draw, where):
    ink = seven(top=where[0], left=where[1])
    assert difference(preprocess.character(draw(ink))) < 3


@pytest.mark.parametrize("factor", [0.2, 0.5, 1, 3, 8])
def test_size(factor):
    ink = np.kron(seven(), np.ones((8, 8)))
    ink = preprocess.resize(ink, round(120 * factor), round(160 * factor))
    image = preprocess.character(dark(ink))
    assert_mnist_form(image)
    assert difference(image) < (8 if factor < 1 else 1)


@pytest.mark.parametrize("shape", [(5, 40), (2000, 9), (9, 2000), (100, 30)])
@pytest.mark.parametrize("draw", [dark, light])
def test_odd_shapes(shape, draw):
    ink = np.zeros(shape)
    ink[1:-1, 1:-1] = 1
    image = preprocess.character(draw(ink))
    assert_mnist_form(image)
    rows, columns = (np.ptp(np.flatnonzero(image.any(axis=axis))) + 1 for axis in (1, 0))
    assert (rows > columns) == (shape[0] > shape[1])
    assert min(rows, columns) <= max(3, 21 * min(shape) / max(shape))


def test_tight_crop():
    for draw in (dark, light):
        assert difference(preprocess.character(draw(seven()[20:90, 30:65]))) < 6


def test_proportions():
    wide = np.zeros((50, 50))
    wide[20:26, 5:45] = 1
    image = preprocess.character(dark(wide))
    assert np.count_nonzero(image.any(axis=1)) == 3
    assert np.count_nonzero(image.any(axis=0)) == 20


def test_heavy_side_stays_inside():
    ink = np.zeros((40, 40))
    ink[10:12, 5:35] = 0.7
    ink[5:15, 5:8] = 1
    image = preprocess.character(dark(ink))
    assert image.shape == (28, 28)
    assert np.count_nonzero(image.any(axis=0)) == 20


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("scale", [1, 255])
def test_floats(dtype, scale):
    ink = seven()
    for picture in (ink, 1 - ink):
        image = preprocess.character((picture * scale).astype(dtype))
        assert difference(image) < 1


def test_normalised_floats_bool_and_lists():
    ink = seven()
    assert difference(preprocess.character(ink * 1.275 - 0.1)) < 1
    assert difference(preprocess.character(ink > 0)) < 1
    assert difference(preprocess.character(ink.tolist())) < 1


@pytest.mark.parametrize(
    ("paper", "pen"),
    [
        ((255, 255, 255), (20, 30, 160)),
        ((250, 240, 200), (180, 20, 20)),
        ((20, 60, 30), (230, 230, 220)),
        ((128, 128, 128), (0, 0, 0)),
        ((128, 128, 128), (255, 255, 255)),
        ((200, 200, 200), (170, 170, 170)),
    ],
)
def test_colour(paper, pen):
    ink = seven()[:, :, None]
    picture = np.rint(ink * pen + (1 - ink) * paper).astype(np.uint8)
    assert difference(preprocess.character(picture)) < 0.5
    opaque = np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])
    assert difference(preprocess.character(opaque)) < 0.5
    assert difference(preprocess.character(picture / 255)) < 0.5


def test_alpha_is_ink_on_white():
    rgba = np.zeros((120, 160, 4), np.uint8)  # black all over; only alpha draws
    rgba[:, :, 3] = light(seven())
    assert difference(preprocess.character(rgba)) < 1
    assert difference(preprocess.character(rgba / 255)) < 1


def test_one_channel_and_views():
    picture = dark(seven())
    assert difference(preprocess.character(picture[:, :, None])) < 1
    twice = np.repeat(np.repeat(picture, 2, axis=0), 3, axis=1)
    kept = twice.copy()
    np.testing.assert_array_equal(preprocess.character(twice[::2, ::3]), WANTED)
    twice.flags.writeable = False
    preprocess.character(twice)
    np.testing.assert_array_equal(twice, kept)


@pytest.mark.parametrize("draw", [dark, light])
def test_noise_and_shade(draw):
    random = np.random.RandomState(0)
    picture = draw(seven() * 0.8) * 0.8 + 20
    noisy = np.clip(picture + random.normal(0, 4, picture.shape), 0, 255).astype(np.uint8)
    assert difference(preprocess.character(noisy)) < 3
    shade = np.linspace(-30, 30, 160)
    shaded = np.clip(picture + shade, 0, 255).astype(np.uint8)
    assert difference(preprocess.character(shaded)) < 8


def on_paper(ink, noise=0.0, light=0.0, specks=0):
    """Ink at 20% on paper at 60%, which is noisy, lit from a side, or has specks."""
    random = np.random.RandomState(0)
    ink = ink.copy()
    for y, x in random.rand(specks, 2) * np.array(ink.shape):
        ink[int(y) : int(y) + 2, int(x) : int(x) + 2] = 1
    slope = np.add.outer(np.linspace(-1, 1, ink.shape[0]), np.linspace(1, -1, ink.shape[1]))
    grey = (0.6 - 0.4 * ink) * (1 + light * slope / 2) + random.normal(0, noise, ink.shape)
    return np.rint(255 * np.clip(grey, 0, 1)).astype(np.uint8)


@pytest.mark.parametrize(
    ("settings", "limit"),
    [
        ({"noise": 0.06}, 8),
        ({"noise": 0.12}, 12),
        ({"light": 0.5}, 10),
        ({"light": 0.5, "noise": 0.03}, 10),
        ({"specks": 6}, 6),
        ({"specks": 4, "light": 0.3, "noise": 0.05}, 10),
    ],
    ids=str,
)
@pytest.mark.parametrize("inverted", [False, True])
def test_paper(settings, limit, inverted):
    # specks stay off the character
    ink = np.pad(np.kron(seven(), np.ones((3, 3)))[:, :330], ((120, 0), (200, 0)))
    picture = on_paper(ink, **settings)
    image = preprocess.character(255 - picture if inverted else picture)
    assert difference(image) < limit


def test_pieces_apart_are_kept():
    for parts in ([(10, 16), (24, 80)], [(20, 32), (50, 62)], [(10, 14), (30, 80)]):
        ink = np.zeros((100, 60))
        for top, end in parts:  # an i, an =, and an i with a flat dot
            ink[top:end, 25:35] = 1
        rows = preprocess.character(dark(ink)).any(axis=1)
        assert np.count_nonzero(np.diff(rows.astype(int)) == 1) == 2


def test_grey_with_alpha_and_16_bits():
    picture = dark(seven())
    opaque = np.dstack([picture, np.full_like(picture, 255)])
    assert difference(preprocess.character(opaque)) < 1
    only_alpha = np.dstack([np.zeros_like(picture), light(seven())])
    assert difference(preprocess.character(only_alpha)) < 1
    deep = picture.astype(np.uint16) * 257
    assert difference(preprocess.character(deep)) < 1
    assert difference(preprocess.character(np.dstack([deep] * 3))) < 1
    with pytest.raises(ValueError, match="no character stands out"):
        preprocess.character(np.full((30, 30), 40_000, np.uint16))


def test_white_on_transparent():
    rgba = np.full((120, 160, 4), 255, np.uint8)
    rgba[:, :, 3] = light(seven())
    assert difference(preprocess.character(rgba)) < 1
    with pytest.raises(ValueError, match="no character stands out"):
        preprocess.character(np.full((30, 30, 4), (255, 255, 255, 0), np.uint8))


@pytest.mark.parametrize("digit", "0123456789")
def test_rendered_digits(digit):
    """One form for every size, place, polarity and colour."""
    matplotlib = pytest.importorskip("matplotlib")
    image_module = pytest.importorskip("PIL.Image")
    draw, font = pytest.importorskip("PIL.ImageDraw"), pytest.importorskip("PIL.ImageFont")
    file = os.path.join(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")

    def render(size, place, canvas, paper, pen):
        picture = image_module.new("RGB", canvas, paper)
        draw.Draw(picture).text(place, digit, fill=pen, font=font.truetype(file, size))
        return preprocess.character(np.asarray(picture))

    wanted = render(200, (100, 50), (400, 400), "white", "black")
    assert_mnist_form(wanted)
    for image in (
        render(60, (5, 0), (70, 90), "white", "black"),
        render(60, (200, 300), (300, 400), "black", "yellow"),
        render(120, (300, 20), (400, 200), "#f5e6c8", "#203070"),
        render(400, (20, 500), (900, 1000), "#204030", "white"),
        render(30, (500, 300), (640, 480), "#dddddd", "#555555"),
    ):
        assert_mnist_form(image)
        assert difference(image, wanted) < 28  # a pixel of shift costs so much


def test_a_network_reads_pictures():
    """Digits enlarged, off-centre, dark on noisy paper: read about as well as they were."""
    pytest.importorskip("sklearn")
    (x, y), (xt, yt) = datasets.digits()
    net = LeNet5(seed=0)
    Trainer(net, Adam(4e-3, schedule="one_cycle"), batch_size=32).fit(x, y, epochs=15)
    pictures = []
    for k, image in enumerate(xt):
        ink = np.kron(image / 255, np.ones((4, 4)))
        ink = np.pad(ink, ((k % 60, 7 * k % 50), (5 * k % 70, 3 * k % 40)))
        pictures.append(preprocess.character(on_paper(ink, noise=0.03, light=0.2)))
    assert np.mean(net.predict(xt) != yt) < 0.05
    assert np.mean(net.predict(np.stack(pictures)) != yt) < 0.07


@pytest.mark.parametrize("value", [0, 7, 128, 255])
@pytest.mark.parametrize("shape", [(1, 1), (28, 28), (50, 80), (30, 30, 3), (30, 30, 4)])
def test_blank(value, shape):
    with pytest.raises(ValueError, match="no character stands out"):
        preprocess.character(np.full(shape, value, np.uint8))


def test_hopeless():
    random = np.random.RandomState(0)
    with pytest.raises(ValueError, match="no character stands out"):
        preprocess.character(random.normal(128, 2, (60, 60)).astype(np.uint8))
    with pytest.raises(ValueError, match="no character stands out"):
        preprocess.character(random.randint(0, 256, (60, 60)).astype(np.uint8))
    with pytest.raises(ValueError, match="no character stands out"):
        preprocess.character(0.5 + 0.02 * seven())


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (np.zeros(28, np.uint8), ValueError, r"shape \(28,\)"),
        (np.zeros((2, 28, 28), np.uint8), ValueError, r"shape \(2, 28, 28\)"),
        (np.zeros((28, 28, 5), np.uint8), ValueError, "want"),
        (np.zeros((0, 28), np.uint8), ValueError, "empty"),
        (np.zeros((0, 28)), ValueError, "empty"),
        (np.full((28, 28), -1), ValueError, "from -1 to -1, want 0 to 65535"),
        (np.zeros((28, 28), complex), TypeError, "dtype complex128"),
        (np.full((28, 28), np.nan), ValueError, "nan"),
        (np.full((28, 28), np.inf), ValueError, "inf"),
        (np.full((28, 28), 1e300), ValueError, "np.clip"),
    ],
)
def test_what_is_no_picture(image, error, message):
    with pytest.raises(error, match=message):
        preprocess.character(image)


def test_what_has_the_form_already_comes_out_as_it_was_unless_it_is_faint(real_digits):
    for image in real_digits[1][0][:100]:
        np.testing.assert_array_equal(preprocess.character(image), image)
        assert preprocess.character(image // 3).max() == 255


def test_what_is_off_centre_or_small_has_not_the_form(real_digits):
    errors = []
    for image in real_digits[1][0][:50]:
        moved = np.roll(image, 3, axis=0)
        if not image[-3:].any():
            errors.append(np.abs(preprocess.character(moved).astype(float) - image).mean())
        small = preprocess.centre(preprocess.resize(image / 255, 18, 18))
        ink = preprocess.character(small) > 0
        assert max(np.ptp(np.nonzero(ink.any(axis=axis))) for axis in (0, 1)) + 1 == 20
    assert len(errors) > 30
    assert np.median(errors) < 12  # as it came, rolled by 3, it differs by 40


@pytest.mark.skipif("LENET_C_DATA" not in os.environ, reason="LENET_C_DATA is not set")
def test_mnist_comes_out_as_it_was():
    images = datasets.mnist(download=False)[1][0][:500]
    outs = np.stack([preprocess.character(image) for image in images])
    np.testing.assert_array_equal(outs, images)
    assert not np.shares_memory(preprocess.character(images[0]), images)
    # Reversed, moved and enlarged, they find back.
    for change in (
        lambda image: 255 - image,
        lambda image: np.pad(image, ((3, 40), (31, 5))),
        lambda image: np.kron(255 - image, np.ones((3, 3), np.uint8)),
        lambda image: np.dstack([image] * 3),
    ):
        outs = np.stack([preprocess.character(change(image)) for image in images])
        errors = np.abs(outs.astype(float) - images).mean(axis=(1, 2))
        # One more pixel of shift where rounding falls the other way costs about 25.
        assert np.mean(errors) < 13
        assert np.median(errors) < 11


# Building blocks


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (None, TypeError, "NoneType'>, want an array of floating numbers"),
        (np.ones((5, 5), np.uint8), TypeError, "uint8, want an array of floating numbers"),
        (np.ones(5), ValueError, r"shape \(5,\), want \(H, W\)"),
        (np.ones((0, 5)), ValueError, r"shape \(0, 5\), want \(H, W\).*, at least 1x1"),
    ],
)
def test_only_grey_pictures_are_resized_and_centred(image, error, message):
    with pytest.raises(error, match=f"^image: .*{message}"):
        preprocess.resize(image, 10, 10)
    with pytest.raises(error, match=f"^ink: .*{message}"):
        preprocess.centre(image)


def test_bad_sizes_and_ink():
    ink = np.ones((5, 5))
    for bad in (0, -1, 1.5, None, "3"):
        error = ValueError if bad in (0, -1) else TypeError
        with pytest.raises(error, match=r"height: got .*, want a whole number of at least 1"):
            preprocess.resize(ink, bad, 3)
        with pytest.raises(error, match=r"width: got .*, want a whole number of at least 1"):
            preprocess.resize(ink, 3, bad)
        with pytest.raises(error, match=r"size: got .*, want a whole number of at least 1"):
            preprocess.centre(ink, bad)
    for size in (4, np.uint8(4)):
        with pytest.raises(ValueError, match=r"ink: \(5, 5\) does not fit into \(4, 4\)"):
            preprocess.centre(ink, size)
        with pytest.raises(ValueError, match=r"images: \(5, 5\) does not fit into \(4, 4\)"):
            preprocess.pad(np.ones((5, 5), np.uint8), size)
    for value in (0.0, np.nan, np.inf):
        with pytest.raises(ValueError, match=r"ink: (adds up to|some values)"):
            preprocess.centre(np.full((5, 5), value))


def test_resize_is_exact_where_it_must_be():
    random = np.random.RandomState(0)
    image = random.rand(12, 18)
    np.testing.assert_allclose(preprocess.resize(image, 12, 18), image)
    blocks = image.reshape(4, 3, 6, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(preprocess.resize(image, 4, 6), blocks)
    np.testing.assert_allclose(
        preprocess.resize(image, 5, 7).mean(), image.mean()
    )  # area weights keep the mass
    some = random.rand(5, 12, 18)
    want = [preprocess.resize(one, 9, 30) for one in some]
    np.testing.assert_array_equal(preprocess.resize(some, 9, 30), want)
    ramp = np.tile(np.arange(8.0), (8, 1))
    grown = preprocess.resize(ramp, 8, 16)
    np.testing.assert_allclose(grown[:, 1:-1], np.tile(np.arange(1, 15) / 2 - 0.25, (8, 1)))


@pytest.mark.parametrize("n_in", [1, 2, 3, 7, 20, 28, 1001])
@pytest.mark.parametrize("n_out", [1, 2, 3, 7, 20, 28])
def test_weights_add_up(n_in, n_out):
    weights = preprocess._weights(n_in, n_out)
    assert weights.shape == (n_out, n_in)
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=1), 1)


def test_pad():
    images = np.random.RandomState(0).randint(1, 256, (3, 28, 28)).astype(np.uint8)
    padded = preprocess.pad(images)
    assert padded.shape == (3, 32, 32)
    assert padded.dtype == np.uint8
    np.testing.assert_array_equal(padded[:, 2:-2, 2:-2], images)
    assert padded.sum() == images.sum()
    np.testing.assert_array_equal(preprocess.pad(images[0]), padded[0])
    odd = preprocess.pad(images[:, :27, :25], 30)
    np.testing.assert_array_equal(odd[:, 1:28, 2:27], images[:, :27, :25])
    np.testing.assert_array_equal(preprocess.pad(images, 28), images)
    with pytest.raises(ValueError, match="does not fit"):
        preprocess.pad(images, 27)
    with pytest.raises(TypeError, match=r"size: got 32\.0, want a whole number"):
        preprocess.pad(images, 32.0)
    with pytest.raises(TypeError, match="float64, want a uint8"):
        preprocess.pad(images.astype(float))
    with pytest.raises(ValueError, match=r"shape \(28,\)"):
        preprocess.pad(images[0, 0])


def test_normalize():
    every = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    got = preprocess.normalize(every)
    assert got.dtype == np.float32
    assert got.shape == every.shape
    wanted = -0.1 + 1.275 * every.astype(float) / 255
    np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-8)
    assert got[0, 0, 0] == np.float32(-0.1)
    assert got[0, -1, -1] == np.float32(1.175)
    np.testing.assert_array_equal(
        preprocess.normalize(every[0], 0, 1), (every[0] / 255).astype(np.float32)
    )
    with pytest.raises(TypeError, match="want a uint8"):
        preprocess.normalize(got)
    with pytest.raises(TypeError, match="background: got '0', want a number"):
        preprocess.normalize(every, "0")
    for bad in (np.nan, np.inf, 1e39):
        with pytest.raises(ValueError, match=r"foreground: got .*, want a finite number"):
            preprocess.normalize(every, 0, bad)


# Files


@pytest.fixture
def image_module():
    return pytest.importorskip("PIL.Image")


GREY = np.random.RandomState(1).randint(0, 256, (9, 14)).astype(np.uint8)


@pytest.mark.parametrize("name", ["a.png", "a.pgm", "a.bmp"])
def test_load_grey(tmp_path, image_module, name):
    image_module.fromarray(GREY).save(tmp_path / name)
    for path in (tmp_path / name, str(tmp_path / name)):
        got = preprocess.load_image(path)
        assert got.dtype == np.uint8
        assert got.flags.writeable
        np.testing.assert_array_equal(got, GREY)


def test_load_jpeg(tmp_path, image_module):
    picture = dark(seven())
    image_module.fromarray(picture).save(tmp_path / "a.jpg", quality=80)
    got = preprocess.load_image(tmp_path / "a.jpg")
    assert got.shape == picture.shape
    assert difference(preprocess.character(got)) < 4


def test_load_white_on_transparent(tmp_path, image_module):
    rgba = np.full((120, 160, 4), 255, np.uint8)
    rgba[:, :, 3] = light(seven())
    image_module.fromarray(rgba).save(tmp_path / "a.png")
    got = preprocess.load_image(tmp_path / "a.png")
    np.testing.assert_array_equal(got, light(seven()))


def test_load_colour_palette_and_bits(tmp_path, image_module):
    rgb = np.random.RandomState(2).randint(0, 256, (9, 14, 3)).astype(np.uint8)
    image_module.fromarray(rgb).save(tmp_path / "rgb.png")
    got = preprocess.load_image(tmp_path / "rgb.png")
    np.testing.assert_allclose(got, rgb @ [0.299, 0.587, 0.114], atol=1)
    palette = image_module.fromarray(GREY % 4)
    palette = palette.convert("P")
    palette.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255])
    palette.save(tmp_path / "palette.png")
    wanted = np.array([76, 150, 29, 255])[GREY % 4]
    np.testing.assert_allclose(preprocess.load_image(tmp_path / "palette.png"), wanted, atol=1)
    image_module.fromarray(GREY > 99).save(tmp_path / "bits.png")
    np.testing.assert_array_equal(
        preprocess.load_image(tmp_path / "bits.png"), np.where(GREY > 99, 255, 0)
    )


@pytest.mark.parametrize("name", ["a.png", "a.pgm"])
def test_load_16_bits(tmp_path, image_module, name):
    if name == "a.png":
        image_module.fromarray(GREY.astype(np.uint16) * 257).save(tmp_path / name)
    else:
        values = (GREY.astype(">u2") * 257).astype(">u2").tobytes()
        (tmp_path / name).write_bytes(b"P5 14 9 65535\n" + values)
    np.testing.assert_array_equal(preprocess.load_image(tmp_path / name), GREY)


def test_load_transparent(tmp_path, image_module):
    ink = light(seven())
    rgba = np.zeros((*ink.shape, 4), np.uint8)
    rgba[:, :, 3] = ink
    image_module.fromarray(rgba).save(tmp_path / "rgba.png")
    np.testing.assert_array_equal(preprocess.load_image(tmp_path / "rgba.png"), 255 - ink)
    image_module.fromarray(rgba[:, :, 2:]).save(tmp_path / "la.png")
    np.testing.assert_array_equal(preprocess.load_image(tmp_path / "la.png"), 255 - ink)
    # One grey value that stands for nothing there.
    image_module.fromarray(GREY).save(tmp_path / "key.png", transparency=int(GREY[0, 0]))
    wanted = np.where(GREY[0, 0] == GREY, 255, GREY)
    np.testing.assert_array_equal(preprocess.load_image(tmp_path / "key.png"), wanted)


def test_load_turned(tmp_path, image_module):
    picture = dark(seven())
    image = image_module.fromarray(np.rot90(picture))
    exif = image.getexif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to show
    image.save(tmp_path / "a.jpg", exif=exif, quality=95)
    got = preprocess.load_image(tmp_path / "a.jpg")
    assert got.shape == picture.shape
    assert difference(preprocess.character(got)) < 4


def png_of_size(width, height):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    start = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + start + rows + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a picture at all",
        b"P5 28 28 255\n" + bytes(20),
        b"P5 x",
        b"P5 99999999 99999999 255\n",
        b"Pf 1 1 -1.0\n" + bytes(4),
        b"GIF89a" + bytes(100),
        png_of_size(28, 28)[:40],
        png_of_size(2**31 - 1, 2**31 - 1),
    ],
)
def test_bad_files(tmp_path, image_module, content):
    path = tmp_path / "bad.png"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.png: cannot be read as a picture") as caught:
        preprocess.load_image(path)
    if content[:1] in (b"", b"n", b"G"):
        assert "not a PNG, JPEG, PGM, PPM, BMP, WebP, TIFF or GIF file" in str(caught.value)


def test_large_files_are_not_unpacked(tmp_path, image_module):
    path = tmp_path / "large.png"
    path.write_bytes(png_of_size(9000, 9000))
    with pytest.raises(ValueError, match=r"large\.png: .*9000x9000 pixels, more than"):
        preprocess.load_image(path)


def test_truncated_and_flipped_files(tmp_path, image_module):
    random = np.random.RandomState(0)
    path = tmp_path / "a"
    for kind in ("png", "jpeg"):
        image_module.fromarray(dark(seven())).save(path, format=kind)
        content = path.read_bytes()
        for _ in range(60):
            damaged = bytearray(content[: random.randint(1, len(content))])
            damaged[random.randint(len(damaged))] ^= 1 << random.randint(8)
            path.write_bytes(damaged)
            with contextlib.suppress(ValueError):
                assert preprocess.load_image(path).dtype == np.uint8


def test_missing_picture(tmp_path, image_module):
    with pytest.raises(FileNotFoundError):
        preprocess.load_image(tmp_path / "none.png")


def test_without_pillow(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"lenet_c\[images\]"):
        preprocess.load_image("a.png")


def test_columns_have_length_one():
    images = np.zeros((2, 3, 4), np.uint8)
    images[0, :, 0] = [3, 0, 4]
    images[0, 1, 1] = 1
    images[1, :, 3] = 255
    columns = preprocess.normalize_columns(images)
    assert columns.dtype == np.float32
    wanted = np.zeros((2, 3, 4))
    wanted[0, :, 0] = [0.6, 0, 0.8]
    wanted[0, 1, 1] = 1
    wanted[1, :, 3] = 3**-0.5
    np.testing.assert_allclose(columns, wanted, rtol=1e-6)
    np.testing.assert_array_equal(preprocess.normalize_columns(images[0]), columns[0])
    assert images.max() == 255  # the caller's is left alone


def test_the_3x3_network_takes_normalized_columns(rng):
    images = rng.integers(0, 256, (5, 28, 28)).astype(np.uint8)
    net = LeNet5(LENET_3X3, seed=1)
    assert (net.forward(preprocess.normalize_columns(images)) != net.forward(images)).any()


@pytest.mark.parametrize(
    ("images", "error"), [(np.zeros((2, 3)), TypeError), (np.zeros(3, np.uint8), ValueError)]
)
def test_normalize_columns_takes_raw_images_only(images, error):
    with pytest.raises(error, match=r"images: .*, want"):
        preprocess.normalize_columns(images)


# Other marks


def on_sheet(image, dark_ink, mark=None, size=200):
    """Enlarge an image 5 times, put it on paper with a mark, and say which ink it is in."""
    ink = np.zeros((size, size))
    big = preprocess.resize(image / 255, 140, 140)
    ink[30:170, 30:170] = big
    if mark is not None:
        ink = mark(ink)
    grey = np.clip(0.95 - 0.8 * ink, 0, 1)
    return np.rint(255 * (grey if dark_ink else 1 - grey)).astype(np.uint8)


def laid(strength, *parts):
    """Lay strips on ink: each part is the slices of one."""

    def mark(ink):
        ink = ink.copy()
        for part in parts:
            ink[part] = np.maximum(ink[part], strength)
        return ink

    return mark


ALL = slice(None)


def frame(strength, inset, width):
    first, last = slice(inset, inset + width), slice(200 - inset - width, 200 - inset)
    inside = slice(inset, 200 - inset)
    return laid(strength, (first, inside), (last, inside), (inside, first), (inside, last))


def shaded(share, slope):
    """Darken what lies below a line through the middle."""

    def mark(ink):
        y, x = np.mgrid[:200, :200]
        return 1 - (1 - 0.88 * ink) * np.where(y + slope * x > 100 + 100 * slope, 1 - share, 1)

    return mark


def corner(strength, leg):
    def mark(ink):
        y, x = np.mgrid[:200, :200]
        return np.where((y + x < leg) | (y + 0.7 * x > 340 - leg), strength, ink)

    return mark


def spotted(strength):
    def mark(ink):
        y, x = np.mgrid[:200, :200]
        return np.where(np.hypot(y - 60, x - 130) < 40, ink + (1 - ink) * strength, ink)

    return mark


def printed(strength):
    def mark(ink):
        y, x = np.mgrid[:200, :200]
        return np.maximum(ink, strength * (np.sin(y / 1.5 + 2 * np.sin(x / 20)) > 0.3))

    return mark


def tilted(strength, slope, at):
    def mark(ink):
        y, x = np.mgrid[:200, :200]
        return np.maximum(ink, strength * (np.abs(y - at - slope * (x - 100)) < 1.5))

    return mark


MARKS = {
    "faint rules": laid(0.2, *[(slice(k, k + 2), ALL) for k in range(15, 200, 40)]),
    "rules": laid(1, *[(slice(k, k + 2), ALL) for k in range(25, 200, 50)]),
    "tilted rule": tilted(0.9, 0.03, 120),
    "squares": laid(
        0.3,
        *[(slice(k, k + 1), ALL) for k in range(9, 200, 24)],
        *[(ALL, slice(k, k + 1)) for k in range(5, 200, 24)],
    ),
    "frame inside": frame(1, 8, 3),
    "faint frame": frame(0.4, 15, 2),
    "frame on the edge": frame(1, 0, 4),
    "cell borders": laid(0.8, (ALL, slice(6, 9)), (slice(190, 193), ALL)),
    "underline": laid(1, (slice(182, 186), slice(20, 180))),
    "line along one edge": laid(1, (ALL, slice(197, 200))),
    "scanner's strip": laid(1.15, (slice(0, 12), ALL), (ALL, slice(0, 5))),
    "crease": laid(0.25, (ALL, slice(99, 101))),
    "faint shadow": shaded(0.25, 0.5),
    "hard shadow": shaded(0.5, -1),
    "table": corner(0.8, 50),
    "faint table": corner(0.4, 70),
    "stain": spotted(0.25),
    "security print": printed(0.25),
    "neighbour's piece": laid(
        1, (slice(60, 80), slice(180, 200)), (slice(80, 130), slice(180, 190))
    ),
}


@pytest.mark.parametrize("dark_ink", [True, False], ids=["dark", "light"])
@pytest.mark.parametrize("name", MARKS)
def test_other_marks_are_no_part_of_the_character(real_digits, name, dark_ink):
    (_, _), (images, labels) = real_digits
    for digit in range(10):
        image = images[labels == digit][1]
        plain = preprocess.character(on_sheet(image, dark_ink))
        marked = preprocess.character(on_sheet(image, dark_ink, MARKS[name]))
        away = min(
            np.abs(np.roll(marked, (y, x), (0, 1)).astype(float) - plain).mean()
            for y in (-1, 0, 1)
            for x in (-1, 0, 1)
        )
        assert away < 16, (digit, away)  # another digit is 40 and more away


@pytest.mark.parametrize("side", [16, 28, 60])
@pytest.mark.parametrize("draw", [dark, light])
def test_no_margin(real_digits, side, draw):
    (_, _), (images, labels) = real_digits
    away = []
    for image in images[labels != 1][:200]:
        rows, columns = (np.flatnonzero((image > 60).any(axis=axis)) for axis in (1, 0))
        ink = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] / 255
        scale = side / max(ink.shape)
        ink = preprocess.resize(ink, *(max(1, round(k * scale)) for k in ink.shape))
        tight = preprocess.character(draw(ink)).astype(float)
        roomy = preprocess.character(draw(np.pad(ink, side // 4)))
        moved = [np.roll(tight, (y, x), (0, 1)) for y in (-1, 0, 1) for x in (-1, 0, 1)]
        away.append(min(difference(roomy, each) for each in moved))
    assert np.median(away) < 10
    assert np.quantile(away, 0.9) < 18


@pytest.mark.parametrize("draw", [dark, light])
def test_strokes_wider_than_what_is_between_them_without_a_margin(draw):
    ink = np.ones((40, 24))  # an 8
    ink[6:15, 7:17] = ink[24:34, 7:17] = 0
    for corner in (np.s_[:5, :5], np.s_[:5, -5:], np.s_[-5:, :5], np.s_[-5:, -5:]):
        ink[corner] = 0
    ink[15:24, :4] = ink[15:24, -4:] = 0
    image = preprocess.character(draw(ink)) > 128
    assert image[4:24].all(axis=1).sum() == 0
    assert image[:, 14].sum() < 15  # two holes
    assert image.sum() > 120


def test_a_stroke_is_no_line():
    for part in (
        [(slice(30, 170), slice(96, 102))],  # a 1
        [(slice(30, 170), slice(96, 102)), (slice(30, 36), slice(70, 100))],
        [(slice(30, 36), slice(40, 160)), (slice(30, 170), slice(154, 160))],  # a 7
        [(slice(100, 106), slice(30, 170)), (slice(30, 170), slice(120, 126))],  # a plus
    ):
        ink = laid(1, *part)(np.zeros((200, 200)))
        image = preprocess.character(dark(ink))
        rows, columns = (np.ptp(np.flatnonzero(image.any(axis=axis))) + 1 for axis in (1, 0))
        spans = [np.ptp(np.flatnonzero(ink.any(axis=axis))) + 1 for axis in (1, 0)]
        wanted = [max(1, round(20 * span / max(spans))) for span in spans]
        assert abs(rows - wanted[0]) <= 2
        assert abs(columns - wanted[1]) <= 2


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        (frame(1, 10, 3), "lines, and no character"),
        (frame(1, 0, 3), "no character"),
        (MARKS["rules"], "only lines"),
        (MARKS["hard shadow"], "no character"),
        (MARKS["table"], "no character"),
        (
            laid(
                1,
                (slice(50, 150), slice(20, 32)),
                (slice(50, 62), slice(20, 80)),
                (slice(50, 150), slice(120, 132)),
                (slice(138, 150), slice(120, 180)),
            ),
            "two characters",
        ),
    ],
)
@pytest.mark.parametrize("draw", [dark, light])
def test_what_no_one_can_read_is_refused_with_what_it_shows(mark, message, draw):
    picture = draw(0.8 * mark(np.zeros((200, 200))))
    with pytest.raises(ValueError, match=f"^image: .*{message}"):
        preprocess.character(picture)


def test_colours_of_equal_brightness():
    ink = seven()[:, :, None]
    for one, other in (
        ((60, 120, 60), (140, 68, 110)),
        ((40, 90, 200), (150, 62, 55)),
    ):
        picture = np.rint(ink * one + (1 - ink) * other).astype(np.uint8)
        grey = picture @ np.array([0.299, 0.587, 0.114])
        assert np.ptp(grey) < 16
        assert difference(preprocess.character(picture)) < 1


def test_far_off_and_tiny(real_digits):
    image = real_digits[1][0][0]
    plain = preprocess.character(on_sheet(image, True))
    sheet = np.full((1500, 2000), 240, np.uint8)
    sheet[700:840, 300:440] = on_sheet(image, True)[30:170, 30:170]
    assert difference(preprocess.character(sheet), plain) < 12
    small = preprocess.resize(on_sheet(image, True)[20:180, 20:180].astype(float), 8, 8)
    assert preprocess.character(small.astype(np.uint8)).max() == 255


@pytest.mark.parametrize(
    "shape",
    [(4000, 6000), (1, 12_000_000), (12_000_000, 1), (2, 3_000_000), (3000, 2000, 3)],
    ids=str,
)
def test_memory_is_bounded(shape):
    import scipy.ndimage  # noqa: F401  not to be counted

    picture = np.full(shape, 250, np.uint8)
    height, width = shape[:2]
    picture[height // 4 : height // 2, width // 2 : width // 2 + max(1, width // 20)] = 20
    tracemalloc.start()
    try:
        with contextlib.suppress(ValueError):
            preprocess.character(picture)
        assert tracemalloc.get_traced_memory()[1] < 8e6
    finally:
        tracemalloc.stop()


def test_ranges_are_found():
    ink = seven()
    for picture in (
        (1023 - 1023 * ink).astype(np.uint16),
        (4095 * ink).astype(np.uint16),
        255 - (255 * ink).astype(np.int64),
        (ink > 0).astype(np.uint8),  # 0 and 1
        (ink - ink.mean()) / ink.std(),
        1 - 2 * ink,
        1023 * ink,
    ):
        assert difference(preprocess.character(picture)) < 2


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((3, 90, 90), np.uint8), r"transpose\(1, 2, 0\)"),
        (np.zeros((4, 90, 90, 3), np.uint8), r"characters\(\)"),
        (np.zeros(784, np.uint8), "reshape"),
        (np.zeros((90, 90, 4), np.uint8), "CMYK"),
        (np.full((90, 90), 70_000), "0 to 65535"),
    ],
)
def test_errors_name_the_remedy(image, message):
    with pytest.raises(ValueError, match=message):
        preprocess.character(image)


def test_many(tmp_path, image_module):
    picture = dark(seven())
    image_module.fromarray(picture).save(tmp_path / "a.png")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    blank = np.full((50, 50), 255, np.uint8)
    given = [picture, blank, tmp_path / "a.png", str(tmp_path / "bad.png"), tmp_path / "none.png"]
    for threads in (1, 3, None):
        found = preprocess.characters(given, num_threads=threads)
        assert found.images.shape == (5, 28, 28)
        assert found.images.dtype == np.uint8
        assert found.refused.tolist() == [False, True, False, True, True]
        assert [why is None for why in found.reasons] == [True, False, True, False, False]
        assert "no character stands out" in found.reasons[1]
        assert "bad.png" in found.reasons[3]
        np.testing.assert_array_equal(found.images[0], WANTED)
        np.testing.assert_array_equal(found.images[2], WANTED)
        assert not found.images[found.refused].any()
    assert preprocess.characters([]).images.shape == (0, 28, 28)
    with pytest.raises(TypeError, match="one picture"):
        preprocess.characters("a.png")
    with pytest.raises(ValueError, match="num_threads"):
        preprocess.characters(given, num_threads=0)


# Arrays of images


def test_images(real_digits):
    raw = real_digits[1][0][:20]

    class Frame:
        def to_numpy(self):
            return raw.reshape(-1, 784).astype(np.int64)

    for given in (
        raw,
        raw / 255,
        (raw / 255).astype(np.float32),
        raw.astype(np.float64),
        raw.astype(np.int64),
        raw.reshape(-1, 784),
        raw[..., None],
        raw[:, None],
        raw.tolist(),
        Frame(),
    ):
        got = preprocess.images(given)
        assert got.dtype == np.uint8
        assert got.shape == (20, 28, 28)
        np.testing.assert_array_equal(got, raw)
        assert not np.shares_memory(got, raw)
    np.testing.assert_array_equal(preprocess.images(raw > 0), np.where(raw > 0, 255, 0))
    np.testing.assert_array_equal(preprocess.images((raw > 0) * 1), np.where(raw > 0, 255, 0))
    np.testing.assert_array_equal(preprocess.images(raw[0]), raw[:1])
    np.testing.assert_array_equal(preprocess.images(raw[0].ravel()), raw[:1])
    assert preprocess.images(np.zeros((0, 28, 28))).shape == (0, 28, 28)
    for polarity in (255 - raw, 1 - raw / 255):
        np.testing.assert_array_equal(preprocess.images(polarity, invert="auto"), raw)
        np.testing.assert_array_equal(preprocess.images(polarity, invert=True), raw)
    np.testing.assert_array_equal(preprocess.images(raw, invert="auto"), raw)
    with pytest.raises(ValueError, match="light, the others dark"):
        preprocess.images(np.concatenate([raw, 255 - raw]), invert="auto")


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((5, 785)), r"x = x\[:, 1:\]"),
        (np.zeros((784, 5)), r"x\.T"),
        (np.zeros((5, 28, 28, 3)), "grey"),
        (np.zeros((28, 28, 5)), "transpose"),
        (np.zeros((5, 64, 64)), r"characters\(x\)"),
        (np.zeros((5, 32, 32)), "padded"),
        (np.linspace(-1, 1, 784), "normalised"),
        (np.linspace(0, 16, 784), "x / 16"),
        (np.linspace(0, 65535, 784), "x = x / 65535"),
        (np.full(784, np.nan), "nan_to_num"),
    ],
)
def test_what_are_no_images(x, message):
    with pytest.raises(ValueError, match=f"^x: .*{message}"):
        preprocess.images(x)


def test_images_refuses_what_is_no_array():
    with pytest.raises(TypeError, match="x: "):
        preprocess.images(np.array([["a"] * 784]))
    with pytest.raises(ValueError, match="invert: got 'yes'"):
        preprocess.images(np.zeros((1, 784)), invert="yes")


# More files


@pytest.mark.parametrize("kind", ["WEBP", "TIFF", "GIF"])
def test_load_more_formats(tmp_path, image_module, kind):
    from PIL import features

    if kind == "WEBP" and not features.check("webp"):
        pytest.skip("this Pillow has no WebP")
    image_module.fromarray(dark(seven())).save(tmp_path / "a", kind, lossless=True)
    np.testing.assert_array_equal(preprocess.load_image(tmp_path / "a"), dark(seven()))


def test_load_from_bytes_files_and_pillow(tmp_path, image_module):
    image = image_module.fromarray(GREY)
    image.save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    np.testing.assert_array_equal(preprocess.load_image(content), GREY)
    np.testing.assert_array_equal(preprocess.load_image(image), GREY)
    with open(tmp_path / "a.png", "rb") as file:
        np.testing.assert_array_equal(preprocess.load_image(file), GREY)
    with pytest.raises(TypeError, match="source: got 3"):
        preprocess.load_image(3)
    with pytest.raises(ValueError, match="more than max_pixels=100"):
        preprocess.load_image(content, max_pixels=100)
    with pytest.raises(ValueError, match="8 bytes: cannot be read"):
        preprocess.load_image(b"nonsense")


@pytest.mark.parametrize("kind", ["PNG", "BMP", "PPM", "GIF"])
@pytest.mark.parametrize("limit", [GREY.size // 3, GREY.size - 1])
def test_max_pixels_alone_is_the_limit(monkeypatch, image_module, kind, limit):
    """Neither Pillow's error, beyond twice its own limit, nor its warning, an error here."""
    file = io.BytesIO()
    image_module.fromarray(GREY).save(file, kind)
    content = file.getvalue()
    monkeypatch.setattr(image_module, "MAX_IMAGE_PIXELS", limit)
    np.testing.assert_array_equal(preprocess.load_image(content, max_pixels=GREY.size), GREY)
    with pytest.raises(ValueError, match=f"more than max_pixels={GREY.size - 1}"):
        preprocess.load_image(content, max_pixels=GREY.size - 1)
    assert limit == image_module.MAX_IMAGE_PIXELS


def test_pillows_limit_where_it_stays_is_named(monkeypatch, image_module):
    from PIL import PngImagePlugin

    file = io.BytesIO()
    image_module.fromarray(GREY).save(file, "PNG")

    def load(self):  # as that of TIFF files does in some versions of Pillow
        raise image_module.DecompressionBombError("Image size exceeds limit")

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", load)
    with pytest.raises(ValueError, match=r"more pixels than Pillow .*MAX_IMAGE_PIXELS=\d+, which"):
        preprocess.load_image(file.getvalue())


def test_load_what_cannot_go_back(image_module):
    class Pipe(io.BytesIO):
        def seek(self, *position):
            raise io.UnsupportedOperation("a pipe")

    file = io.BytesIO()
    image_module.fromarray(GREY).save(file, "PNG")
    np.testing.assert_array_equal(preprocess.load_image(Pipe(file.getvalue())), GREY)


@pytest.mark.parametrize("content", [b"", b"P", b"BM", b"RIFF", b"GIF89a", b"\x89PNG\r\n\x1a\n"])
def test_beginnings_of_pictures(content):
    with pytest.raises(ValueError, match=r"bytes: cannot be read as a picture \(.+\)$"):
        preprocess.load_image(content)


def test_a_truncated_picture_in_closed_brackets(image_module):
    file = io.BytesIO()
    image_module.fromarray(GREY).save(file, "BMP")
    with pytest.raises(ValueError, match="cannot be read") as told:
        preprocess.load_image(file.getvalue()[:-50])
    message = str(told.value)
    assert message.count("(") == message.count(")") == 2


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (None, "got None, want an array, a path"),
        (np.array(["a"]), "dtype <U1, want numbers"),
        ({}, "got {}, want an array"),
    ],
)
def test_characters_says_which_is_no_picture(bad, words):
    with pytest.raises(TypeError, match=rf"^pictures\[1\]: {words}"):
        preprocess.characters([dark(seven()), bad])


def test_load_colours(tmp_path, image_module):
    ink = seven()[:, :, None]
    rgb = np.rint(ink * (60, 120, 60) + (1 - ink) * (140, 68, 110)).astype(np.uint8)
    image_module.fromarray(rgb).save(tmp_path / "a.png")
    np.testing.assert_array_equal(preprocess.load_image(tmp_path / "a.png", colour=True), rgb)
    assert difference(preprocess.character(tmp_path / "a.png")) < 1
    cmyk = image_module.fromarray(dark(seven())).convert("CMYK")
    cmyk.save(tmp_path / "a.tiff")
    assert difference(preprocess.load_image(tmp_path / "a.tiff"), dark(seven())) < 1
    assert difference(preprocess.character(cmyk)) < 1


def test_load_ten_bits_in_sixteen(tmp_path, image_module):
    image_module.fromarray((seven() * 1023).astype(np.uint16)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(preprocess.load_image(tmp_path / "a.png"), light(seven()))


def test_without_scipy(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.ndimage", None)
    for call in (preprocess.character, preprocess.characters):
        with pytest.raises(ImportError, match=r"SciPy: pip install .lenet_c\[images\]"):
            call(dark(seven()))


def test_an_array_that_repeats_without_end_is_refused_at_once():
    endless = np.broadcast_to(np.uint8(0), (2**31, 28))
    with pytest.raises(ValueError, match=r"image: 28x2147483648 pixels, want at most"):
        preprocess.character(endless)


def test_where_ink_has_no_level():
    """The bar is paper in the strip that it lies in, and light on dark there is nothing at all."""
    bar = np.full((24, 24), 255, np.uint8)
    bar[9:19, :2], bar[9:19, 2], bar[19, :3] = 0, 35, (133, 129, 150)
    bar[8, :3], bar[9, 2], bar[18, 2] = (41, 34, 71), 27, 19
    for turned in (bar, bar.T, np.flip(bar, 1), 255 - bar):
        assert _finding.find(turned.astype(np.float32)).any()


def crop(image):
    """Enlarge a digit and cut it out without a margin."""
    big = preprocess.resize(image / 255, 130, 130)
    rows, columns = (np.flatnonzero((big > 0.3).any(axis=axis)) for axis in (1, 0))
    return big[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def away_from(image, wanted):
    """Return how far an image is from another, moved by at most a pixel."""
    moved = (np.roll(image, (y, x), (0, 1)) for y in (-1, 0, 1) for x in (-1, 0, 1))
    return min(difference(each, wanted) for each in moved)


def test_print_that_reaches_the_edge_is_no_stroke_that_it_cuts():
    pytest.importorskip("sklearn")
    _, (images, labels) = datasets.digits()
    away = []
    for image in images[labels == 6][:10]:
        ink = crop(image)
        y, x = np.mgrid[: ink.shape[0], : ink.shape[1]]
        lines = 0.1 + 0.3 * ((y + x // 9) % 14 < 4)
        picture = np.maximum(ink, np.where(x + y < 40, 0, lines))  # one corner is lighter
        found = preprocess.character(dark(0.05 + 0.75 * picture))
        away.append(away_from(found, preprocess.character(dark(ink))))
    assert np.quantile(away, 0.8) < 18


def test_a_neighbours_piece_beside_a_crop_is_left_out(real_digits):
    (_, _), (images, labels) = real_digits
    for image in images[labels == 3][:5]:
        ink = crop(image)
        beside = np.zeros((len(ink), 24))
        beside[len(ink) // 4 :, 14:] = 1
        found = preprocess.character(dark(np.hstack([ink, beside])))
        assert away_from(found, preprocess.character(dark(ink))) < 16


def test_a_stroke_may_be_fainter_than_others_but_not_wider():
    ink = np.zeros((90, 90), np.float32)
    ink[10:80, 20:26] = 1
    ink[40:46, 26:60] = 0.4  # a stroke
    ink[60:85, 60:85] = 0.4  # a stain
    strokes = _finding._beside(np.zeros_like(ink, bool), ink, 1.0)
    assert strokes[42, 40]
    assert strokes[30, 22]
    assert not strokes[60:85, 60:85].any()


def test_a_faint_frame_is_no_part_of_what_it_is_around():
    for strength, parts in ((0.4, 1), (1, 2)):
        ink = np.zeros((90, 90), np.float32)
        ink[12:78, 12:78] = strength
        ink[14:76, 14:76] = 0
        ink[25:65, 41:48] = 1
        pieces = _finding.pieces_of(ink > 0, ink)
        assert _finding.choose(pieces).sum() == parts
