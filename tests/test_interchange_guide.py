"""The guide to other libraries: its code runs where they are, its tables are what is printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pasted
import pytest

PAGE = Path(__file__).parent.parent / "docs" / "interchange.md"


def run(code, folder):
    """Run code that may be warned, as it is by libraries that look for others."""
    env = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("block", "needed", "printed"),
    [
        (0, ["onnx", "onnxruntime", "sklearn"], r"True\n\d 0\.\d+ 0\.\d+\n"),
        (1, ["torch"], "True\n"),
        (2, ["keras", "tensorflow"], "True\n"),
        (3, ["torch", "onnx"], r"[\s\S]*\noutput +dense +10 +850 +850\n[\s\S]*\nTrue\n"),
    ],
)
def test_the_guides_code(block, needed, printed, tmp_path):
    for name in needed:
        pytest.importorskip(name)
    blocks = pasted.blocks(PAGE.read_text(encoding="utf-8"))
    assert len(blocks) == 4
    assert re.fullmatch(printed, run(blocks[block], tmp_path))


def test_the_guides_table_is_what_is_kept():
    for name in ("onnx", "safetensors", "torch"):
        pytest.importorskip(name)
    from bench import interchange

    rng = np.random.default_rng(0)
    labels = np.arange(400) % 10
    images = rng.integers(0, 60, (400, 28, 28)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[4 + 2 * label :][:4] = 250  # a band whose height tells the class
    page = PAGE.read_text(encoding="utf-8")
    for row in interchange.kept(interchange.calibrated(images, labels)):
        assert f"| {' | '.join(row)} |\n" in page


def test_the_comparison_with_onnx_runtime():
    for name in ("onnx", "onnxruntime"):
        pytest.importorskip(name)
    from bench import interchange
    from lenet_c import LeNet5

    images = np.zeros((10, 28, 28), np.uint8)
    images[:, 8:20, 12:16] = 255
    row = interchange.compared(LeNet5.pretrained("strings"), images, 1)
    assert row[:4] == ["lenet5-strings", row[1], "56", "0"]
    assert float(row[4]) < 1e-5
