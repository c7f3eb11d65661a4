"""How a training goes on, for who asks: lines, a bar, and nothing unless asked."""

import copy
import io
import pickle
import re
import sys

import numpy as np
import pytest

import lenet_c
from lenet_c import LeNet5, LineReader, ProgressBar, Trainer, progress

IMAGES = np.random.default_rng(5).integers(0, 256, (50, 28, 28)).astype(np.uint8)
LABELS = np.arange(50) % 10
STRIPS = [np.zeros((32, 60), np.uint8)] * 6
TEXTS = ["1", "23"] * 3
LINE = r"epoch {}/3  loss \d\.\d{{4}}  error +\d+\.\d\d%  [\d,]+ images/s\n"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def terminal(monkeypatch):
    """Make standard error a terminal, which keeps each movement of a bar."""
    pytest.importorskip("tqdm")
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setattr(progress, "_EVERY", 0.0)
    return shown


def trainer(**settings):
    return Trainer(LeNet5("lenet5-28"), batch_size=20, **settings)


def bars(shown):
    return [part for part in re.split(r"[\r\n]", shown.getvalue()) if "|" in part]


# ---- Trainer.fit ----


@pytest.mark.parametrize("verbose", [{}, {"verbose": False}, {"verbose": 0}])
def test_nothing_is_printed_unless_asked(verbose, capsys, monkeypatch):
    shown = terminal(monkeypatch)
    trainer().fit(IMAGES, LABELS, 3, validation_split=0.2, **verbose)
    LineReader(LeNet5("lenet5-strings")).fit(STRIPS, TEXTS, 2, validation_split=0.5, **verbose)
    assert capsys.readouterr() == ("", "")
    assert shown.getvalue() == ""


@pytest.mark.parametrize("verbose", [True, 1, 2, np.int64(1)])
def test_lines_alone_where_there_is_no_terminal(verbose, capsys):
    trainer().fit(IMAGES, LABELS, 3, verbose=verbose)
    out, err = capsys.readouterr()
    assert re.fullmatch("".join(LINE.format(k) for k in (1, 2, 3)), out)
    assert err == ""


def test_lines_have_the_validation_and_the_width_of_the_passes(capsys):
    trainer().fit(IMAGES, LABELS, 10, validation_split=0.2, verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
    assert lines[0].startswith("epoch  1/10  loss ")
    assert all(re.search(r"  validation +\d+\.\d\d%  ", line) for line in lines)


@pytest.mark.parametrize("asked", [{"verbose": True}, {"callbacks": [ProgressBar]}])
def test_a_bar_on_a_terminal(asked, monkeypatch, capsys):
    shown = terminal(monkeypatch)
    callbacks = [kind() for kind in asked.get("callbacks", ())]
    one = trainer(callbacks=callbacks)
    one.fit(IMAGES, LABELS, 3, verbose=asked.get("verbose", False))
    out, err = capsys.readouterr()
    assert len(re.findall("".join(LINE.format(k) for k in (1, 2, 3)), out)) == 1
    assert err == ""
    found = [
        re.match(r"epoch (\d)/3: *\|.*images/s, loss [\d.]+, error [\d.]+%", bar)
        for bar in bars(shown)
    ]
    moved = [int(each[1]) for each in found if each]
    assert sorted(moved) == moved
    assert set(moved) == {1, 2, 3}
    assert len(moved) >= 9  # a movement an update
    assert "|" not in shown.getvalue().rpartition("\r")[2]  # it is gone
    assert shown.getvalue().rstrip(" ").endswith("\r")
    assert one.callbacks == callbacks
    assert one._shown is None


def test_two_lines_and_no_bar(monkeypatch, capsys):
    shown = terminal(monkeypatch)
    trainer().fit(IMAGES, LABELS, 3, verbose=2)
    assert capsys.readouterr().out.count("\n") == 3
    assert shown.getvalue() == ""


def test_the_bar_of_several_fits(monkeypatch, capsys):
    shown = terminal(monkeypatch)
    one = trainer(callbacks=[ProgressBar()])
    one.fit(IMAGES, LABELS, 2)
    before = len(shown.getvalue())
    one.fit(IMAGES, LABELS, 3)
    assert "epoch 1/3" in shown.getvalue()[before:]


def test_a_bar_that_could_not_be_seen_is_there_in_the_next_fit(monkeypatch):
    one = trainer(callbacks=[ProgressBar()])
    made_bar(monkeypatch, "tqdm.asyncio")
    one.fit(IMAGES, LABELS, 1)
    made = made_bar(monkeypatch)
    one.fit(IMAGES, LABELS, 1)
    assert len(made) == 1


@pytest.mark.parametrize("how", [FloatingPointError, KeyboardInterrupt])
def test_the_bar_goes_however_the_run_ends(how, monkeypatch, capsys):
    shown = terminal(monkeypatch)

    class Fails:
        def on_batch_end(self, trainer, batch):
            if batch["step"] == 5:
                raise how

    one = trainer(callbacks=[Fails()])
    with pytest.raises(how):
        one.fit(IMAGES, LABELS, 3, verbose=True)
    assert bars(shown)
    assert shown.getvalue().rstrip(" ").endswith("\r")
    assert one._shown is None


def test_the_bar_shows_what_the_pass_has_come_to(monkeypatch):
    bar = made_bar(monkeypatch)
    one = trainer()
    monkeypatch.setattr(progress, "_EVERY", 0.0)
    one.fit(IMAGES, LABELS, 2, verbose=True)
    (made,) = bar
    assert (made.settings["total"], made.settings["initial"]) == (100, 0)
    assert made.places == [20, 40, 50, 70, 90, 100]
    assert made.written == 2
    assert made.closed == 1
    record = one.history.epochs[0]
    assert made.texts[2] == f"loss {record['loss']:.4f}, error {record['error_rate']:.2%}"


def made_bar(monkeypatch, module="tqdm.auto"):
    """Put a bar in tqdm's place that notes what it is told; give the list of those made."""
    pytest.importorskip("tqdm.auto")
    made = []

    class Bar:
        def __init__(self, **settings):
            self.settings, self.n, self.total = settings, settings["initial"], settings["total"]
            self.places, self.texts, self.written, self.closed = [], [], 0, 0
            made.append(self)

        def set_description(self, text, refresh):
            self.title = text

        def set_postfix_str(self, text, refresh):
            self.texts.append(text)

        def update(self, n):
            self.n += n
            self.places.append(self.n)

        def write(self, line, file):
            assert file is sys.stdout
            self.written += 1

        def close(self):
            self.closed += 1

    Bar.__module__ = module
    monkeypatch.setattr("tqdm.auto.tqdm", Bar)
    return made


def test_a_notebook_has_a_bar_without_a_terminal(monkeypatch):
    made = made_bar(monkeypatch)
    trainer().fit(IMAGES, LABELS, 2, verbose=True)
    assert len(made) == 1
    made = made_bar(monkeypatch, "tqdm.asyncio")
    trainer().fit(IMAGES, LABELS, 2, verbose=True)
    assert not made


def test_a_bar_that_was_stopped_is_full(monkeypatch):
    class Stop:
        def on_epoch_end(self, trainer, record):
            trainer.stop = True

    (made,) = [made_bar(monkeypatch)]
    trainer(callbacks=[Stop()]).fit(IMAGES, LABELS, 9, verbose=True)
    assert made[0].total == made[0].n == 50


@pytest.mark.parametrize("verbose", [True, False])  # else a callback
@pytest.mark.parametrize("at", [1, 4])
def test_a_resumed_training_goes_on_where_it_stood(at, verbose, monkeypatch, tmp_path):
    class Saves:
        def on_batch_end(self, trainer, batch):
            if batch["step"] == at:
                trainer.save(tmp_path / "state.npz")

    whole = trainer(callbacks=[Saves()])
    whole.fit(IMAGES, LABELS, 3, verbose=2)
    made = made_bar(monkeypatch)
    monkeypatch.setattr(progress, "_EVERY", 0.0)
    callbacks = [] if verbose else [ProgressBar()]
    again = Trainer.load(tmp_path / "state.npz", callbacks=callbacks)
    again.resume(IMAGES, LABELS, verbose=verbose)
    np.testing.assert_array_equal(again.network.parameters, whole.network.parameters)
    places = [20, 40, 50, 70, 90, 100, 120, 140, 150]
    (bar,) = made
    assert bar.settings["initial"] == places[at - 1]
    assert bar.places == places[at:]


def test_copies_made_meanwhile_have_no_bar(monkeypatch, capsys):
    terminal(monkeypatch)
    copies = []

    class Copies:
        def on_epoch_end(self, trainer, record):
            copies.extend(
                [pickle.loads(pickle.dumps(trainer)), copy.deepcopy(trainer), copy.copy(trainer)]
            )

    global Kept
    Kept = Copies
    Copies.__qualname__ = "Kept"
    one = trainer(callbacks=[ProgressBar(), Copies()])
    one.fit(IMAGES, LABELS, 1, verbose=True)
    for other in copies:
        assert other._shown is None
    for other in copies[:2]:
        assert other.callbacks[0]._bar is None
        capsys.readouterr()
        other.resume(IMAGES, LABELS)
        np.testing.assert_array_equal(other.network.parameters, one.network.parameters)


def test_the_same_weights_with_and_without(monkeypatch, capsys):
    terminal(monkeypatch)
    one, other = trainer(distort="affine"), trainer(distort="affine")
    one.fit(IMAGES, LABELS, 3, verbose=True)
    other.fit(IMAGES, LABELS, 3)
    np.testing.assert_array_equal(one.network.parameters, other.network.parameters)


def test_a_progress_bar_beside_verbose_prints_each_line_once(capsys):
    pytest.importorskip("tqdm")
    trainer(callbacks=[ProgressBar()]).fit(IMAGES, LABELS, 3, verbose=True)
    assert len(capsys.readouterr().out.splitlines()) == 3


@pytest.mark.parametrize(
    ("verbose", "error"),
    [(3, ValueError), (-1, ValueError), ("auto", TypeError), (None, TypeError)],
)
def test_another_verbose(verbose, error):
    with pytest.raises(error, match=f"verbose: got {verbose!r}, want a whole number from 0 to 2"):
        trainer().fit(IMAGES, LABELS, verbose=verbose)
    with pytest.raises(error, match=f"verbose: got {verbose!r}, want a whole number from 0 to 2"):
        LineReader(LeNet5("lenet5-strings")).fit(STRIPS, TEXTS, verbose=verbose)


# ---- without tqdm ----


def test_without_tqdm_there_are_lines(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", Terminal())
    for module in ("tqdm", "tqdm.auto"):
        monkeypatch.setitem(sys.modules, module, None)
    trainer().fit(IMAGES, LABELS, 3, verbose=True)
    assert capsys.readouterr().out.count("\n") == 3
    LineReader(LeNet5("lenet5-strings")).fit(STRIPS, TEXTS, 2, verbose=True)
    assert capsys.readouterr().out.count("\n") == 2
    assert sys.stderr.getvalue() == ""
    with pytest.raises(ImportError, match=r'ProgressBar needs tqdm: pip install "lenet_c\[prog'):
        ProgressBar()


def test_without_standard_error(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", None)
    trainer().fit(IMAGES, LABELS, 3, verbose=True)
    assert capsys.readouterr().out.count("\n") == 3


def test_it_is_offered():
    assert lenet_c.ProgressBar is ProgressBar
    assert "ProgressBar" in lenet_c.__all__


# ---- LineReader.fit ----


def test_a_reader_shows_its_updates(capsys, monkeypatch):
    shown = terminal(monkeypatch)
    reader = LineReader(LeNet5("lenet5-strings"))
    reader.fit(STRIPS, TEXTS, 3, batch_size=2, validation_split=0.5, verbose=True)
    out = capsys.readouterr().out
    line = r"update {}/3  loss [\d.]+  validation +[\d.]+%  [\d,]+ strips/s\n"
    assert re.fullmatch("".join(line.format(k) for k in (1, 2, 3)), out)
    assert any(bar.startswith("training|") for bar in bars(shown))
    assert shown.getvalue().rstrip(" ").endswith("\r")
    before = len(shown.getvalue())
    reader.fit(STRIPS, TEXTS, 40, batch_size=2, verbose=2)
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 20
    assert "validation" not in out
    assert len(shown.getvalue()) == before


def test_a_readers_bar_goes_when_it_fails(capsys, monkeypatch):
    shown = terminal(monkeypatch)

    def fails(step, loss):
        raise KeyboardInterrupt

    reader = LineReader(LeNet5("lenet5-strings"))
    with pytest.raises(KeyboardInterrupt):
        reader.fit(STRIPS, TEXTS, 3, verbose=True, on_step=fails)
    assert shown.getvalue().rstrip(" ").endswith("\r")
