"""What the README shows works when pasted."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lenet_c
from lenet_c import datasets

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_the_python_example(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    try:
        datasets.mnist(download=False)
    except OSError:
        pytest.importorskip("sklearn")
        code = code.replace("datasets.mnist()", "datasets.digits()")
        code = code.replace("epochs=3", "epochs=30")
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert result.stderr == ""
    error_rate = float(re.search(r"error_rate=([\d.]+)%", result.stdout)[1])
    assert error_rate < 3.0
    assert os.path.exists(tmp_path / "model.npz")


def test_the_table_of_layers():
    assert lenet_c.LeNet5().summary() in README
