"""The page docs/demo/index.html: its core beside the library, and all of it in a real browser."""

import base64
import gzip
import importlib.util
import io
import re

import demo_browser
import numpy as np
import pytest

from bench import demo
from lenet_c import LeNet5, LineReader, preprocess

PAGE = demo_browser.PAGE
pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="a copy without the page")


def core_of_page():
    text = PAGE.read_text(encoding="utf-8")
    packed = re.search(r'<script id="core" type="application/octet-stream">([^<]+)</script>', text)
    return gzip.decompress(base64.b64decode(packed[1]))


def in_halves(net):
    """Give a network with weights as the page has them."""
    net.parameters[:] = net.parameters.astype(np.float16)
    if net.subspaces is not None:
        net.subspaces = net.subspaces.astype(np.float16).astype(np.float32)
    return net


def test_the_page_is_made_of_its_parts():
    text = PAGE.read_text(encoding="utf-8")
    networks = LeNet5.pretrained("mnist"), LeNet5.pretrained("strings")
    assert text == demo.page(core_of_page(), demo.facts(*networks)), "make demo"
    assert len(text.encode()) < demo.MOST
    assert not re.search(r"""(src|href)=["']|@import|url\(|fetch\(|https?:""", text)  # it is whole


def test_the_header_has_the_networks():
    text = demo.header(LeNet5.pretrained("mnist"), LeNet5.pretrained("strings"))
    assert "{LENET_CONV, LENET_SCALED_TANH, 16, 5, DIGIT_C3, 0, 0}" in text
    table = re.search(r"DIGIT_C3\[\] = {([\d,]+)}", text)[1].split(",")
    assert len(table) == 6 * 16
    assert table.count("1") == 60
    assert "N_DIGIT_PARAMETERS = 60000" in text


# ---- its core, without a browser ----


class Core:
    def __init__(self):
        wasmtime = pytest.importorskip("wasmtime")
        engine = wasmtime.Engine()
        self.store = wasmtime.Store(engine)
        self.store.set_wasi(wasmtime.WasiConfig())
        linker = wasmtime.Linker(engine)
        linker.define_wasi()
        module = wasmtime.Module(engine, core_of_page())
        self.exports = linker.instantiate(self.store, module).exports(self.store)
        if "_initialize" in self.exports:
            self.call("_initialize")
        assert self.call("page_open") == 0

    def call(self, name, *arguments):
        return self.exports[name](self.store, *arguments)

    def write(self, at, values):
        self.exports["memory"].write(self.store, values.tobytes(), at)

    def numbers(self, at, n, dtype=np.float32):
        size = n * np.dtype(dtype).itemsize
        return np.frombuffer(bytes(self.exports["memory"].read(self.store, at, at + size)), dtype)


@pytest.fixture(scope="module")
def core():
    return Core()


def test_a_digit_is_read_as_the_library_does(core, real_digits):
    net, images = in_halves(LeNet5.pretrained("mnist")), real_digits[1][0][:40]
    wanted, layers = net.read(images), net.activations(images)
    for i, image in enumerate(images):
        core.write(core.call("page_image"), image)
        best = core.call("page_read_digit")
        assert best == wanted.classes[i]
        for number, (name, values) in enumerate(
            (layer.name, layers[layer.name][i]) for layer in net.architecture.layers
        ):
            found = core.numbers(core.call("page_digit_layer", number), values.size)
            np.testing.assert_allclose(found, values.ravel(), rtol=0, atol=2e-4, err_msg=name)
        probability = core.numbers(core.call("page_probabilities"), 10)[best]
        assert probability == pytest.approx(wanted.probability[i], abs=1e-5)
        distance = core.call("page_distance", best)
        assert distance == pytest.approx(wanted.distance[i], abs=1e-4)


def test_a_number_is_read_as_the_library_does(core, real_digits, rng):
    reader = LineReader(in_halves(LeNet5.pretrained("strings")))
    images = real_digits[1][0]
    for n in (1, 4, 9):
        strip = np.zeros((32, 16 + 24 * n), np.uint8)
        for i in range(n):
            part = strip[2:30, 6 + 24 * i : 34 + 24 * i]
            np.maximum(part, images[rng.integers(len(images))][:, : part.shape[1]], out=part)
        wanted, (outputs,) = reader.read_strips([strip])[0], reader.outputs([strip])
        core.write(core.call("page_strip"), strip)
        length = core.call("page_read_number", strip.shape[1])
        assert core.call("page_columns", strip.shape[1]) == len(outputs)
        found = core.numbers(core.call("page_number_layer", 6), outputs.size)
        np.testing.assert_allclose(found, outputs.ravel(), rtol=0, atol=1e-3)
        digits = core.numbers(core.call("page_string"), length, np.int32)
        assert "".join(map(str, digits)) == wanted.text
        assert np.exp(core.call("page_log_probability")) == pytest.approx(
            wanted.probability, abs=1e-4
        )
        sure = core.numbers(core.call("page_confidence"), length, np.float64)
        np.testing.assert_allclose(sure, wanted.confidence, atol=1e-4)


def test_a_strip_that_is_too_wide_is_refused(core):
    assert core.call("page_read_number", 0) < 0
    assert core.call("page_read_number", 1040) < 0
    assert core.call("page_read_number", 1024) >= 0


# ---- in a browser ----


@pytest.fixture(scope="module")
def page():
    if importlib.util.find_spec("selenium") is None or demo_browser.tools() is None:
        pytest.skip("no selenium, or no chromium with its driver")
    page = demo_browser.Page()
    yield page
    errors = page.errors()
    page.close()
    assert not errors


@pytest.fixture
def sheet(page):
    """The page with an empty sheet for a digit."""
    page.click("one")
    page.click("clear")
    page.wait("!marks.length && mode === 'digit' && reading === null")
    return page


def test_an_empty_sheet_says_so(sheet):
    assert sheet.driver.find_element("id", "hint").is_displayed()
    assert sheet.driver.find_element("id", "text").text.strip() == ""


@pytest.mark.parametrize("digit", "0123456789")
def test_a_digit_that_is_drawn_is_read(sheet, digit):
    sheet.draw(digit, 80, 45, 140, 205, kind="touch" if digit == "4" else "mouse")
    reading = sheet.reading()
    assert reading["text"] == digit == sheet.driver.find_element("id", "text").text
    assert reading["probability"] > 0.9
    assert not reading["rejected"]
    assert sheet.driver.find_element("id", "layer-F6").is_displayed()


def test_a_drawing_is_prepared_as_the_library_does(sheet):
    image_module = pytest.importorskip("PIL.Image")
    pytest.importorskip("scipy")
    for digit, left in (("3", 30), ("7", 120)):
        sheet.click("clear")
        sheet.wait("!marks.length")
        sheet.draw(digit, left, 45, 140, 205)
        found = np.array(sheet.reading()["image"]).reshape(28, 28)
        picture = np.asarray(image_module.open(io.BytesIO(sheet.sheet())).convert("RGB"))
        wanted = preprocess.character(picture)
        assert np.abs(found - wanted.astype(float)).mean() < 3
        assert np.corrcoef(found.ravel(), wanted.ravel())[0, 1] > 0.98
        middle = np.arange(28) @ found / found.sum()
        assert abs(middle.sum() - 14) < 1


def test_strokes_can_be_undone(sheet):
    sheet.draw("1", 120, 45, 60, 205)
    assert sheet.reading()["text"] == "1"
    sheet.stroke([(40, 150), (260, 150)])
    sheet.wait("marks.length === 2")
    sheet.click("undo")
    sheet.wait("marks.length === 1")
    assert sheet.reading()["text"] == "1"
    sheet.click("undo")
    sheet.wait("!marks.length && reading === null")


def test_what_is_no_digit_is_doubted(sheet):
    for y in (60, 110, 160, 210, 250):
        sheet.stroke([(30, y), (150, y + 10), (270, y - 5)])
    sheet.stroke([(60, 40), (240, 260)])
    assert sheet.reading()["rejected"]
    assert "Doubtful" in sheet.driver.find_element("id", "doubt").text


@pytest.mark.parametrize("number", ["20758", "1943661"])
def test_a_number_that_is_drawn_is_read(sheet, number):
    sheet.click("many")
    sheet.wait("mode === 'number'")
    width = 560 / len(number)
    sheet.draw(number, 40, 50, width * 0.68, 100, width * 0.32)
    reading = sheet.reading()
    assert reading["text"] == number == sheet.driver.find_element("id", "text").text
    assert not reading["rejected"]


@pytest.mark.parametrize("dark", [True, False])
def test_a_picture_is_read(sheet, dark, tmp_path):
    image_module = pytest.importorskip("PIL.Image")
    draw_module = pytest.importorskip("PIL.ImageDraw")
    picture = image_module.new("RGB", (500, 400), (235, 230, 220) if dark else (20, 40, 30))
    draw = draw_module.Draw(picture)
    for stroke in demo_browser.DIGITS["2"]:
        points = [(170 + 150 * x, 90 + 220 * y) for x, y in stroke]
        draw.line(points, (30, 30, 90) if dark else (240, 240, 235), 22, joint="curve")
    path = tmp_path / "two.png"
    picture.save(path)
    sheet.driver.find_element("id", "file").send_keys(str(path))
    sheet.wait("marks.length === 1")
    assert sheet.reading()["text"] == "2"


def test_a_file_that_is_no_picture_is_told(sheet, tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("words")
    sheet.driver.find_element("id", "file").send_keys(str(path))
    sheet.wait("$('doubt').textContent.includes('no picture')")
