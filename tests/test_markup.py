"""What notebooks show: well-formed, with nothing of the user's taken for HTML."""

import base64
import math
import re
import struct
import xml.etree.ElementTree as ElementTree
import zlib

import numpy as np
import pytest

from lenet_c import (
    LENET5_MODERN,
    Architecture,
    Conv,
    Dense,
    History,
    LeNet5,
    LineReader,
    LineReading,
    Reading,
    markup,
)

NASTY = ["<b>", "&amp;", '"', "'", "]]>", "<!--", "\N{HAIR SPACE}", "é", "字", "</td>"]


def shown(thing):
    """Parse what a notebook shows, strictly."""
    return ElementTree.fromstring(thing._repr_html_())


def cells(tree, tag="td"):
    return [
        ["".join(cell.itertext()) for cell in row.iter(tag)]
        for row in tree.iter("tr")
        if row.find(tag) is not None
    ]


def texts(tree):
    return "".join(tree.itertext())


def pixels(image):
    """Decode the PNG of an image, of the kind that is written here."""
    data = base64.b64decode(image.get("src").removeprefix("data:image/png;base64,"))
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    found, at = {}, 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        (checksum,) = struct.unpack(">I", data[at + 8 + length : at + 12 + length])
        assert checksum == zlib.crc32(kind + body)
        found[kind], at = body, at + 12 + length
    width, height = struct.unpack(">II", found[b"IHDR"][:8])
    rows = np.frombuffer(zlib.decompress(found[b"IDAT"]), np.uint8).reshape(height, -1)
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape(height, width, 3)


# ---- networks ----


@pytest.mark.parametrize("compiled", [False, True])
def test_a_network(compiled):
    net = LeNet5()
    tree = shown(net.compile() if compiled else net)
    assert "lenet5-1998" in texts(tree)
    assert "input 32 x 32" in texts(tree)
    assert cells(tree)[2] == ["C3", "conv", "16 x 10 x 10", "1,516", "151,600"]
    assert cells(tree)[-1] == ["total", "", "", "60,000", "340,908"]
    assert len(cells(tree)) == 8
    lines = net.summary().splitlines()
    for row in cells(tree):  # the same as summary's
        assert any(line.split() == " ".join(row).split() for line in lines), row


def test_the_filters_of_a_network():
    net = LeNet5(LENET5_MODERN)
    net["C1.weight"] = np.zeros((6, 1, 5, 5))
    net["C1.weight"][0, 0, 0, 1] = 4.0
    net["C1.weight"][1, 0, 2, 0] = -2.0
    (image,) = shown(net).iter("img")
    found = pixels(image)
    assert found.shape == (5, 6 * 6 - 1, 3)
    assert found[0, 1].tolist() == [255, 0, 0]  # the largest is red
    assert found[2, 6].tolist() == [128, 128, 255]  # half as large and below zero: pale blue
    found = found.copy()
    found[0, 1] = found[2, 6] = 255
    assert (found == 255).all()
    assert image.get("width") == str(6 * found.shape[1])


def test_filters_of_several_channels_are_rows():
    net = LeNet5(
        Architecture(
            "colour",
            (Conv("C1", maps=4, kernel=3), Dense("output", units=2, activation="identity")),
            input_shape=(3, 8, 8),
        )
    )
    net["C1.weight"] = np.zeros((4, 3, 3, 3))
    net["C1.weight"][3, 2, 0, 0] = 1.0
    found = pixels(*shown(net).iter("img"))
    assert found.shape == (3 * 4 - 1, 4 * 4 - 1, 3)
    assert np.argwhere((found != 255).any(axis=2)).tolist() == [[8, 12]]


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_filters_of_bad_weights(value):
    net = LeNet5()
    net["C1.weight"][...] = value
    (image,) = shown(net).iter("img")
    assert (pixels(image) == 255).all()


def test_a_network_without_a_picture():
    flat = Architecture(
        "flat", (Dense("output", units=10, activation="identity"),), input_shape=(8, 8)
    )
    wide = Architecture(
        "wide",
        (Conv("C1", maps=200, kernel=5), Dense("output", units=2, activation="identity")),
        input_shape=(8, 8),
    )
    for architecture in (flat, wide):
        assert not list(shown(LeNet5(architecture)).iter("img"))


def test_class_names_are_escaped():
    net = LeNet5(Architecture("<i>name</i>", LENET5_MODERN.layers))
    net.class_names = NASTY
    tree = shown(net)
    assert ", ".join(NASTY) in texts(tree)
    assert "LeNet5('<i>name</i>'" in texts(tree)
    assert tree.find(".//i") is None
    net = LeNet5().with_classes([f"class {k}" for k in range(60)], codes=np.eye(60, 84))
    assert "classes: class 0, " in texts(shown(net))
    assert "class 59" not in texts(shown(net))


def test_a_reader_of_lines():
    tree = shown(LineReader(LeNet5("lenet5-strings")))
    assert cells(tree)[-1][3:] == ["60,935", "341,003"]


# ---- histories ----


def record(epoch, **more):
    return {"epoch": epoch, "loss": 0.5, "error_rate": 0.25, "images_per_second": 12345.6, **more}


def test_a_history():
    history = History([record(1, val_error_rate=0.5), record(2, val_error_rate=0.125)])
    tree = shown(history)
    assert cells(tree, "th") == [
        ["epoch", "loss", "error_rate", "images_per_second", "val_error_rate"]
    ]
    assert cells(tree) == [
        ["1", "0.5", "25.00%", "12,346", "50.00%"],
        ["2", "0.5", "25.00%", "12,346", "12.50%"],
    ]
    svg = tree.find("{http://www.w3.org/2000/svg}svg")
    lines = [e for e in svg.iter() if e.tag.endswith("polyline")]
    (a, b), (c, d) = (
        [tuple(map(float, point.split(","))) for point in line.get("points").split()]
        for line in lines
    )
    assert a[1] == b[1] == (c[1] + 170) / 2  # 25% is halfway to 50%
    assert d[1] == pytest.approx((a[1] + 170) / 2, abs=0.1)
    assert a[0] == c[0] < b[0] == d[0] < float(svg.get("width"))
    assert {"training", "validation", "50%", "0%"} <= set(svg.itertext())


def test_a_history_without_passes_or_of_one():
    assert texts(shown(History())) == "History, 0 passes"
    tree = shown(History([record(1)]))
    assert "1 pass" in texts(tree)
    assert "validation" not in texts(tree)
    assert "NaN" not in ElementTree.tostring(tree, "unicode")


def test_a_long_history_is_shortened():
    tree = shown(History([record(k + 1) for k in range(100)]))
    rows = cells(tree)
    assert len(rows) == markup.ROWS + 1
    assert [row[0] for row in rows[8:13]] == ["9", "10", "...", "91", "92"]
    assert len([e for e in tree.iter() if e.tag.endswith("circle")]) == 0


def test_what_callbacks_put_into_records():
    odd = {"<k>": "<v>&", "nothing": None, "huge": 1e300, "val_error_rate": math.nan}
    tree = shown(History([record(1), record(2, **odd)]))
    assert cells(tree, "th")[0][4:] == list(odd)
    assert cells(tree)[0][4:] == ["", "", "", ""]
    assert cells(tree)[1][4:] == ["<v>&", "None", "1e+300", "nan%"]
    points = [e.get("points") for e in tree.iter() if e.tag.endswith("polyline")]
    assert points[1] == ""


# ---- readings ----


def reading(n, labels=NASTY):
    labels = np.resize(labels, n)
    return Reading(
        np.arange(n) % 10,
        labels,
        np.full(n, 0.75),
        np.full(n, 2.5),
        np.full(n, np.inf),
        np.full(n, np.nan),
        np.arange(n) == 1,
    )


def test_a_reading():
    tree = shown(reading(10))
    assert "Reading(10 images, 1 rejected)" in texts(tree)
    rows = cells(tree)
    assert [row[1] for row in rows] == NASTY
    assert rows[0][2:] == ["0.7500", "2.5", "inf", ""]
    assert rows[1][-1] == "rejected"
    assert len(cells(shown(reading(1000)))) == 21
    assert cells(shown(reading(0))) == []


def test_the_reading_of_a_line():
    line = LineReading(
        "4<2",
        0.875,
        np.array([0.99, 0.5, 0.9]),
        np.zeros((3, 4)),
        True,
        None,
        (("472", 0.1), ("4&2", 0.01)),
    )
    tree = shown(line)
    assert texts(tree.find(".//code")) == "4<2"
    assert "probability 0.8750, doubtful" in texts(tree)
    assert cells(tree, "th") == [["4", "<", "2"]]
    assert cells(tree) == [["0.99", "0.50", "0.90"]]
    assert "or 472 0.1000, 4&2 0.0100" in texts(tree)


def test_a_line_that_is_not_read():
    nothing = LineReading("", 0.0, np.empty(0), np.empty((0, 4)), True, "shows <nothing>")
    tree = shown(nothing)
    assert "doubtful: shows <nothing>" in texts(tree)
    assert cells(tree) == []


def test_names_of_several_characters():
    tree = shown(LineReading("tenone", 0.5, np.array([0.5, 0.5]), np.zeros((2, 4))))
    assert cells(tree, "th") == [["1", "2"]]
    assert "doubtful" not in texts(tree)


def test_control_characters_are_written_out():
    assert markup.escaped("a\0\x1b\ud800<") == r"a\x00\x1b\ud800&lt;"
    assert re.fullmatch(r'<td a="&quot;&lt;">x</td>', markup.element("td", "x", a='"<'))
