"""The commands of bench/, and the reports on speed without timing anything.

The latter's counts, the floor, the guard, the profile.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import re
import shutil
import sys
import time

import numpy as np
import pytest

from bench import check, common, compiled, counts, limit, pairs, tanh_table, threads
from bench.common import ROOT
from bench.paths import NETWORKS, PATHS, Measured, Path, Report, run
from bench.peers import __main__ as peers
from bench.peers import tasks
from lenet_c import LENET5_1998, LENET5_MODERN, LeNet5, Trainer, _core, cli, cpu_info, datasets
from lenet_c.recipes import DISTORTED

STEP = "1998: step 128, Adam"
ONE = "1998: predict 1"


# ---- what the commands share ---------------------------------------------------------------------


COMMANDS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "bench").rglob("*.py")
    if "parser(" in path.read_text(encoding="utf-8") and path.name != "common.py"
)


@pytest.fixture
def command(monkeypatch):
    """Run a command as python -m does; give what it ended with."""

    def call(name, *arguments):
        monkeypatch.setattr("sys.argv", [name, *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            importlib.import_module(name).main()
        return ended.value.code

    return call


@pytest.mark.parametrize("name", COMMANDS)
def test_help(command, name, capsys):
    assert command(name, "--help") == 0
    usage, _, text = capsys.readouterr().out.partition("\n\n")
    assert usage.startswith(f"usage: python -m {name.removesuffix('.__main__')} ")
    assert text.startswith(importlib.import_module(name).__doc__)


def test_there_are_commands():
    """All that runs as a program, but for what `bench.peers` and `bench.lines` start."""
    programs = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "bench").rglob("*.py")
        if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
    }
    assert {*COMMANDS, "bench.peers.worker", "bench.line_peers"} == programs


@pytest.fixture
def model(tmp_path):
    LeNet5().save(tmp_path / "model.npz")
    return tmp_path / "model.npz"


def test_what_compiled_networks_gain(monkeypatch):
    images = np.zeros((4, 28, 28), np.uint8)
    monkeypatch.setattr(compiled, "SIZES", (1, 2))
    monkeypatch.setattr(compiled, "SECONDS", 0.0)
    monkeypatch.setattr(compiled, "mnist", lambda: ((images, np.arange(4)), None))
    monkeypatch.setattr(compiled, "hold_out", lambda train: (train, None))
    rows = compiled.measure(3)
    assert [row[1:3] for row in rows] == [
        [name, n] for name in ("mnist", "mnist-modern") for n in "12"
    ]
    assert all(0.1 < float(ratio) < 10 for row in rows for ratio in row[5:])


TRAINING = ["accuracy", "confidence", "distortions", "reproduction", "settings", "tutorials"]


@pytest.mark.parametrize("name", [*TRAINING, "pictures", "rejection"])
def test_without_mnist_a_line_says_so(command, name, model, monkeypatch):
    def missing(folder=None):
        raise FileNotFoundError("MNIST is not here")

    monkeypatch.setattr(datasets, "mnist", missing)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: "installed")
    monkeypatch.chdir(ROOT)
    arguments = [] if name in TRAINING else [model]
    assert command(f"bench.{name}", *arguments) == "error: MNIST is not here"


@pytest.mark.parametrize("name", ["pictures", "rejection"])
def test_without_a_model_a_line_says_so(command, name, tmp_path):
    missing = tmp_path / "no.npz"
    assert str(missing) in command(f"bench.{name}", missing)
    missing.write_bytes(b"no model")
    assert "not a model file" in command(f"bench.{name}", missing)


@pytest.mark.parametrize("name", ["limit", "check", "threads", "peers.__main__"])
def test_an_empty_folder_for_mnist_is_told_at_once(command, name, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("LENET_C_DATA", str(tmp_path))
    tasks.data.cache_clear()
    ended = command(f"bench.{name}")
    assert ended.startswith("error: ")
    assert f"MNIST is not in {tmp_path}" in ended + capfd.readouterr().err


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("fine_tuning", []), ("reproduction", []), ("accuracy", ["--only", "elsewhere"])],
)
def test_what_is_not_installed_is_told_before_the_work(command, name, arguments, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "matplotlib" else found(name)
    )
    monkeypatch.chdir(ROOT)
    ended = command(f"bench.{name}", *arguments)
    assert ended == 'error: needs matplotlib: pip install -e ".[dev]"'


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("limit", ["--isa", "sse9"], "argument --isa: invalid choice: 'sse9'"),
        ("check", ["--isa", "sse9"], "argument --isa: invalid choice: 'sse9'"),
        ("settings", ["--only", "99"], "argument --only: invalid choice: 99"),
        ("reproduction", ["--docs", "no/such"], "--docs: got no/such, want a folder"),
    ],
)
def test_what_is_not_there_is_refused(command, name, arguments, message, capsys):
    assert command(f"bench.{name}", *arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(7.234e-6, "7.23 us"), (1e-9, "0.00 us"), (9.996e-4, "1000 us"), (0.0456, "45.6 ms"),
     (0.9994, "999 ms"), (1.0, "1.00 s"), (123.4, "123 s")],
)  # fmt: skip
def test_durations(seconds, text):
    assert common.duration(seconds) == text


def test_settings_are_chosen_on_the_last_10_000():
    (x, y), (held_x, held_y) = common.hold_out((np.arange(60_000), -np.arange(60_000)))
    for part, want in ((x, range(50_000)), (held_x, range(50_000, 60_000))):
        np.testing.assert_array_equal(part, want)
    np.testing.assert_array_equal(np.append(y, held_y), -np.arange(60_000))


def test_by_recipe_trains_as_the_command_line_does(real_digits, tmp_path, monkeypatch):
    (x, y), test = real_digits
    x, y = x[:200], y[:200]
    monkeypatch.setattr(datasets, "digits", lambda: ((x, y), test))
    arguments = ["--dataset", "digits", "--epochs", "1", "--seed", "3", "--distort", "--quiet"]
    output = tmp_path / "model.npz"
    assert cli.main(["train", *arguments, "--output", str(output)]) == 0
    ours = common.by_recipe(DISTORTED[LENET5_1998.name], (x, y), epochs=1, seed=3)
    np.testing.assert_array_equal(ours.parameters, LeNet5.load(output).parameters)


# ---- counts and the floor ------------------------------------------------------------------------


def test_counts_of_multiply_adds():
    assert counts.multiply_adds(LENET5_1998) == {
        "C1": 117_600, "C3": 150_000, "C5": 48_000, "F6": 10_080, "output": 840,
    }  # fmt: skip
    assert counts.step_multiply_adds(LENET5_1998) == 861_120
    assert sum(counts.multiply_adds(LENET5_MODERN).values()) == 416_520
    assert counts.step_multiply_adds(LENET5_MODERN) == 1_131_960


def test_counts_of_squashes_and_weights():
    assert sum(counts.squashes(LENET5_1998).values()) == 8_084
    assert sum(counts.squashes(LENET5_MODERN).values()) == 6_508
    assert sum(counts.weight_bytes(LENET5_1998).values()) == 4 * (150 + 1_500 + 48_000 + 10_920)


def test_the_floor_is_the_sum_that_its_text_says():
    slot = 2 * 16 / 1e9  # seconds, on 16 lanes at 1 GFLOP/s
    squashes = 12 * 8_084 / 16
    batch = limit.floor(Path("1998", False, 1024), 16, 1e9)
    assert batch == pytest.approx(1024 * (326_520 / 16 + squashes) * slot)
    one = limit.floor(PATHS[ONE], 16, 1e9)
    assert one == pytest.approx((267_600 / 16 + 58_920 * 4 / 32 + squashes) * slot)
    step = limit.floor(Path("1998", True, 128), 16, 1e9)
    assert step == pytest.approx(128 * (861_120 / 16 + squashes) * slot)


def test_the_ratio_is_of_the_peak_in_the_same_round():
    path = PATHS[STEP]
    found = Measured(peaks=[1e9, 2e9], seconds=[1.0, 0.25], fastest=[0.5, 0.25])
    once = 2 * 861_120 * 128 / 1e9
    assert found.ratios(path) == pytest.approx([once, 2 * once])
    assert found.best_ratios(path) == pytest.approx([2 * once, 2 * once])


# ---- the guard -----------------------------------------------------------------------------------


def report(ratio_of, isa="avx2"):
    """A report in which each named path has these fractions of the peak, one a round."""
    paths = {}
    for name, fractions in ratio_of.items():
        flops = 2 * PATHS[name].multiply_adds * PATHS[name].images
        fastest = [flops / 1e9 / fraction for fraction in fractions]
        paths[name] = Measured([1e9] * len(fractions), [99.0] * len(fractions), fastest)
    return Report(isa, 8, 0.9, "a processor", "a compiler", "a system", paths)


@pytest.fixture
def guard(monkeypatch, tmp_path):
    """Run the guard against a stored 0.6 for STEP, with measurements that are given one by one."""
    baseline = tmp_path / "baseline.json"
    stored = {"a processor": {"avx2": {STEP: 0.6}, "neon": {ONE: 0.1}}, "b": {"avx2": {STEP: 0.9}}}
    baseline.write_text(json.dumps(stored))
    asked = []

    def call(*reports, arguments=()):
        left = list(reports)

        def fake(isa, names=None, **settings):
            asked.append(names)
            return left.pop(0)

        monkeypatch.setattr(check, "run", fake)
        code = check.main(["--baseline", str(baseline), "--isa", "avx2", *arguments])
        assert not left
        return code, asked, json.loads(baseline.read_text())

    return call


def test_a_loss_of_15_percent_passes_and_more_fails_after_a_second_look(guard, capsys):
    assert guard(report({STEP: [0.52] * 9}))[0] == 0
    assert " ok |" in capsys.readouterr().out
    code, asked, _ = guard(report({STEP: [0.50] * 9, ONE: [0.1]}), report({STEP: [0.505] * 9}))
    assert code == 1
    assert asked[-1] == [STEP]
    output = capsys.readouterr().out
    assert "FAILED" in output
    assert "50.5%" in output  # the better of the two


def test_a_second_look_can_save_a_path(guard):
    assert guard(report({STEP: [0.3] * 9}), report({STEP: [0.6] * 9}))[0] == 0


def test_a_few_disturbed_rounds_do_no_harm():
    assert check.upper_quartile([0.2, 0.6, 0.1, 0.6, 0.2, 0.61, 0.3, 0.3]) == 0.6
    assert check.upper_quartile([0.5]) == 0.5
    assert check.upper_quartile(range(9)) == 6


def test_what_has_no_baseline_is_reported(guard, capsys):
    code, asked, _ = guard(report({ONE: [0.01] * 9}))
    assert code == 0
    assert len(asked) == 1
    assert "no baseline" in capsys.readouterr().out


def test_writing_stores_what_was_measured_and_keeps_the_rest(guard):
    code, _, stored = guard(report({STEP: [0.3] * 9}), arguments=["--write"])
    assert code == 0
    assert stored == {
        "a processor": {"avx2": {STEP: 0.3}, "neon": {ONE: 0.1}},
        "b": {"avx2": {STEP: 0.9}},
    }


def test_an_unknown_processor_is_held_to_the_least():
    stored = {"a": {"avx2": {STEP: 0.6, ONE: 0.3}}, "b": {"avx2": {STEP: 0.5}}, "c": {}}
    found = check.compare("avx2", "d", stored, {STEP: 0.4, ONE: 0.3, "new": 0.1})
    assert [each.stored for each in found] == [0.5, 0.3, None]
    (own,) = check.compare("avx2", "a", stored, {STEP: 0.4})
    assert own.stored == 0.6


def test_the_stored_baseline_names_paths_that_exist():
    stored = json.loads(check.BASELINE.read_text(encoding="utf-8"))
    for ratios in (paths for of_isa in stored.values() for paths in of_isa.values()):
        assert set(ratios) <= set(PATHS)
        # Winograd takes three fifths of the multiply-adds that are counted
        assert all(0 < ratio < 5 / 3 for ratio in ratios.values())


# ---- the table of tanh ---------------------------------------------------------------------------


def test_the_pieces_of_tanh_in_the_core_are_those_that_are_printed(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["tanh_table"])
    tanh_table.main()
    kept_file = ROOT / "csrc" / "kernels" / "tanh_table.h"
    printed, kept = (
        [float(number) for number in re.findall(r"-?\d+\.\d+(?:e[+-]\d+)?(?=f)", text)]
        for text in (capsys.readouterr().out, kept_file.read_text())
    )
    assert len(printed) == 2 * (2 + 4 * tanh_table.PIECES)
    assert kept[0] == tanh_table.START
    # another library of linear algebra rounds otherwise
    np.testing.assert_allclose(printed, kept[1:], rtol=0, atol=1e-5)


# ---- threads -------------------------------------------------------------------------------------


def test_the_cost_of_the_fixed_order_is_the_difference_over_a_step():
    text = threads.same_bits({"ordered": 830.0, "unordered": 800.0, "step": 1000.0})
    assert "+30 us, +3.0% of a step" in text


def test_each_setting_runs_without_the_users_own(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    monkeypatch.setenv("LENET_C_THREADS", "none")
    for setup in threads.SETUPS:
        seen = {k: v for k, v in setup.environment().items() if k.startswith(threads.SETTINGS)}
        assert seen == {"LENET_C_THREADS": setup.threading} | setup.settings
    assert (threads.OPENMP.threading, threads.TEAM.threading) == ("openmp", "team")


def test_the_report_on_threads_has_each_setup_quiet_and_busy():
    loop = {"empty": 0.2, "warm": 1.5, "asleep": 60.0, "idle": 0.1}
    gain = {"1": 2e-3, "2": 1e-3, "gain": 1.98}
    found = {"inference": gain, "training": gain, "pass 64": {"2": 0.5}, "pass 128": {"2": 0.4}}
    found["multiply-adds"] = {"1": 2e-3, "2": 2.2e-3, "gain": 1.82}
    rows = [
        [threads.loop_row(setup, loop) for setup in threads.SETUPS],
        [threads.python_row(setup, found) for setup in threads.SETUPS],
    ]
    guests = [["some team", "3", "4", "runs on 1"]]
    text = threads.report({"quiet": rows, "busy": rows}, guests, "bits", 0.0, 1.0)
    assert "| some team | 3 | 4 | runs on 1 |" in text
    for setup in threads.SETUPS:
        assert text.count(f"| {setup.name} |") == 4
    assert text.count("| 1.82x |") == 2 * len(threads.SETUPS)
    assert "2.00, 1.00 ms: 1.98x" in text


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
def test_the_team_is_a_good_guest(tmp_path, monkeypatch):
    """Two teams for all callers, one in a forked child; only OpenMP's ends a process."""
    monkeypatch.delenv("LD_PRELOAD", raising=False)  # a sanitizer wants memory for each thread
    if not (shutil.which("gcc") or shutil.which("clang")):
        pytest.skip("no C compiler here")
    openmp = "openmp" in cpu_info()["available_threading"]
    flags = ["-fopenmp"] if openmp else []
    program = threads.build_program(tmp_path, ["-pthread", "-O0", *flags], ["avx2", "avx512"])
    _, besides, child, outcome = threads.as_guest(program, threads.TEAM)
    assert (1 <= int(besides) <= 3, outcome) == (True, "runs on 1")
    assert int(child) > 1
    if openmp:
        _, besides, child, outcome = threads.as_guest(program, threads.OPENMP)
        assert 1 <= int(besides) <= 6
        assert int(child) > 1
        if str(cpu_info()["compiler"]).startswith("gcc"):
            assert outcome.startswith("ends the process with code 1: libgomp: ")


@pytest.mark.skipif(os.name != "posix", reason="reads processes by POSIX signals")
def test_the_hog_ends():
    with threads.hog(True) as process:
        assert process.poll() is None
    assert process.poll() is not None


# ---- measuring -----------------------------------------------------------------------------------


def test_a_process_of_its_own_measures_and_profiles():
    isa = _core.available_isas()[-1]
    found = run(isa, [ONE, "modern: step 1, SGD"], rounds=2, seconds=0.001, profile=True)
    assert found.isa == isa
    assert 0.2 < found.loading < 1.5
    assert f"{found.loading:.0%} of it with one load" in limit.section(found)
    for measured in found.paths.values():
        assert len(measured.peaks) == len(measured.seconds) == 2
        total = sum(sum(layers.values()) for layers in measured.profile.values())
        assert total == pytest.approx(1.0)
    text = limit.write_up([found], [["a pass", "0.40 s", "0.80 s", "0.50 s"]], 2, 0.0, 1.0)
    assert "| a pass | 0.40 s | 0.80 s | 0.50 s |" in text
    for part in (isa, ONE, "forward C1", "backward, weights C3", "the call, Python"):
        assert part in text
    shares = [line for line in text.splitlines() if line.startswith("| part, layer |")]
    assert shares == [f"| part, layer | {path} |" for path in found.paths]


def test_an_aim_in_seconds_is_a_fraction_of_the_peak():
    """Half the peak may take twice as long."""
    assert limit.aim(7e-6, "avx512", 130e9, "{:.1e}".format) == ["7.0e-06", "1.4e-05"]
    assert limit.aim(7e-6, "neon", 130e9, "{:.1e}".format) == ["7.0e-06", "-"]


def test_trainings_are_held_against_the_peak_of_their_own_instruction_set(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(_core, "isa", lambda: ("avx2", 8))
    monkeypatch.setattr(_core, "available_isas", lambda: ["avx512", "avx2"])
    monkeypatch.setattr(limit, "run", lambda isa, **settings: report({STEP: [0.5]}, isa))
    monkeypatch.setattr(limit, "section", lambda report: report.isa)
    monkeypatch.setattr(limit, "fits", lambda isa, peak: asked.append(isa) or [["a training"]])
    for arguments, shown in (([], True), (["--isa", "avx512"], False)):
        monkeypatch.setattr("sys.argv", ["limit", *arguments])
        limit.main()
        assert ("| a training |" in capsys.readouterr().out) == shown
    assert asked == ["avx2"]


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("limit", limit.METHOD.format(rounds=11, squash=12, bytes=32, windows=15)),
        ("limit", limit.AIMED.format(avx512=260, avx2=130)),
        ("threads", threads.METHOD.format(rounds=threads.ROUNDS, passes=3)),
        ("threads", threads.CHOICE),
        ("threads", threads.HOST.format(of_each=4, extra=3)),
        ("peers", peers.METHOD.format(rounds=7, passes="3")),
    ],
)
def test_the_pages_say_what_the_commands_would(page, text):
    assert text in (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")


def total(profile):
    return sum(profile.seconds(part, i) for part in _core.PARTS for i in range(7))  # of most layers


@pytest.mark.parametrize("network", NETWORKS)
def test_a_profile_accounts_for_a_step_and_only_while_it_is_there(network):
    net = LeNet5(NETWORKS[network])
    images = np.zeros((128, 28, 28), np.uint8)
    labels = np.zeros(128, np.int64)
    trainer = Trainer(net, num_threads=1)
    trainer.step(images, labels)
    profile = net._network.profile = _core.Profile()
    shares = []
    for _ in range(10):
        before, began = total(profile), time.perf_counter()
        trainer.step(images, labels)
        whole = time.perf_counter() - began
        shares.append((total(profile) - before) / whole)
    # some step is not interrupted between the core's last look at the clock and ours
    assert 0.5 < max(shares) <= 1.0 + 1e-9
    layers = range(len(net.architecture.layers))
    seconds = {part: [profile.seconds(part, i) for i in layers] for part in _core.PARTS}
    # S2 and S4 count with C1 and C3 where those run by Winograd
    apart = (1, 3) if _core.isa()[0] == "avx512" else ()
    assert all(s > 0 for i, s in enumerate(seconds["forward"]) if i not in apart)
    for part in ("load", "loss", "backward_input", "backward_weights", "update"):
        assert sum(seconds[part]) > 0
    net._network.profile = None
    trainer.step(images, labels)
    assert profile.seconds("load") == seconds["load"][0]


def test_a_profile_has_no_other_parts():
    profile = _core.Profile()
    with pytest.raises(ValueError, match="not in tuple"):
        profile.seconds("tea")
    with pytest.raises(IndexError, match="layer: got 64"):
        profile.seconds("load", 64)


# ---- two builds beside each other ---------------------------------------------------------------


def test_pairs_of_a_checkout_with_itself(capsys):
    arguments = [str(ROOT), "--pairs", "1", "--only", ONE, "--isa", "portable", "--most", "1e9"]
    assert pairs.main(arguments) == 0
    row = capsys.readouterr().out.splitlines()[2]
    assert re.fullmatch(rf"\| portable, {ONE} \| [\d.]+ us \| \d+\.\d{{3}} \| \d+\.\d{{3}} \|", row)
    assert pairs.main([*arguments[:-1], "0"]) == 1
    assert "above 0.0: portable, " in capsys.readouterr().out


def test_pairs_wants_a_checkout_that_was_built(tmp_path):
    with pytest.raises(SystemExit, match="is no checkout of lenet_c that was built in place"):
        pairs.main([str(tmp_path)])
