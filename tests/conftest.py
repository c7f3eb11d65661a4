# ruff: noqa: E402
"""What tests share: random numbers, real digits, and which instruction set is under test."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
from pathlib import Path

# In a checkout whose core is not built, the installed lenet_c is tested, also in other processes.
ROOT = Path(__file__).parent.parent
if not any(
    (ROOT / "lenet_c" / f"_core{s}").exists() for s in importlib.machinery.EXTENSION_SUFFIXES
):
    sys.path[:] = [path for path in sys.path if Path(path or ".").resolve() != ROOT.resolve()]
    installed = importlib.util.find_spec("lenet_c")
    where = [str(Path(installed.origin).parents[1])] if installed and installed.origin else []
    sys.path.append(str(ROOT))
    os.environ["PYTHONPATH"] = os.pathsep.join([*where, str(ROOT)])
    os.environ["PYTHONSAFEPATH"] = "1"  # from Python 3.11 on

# Threads that spin while they wait crawl on a machine with other work, tests above all: OpenMP's,
# and NumPy's, which small matrices do not need. Each library reads this when it is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest

from lenet_c import LineReader, _core, datasets


def pytest_report_header() -> str:
    """The line that test_isa looks for in a child's output."""
    return f"instruction set: {_core.isa()[0]}"


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(1998)


@pytest.fixture(scope="session")
def real_digits() -> tuple[datasets.Arrays, datasets.Arrays]:
    """MNIST from LENET_C_DATA, or else scikit-learn's digits: (x, y), (xt, yt)."""
    if os.environ.get("LENET_C_DATA"):
        return datasets.mnist(os.environ["LENET_C_DATA"])
    pytest.importorskip("sklearn", reason="LENET_C_DATA is not set, scikit-learn is not there")
    return datasets.digits()


@pytest.fixture(scope="session")
def quick_reader(real_digits: tuple[datasets.Arrays, datasets.Arrays]) -> LineReader:
    """A reader of drawn fields; copy it before changing it."""
    pytest.importorskip("PIL", reason="fields are drawn with Pillow")
    from readers import quick_reader

    return quick_reader(*real_digits[0])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what takes another path where there is no MNIST: .ci/run runs it on the digits too."""
    for item in items:
        if isinstance(item, pytest.Function) and (
            {"real_digits", "quick_reader"} & {*item.fixturenames}
            or "pasted" in item.function.__code__.co_names
        ):
            item.add_marker("mnist")
