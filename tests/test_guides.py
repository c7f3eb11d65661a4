"""What docs/architectures.md shows works when pasted."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lenet_c import LENET5_28, LENET5_MODERN, LENET_3X3, codes, datasets

GUIDE = (Path(__file__).parent.parent / "docs" / "architectures.md").read_text(encoding="utf-8")
CLASSES, OWN = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)


def run(code, folder):
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=folder, capture_output=True, text=True
    )
    assert result.stderr == ""
    return result.stdout


def test_classes_and_codes(tmp_path):
    checks = (
        "\nassert [n.architecture.classes for n in (net, everything, short, letters)]"
        " == [26, 95, 3, 26]"
    )
    output = run(CLASSES + checks, tmp_path)
    assert output.startswith(codes.show("A") + "\n")
    assert re.search(r"^F6 +dense +3 +363 +363$", output, re.M)


def test_an_architecture_of_ones_own(tmp_path):
    code = OWN
    try:
        datasets.mnist(download=False)
    except OSError:
        pytest.importorskip("sklearn")
        code = code.replace("datasets.mnist()", "datasets.digits()")
        code = code.replace("epochs=3", "epochs=30")
    output = run(code, tmp_path)
    assert float(re.search(r"error_rate=([\d.]+)%", output)[1]) < 8


def test_the_table_of_networks():
    for name, network in (
        ("LENET5_MODERN", LENET5_MODERN),
        ("LENET5_28", LENET5_28),
        ("LENET_3X3", LENET_3X3),
    ):
        assert re.search(rf"^\| `{name}` \| .* \| {network.n_parameters:,} \|$", GUIDE, re.M)
