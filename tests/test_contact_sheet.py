"""The README's picture: what it shows is what the library does."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy")

from bench import contact_sheet
from lenet_c import LeNet5

DIGITS = {
    "ruled paper": "7",
    "squared paper": "4",
    "in a frame": "5",
    "half in shadow": "2",
    "no margin": "6",
    "on a blackboard": "3",
    "coloured pen": "8",
    "a grainy photo": "9",
    "underlined": "0",
}


@pytest.mark.parametrize("seed", [1998, 1, 2])
def test_every_digit_is_read_and_the_rest_refused(seed: int) -> None:
    shown = {one.name: one for one in contact_sheet.shown(LeNet5.pretrained("mnist"), seed)}
    assert set(DIGITS) < set(shown)
    for name, digit in DIGITS.items():
        assert shown[name].text.startswith(f"{digit}, "), name
        seen = shown[name].seen
        assert seen is not None
        assert seen.shape == (28, 28)
    for name in ("two characters", "an empty sheet"):
        assert shown[name].seen is None
        assert shown[name].text.startswith("refused: ")
    assert shown["two characters"].text.startswith("refused: two characters")


def test_the_command_writes_the_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    image = pytest.importorskip("PIL.Image")
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(sys, "argv", ["contact_sheet", str(tmp_path / "sheet.png")])
    contact_sheet.main()
    assert len(capsys.readouterr().out.splitlines()) == len(contact_sheet.PICTURES)
    assert (tmp_path / "sheet.png").stat().st_size < 200_000
    assert contact_sheet.SHEET.stat().st_size < 200_000
    grey = np.asarray(image.open(tmp_path / "sheet.png").convert("L"))
    assert grey.shape[1] >= 800
    assert grey.min() < 20
