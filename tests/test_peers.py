"""The comparison with other libraries, without any: tables, ratios, and processes that stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.peers import __main__ as command
from bench.peers import report
from bench.peers.clock import Sample, fastest, measure
from bench.peers.peer import CONTENDERS, OURS, Contender, Failure
from bench.peers.report import Result
from bench.peers.tasks import TASKS, Form, Task, problem
from bench.peers.worker import ROOT, Worker

pytestmark = pytest.mark.skipif(os.name != "posix", reason="stops processes by POSIX signals")

READ, TRAIN, EPOCH = Task("inference", 1), Task("training", 1), Task("epoch", 128)


def result(*seconds):
    return Result([Sample(s, 1.0) for s in seconds], "a setting")


# ---- figures and tables --------------------------------------------------------------------------


def test_the_ratio_is_the_median_of_the_rounds_ratios():
    assert report.ratio([2.0, 30.0, 8.0], [1.0, 10.0, 2.0]) == 3.0


def test_tables():
    results = {
        (1, READ, "lenet_c"): result(1e-5, 1e-5, 2e-5),
        (1, READ, "A"): result(3e-5, 5e-5, 8e-5),
        (1, READ, "B"): result(2e-5, 2e-5, 2e-5),
        (1, READ, "C"): Result(failure="is not installed"),
        (1, EPOCH, "lenet_c"): Result([Sample(0.5, 1.0)], "uint8", 0.0625),
        (1, EPOCH, "A"): result(0.25),
        (1, EPOCH, "B"): Result(failure="does not train"),
        (1, EPOCH, "C"): Result(failure="is not installed"),
    }
    assert report.overview(results, 1).splitlines() == [
        "|  | inference 1 | MNIST epoch |",
        "| --- | ---: | ---: |",
        "| lenet_c | 10.0 us | 500 ms |",
        "| A | 50.0 us (4.0x) | 250 ms (0.5x) |",
        "| B | 20.0 us (2.0x) | - |",
        "| **best peer** | 2.00x, B | 0.50x, A |",
    ]
    details = report.details(results).splitlines()
    assert len(details) == 2 + 5
    assert details[3] == (
        "| 1, inference 1, A | 50.0 us | 30.0 us | 80.0 us | 20,000 | 4.00 | 1.00 | a setting |"
    )
    assert details[5].endswith("| uint8; test error 6.25% |")
    assert report.failures(results) == [
        "- C: is not installed: inference 1 (1), MNIST epoch (1)",
        "- B: does not train: MNIST epoch (1)",
    ]


def test_names_of_tasks():
    assert [task.name for task in TASKS] == [
        "inference 1", "inference 64", "inference 1024", "training 1, SGD", "training 128, Adam",
        "MNIST epoch", "caffe: inference 1", "caffe: inference 1024", "caffe: training 128, Adam",
    ]  # fmt: skip


def test_the_form_of_each_network(real_digits):
    forms = {task.network: problem(task).form for task in TASKS}
    assert forms == {
        "modern": Form("tanh", "tanh", False), "caffe": Form("identity", "relu", True)
    }  # fmt: skip
    assert [w.shape for w in problem(TASKS[-1]).weights[::2]] == [
        (20, 1, 5, 5), (50, 20, 5, 5), (500, 50, 4, 4), (10, 500)
    ]  # fmt: skip


def test_every_contender_is_there():
    for contender in CONTENDERS:
        module, _, name = contender.spec.partition(":")
        assert f"class {name}(" in (ROOT / f"{module.replace('.', '/')}.py").read_text()


def test_versions_take_either_of_two_and_name_what_is_missing():
    assert set(Contender("", "", ("no-such-thing|numpy",)).versions()) == {"numpy"}
    with pytest.raises(ImportError, match="no-such-thing"):
        Contender("", "", ("numpy", "no-such-thing")).versions()


def test_clock():
    sample = measure(lambda: time.sleep(0.002), 0.05)
    assert 0.002 <= sample.seconds < 0.05
    assert sample.processors < 0.5
    assert fastest({"a": 2.0, "b": 1.0, "c": 3.0}) == "b"


# ---- processes -----------------------------------------------------------------------------------


@pytest.fixture
def start(real_digits, monkeypatch):
    """Start workers that find fake_peer; end them all."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    started = []

    def one(name):
        worker = Worker(f"fake_peer:{name}", 1)
        started.append(worker)
        return worker

    yield one
    for worker in started:
        worker.close()


def test_the_fastest_right_setting_is_measured(start):
    worker = start("Honest")
    answer = worker.prepare(READ)
    assert answer["setting"] == "fast"
    assert set(answer["trials"]) == {"slow", "fast"}
    assert "differ from lenet_c's by 2.0e-04" in answer["errors"]["wrong"]
    assert "(1, 9)" in answer["errors"]["short"]
    assert 0 < worker.measure(READ, 0.01).seconds < answer["trials"]["slow"]
    assert worker.last_words() == "a library's chatter"


def test_the_fastest_pass_is_measured(start):
    worker = start("Passing")
    answer = worker.prepare(EPOCH)
    assert answer["setting"] == "fast"
    assert set(answer["trials"]) == {"slow", "fast"}
    assert answer["errors"] == {"failing": "failing: ZeroDivisionError: division by zero"}
    given = problem(EPOCH)
    assert answer["error_rate"] == given.error_rate(given.weights)
    assert worker.measure(EPOCH, 0.01).seconds < answer["trials"]["slow"]


def test_a_failure_is_a_reason(start):
    worker = start("Honest")
    with pytest.raises(Failure, match=r"^does not train$"):
        worker.prepare(EPOCH)
    worker = start("Wrong")
    with pytest.raises(Failure, match="only: losses differ from lenet_c's"):
        worker.prepare(TRAIN)
    with pytest.raises(Failure, match="its process ended with code 3; it said: cannot go on"):
        worker.prepare(READ)
    with pytest.raises(Failure, match="its process has ended"):
        worker.measure(READ, 0.01)
    with pytest.raises(Failure, match="OSError: no such library"):
        start("Broken")


def test_what_a_peer_leaves_out_is_a_row_with_the_reason(start):
    results = {(1, task, "Idle"): Result() for task in TASKS}
    workers = {}
    command.start(Contender("Idle", "fake_peer:Idle"), 1, workers, results)
    workers["Idle"].close()
    assert report.failures(results) == [
        (
            "- Idle: has no inference: inference 1 (1), inference 64 (1), inference 1024 (1), "
            "caffe: inference 1 (1), caffe: inference 1024 (1)"
        ),
        (
            "- Idle: does not train: training 1, SGD (1), training 128, Adam (1), MNIST epoch (1), "
            "caffe: training 128, Adam (1)"
        ),
    ]


def test_no_answer_in_time_ends_the_process(start):
    worker = start("Stuck")
    with pytest.raises(Failure, match="no answer to prepare"):
        worker.ask("prepare", "inference", 1, "modern", timeout=0.1)
    assert worker.process.poll() == -signal.SIGKILL


def processor_time(pid):
    return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="needs /proc")
def test_nothing_runs_between_turns(start):
    worker = start("Restless")
    time.sleep(0.05)
    before = processor_time(worker.process.pid)
    time.sleep(0.3)
    assert processor_time(worker.process.pid) == before


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_stopped_process_ends_with_its_parent(real_digits):
    code = (
        "import os, signal; from bench.peers.worker import Worker\n"
        "print(Worker('bench.peers.ours:Ours', 1).process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    parent = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    child, deadline = Path(f"/proc/{int(parent.stdout)}/stat"), time.monotonic() + 10
    while child.exists() and child.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_whole_of_it(start, monkeypatch):
    monkeypatch.setattr(command, "TASKS", (READ, TRAIN))
    contenders = [
        OURS,
        Contender("Honest", "fake_peer:Honest", ("numpy",)),
        Contender("Wrong", "fake_peer:Wrong"),
        Contender("Broken", "fake_peer:Broken"),
        Contender("Absent", "absent:Absent", ("no-such-thing",)),
    ]
    results = {}
    command.run(contenders, 1, rounds=3, passes=1, seconds=0.01, results=results)
    assert len(results[1, READ, "lenet_c"].samples) == 3
    assert len(results[1, TRAIN, "lenet_c"].samples) == 3
    assert len(results[1, READ, "Honest"].samples) == 3
    failed = {(task, name): r.failure for (_, task, name), r in results.items() if r.failure}
    assert failed[READ, "Absent"] == "no-such-thing is not installed"
    assert failed[TRAIN, "Broken"] == "OSError: no such library"
    assert failed[READ, "Wrong"] == "its process ended with code 3; it said: cannot go on"
    text = command.write_up(results, contenders, [1], command.METHOD, 1.0)
    assert "numpy " in text
    assert "| Honest |" in text
    assert "- Broken: OSError: no such library: inference 1 (1), training 1, SGD (1)" in text
