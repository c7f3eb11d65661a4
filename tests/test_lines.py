"""LineReader: pictures of fields in, their texts out; and learning to read one's own."""

from __future__ import annotations

import copy
import io
import itertools
import math
import pickle
import signal
import subprocess
import sys
import threading

import numpy as np
import pasted
import pytest

import lenet_c
from lenet_c import (
    LENET5_1998,
    LENET5_STRINGS,
    Adam,
    LeNet5,
    LineReader,
    ModelFileError,
    Rejection,
    datasets,
    decoding,
    line_calibration,
    lines,
    preprocess,
)
from lenet_c.strips import MARGIN, REACH, VIEWS, boxes_of, cut

pytest.importorskip("scipy")
Image = pytest.importorskip("PIL.Image")

from fields import dark, most, stroke  # noqa: E402
from readers import drawn, texts  # noqa: E402

from tests.sanitized import SLOWER  # noqa: E402


@pytest.fixture
def reader(quick_reader):
    """A reader that a test may change."""
    return LineReader(copy.deepcopy(quick_reader.network))


@pytest.fixture(scope="module")
def draw(real_digits):
    """Give a function that draws a text of test digits."""
    test = real_digits[1]

    def of(text, rng, mark="plain", **settings):
        return drawn(*test, text, rng, mark, **settings)

    return of


@pytest.fixture(scope="module")
def read_right(quick_reader, draw):
    """Fields that are read right without help: (field, picture, text)."""
    rng = np.random.default_rng(5)
    some = [(*draw(text, rng), text) for text in texts(24, rng)]
    readings = quick_reader.read([picture for _, picture, _ in some])
    right = [one for one, got in zip(some, readings, strict=True) if got.text == one[2]]
    assert len(right) >= 17
    return right


BLANK = np.full((50, 120), 210, np.uint8)


def test_what_is_left_out_is_told(quick_reader, read_right):
    _, picture, text = read_right[0]

    class Listed(list):
        files = ("one.png",)  # of something else

    pictures, said = Listed([picture, BLANK, picture]), [text, "12", "1" * 200]
    words = r"^pictures: 2 of 3 are left out; pictures\[1\]: no writing .*; pictures\[2\]: the text"
    with pytest.warns(lenet_c.InputWarning, match=words):
        images, _ = quick_reader.characters(pictures, said)
    assert len(images)
    with pytest.warns(
        lenet_c.InputWarning, match=r"^pictures: 12 of 13 .*pictures\[10\]: .*; \.\.\.$"
    ):
        quick_reader.characters([picture, *[BLANK] * 12], [text] * 13)
    assert quick_reader.evaluate([picture, BLANK], [text, "12"]).wrong == 1


def test_what_is_wrong_with_validation_data_is_said_of_them(quick_reader, read_right, tmp_path):
    _, picture, text = read_right[0]
    reader = copy.deepcopy(quick_reader)
    for bad, words in (
        (([b"no picture"], ["1"]), r"^validation_data: pictures\[0\]: "),
        (([picture], ["x"]), r"^validation_data: texts\[0\]: "),
    ):
        with pytest.raises(ValueError, match=words):
            reader.fit([picture], [text], 1, validation_data=bad)
    whole = io.BytesIO()
    Image.fromarray(picture).save(whole, "png")
    half = Image.open(io.BytesIO(whole.getvalue()[: len(whole.getvalue()) // 2]))
    with pytest.raises(ValueError, match=r"^pictures\[1\]: .*truncated"):
        reader.evaluate([picture, half], [text] * 2)


@pytest.mark.parametrize("call", ["fit", "characters", "evaluate", "calibrate"])
def test_a_picture_that_cannot_be_read_is_an_error(quick_reader, read_right, tmp_path, call):
    _, picture, text = read_right[0]
    (tmp_path / "damaged.png").write_bytes(b"no picture")
    for bad, error in (("none.png", FileNotFoundError), ("damaged.png", ValueError)):
        pictures = [picture, tmp_path / bad, picture]
        with pytest.raises(error, match=bad):
            getattr(copy.deepcopy(quick_reader), call)(pictures, [text] * 3)


# ---- read ----


def test_one_picture_in_any_form(quick_reader, read_right, tmp_path):
    _, picture, text = read_right[0]
    path = tmp_path / "field.png"
    Image.fromarray(picture).save(path)
    reading = quick_reader.read(picture)
    assert isinstance(reading, lenet_c.LineReading)
    assert reading.text == text
    assert 0.2 < reading.probability <= 1
    assert reading.confidence.shape == (len(text),)
    assert reading.confidence.min() > 0.2
    assert not reading.rejected
    assert reading.reason is None
    with open(path, "rb") as file:
        for given in (
            str(path),
            path,
            path.read_bytes(),
            io.BytesIO(path.read_bytes()),
            file,
            Image.open(path),
            picture / 255,
        ):
            found = quick_reader.read(given)
            assert isinstance(found, lenet_c.LineReading)  # and no list: a file can be iterated
            assert found.text == text


def test_many_pictures_and_a_blank_among_them(quick_reader, read_right):
    pictures = [picture for _, picture, _ in read_right]
    readings = quick_reader.read([*pictures[:3], BLANK, *pictures[3:]])
    blank = readings.pop(3)
    assert [r.text for r in readings] == [text for _, _, text in read_right]
    assert (blank.text, blank.probability, blank.rejected) == ("", 0.0, True)
    assert "no writing" in blank.reason
    assert blank.boxes.shape == (0, 4)
    with pytest.raises(ValueError, match="no writing"):
        quick_reader.read(BLANK)
    assert [r.text for r in quick_reader.read(iter(pictures[:2]))] == [
        t for *_, t in read_right[:2]
    ]
    assert quick_reader.read([]) == []


def test_one_at_a_time_and_on_threads_the_same(quick_reader, read_right):
    pictures = [picture for _, picture, _ in read_right[:6]]
    together = quick_reader.read(pictures, num_threads=2)
    for picture, found in zip(pictures, together, strict=True):
        alone = quick_reader.read(picture, num_threads=1)
        assert alone.text == found.text
        assert alone.probability == pytest.approx(found.probability, rel=1e-3)
        np.testing.assert_allclose(alone.boxes, found.boxes, atol=0.01)


def test_boxes_lie_on_the_digits(quick_reader, read_right):
    off = []
    for f, _, _ in read_right:
        reading = quick_reader.read(dark(f.ink))
        if len(reading.text) != len(f.digits):
            continue
        for digit, (x, y, width, height) in zip(f.digits, reading.boxes, strict=True):
            rows, columns = (np.flatnonzero((digit > 0.5).any(axis=axis)) for axis in (1, 0))
            off += [abs(x - columns[0]), abs(x + width - columns[-1] - 1)]
            off += [abs(y - rows[0]), abs(y + height - rows[-1] - 1)]
    assert np.percentile(off, 50) < 2.5
    assert np.percentile(off, 90) < 6


def test_a_box_is_around_the_middle_of_what_was_seen():
    ink = np.full((32, 120), 255, np.uint8)
    # positions 10 to 12, of which the middle one is in the middle at column 4 * 11 + 16 - 6
    (box,) = boxes_of(ink, np.array([[10, 12]], np.int32), 32, np.eye(2, 3))
    assert box.tolist() == [54 - REACH, 0, 2 * REACH, 32]


def test_boxes_of_a_line_that_climbs(quick_reader, draw, rng):
    f, _ = draw("20731", rng)
    f = f.turned(8)
    reading = quick_reader.read(dark(f.ink), length=5)
    for digit, (x, y, width, height) in zip(f.digits, reading.boxes, strict=True):
        rows, columns = np.nonzero(digit > 0.5)
        inside = (columns >= x - 1) & (columns < x + width + 1)
        inside &= (rows >= y - 1) & (rows < y + height + 1)
        assert inside.mean() > 0.9
        assert width * height < 2.5 * np.ptp(rows) * max(np.ptp(columns), 12)


def test_fields_of_a_form(quick_reader, read_right):
    (_, one, first), (_, other, second) = read_right[:2]
    form = np.full((260, 360), 235, np.uint8)
    form[10 : 10 + one.shape[0], 20 : 20 + one.shape[1]] = one
    form[130 : 130 + other.shape[0], 40 : 40 + other.shape[1]] = other
    places = [(20, 10, *one.shape[::-1]), (40, 130, *other.shape[::-1]), (300, 200, 50, 40)]
    readings = quick_reader.read(form, boxes=places)
    assert [r.text for r in readings] == [first, second, ""]
    assert readings[2].reason
    for (x, y, width, height), reading in zip(places[:2], readings[:2], strict=True):
        middles = reading.boxes[:, :2] + reading.boxes[:, 2:] / 2
        assert ((middles >= (x, y)) & (middles < (x + width, y + height))).all()
    with pytest.raises(ValueError, match=r"boxes\[0\]"):
        quick_reader.read(form, boxes=[(300, 200, 100, 10)])


def test_conditions(quick_reader, read_right):
    _, picture, text = read_right[0]
    n = len(text)
    assert quick_reader.read(picture, pattern=rf"\d{{{n}}}").text == text
    assert quick_reader.read(picture, length=n).text == text
    assert len(quick_reader.read(picture, length=n - 1).text) == n - 1
    assert len(quick_reader.read(picture, length=(n + 1, n + 2)).text) in (n + 1, n + 2)
    other = text[:-1] + str((int(text[-1]) + 1) % 10)
    found = quick_reader.read(picture, lexicon=[other, "0" * (n - 1)])
    assert found.text == other
    assert found.probability < 0.5
    assert quick_reader.read(picture, lexicon=(word for word in (text, other))).text == text
    compiled = quick_reader.automaton(pattern=r"\d+", length=n)
    assert quick_reader.read([picture] * 2, automaton=compiled)[1].text == text
    with pytest.raises(ValueError, match="automaton: got one beside"):
        quick_reader.read(picture, automaton=compiled, length=n)
    long = quick_reader.read(picture, pattern=r"\d{90}")
    assert (long.text, long.rejected, long.probability) == ("", True, 0.0)
    assert "no text that is allowed" in long.reason


def test_a_pattern_and_a_length_hold_together(quick_reader, read_right):
    _, picture, text = read_right[0]
    for length in (len(text) - 1, len(text) + 1):
        assert len(quick_reader.read(picture, pattern=r"\d*", length=length).text) == length


def test_the_temperature_is_that_of_the_network(reader, read_right):
    strip = preprocess.line(read_right[0][1])
    reader.network.temperature = 3.0
    (reading,) = reader.read_strips([strip])
    wanted = lenet_c.decoding.decode(reader.outputs([strip])[0] / 3, "0123456789", 10)
    assert reading.probability == pytest.approx(wanted.probability, rel=1e-4)


def test_several_views(quick_reader, read_right):
    strips = [preprocess.line(picture) for _, picture, _ in read_right[:4]]
    once = quick_reader.read_strips(strips, views=1, n_best=3)
    for one, other in zip(quick_reader.read_strips(strips, n_best=3), once, strict=True):
        assert (one.text, one.probability) == (other.text, other.probability)
    several = quick_reader.read_strips(strips, views=3, n_best=3)
    for k, strip in enumerate(strips):
        mean: dict[str, float] = {}
        for view in VIEWS[:3]:
            (reading,) = quick_reader.read_strips([view.of(strip)], n_best=lines.IN_EACH_VIEW)
            for text, p in [(reading.text, reading.probability), *reading.alternatives]:
                mean[text] = mean.get(text, 0.0) + p / 3
        best = max(mean, key=mean.__getitem__)
        assert several[k].text == best
        assert several[k].probability == pytest.approx(mean[best], rel=1e-5)
        for text, p in several[k].alternatives:
            assert p == pytest.approx(mean[text], rel=1e-5)
        assert len(several[k].confidence) == len(several[k].boxes) == len(best)
        if several[k].text == once[k].text:
            np.testing.assert_allclose(several[k].boxes, once[k].boxes, atol=3)
    for bad in (0, len(VIEWS) + 1):
        with pytest.raises(ValueError, match="views"):
            quick_reader.read_strips(strips, views=bad)


def test_places_of_a_view_lead_back_to_the_strip():
    for at in (20, 75, 130):
        strip = np.zeros((32, 150), np.uint8)
        strip[15:17, at - 1 : at + 1] = 255
        for view in VIEWS:
            seen = view.of(strip).sum(axis=0, dtype=float)
            middle = seen @ (np.arange(len(seen)) + 0.5) / seen.sum()
            position = np.array([(middle - 16 + MARGIN) / 4])  # that has the column in its middle
            assert view.in_strip(strip, position, 32) * 4 + 16 - MARGIN == pytest.approx(
                at, abs=0.3
            )


def test_a_string_that_the_first_view_does_not_show(quick_reader, monkeypatch):
    strip = np.zeros((32, 150), np.uint8)
    strip[6:26, 40:44] = strip[6:26, 100:104] = 255
    spans = np.array([[10, 12], [25, 27]], np.int32)
    one, other = (
        decoding.Decoded(text, tuple(map(int, text)), math.log(p), 0.0, np.full(2, p), spans)
        for text, p in (("17", 0.4), ("11", 0.9))
    )
    answers = iter([one, other])
    monkeypatch.setattr(decoding, "decode", lambda *given, **how: next(answers))
    (reading,) = quick_reader.read_strips([strip], views=2, n_best=2)
    assert reading.text == "11"
    assert reading.probability == pytest.approx(0.45)
    assert reading.confidence.tolist() == pytest.approx([0.45, 0.45])
    assert reading.alternatives == (("17", pytest.approx(0.2)),)
    places = VIEWS[1].in_strip(strip, spans, 32)
    np.testing.assert_array_equal(reading.boxes, boxes_of(strip, places, 32, np.eye(2, 3)))


@pytest.mark.skipif(not pasted.mnist_is_there(), reason="of pictures as MNIST has them")
def test_characters_are_cut_from_fields(quick_reader):
    (x, y), _ = datasets.mnist()
    stream = datasets.strings(x[:500], y[:500], preset="mnist", gap=(3, 6), length=4, seed=3)
    strips, labels = stream.batch(12)
    spelt = ["".join(map(str, label)) for label in labels]
    images, found = quick_reader.characters(strips, spelt)
    assert images.shape == (len(found), 28, 28)
    assert (images.dtype, found.dtype) == (np.uint8, np.int64)
    # nearly all stand by themselves, each is one of those that the strips were made of
    assert 40 <= len(found) <= 48
    known = [(_boxed(image), c) for image, c in zip(x[:500], y[:500], strict=True)]
    for image, c in zip(images, found, strict=True):
        own = _boxed(image)
        alike = [
            int(c2)
            for one, c2 in known
            if one.shape == own.shape and np.abs(one.astype(int) - own).mean() < 3
        ]
        assert c in alike
    # they are what strings are made of
    again, _ = datasets.strings(images, found, seed=1).batch(3)
    assert all(len(strip) == 32 for strip in again)
    # a field that has no text gives none
    more, _ = quick_reader.characters([*strips, np.zeros((32, 80), np.uint8)], [*spelt, ""])
    np.testing.assert_array_equal(more, images)
    blank = np.zeros((32, 80), np.uint8)
    with pytest.raises(ValueError, match="no character stands by itself"):
        quick_reader.characters([blank], ["12"])


def test_characters_that_touch_or_are_large_are_left_out():
    strip = np.zeros((32, 100), np.uint8)
    strip[6:26, 10:14] = strip[6:26, 30:34] = 255
    strip[16:19, 10:34] = 255  # the first two touch
    strip[6:26, 50:54] = 255
    strip[3:5, 57] = 255  # a dot beside the third
    strip[6:26, 62:98] = 255  # wider than an image
    places = (np.array([12, 32, 52, 80]) - 16 + MARGIN) / 4
    found = cut(strip, np.repeat(places[:, None], 2, axis=1), 32)
    assert [image is None for image in found] == [True, True, False, True]
    assert found[2] is not None
    np.testing.assert_array_equal(_boxed(found[2]), np.full((20, 4), 255))
    assert found[2][4:24, 12:16].all()


def _boxed(image):
    rows, columns = (np.flatnonzero((image > 0).any(axis=axis)) for axis in (1, 0))
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def test_the_next_best(quick_reader, read_right):
    _, picture, text = read_right[0]
    reading = quick_reader.read(picture, n_best=4)
    assert reading.text == text
    assert len(reading.alternatives) == 3
    probabilities = [reading.probability, *(p for _, p in reading.alternatives)]
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) <= 1 + 1e-9
    assert len({text, *(t for t, _ in reading.alternatives)}) == 4
    assert reading.to_dict()["alternatives"][0] == list(reading.alternatives[0])


def test_rejection(reader, read_right):
    _, picture, text = read_right[0]
    penalty = -math.log(reader.read(picture).probability)
    for limit, rejected in ((penalty + 0.01, False), (penalty * 0.99, True)):
        reading = reader.read(picture, reject=Rejection(penalty=limit))
        assert (reading.rejected, reading.text) == (rejected, text)
        reader.network.rejection = Rejection(penalty=limit)
        assert reader.read(picture).rejected == rejected
        assert not reader.read(picture, reject=Rejection()).rejected
    with pytest.raises(ValueError, match=r"reject: .* want a penalty alone"):
        reader.read(picture, reject=Rejection(margin=1.0))
    with pytest.raises(TypeError, match="reject"):
        reader.read(picture, reject=0.5)


def test_a_strip_without_characters_is_doubtful(reader):
    reader.network["output.bias"][10] = 50.0  # only the blank is seen
    (reading,) = reader.read_strips([np.zeros((32, 60), np.uint8)])
    assert (reading.text, reading.rejected) == ("", True)
    assert "no character" in reading.reason


def test_outputs_are_those_of_the_sweep(quick_reader, read_right):
    strip = preprocess.line(read_right[0][1])
    (found,) = quick_reader.outputs([strip])
    wide = np.pad(strip, ((0, 0), (MARGIN, MARGIN)))
    np.testing.assert_allclose(found, quick_reader.network.sweep([wide])[0], atol=1e-5)
    assert quick_reader.outputs([]) == []


# ---- class names ----


def test_marks_that_are_classes_stay_on_the_strip(reader, draw, rng):
    f, _ = draw("207", rng, gap=0.6)
    y = f.row(0.96)
    dot = stroke(f, (f.between[0], y), (f.between[0], y + 0.5), 4)
    picture = dark(most(f, f.ink, dot))
    with_dot = preprocess.line(picture, keep=".")
    without = preprocess.line(picture)
    assert (with_dot > 64).sum() > (without > 64).sum()
    seen = []
    marks = reader.with_classes("0123456789.-")
    assert marks.class_names == tuple("0123456789.-")
    for one in (reader, marks):
        swept = one.outputs

        def noted(strips, swept=swept, **settings):
            seen.append(strips[0])
            return swept(strips, **settings)

        one.outputs = noted
        one.read(picture)
    np.testing.assert_array_equal(seen[0], without)
    np.testing.assert_array_equal(seen[1], with_dot)


def test_other_classes_begin_with_what_is_known(reader, read_right):
    more = reader.with_classes("-9876543210")
    last = more.network["output.weight"]
    np.testing.assert_array_equal(last[1:11], reader.network["output.weight"][9::-1])
    np.testing.assert_array_equal(last[11], reader.network["output.weight"][10])
    more.network["output.bias"][0] = -50.0  # the dash is never seen
    pictures = [picture for _, picture, _ in read_right[:5]]
    assert [r.text for r in more.read(pictures)] == [text for *_, text in read_right[:5]]
    assert more.read(pictures[0], pattern=r"[\d-]+").text == read_right[0][2]


# ---- files ----


def test_a_file_holds_all_of_it(reader, read_right, tmp_path):
    reader = reader.with_classes("0123456789.")
    reader.network["output.bias"][10] = -50.0
    reader.network.temperature = 1.7
    reader.network.rejection = Rejection(penalty=1.25)
    picture = read_right[0][1]
    wanted = reader.read(picture)
    reader.save(tmp_path / "reader.npz")
    memory = io.BytesIO()
    reader.save(memory)
    memory.seek(0)
    for other in (
        LineReader.load(tmp_path / "reader.npz"),
        LineReader.load(memory),
        pickle.loads(pickle.dumps(reader)),
        copy.deepcopy(reader),
    ):
        found = other.read(picture)
        assert other.class_names == reader.class_names
        assert other.network.rejection == Rejection(penalty=1.25)
        assert found.text == wanted.text
        assert found.probability == wanted.probability
        np.testing.assert_array_equal(found.boxes, wanted.boxes)


def test_files_of_other_networks(tmp_path):
    LeNet5().save(tmp_path / "single.npz")
    with pytest.raises(ValueError, match=r"single\.npz: .*no blank class"):
        LineReader.load(tmp_path / "single.npz")
    (tmp_path / "none.npz").write_bytes(b"no model")
    with pytest.raises(ModelFileError):
        LineReader.load(tmp_path / "none.npz")


# ---- learning ----


@pytest.fixture(scope="module")
def own(draw):
    """Forty fields of a kind that the quick reader reads badly, and forty others to test with."""
    rng = np.random.default_rng(11)

    def some():
        made = texts(40, rng, (2, 3, 4))
        pictures = [draw(t, rng, "underline", slant=-0.6, height=30, gap=0.02)[1] for t in made]
        return [preprocess.line(p)[:, ::-1].copy() for p in pictures], [t[::-1] for t in made]

    return some(), some()  # mirrored: strips of digits that nobody has learnt


def test_fit_learns_ones_own(reader, own):
    learnt, unseen = own
    before = reader.evaluate(*unseen)
    assert before.n == 40
    assert before.error_rate > 0.5
    told = []
    found = reader.fit(
        *learnt,
        steps=60,
        batch_size=16,
        optimizer=Adam(3e-3),
        on_step=lambda step, loss: told.append((step, loss)),
        num_threads=1,
    )
    assert found is reader
    assert [step for step, _ in told] == list(range(1, 61))
    assert told[-1][1] < told[0][1] / 3
    after = reader.evaluate(*unseen)
    assert after.error_rate < before.error_rate - 0.2
    assert after.character_error_rate < before.character_error_rate / 1.5
    assert reader.history == []


def test_the_threads_do_not_matter(quick_reader, own):
    weights = []
    for threads in (1, 2):
        reader = LineReader(copy.deepcopy(quick_reader.network))
        reader.fit(*own[0], steps=3, batch_size=16, num_threads=threads)
        weights.append(reader.network.parameters.copy())
    np.testing.assert_array_equal(*weights)


def test_the_best_weights_are_kept(reader, own):
    learnt, unseen = own
    losses = {}

    def noted(step, loss):
        losses[step] = reader._validate(reader._learnable("", *unseen, 1), 1)["val_loss"]
        if step == 9:
            reader.network["C1.weight"][...] = 0  # from here on it gets worse

    reader.fit(
        *learnt,
        steps=12,
        batch_size=8,
        validation_data=unseen,
        validate_every=3,
        on_step=noted,
        num_threads=1,
    )
    assert [record["step"] for record in reader.history] == [3, 6, 9, 12]
    assert reader.history[1]["val_loss"] == pytest.approx(losses[6])
    best = min(record["val_loss"] for record in reader.history)
    kept = reader._validate(reader._learnable("", *unseen, 1), 1)
    assert kept["val_loss"] == pytest.approx(best)
    assert reader.network["C1.weight"].any()
    assert kept["val_loss"] < losses[10]
    assert set(reader.history[0]) == {"step", "loss", "val_loss", "val_error_rate"}


def test_what_fit_is_told(quick_reader, own):
    learnt, unseen = own
    settings = {"steps": 2, "batch_size": 16, "num_threads": 1}

    def fitted(**more):
        reader = LineReader(copy.deepcopy(quick_reader.network))
        losses = []
        reader.fit(*learnt, **settings, **more, on_step=lambda step, loss: losses.append(loss))
        return reader, losses

    plain, _ = fitted()
    weights = [plain.network.parameters, fitted(seed=1)[0].network.parameters]
    weights.append(fitted(distort=None)[0].network.parameters)
    assert len({one.tobytes() for one in weights}) == 3

    class Still(Adam):
        def rate(self, step, steps, passes):
            return 0.0

    still, _ = fitted(optimizer=Still(1.0))
    np.testing.assert_array_equal(still.network.parameters, quick_reader.network.parameters)
    # the first weights may be the best
    worse, losses = fitted(optimizer=Adam(1.0), validation_data=unseen, validate_every=1)
    np.testing.assert_array_equal(worse.network.parameters, quick_reader.network.parameters)
    assert [record["step"] for record in worse.history] == [1, 2]
    assert [record["loss"] for record in worse.history] == pytest.approx(losses)
    assert worse.history[-1]["val_error_rate"] > 0.5
    late, losses = fitted(validation_data=unseen, validate_every=5)
    assert [record["step"] for record in late.history] == [2]
    assert late.history[0]["loss"] == pytest.approx(np.mean(losses))


@pytest.mark.parametrize("validated", [False, True])
def test_an_interrupt_leaves_good_weights(reader, own, validated):
    learnt, unseen = own
    kept = {}

    def stop(step, loss):
        kept[step] = reader.network.parameters.copy()
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reader.fit(
            *learnt,
            steps=500,
            batch_size=8,
            validation_data=unseen if validated else None,
            validate_every=2,
            on_step=stop,
            num_threads=1,
        )
    if not validated:
        np.testing.assert_array_equal(reader.network.parameters, kept[5])
    else:
        best = min(reader.history, key=lambda record: record["val_loss"])
        np.testing.assert_array_equal(reader.network.parameters, kept[best["step"]])


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_ends_fit_in_a_process(reader, own, tmp_path):
    reader.save(tmp_path / "before.npz")
    np.savez(tmp_path / "own.npz", *own[0][0])
    code = f"""
import signal
import numpy as np
from lenet_c import LineReader
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
reader = LineReader.load("before.npz")
with np.load("own.npz") as own:
    strips = [own[name] for name in own]
def told(step, loss):
    if step == 2:
        print("on its way", flush=True)
try:
    reader.fit(strips, {own[0][1]!r}, steps=10**6, on_step=told, num_threads=1)
except KeyboardInterrupt:
    assert np.isfinite(reader.network.parameters).all()
    reader.save("after.npz")
    print("ended")
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    dog = threading.Timer(60 * SLOWER, process.kill)
    dog.start()
    try:
        assert process.stdout.readline() == "on its way\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate()[0] == "ended\n"
    finally:
        dog.cancel()
        process.kill()
    after = LineReader.load(tmp_path / "after.npz")
    assert (after.network.parameters != reader.network.parameters).any()


def test_strips_that_are_mixed_in(reader, own, real_digits):
    stream = datasets.strings(*real_digits[0], preset="mnist", length=3, seed=4)
    frozen = reader.network["C1.weight"].copy()
    reader.fit(
        *own[0],
        steps=2,
        synthetic=stream,
        share=0.5,
        batch_size=16,
        distort=None,
        freeze=["C1"],
        loss="viterbi",
        num_threads=1,
    )
    assert stream.position == 16
    np.testing.assert_array_equal(reader.network["C1.weight"], frozen)


def test_fields_of_a_folder(reader, draw, rng, tmp_path):
    made = texts(6, rng)
    rows = ["file,text"]
    for k, text in enumerate(made):
        Image.fromarray(draw(text, rng)[1]).save(tmp_path / f"{k}.png")
        rows.append(f"{k}.png,{text}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    fields = datasets.folder(tmp_path)
    assert reader.evaluate(fields).n == 6
    reader.fit(fields, steps=1, validation_data=fields, batch_size=4, num_threads=1)
    assert len(reader.history) == 1
    with pytest.raises(TypeError, match="texts: got some beside fields"):
        reader.fit(fields, made)


def test_a_light_picture_32_pixels_high_is_no_strip(reader, draw, rng):
    _, picture = draw("2073", rng, height=22, margin=0.23)
    assert picture.shape[0] == 32
    strip = preprocess.line(picture)
    np.testing.assert_array_equal(reader._strips([picture], 1)[0][0], strip)
    np.testing.assert_array_equal(reader._strips([strip], 1)[0][0], strip)


# ---- evaluate and calibrate ----


def test_evaluate_counts(reader, read_right):
    pictures = [picture for _, picture, _ in read_right[:4]]
    says = [text for _, _, text in read_right[:4]]
    right = reader.evaluate(pictures, says)
    assert (right.wrong, right.character_errors, right.rejected) == (0, 0, 0)
    assert right.characters == sum(map(len, says))
    says[1] = says[1][:-1]
    found = reader.evaluate([*pictures, BLANK], [*says, "12"])
    assert (found.n, found.wrong, found.rejected, found.accepted_wrong) == (5, 2, 1, 1)
    assert found.character_errors == 1 + 2
    assert found.error_rate == 2 / 5
    assert found.character_error_rate == 3 / (sum(map(len, says)) + 2)
    none = reader.evaluate(pictures, says, reject=Rejection(penalty=0.0))
    assert (none.rejected, none.accepted_wrong) == (4, 0)


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        ("", "", 0),
        ("", "12", 2),
        ("123", "13", 1),
        ("1234", "1324", 2),
        ("55", "56", 1),
        ("kitten", "sitting", 3),
    ],
)
def test_distance(one, other, distance):
    assert lines._distance(one, other) == lines._distance(other, one) == distance


def slow_distance(a, b):
    """By the definition: of the last characters, keep, change, take out or put in."""
    if not a or not b:
        return len(a) + len(b)
    return min(
        slow_distance(a[:-1], b[:-1]) + (a[-1] != b[-1]),
        slow_distance(a[:-1], b) + 1,
        slow_distance(a, b[:-1]) + 1,
    )


def test_distances_of_all_short_texts():
    texts = ["".join(t) for n in range(4) for t in itertools.product("01", repeat=n)]
    for a, b in itertools.product(texts, texts):
        assert lines._distance(a, b) == slow_distance(a, b), (a, b)


@pytest.fixture(scope="module")
def many(draw):
    """Strips, of which some are hard."""
    rng = np.random.default_rng(3)
    made = texts(120, rng)
    gaps = rng.choice([0.3, 0.02, -0.05], len(made))
    pictures = [draw(t, rng, gap=gap)[1] for t, gap in zip(made, gaps, strict=True)]
    return [preprocess.line(picture) for picture in pictures], made


def test_calibrate(reader, many):
    strips, made = many
    loss_before = reader._validate(reader._learnable("", strips, made, 1), 1)["val_loss"]
    assert reader.calibrate(strips, made, wrong=0.02) is reader
    temperature = reader.network.temperature
    assert 0.2 < temperature < 20

    def loss(at):
        outputs = [out / at for out in reader.outputs(strips)]
        labels = [[int(c) for c in text] for text in made]
        found = lenet_c.criteria.forward_loss(outputs, labels, blank=10, gradient=False)
        return found.losses.mean()

    assert loss(1.0) == pytest.approx(loss_before, rel=1e-4)
    assert loss(temperature) <= min(loss(at) for at in (0.8 * temperature, 1.25 * temperature, 1.0))
    found = reader.evaluate(strips, made)
    accepted = found.n - found.rejected
    assert 0 < accepted < found.n
    assert found.accepted_wrong / accepted <= 0.02
    assert found.accepted_wrong < found.wrong
    before = reader.network.rejection
    reader.calibrate(strips, made, wrong=None)
    assert reader.network.rejection is before
    # a text that is too long for its picture has no say
    reader.calibrate([*strips, strips[0]], [*made, "1" * 200], wrong=None)
    assert reader.network.temperature == temperature


def test_a_threshold_rejects_no_more_than_it_must():
    penalty = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    right = np.array([True, True, False, True, True])
    assert line_calibration.threshold(penalty, right, 0.0) == pytest.approx(0.25)
    assert line_calibration.threshold(penalty, right, 0.2) == math.inf
    assert line_calibration.threshold(penalty, ~right, 0.0) < 0.1
    assert line_calibration.threshold(penalty, right, 0.25) == math.inf


def test_answers_of_one_penalty_have_one_fate():
    penalty = np.array([0.1, 0.2, 0.2, 0.2, 0.3])
    right = np.array([True, True, True, False, False])
    for order in ([0, 1, 2, 3, 4], [0, 3, 2, 1, 4]):
        limit = line_calibration.threshold(penalty[order], right[order], 0.1)
        assert limit == pytest.approx(0.15)


# ---- errors ----


def test_networks_that_read_no_strings():
    with pytest.raises(TypeError, match=r"network: .* want a LeNet5"):
        LineReader("strings")
    with pytest.raises(ValueError, match="network: lenet5-1998 has no blank class"):
        LineReader(LeNet5(LENET5_1998))
    with pytest.raises(ValueError, match="network: its 12 classes have no names"):
        LineReader(LeNet5(LENET5_STRINGS.with_classes(13)))
    with pytest.raises(ValueError, match="name: "):
        LineReader.pretrained("none")


SPOT = np.pad(np.full((1, 8, 8), 255, np.uint8), ((0, 0), (10, 10), (10, 10)))
BAD = {
    "texts: got 1, want 2": lambda r, p: r.fit([p, p], ["12"]),
    "texts: got 3, want 2": lambda r, p: r.fit(iter([p, p]), ["1", "2", "3"]),
    r"texts\[1\]: .*'\.' at place 1": lambda r, p: r.fit([p, p], ["12", "1.2"]),
    "texts: got None": lambda r, p: r.fit([p]),
    "pictures: got none": lambda r, p: r.fit([], []),
    "pictures: none to learn from; pictures\\[0\\]: no writing": lambda r, p: r.fit([BLANK], ["1"]),
    "pictures: none to learn from; .*too long": lambda r, p: r.fit([p], ["1" * 200]),
    "on_step: got 5": lambda r, p: r.fit([p], ["1"], on_step=5),
    "steps: got 0": lambda r, p: r.fit([p], ["1"], steps=0),
    "batch_size: got 0": lambda r, p: r.fit([p], ["1"], batch_size=0),
    "validate_every: got 0": lambda r, p: r.fit([p], ["1"], validate_every=0),
    "share: got 2": lambda r, p: r.fit([p], ["1"], share=2),
    "synthetic: got": lambda r, p: r.fit([p], ["1"], synthetic=[p]),
    "synthetic: has the label 4294967297, want .* 0 to 9": lambda r, p: r.fit(
        [p], ["1"], synthetic=datasets.strings(SPOT, [1], separator_labels={".": 2**32 + 1})
    ),
    "distort: ": lambda r, p: r.fit([p], ["1"], distort=0.5),
    "loss: got 'mse'": lambda r, p: r.fit([p], ["1"], loss="mse"),
    "validation_data: want a pair": lambda r, p: r.fit([p], ["1"], validation_data=p),
    "validation_data: none": lambda r, p: r.fit([p], ["1"], validation_data=([BLANK], ["1"])),
    "pictures: got 2 that show a line, want at least 50": lambda r, p: r.calibrate(
        [p] * 2, ["1", "2"]
    ),
    "wrong: got 3": lambda r, p: r.calibrate([p], ["1"], wrong=3),
    r"strips\[1\]: got float64": lambda r, p: r.read_strips(
        [np.zeros((32, 40), np.uint8), np.zeros((32, 40))]
    ),
    r"strips\[0\]: got uint8 \(31, 40\)": lambda r, p: r.outputs([np.zeros((31, 40), np.uint8)]),
    "pictures: got None, want a list of pictures, or one": lambda r, p: r.read(None),
    "boxes: got some for a list of 2, want one": lambda r, p: r.read([p, p], boxes=[(0, 0, 9, 9)]),
    "pattern: ": lambda r, p: r.read(p, pattern="("),
    "lexicon: ": lambda r, p: r.read(p, lexicon=["12a"]),
    "n_best: got 0": lambda r, p: r.read(p, n_best=0),
}


@pytest.mark.parametrize("words", BAD)
def test_errors(quick_reader, read_right, words):
    before = quick_reader.network.parameters.copy()
    with pytest.raises((TypeError, ValueError), match=words):
        BAD[words](quick_reader, read_right[0][1])
    np.testing.assert_array_equal(quick_reader.network.parameters, before)


def test_a_calibration_that_fails_changes_nothing(reader, many):
    reader.network.temperature = 1.5
    for strips in (many[0], [np.zeros((32, 90), np.uint8)] * 60):
        with pytest.raises(ValueError, match="none is read right"):
            reader.calibrate(strips, ["9090909"] * len(strips))
        assert reader.network.temperature == 1.5
        assert reader.network.rejection is None


def test_an_interrupted_calibration_changes_nothing(reader, many, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    reader.network.temperature = 1.5
    monkeypatch.setattr(reader, "read_strips", interrupted)
    with pytest.raises(KeyboardInterrupt):
        reader.calibrate(*many)
    assert reader.network.temperature == 1.5
    assert reader.network.rejection is None


def test_strips_that_show_nothing_move_no_threshold(reader, many, monkeypatch):
    monkeypatch.setattr(line_calibration, "temperature", lambda *_: 1.0)
    strips, made = many
    found = []
    for empty in ([], [np.zeros((32, 90), np.uint8)] * 30):
        reader.calibrate([*strips, *empty], [*made, *["1"] * len(empty)], wrong=0.05)
        found.append(reader.network.rejection)
    assert found[0] == found[1]
    assert 0 < found[0].penalty < math.inf
