"""LENET_C_ISA: every instruction set that is here, and what an unknown or missing one gives."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lenet_c import _core
from tests.sanitized import SLOWER

HERE = Path(__file__).parent
AVAILABLE = _core.available_isas()


def run(arguments: list[str], isa: str | None) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "LENET_C_ISA"}
    if isa is not None:
        environment["LENET_C_ISA"] = isa
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=HERE.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300 * SLOWER,
        check=False,
    )


@pytest.mark.parametrize("isa", [isa for isa in AVAILABLE if isa != _core.isa()[0]])
def test_kernels_and_networks_of_every_instruction_set(isa: str) -> None:
    """The one in use is under test in this process already."""
    names = ("test_kernels.py", "test_network.py", "test_sweep.py")
    files = [str(HERE / name) for name in names]
    child = run(["-m", "pytest", "-p", "no:cacheprovider", "--tb=short", *files], isa)
    assert child.returncode == 0, child.stdout[-4000:] + child.stderr
    assert f"instruction set: {isa}\n" in child.stdout
    passed = re.search(r"(\d+) passed", child.stdout)
    assert passed is not None
    assert int(passed[1]) > 600


@pytest.mark.parametrize("isa", AVAILABLE)
def test_an_instruction_set_by_name(isa: str) -> None:
    code = "import lenet_c; info = lenet_c.cpu_info(); print(info['isa'], info['lanes'])"
    lanes = {"portable": 4, "neon": 4, "avx2": 8, "avx512": 16}
    assert run(["-c", code], isa).stdout.split() == [isa, str(lanes[isa])]


def test_the_best_by_default() -> None:
    assert AVAILABLE[-1] == "portable"
    for nothing in (None, ""):
        child = run(["-c", "import lenet_c; print(lenet_c.cpu_info()['isa'])"], nothing)
        assert child.stdout.strip() == AVAILABLE[0]


MISSING = [isa for isa in ("neon", "avx512", "avx2") if isa not in AVAILABLE]


@pytest.mark.parametrize("isa", ["foo", "AVX2", "portable ", *MISSING])
def test_what_is_not_there_is_an_error(isa: str) -> None:
    """At first use: import, and what does not compute, still work."""
    code = """
import numpy as np
import lenet_c

print(lenet_c.LENET5_1998.n_parameters, lenet_c.get_num_threads() > 0)
for use in (
    lenet_c.LeNet5,
    lenet_c.cpu_info,
    lambda: lenet_c.kernels.squash(1.0),
    lambda: lenet_c.kernels.rbf(np.ones((1, 2)), np.ones((1, 2))),
    lambda: lenet_c.distort.transform(np.zeros((1, 2, 2), np.uint8)),
):
    try:
        use()
    except RuntimeError as error:
        print(error)
"""
    child = run(["-c", code], isa)
    why = (
        "this processor or build lacks it" if isa in MISSING else "no instruction set of that name"
    )
    message = f"LENET_C_ISA={isa}: {why}; available here: {', '.join(AVAILABLE)}"
    assert child.stdout.splitlines() == ["60000 True", *[message] * 5]
    assert child.stderr == ""
