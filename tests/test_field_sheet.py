"""The pictures of docs/lines.md: what they show is what a reader does."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest

pytest.importorskip("scipy")
Image = pytest.importorskip("PIL.Image")
pytest.importorskip("matplotlib")

from bench import field_sheet  # noqa: E402
from lenet_c import preprocess  # noqa: E402


class Noting:
    """A reader that notes what it was told of the texts."""

    def __init__(self, reader):
        self.reader, self.patterns = reader, []

    def read(self, pictures, pattern=None):
        self.patterns.append(pattern)
        return self.reader.read(pictures, pattern=pattern)


def test_fields_are_drawn_and_read(quick_reader, real_digits):
    noting = Noting(quick_reader)
    sheet = field_sheet.shown(noting, real_digits[1])
    assert noting.patterns == [kind.pattern for kind in field_sheet.FIELDS.values()]
    assert [one.name for one in sheet] == list(field_sheet.FIELDS)
    assert len(sheet) % field_sheet.COLUMNS == 0
    right = 0
    for one in sheet:
        assert one.picture.shape == (field_sheet.HEIGHT, field_sheet.WIDTH)
        pattern = field_sheet.FIELDS[one.name].pattern
        if pattern is not None:
            assert re.fullmatch(pattern, one.reading.text), one.name
        right += one.text is not None and one.reading.text == one.text
    # trained for seconds, it reads few on such paper
    assert right >= 4
    assert sheet[-1].reading.rejected
    assert "no writing" in sheet[-1].reading.reason


def test_boxes_are_where_the_reading_has_them(quick_reader, real_digits):
    sheet = field_sheet.shown(quick_reader, real_digits[1])
    figure = field_sheet.draw_sheet(sheet)
    for ax, one in zip(figure.axes, sheet, strict=True):
        drawn = [patch.get_bbox().bounds for patch in ax.patches]
        assert np.allclose(np.reshape(drawn, (-1, 4)), one.reading.boxes)
        said = ax.get_title().partition("\n")
        assert said[0] == one.name
        assert said[2].startswith(one.reading.text or "refused: ")


def test_the_command_writes_the_pictures(quick_reader, tmp_path, monkeypatch, capsys, real_digits):
    def columns(*given, **settings):
        drawn.append(settings["strip"])
        return figures(*given, **settings)

    drawn, figures = [], field_sheet.plot.columns
    monkeypatch.setattr(field_sheet.plot, "columns", columns)
    quick_reader.save(tmp_path / "model.npz")
    monkeypatch.setattr(field_sheet, "mnist", lambda: real_digits)
    arguments = ["field_sheet", str(tmp_path / "out"), "--model", str(tmp_path / "model.npz")]
    monkeypatch.setattr(sys, "argv", arguments)
    field_sheet.main()
    sheet = field_sheet.shown(quick_reader, real_digits[1])
    told = capsys.readouterr().out.splitlines()
    for line, one in zip(told, sheet, strict=True):
        assert line.startswith(f"{one.name}: {one.reading.reason or repr(one.reading.text)}, ")
        wrong = one.text is not None and one.reading.text != one.text
        assert line.endswith(f", and says {one.text}") == wrong
    names = {"lines-sheet.png", "lines-columns.png", "lines-field.png"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    for name in names:
        assert (tmp_path / "out" / name).stat().st_size < 200_000
        assert (field_sheet.ROOT / "docs" / name).exists()
        assert np.ptp(np.asarray(Image.open(tmp_path / "out" / name).convert("L"))) > 150
    pictures = {one.name: one.picture for one in sheet}
    field = np.asarray(Image.open(tmp_path / "out" / "lines-field.png"))
    assert np.array_equal(field, pictures["a zip code"])
    assert np.array_equal(drawn[0], preprocess.line(pictures["touching"]))
