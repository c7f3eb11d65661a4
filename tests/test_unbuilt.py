"""A checkout whose C core was not built says what to run."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import lenet_c

# An editable install would find the core of another checkout.
ALONE = (
    "import sys\n"
    "sys.meta_path[:] = [one for one in sys.meta_path if 'editable' not in repr(one).lower()]\n"
)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkout")
    built = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__", "*.npz")
    shutil.copytree(Path(lenet_c.__file__).parent, folder / "lenet_c", ignore=built)
    return folder


def run(folder, code):
    return subprocess.run(
        [sys.executable, "-c", ALONE + code],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    "code",
    [
        "import lenet_c; lenet_c.LeNet5()",
        "from lenet_c import LeNet5",
        "from lenet_c import Trainer",
        "import lenet_c.kernels",
        "import lenet_c; lenet_c.cpu_info()",
        "from lenet_c import _core",
    ],
)
def test_the_error_says_what_to_run(checkout, code):
    result = run(checkout, code)
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith("ImportError: lenet_c._core, the C core, is not built for this Python")
    assert last.endswith("pip install -e . builds it")
    assert "circular" not in result.stderr


def test_the_command_says_so_in_one_line(checkout):
    result = run(checkout, "from lenet_c.__main__ import main; sys.exit(main())")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("lenet-c: error: lenet_c._core, the C core, is not built")
    assert result.stderr.count("\n") == 1


def test_what_needs_no_core(checkout):
    result = run(checkout, "import lenet_c; print(lenet_c.__version__)")
    assert result.stdout == f"{lenet_c.__version__}\n"
