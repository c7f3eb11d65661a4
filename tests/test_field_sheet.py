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


def test_fields_are_drawn_and_read(quick_reader, real_digits):
    sheet = field_sheet.shown(quick_reader, real_digits[1])
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


def test_the_command_writes_the_pictures(quick_reader, tmp_path, monkeypatch, capsys, real_digits):
    quick_reader.save(tmp_path / "model.npz")
    monkeypatch.setattr(field_sheet, "mnist", lambda: real_digits)
    arguments = ["field_sheet", str(tmp_path / "out"), "--model", str(tmp_path / "model.npz")]
    monkeypatch.setattr(sys, "argv", arguments)
    field_sheet.main()
    assert len(capsys.readouterr().out.splitlines()) == len(field_sheet.FIELDS)
    names = {"lines-sheet.png", "lines-columns.png", "lines-field.png"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    for name in names:
        assert (tmp_path / "out" / name).stat().st_size < 200_000
        assert (field_sheet.ROOT / "docs" / name).exists()
        assert np.ptp(np.asarray(Image.open(tmp_path / "out" / name).convert("L"))) > 150
