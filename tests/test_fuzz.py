"""Some seconds of the campaign of tests/fuzz, drawn by hypothesis, which makes findings small."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

hypothesis = pytest.importorskip("hypothesis")

from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule  # noqa: E402

from lenet_c import (  # noqa: E402
    LENET5_1998,
    LeNet5,
    Trainer,
    kernels,
    preprocess,
    set_num_threads,
)
from tests.fuzz import FUZZERS, engine, long, made, plans, sequences  # noqa: E402
from tests.fuzz.interrupts import Interrupts  # noqa: E402
from tests.sanitized import SANITIZED  # noqa: E402

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="of Linux's processes and pages"),
    pytest.mark.filterwarnings("ignore::lenet_c.InputWarning"),  # of random pixels
]

SHORT = settings(
    max_examples=40, deadline=None, database=None, derandomize=True,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
RANDOM = st.randoms(use_true_random=False)


@pytest.fixture(autouse=True)
def _same_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.chdir(tmp_path)
    for name in ("LENET_C_DATA", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, "")  # set back in the end, whatever fuzzers do to them
    yield
    set_num_threads(None)


@pytest.mark.parametrize("name", ["files", "native", "idx", "pictures", "arguments"])
def test_nothing_is_found_in_a_few_examples(name: str) -> None:
    fuzzer = made(name)

    @SHORT
    @given(RANDOM)
    def try_it(random: Random) -> None:
        fuzzer.run(engine.Case(random))

    try_it()


class Machine(RuleBasedStateMachine):
    """Operations on a network, in an order that hypothesis picks."""

    def __init__(self) -> None:
        super().__init__()
        self.world = sequences.World(Random(7))

    @rule(random=RANDOM, operation=st.sampled_from(sequences.OPERATIONS))
    def operate(self, random: Random, operation: Any) -> None:
        """Do one."""
        self.world.random = self.world.case.random = random
        operation(self.world)

    @invariant()
    def holds(self) -> None:
        """The network is what it should be."""
        self.world.check()

    def teardown(self) -> None:
        """As it was."""
        set_num_threads(None)


Machine.TestCase.settings = settings(SHORT, max_examples=12, stateful_step_count=12)
TestSequences = Machine.TestCase


@pytest.mark.parametrize("name", FUZZERS)
def test_a_process_of_its_own_finds_nothing(name: str, tmp_path: Path) -> None:
    (outcome,) = engine.run_all([name], engine.Limits(inputs=250), tmp_path, 1)
    assert outcome.inputs >= 250
    assert not outcome.found


def test_what_the_fuzzers_found_is_refused_by_name() -> None:
    deep: list[Any] = []
    for _ in range(3000):
        deep = [deep]
    net = LeNet5()
    huge = np.broadcast_to(np.uint8(0), (2**40, 28, 28))
    x, w, b = (np.zeros(shape, np.float32) for shape in ((1, 1, 5, 5), (2, 1, 3, 3), 2))
    for call, name in [
        (lambda: LENET5_1998.with_classes(deep), "classes"),
        (lambda: Trainer(net, freeze=np.zeros(())), "freeze"),
        (lambda: Trainer(net, callbacks=np.zeros(())), "callbacks"),
        (lambda: kernels.conv(x, w, b, table=huge), "table"),
        (lambda: kernels.conv(x, w, b, table=memoryview(np.zeros((2, 1), np.uint8))), "table"),
        (lambda: preprocess.resize(np.full((2, 2), np.nan), 3, 3), "image"),
        (lambda: preprocess.centre(np.full((2, 2), np.inf)), "ink"),
    ]:
        with pytest.raises((TypeError, ValueError), match=f"^{name}"):
            call()
    grey = np.float32(-3e38), np.float32(3e38)
    assert np.isfinite(preprocess.normalize(np.zeros((2, 2), np.uint8), *grey)).all()
    masked = np.ma.masked_array(np.ones((2, 2)))
    assert type(preprocess.resize(masked, 3, 3)) is np.ndarray
    assert preprocess.centre(masked).sum() == 4 * 255


def test_a_crash_is_reported_with_its_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LENET_C_FUZZ_CRASH", "3")
    (outcome,) = engine.run_all(["selftest"], engine.Limits(inputs=12), tmp_path, 1)
    crashes = [found for found in outcome.found if f"ended with {-signal.SIGSEGV}" in found["what"]]
    assert [found["case"] for found in crashes] == [3]
    assert [found["case"] for found in outcome.found if "KeyError" in found["what"]] == [5]
    assert (tmp_path / "selftest-0-5.txt").read_text() == "'case 5'"
    assert any("printed" in found["what"] for found in outcome.found)


def test_what_is_behind_a_guarded_array_cannot_be_read() -> None:
    code = (
        "import numpy as np; from tests.fuzz.engine import Guarded; "
        "a = Guarded()(np.arange(5, dtype=np.uint8)); assert a.tolist() == [0, 1, 2, 3, 4]; "
        "np.lib.stride_tricks.as_strided(a, (6,)).sum()"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=engine.ROOT, capture_output=True)
    assert result.returncode == -signal.SIGSEGV


def test_plans_stay_between_their_pages() -> None:
    if plans.compiler() is None:
        pytest.skip("no C compiler here")
    counts, found = plans.run(plans=120, isas=["portable"])  # of which the build is soonest
    assert not found
    assert counts == {"portable": 120}


def test_kills_and_full_disks_leave_whole_files() -> None:
    if not os.path.isdir("/proc/self") or shutil.which("sh") is None:
        pytest.skip("of Linux")
    trials = Interrupts(seed=5)
    assert trials.run(None, trials=8) == []
    assert min(trials.counts.values()) >= 1


@pytest.mark.skipif(SANITIZED, reason="sanitizers keep what is freed")
def test_a_soak_of_seconds_stays_flat() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.soak", "--minutes", "0.1"], cwd=engine.ROOT,
        capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    assert np.char.count(result.stdout, "at first") == 3


def test_a_part_of_the_long_run_is_of_one_state_of_the_library(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def part(name: str) -> Any:
        def run(seed: int, share: float) -> dict[str, Any]:
            ran.append(name)
            return {"told": f"{name} of {seed}", "inputs": 1000, "found": []}

        return run

    ran: list[str] = []
    monkeypatch.setattr(long, "KEPT", tmp_path)
    monkeypatch.setattr(long, "PARTS", {name: part(name) for name in ("one", "other")})
    for arguments, again in (((1, 1.0), True), ((1, 1.0), False), ((2, 1.0), True)):
        long.run_lane(["one", "other"], *arguments, False)
        assert ran == ["one", "other"] * again
        ran.clear()
    assert "| other | other of 2 |" in long.table()
    assert "2,000 inputs in all" in long.table()
    assert "earlier" not in long.table()
    monkeypatch.setattr(long, "library", lambda: "changed")
    long.run_lane(["other"], 2, 1.0, False)
    assert ran == ["other"]
    assert long.table().endswith("\nOf an earlier state of the library: one.")


def test_the_hash_of_the_library_is_of_its_sources(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(long, "ROOT", tmp_path)
    found = []
    for name in ("csrc/run/a.c", "lenet_c/a.py", "lenet_c/a.py", "build/a.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        with (tmp_path / name).open("a") as file:
            file.write("a line\n")
        found.append(long.library())
    assert len(set(found)) == 3
    assert found[2] == found[3]
