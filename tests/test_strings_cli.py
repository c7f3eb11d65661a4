"""`lenet-c read`, and training for it, end to end."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from lenet_c import (
    LENET5_STRINGS,
    LeNet5,
    LineReader,
    Rejection,
    cli,
    datasets,
    folders,
    set_num_threads,
)
from lenet_c.recipes import strings as recipe

pytest.importorskip("scipy")
Image = pytest.importorskip("PIL.Image")

from readers import drawn, texts  # noqa: E402


@pytest.fixture(autouse=True)
def one_thread():
    """Quicker on a machine with other work."""
    set_num_threads(1)
    yield
    set_num_threads(None)


@pytest.fixture(scope="module")
def place(quick_reader, real_digits, tmp_path_factory):
    """A folder with a model, fields that it reads right, and their texts in labels.csv."""
    folder = tmp_path_factory.mktemp("fields")
    quick_reader.save(folder / "model.npz")
    rng = np.random.default_rng(5)
    rows = [["file", "text"]]
    for text in texts(70, rng):
        picture = drawn(*real_digits[1], text, rng)[1]
        if quick_reader.read(picture).text == text and len(rows) <= 60:
            rows.append([f"{len(rows)}.png", text])
            Image.fromarray(picture).save(folder / rows[-1][0])
    assert len(rows) == 61
    with open(folder / "labels.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    Image.new("L", (120, 50), 210).save(folder / "blank.png")
    return folder, dict(rows[1:])


@pytest.fixture
def command(place, capfd, monkeypatch):
    """Give a function that runs a command in the folder: exit code, output, errors."""
    monkeypatch.chdir(place[0])

    def run(*arguments):
        try:
            code = cli.main([*map(str, arguments)])
        except SystemExit as end:
            code = end.code
        return code, *capfd.readouterr()

    return run


# ---- read ----


def test_read(command, place):
    files = list(place[1])[:3]
    code, out, err = command("read", "--model", "model.npz", *files)
    assert (code, err) == (0, "")
    for line, file in zip(out.splitlines(), files, strict=True):
        name, text, probability = line.split("\t")
        assert (name, text) == (file, place[1][file])
        assert 0 < float(probability) <= 1


def test_read_in_a_process(place):
    done = subprocess.run(
        [sys.executable, "-m", "lenet_c", "read", "1.png", "--model", "model.npz", "--threads=1"],
        cwd=place[0],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"1.png\t{place[1]['1.png']}\t")


def test_the_other_pictures_are_read_though_one_fails(command, place):
    given = ("read", "--model", "model.npz", "1.png", "blank.png", "none.png", "2.png")
    code, out, err = command(*given)
    assert code == 2
    assert [line.split("\t")[0] for line in out.splitlines()] == ["1.png", "2.png"]
    one, other = err.splitlines()
    assert one.startswith("lenet-c: error: blank.png: no writing stands out")
    assert other == "lenet-c: error: none.png: No such file or directory"

    code, out, err = command(*given, "--json")
    assert (code, err) == (2, "")
    answers = json.loads(out)
    assert [a["file"] for a in answers] == list(given[3:])
    assert answers[0]["text"] == place[1]["1.png"]
    assert len(answers[0]["boxes"]) == len(answers[0]["text"]) == len(answers[0]["confidence"])
    assert "no writing" in answers[1]["error"]
    assert answers[3]["doubtful"] is False

    code, out, err = command(*given, "--csv")
    assert (code, err) == (2, "")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["file"] for row in rows] == list(given[3:])
    assert [row["text"] for row in rows] == [place[1]["1.png"], "", "", place[1]["2.png"]]
    assert rows[0]["doubtful"] == "no"
    assert "No such file" in rows[2]["error"]


def test_what_can_be_read(command, place, tmp_path):
    text = place[1]["1.png"]
    words = tmp_path / "words.txt"
    words.write_text(f"{text[:-1]}{(int(text[-1]) + 1) % 10}\r\n\n00\n", encoding="utf-8-sig")
    for arguments, wanted in (
        (["--pattern", rf"\d{{{len(text)}}}"], rf"{text}"),
        (["--length", len(text)], text),
        (["--length", f"{len(text) + 1}-{len(text) + 2}"], rf"\d{{{len(text) + 1},}}"),
        (["--lexicon", words], words.read_text("utf-8-sig").split()[0]),
    ):
        code, out, err = command("read", "--model", "model.npz", "1.png", *arguments)
        assert (code, err) == (0, "")
        assert re.fullmatch(wanted, out.split("\t")[1]), arguments


def test_doubts(command):
    for limit, doubtful in ((0, True), (50, False)):
        given = ("read", "--model", "model.npz", "1.png", "--reject", f"penalty={limit}")
        assert command(*given)[1].endswith("\tdoubtful\n") == doubtful
        assert (",yes," in command(*given, "--csv")[1]) == doubtful
    out = command("read", "--model", "model.npz", "1.png", "--length", "90")[1]
    assert out == "1.png\t\t0.0000\tdoubtful\tno text that is allowed fits into the picture\n"


ERRORS = {
    ("read", "1.png", "--model", "none.npz"): "none.npz: No such file",
    ("read", "1.png", "--model", "mnist"): "mnist: lenet5-1998 has no blank class",
    ("read", "1.png", "--model", "model.npz", "--pattern", "("): "pattern: ",
    ("read", "1.png", "--model", "model.npz", "--length", "7-4"): "argument --length: got '7-4'",
    ("read", "1.png", "--model", "model.npz", "--lexicon", "none"): "none: No such file",
    ("read", "1.png", "--model", "model.npz", "--lexicon", "1.png"): "1.png: is not text",
    (
        "read",
        "1.png",
        "2.png",
        "--model",
        "model.npz",
        "--reject",
        "margin=2",
    ): "want a penalty alone",
    ("read", "1.png", "--json", "--csv"): "not allowed with",
    ("train", "--strings", "--loss", "mse"): "--loss is not for --strings",
    ("train", "--strings", "--from", "mnist"): "--from is not for --strings",
    ("train", "--strings", "--committee", "2"): "--committee is not for --strings",
    ("train", "--strings", "--form", "raw"): "--form is not for --strings",
    ("train", "--steps", "3", "--dataset", "digits"): "--steps is for strings",
    ("train", "--architecture", "lenet5-strings"): "--strings trains it",
    ("train", "--from", "model.npz"): "--data: want fields of your own",
    ("train", "--from", "model.npz", "--codes", "AB", "--data", "."): "--codes is for RBF outputs",
    ("train", "--from", "model.npz", "--boost", "--data", "."): "--boost is not for --from",
    ("train", "--from", "model.npz", "--data", ".", "--steps", "3", "--epochs", "1"): "want one",
    ("train", "--from", "mnist", "--data", "."): "a reader of fields is trained --from strings",
    ("train", "--from", "model.npz", "--data", "letters"): "has single characters, want fields",
    ("evaluate", "model.npz", "--data", ".", "--plot", "plots"): "--plot is not for model.npz",
}


@pytest.mark.parametrize("arguments", ERRORS)
def test_errors_in_one_line(arguments, command, place):
    for name in "AB":
        (place[0] / "letters" / name).mkdir(parents=True, exist_ok=True)
        Image.open(place[0] / "1.png").crop((0, 0, 70, 80)).save(
            place[0] / "letters" / name / "1.png"
        )
    code, _, err = command(*arguments)
    assert code == 2
    assert err.startswith("lenet-c: error: ")
    assert err.count("\n") == 1
    assert ERRORS[arguments] in err


# ---- train, evaluate, summary ----


def test_train_on_fields_of_ones_own(command, place, tmp_path):
    output = tmp_path / "own.npz"
    given = ("train", "--data", ".", "--from", "model.npz", "--output", output, "--seed", "3")
    code, out, err = command(*given, "--steps", "4", "--batch-size", "8")
    assert (code, err) == (0, "")
    assert "from model.npz: goes on with 0, 1, 2, 3, 4, 5, 6, 7, 8, 9\n" in out
    assert ": 48 fields, 4 updates of 8 strips; rate 0.001; seed 3; threads 1\n" in out
    assert re.search(r"^before: validation error 0\.00% \(0 of 12 texts\)", out, re.M)
    lines = re.findall(
        r"^update (\d)/4  loss [\d.]+  validation +[\d.]+%  [\d,]+ strips/s$", out, re.M
    )
    assert lines == list("1234")
    assert "not calibrated: pictures: got 12 that show a line, want at least 50" in out
    assert re.search(r"^validation error [\d.]+% \(\d+ of 12 texts\), of characters", out, re.M)
    assert out.endswith(f"saved {output}\n")
    learnt = LineReader.load(output)
    assert learnt.network.class_names == tuple("0123456789")
    assert (learnt.network.parameters != LeNet5.load("model.npz").parameters).any()


def test_train_without_validation_for_epochs_quietly(command, tmp_path):
    output = tmp_path / "own.npz"
    given = ("train", "--data", ".", "--from", "model.npz", "--output", output, "--quiet")
    code, out, _ = command(
        *given, "--validation", 0, "--epochs", 1, "--batch-size", 32, "--no-distort", "--rate", 0
    )
    assert code == 0
    assert ": 60 fields, 2 updates of 32 strips; rate 0" in out
    assert "validation error" not in out
    assert "update 1/" not in out
    before, after = LeNet5.load("model.npz"), LeNet5.load(output)
    np.testing.assert_array_equal(before.parameters, after.parameters)


def test_train_calibrates_with_other_fields(command, place, tmp_path):
    output = tmp_path / "own.npz"
    given = ("train", "--data", ".", "--from", "model.npz", "--output", output, "--quiet")
    code, out, _ = command(*given, "--validation", ".", "--steps", 1, "--batch-size", 4)
    assert code == 0
    assert "not calibrated" not in out
    assert LeNet5.load(output).rejection is not None


def test_train_adds_the_marks_that_texts_have(command, place, tmp_path):
    output, own = tmp_path / "own.npz", tmp_path / "own"
    own.mkdir()
    rows = ["file,text"]
    for k, (file, text) in enumerate(list(place[1].items())[:6]):
        (own / file).write_bytes((place[0] / file).read_bytes())
        rows.append(f"{file},{text[:1]}-{text[1:]}" if k < 2 else f"{file},{text}")
    (own / "labels.csv").write_text("\n".join(rows))
    given = ("train", "--data", own, "--from", "model.npz", "--output", output, "--quiet")
    code, out, _ = command(*given, "--steps", 1, "--batch-size", 4, "--dataset", "digits")
    assert code == 0
    assert "; new -\n" in out
    assert "before:" not in out
    assert LineReader.load(output).class_names == tuple("0123456789-")


def test_train_tells_what_it_leaves_out(place, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    rows = ["file,text"]
    for file, text in list(place[1].items())[:4]:
        (own / file).write_bytes((place[0] / file).read_bytes())
        rows.append(f"{file},{text}")
    Image.fromarray(np.full((50, 150), 220, np.uint8)).save(own / "blank.png")
    (own / "labels.csv").write_text("\n".join([*rows, "blank.png,12"]))
    given = ["train", "--data", own, "--from", "model.npz", "--output", tmp_path / "own.npz"]
    given += ["--quiet", "--steps", "1", "--batch-size", "4", "--validation", "0"]
    done = subprocess.run(
        [sys.executable, "-m", "lenet_c", *given], cwd=place[0], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert re.fullmatch(
        r"lenet-c: warning: pictures: 1 of 5 are left out; blank\.png: no writing stands out .*\n",
        done.stderr,
    )


def test_the_settings_of_training_reach_it(command, tmp_path, monkeypatch):
    def fit(reader, fields, **settings):
        told.append((reader, fields, settings))
        return reader

    told = []
    monkeypatch.setattr(LineReader, "fit", fit)
    LineReader.load("model.npz").with_classes("-9876543210").save(tmp_path / "turned.npz")
    given = ("train", "--data", ".", "--from", tmp_path / "turned.npz", "--quiet")
    given += ("--output", tmp_path / "own.npz", "--validation", 0)
    assert command(*given)[0] == 0
    own = ("--steps", 9, "--batch-size", 5, "--rate", 0.02, "--seed", 4)
    own += ("--freeze", "C1,C3", "--no-distort", "--dataset", "digits")
    assert command(*given, *own)[0] == 0
    assert command(*given[:4], "strings", *given[5:])[0] == 0
    assert command(*given, "--distort")[0] == command(*given, "--distort", "world")[0] == 0
    (_, _, plain), (reader, fields, settings), (shipped, _, _) = told[:3]
    assert [one.get("distort") for _, _, one in told[3:]] == [None, "world"]
    assert ("distort" in told[3][2], told[3][2]["verbose"]) == (False, False)
    assert (shipped.network.parameters == LeNet5.pretrained("strings").parameters).all()
    assert len(fields) == 60
    assert (plain["steps"], plain["batch_size"], plain["seed"]) == (2000, 64, 0)
    assert plain["optimizer"].lr == 1e-3
    assert plain["synthetic"] is None
    assert "distort" not in plain
    assert (settings["steps"], settings["batch_size"], settings["seed"]) == (9, 5, 4)
    assert settings["optimizer"].lr == 0.02
    assert settings["distort"] is None
    assert settings["freeze"] == ["C1", "C3"]
    assert reader.class_names == tuple("-9876543210")
    # the digits that are mixed in are of the reader's classes
    images, labels = datasets.digits()[0]
    wanted = datasets.strings(images, [10 - label for label in labels], digits=False, seed=4)
    for got, want in zip(settings["synthetic"].batch(5), wanted.batch(5), strict=True):
        assert all(map(np.array_equal, got, want))


def test_train_strings(command, tmp_path, monkeypatch):
    monkeypatch.setattr(recipe, "CALIBRATED_ON", 60)
    monkeypatch.setattr(recipe, "TESTED_ON", 20)
    calibrate, own = recipe.calibrate, []

    def noted(reader, *digits, **settings):
        own.append(digits)
        calibrate(reader, *digits, **settings)

    monkeypatch.setattr(recipe, "calibrate", noted)
    outputs = [tmp_path / "one.npz", tmp_path / "other.npz"]
    for output, threads in zip(outputs, (1, 2), strict=True):
        given = ("train", "--strings", "--dataset", "digits", "--steps", 2, "--seed", 7)
        code, out, err = command(*given, "--output", output, "--threads", threads)
        assert (code, err) == (0, "")
        assert re.search(r"^update 2/2  loss [\d.]+  [\d,]+ strips/s$", out, re.M)
        for what in recipe.KINDS:
            assert re.search(
                rf"^strings of five test digits, {what}: [\d.]+% right \(\d+ of 20\)$", out, re.M
            )
        assert re.search(r"^single test digits: error [\d.]+%$", out, re.M)
        assert "not calibrated: texts: none is read right" in out
        assert out.endswith(f"saved {output}\n")
    one, other = (LeNet5.load(output) for output in outputs)
    np.testing.assert_array_equal(one.parameters, other.parameters)
    assert one.class_names == tuple("0123456789")
    train = datasets.digits()[0]  # the last sixth is not learnt from
    for got, given in zip(own[0], train, strict=True):
        np.testing.assert_array_equal(got, given[-(len(given) // 6) :])
    assert one.notes["command"] == "lenet-c train --strings --steps 2 --seed 7"
    assert (one.parameters != LeNet5(LENET5_STRINGS, seed=7).parameters).any()


def test_strips_of_the_recipe_are_of_seeds_of_their_own(real_digits, monkeypatch):
    streams, made, seeds = [], recipe.strings, []

    def first_weights(architecture, seed):
        seeds.append(seed)
        return LeNet5(architecture, seed=seed)

    def strings(*digits, **settings):
        streams.append(made(*digits, **settings))
        return streams[-1]

    monkeypatch.setattr(recipe, "strings", strings)
    monkeypatch.setattr(recipe, "LeNet5", first_weights)
    reader = recipe.train(*real_digits[0], steps=1, seed=2)
    assert seeds == [2]
    monkeypatch.setattr(recipe, "CALIBRATED_ON", 60)
    with contextlib.suppress(ValueError):  # it has learnt nothing
        recipe.calibrate(reader, *real_digits[0], seed=2)
    assert [(s.settings["preset"], s.settings["seed"], s.position) for s in streams] == [
        ("field", 6, 44), ("mnist", 7, 10), ("paper", 8, 10), ("field", 9, 60)
    ]  # fmt: skip


@pytest.mark.skipif(os.name != "posix", reason="terminals of POSIX")
def test_a_bar_on_a_terminal(place, tmp_path):
    pytest.importorskip("tqdm")
    from test_cli import COMMAND, on_terminal

    given = ("train", "--data", place[0], "--from", place[0] / "model.npz", "--threads", "1")
    settings = ("--steps", "5", "--batch-size", "4", "--validation", "0")
    code, shown = on_terminal([*COMMAND, *map(str, given), *settings], tmp_path)
    assert code == 0, shown
    assert re.search(
        r"\rtraining\|[^|\r]*\| [\d:]+<[\d:?]+, +[\d.]+k? strips/s, loss [\d.]+", shown
    )
    assert re.search(r"\rupdate 5/5  loss [\d.]+  ", shown)
    assert "saved model.npz" in shown


def test_calibration_and_results_of_the_recipe(quick_reader, real_digits, monkeypatch):
    monkeypatch.setattr(recipe, "CALIBRATED_ON", 200)
    reader = LineReader(LeNet5(LENET5_STRINGS))
    reader.network.parameters[...] = quick_reader.network.parameters
    recipe.calibrate(reader, *real_digits[0])
    assert reader.network.temperature != 1.0
    assert reader.network.rejection is not None
    found = recipe.evaluate(reader, *real_digits[1], n=50)
    assert set(found) == set(recipe.KINDS)
    plain = found["as they are, 0 to 4 pixels apart"]
    assert plain.n == 50
    assert plain.characters == 250
    assert plain.character_error_rate < 0.2


def test_evaluate_fields(command, tmp_path):
    code, out, err = command("evaluate", "model.npz", "--data", ".")
    assert (code, err) == (0, "")
    assert out.endswith("test error 0.00% (0 of 60 texts), of characters 0.00%\n")
    doubting = LineReader.load("model.npz")
    doubting.network.rejection = Rejection(penalty=0.0)
    doubting.save(tmp_path / "doubting.npz")
    out = command("evaluate", tmp_path / "doubting.npz", "--data", ".")[1]
    assert out.endswith("0.00%; doubtful 100.00%; of the other answers 0 are wrong\n")


def test_evaluate_digits(command, monkeypatch):
    monkeypatch.setattr(recipe, "TESTED_ON", 20)
    code, out, err = command("evaluate", "model.npz", "--dataset", "digits")
    assert (code, err) == (0, "")
    assert "(20 of 20)" in out or re.search(r"\(1\d of 20\)", out)
    assert re.search(r"^single test digits: error \d+\.\d+%$", out, re.M)


def shown(digit, path):
    """Write a digit as a picture: dark on light, four times as large."""
    Image.fromarray(np.kron(255 - digit, np.ones((4, 4), np.uint8))).save(path)


def test_digits_are_known_by_their_names(command, place, quick_reader, tmp_path, monkeypatch):
    monkeypatch.setattr(recipe, "TESTED_ON", 10)
    turned = quick_reader.with_classes("9876543210")
    turned.save(tmp_path / "turned.npz")
    answers = [
        command("evaluate", model, "--dataset", "digits")[1].splitlines()[1:]
        for model in ("model.npz", tmp_path / "turned.npz")
    ]
    assert answers[0] == answers[1]
    quick_reader.with_classes("ABC").save(tmp_path / "letters.npz")
    code, _, err = command("evaluate", tmp_path / "letters.npz", "--dataset", "digits")
    assert code == 2
    assert "letters.npz: reads A, B, C, digits has digits" in err
    (tmp_path / "1.png").write_bytes((place[0] / "1.png").read_bytes())
    (tmp_path / "labels.csv").write_text("file,text\n1.png,AB\n")
    given = ("train", "--data", tmp_path, "--from", tmp_path / "letters.npz", "--validation", 0)
    code, _, err = command(*given, "--dataset", "digits", "--output", tmp_path / "own.npz")
    assert code == 2
    assert "--dataset: has digits, the reader has A, B, C" in err


def test_evaluate_single_characters_of_ones_own(command, real_digits, tmp_path, monkeypatch):
    images, labels = real_digits[1]
    for name in "27":
        (tmp_path / name).mkdir()
        for k, digit in enumerate(images[labels == int(name)][:3]):
            shown(digit, tmp_path / name / f"{k}.png")
    looked = []
    character = folders._character
    monkeypatch.setattr(folders, "_character", lambda path: looked.append(path) or character(path))
    code, out, err = command("evaluate", "model.npz", "--data", tmp_path)
    assert (code, err) == (0, "")
    assert len(looked) == 6  # each once
    assert re.search(r"^test error [\d.]+% \(\d of 6\), loss ", out, re.M)


def test_predict_and_summary(command, place, real_digits, tmp_path):
    images, labels = real_digits[1]
    shown(images[0], tmp_path / "one.png")
    code, out, err = command("predict", "model.npz", tmp_path / "one.png")
    assert (code, err) == (0, "")
    assert out.split("\t")[1] == str(labels[0])
    code, out, _ = command("summary", "model.npz")
    assert code == 0
    assert re.search(r"^output +dense +11 +935 ", out, re.M)
    _, out, _ = command("summary", "--architecture", "lenet5-strings")
    assert out == LeNet5(LENET5_STRINGS).summary() + "\n"
