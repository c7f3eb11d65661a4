"""The command, end to end: mostly in processes of its own, as a user runs it."""

import importlib.metadata
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from lenet_c import (
    LENET5_28,
    LENET5_MODERN,
    SGD,
    LeNet5,
    Trainer,
    __version__,
    cli,
    codes,
    datasets,
    preprocess,
    set_num_threads,
)
from lenet_c.networks import NETWORKS
from lenet_c.recipes import DISTORTED, RECIPES
from tests.sanitized import SLOWER

pytest.importorskip("sklearn")
Image = pytest.importorskip("PIL.Image")

TIMEOUT = 60 * SLOWER
COMMAND = (sys.executable, "-m", "lenet_c")
posix = pytest.mark.skipif(os.name != "posix", reason="signals and terminals of POSIX")


def environment(**changes):
    env = {**os.environ, **changes}
    env.pop("PYTHONUNBUFFERED", None)  # flushing is the command's own business
    return env


@pytest.fixture(autouse=True)
def one_thread():
    """For the tests that call `main` in this process: quicker on a machine with other work."""
    set_num_threads(1)
    yield
    set_num_threads(None)


def run(*arguments, cwd=None, command=COMMAND, **changes):
    return subprocess.run(
        [*command, *map(str, arguments)],
        cwd=cwd,
        env=environment(**changes),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )


def run_without(module, *arguments, **options):
    code = f"import sys; sys.modules[{module!r}] = None; from lenet_c.cli import main; "
    return run(*arguments, command=(sys.executable, "-c", code + "sys.exit(main())"), **options)


def succeeded(result):
    assert result.stderr == ""
    assert result.returncode == 0
    return result.stdout


def failed(result, *words):
    """One line on standard error, naming the trouble, and exit code 2."""
    assert "Traceback" not in result.stdout + result.stderr
    assert result.stderr.startswith("lenet-c: error: ")
    assert result.stderr.count("\n") == 1
    assert result.stderr.endswith("\n")
    for word in words:
        assert str(word) in result.stderr
    assert result.returncode == 2


def confusion_of(output):
    """The numbers below and beside the labels."""
    lines = output.split("class read)\n")[1].splitlines()[:11]
    table = [[int(cell) for cell in line.split()] for line in lines]
    assert table[0] == list(range(10))
    assert [row[0] for row in table[1:]] == list(range(10))
    return np.array([row[1:] for row in table[1:]])


def error_of(output):
    match = re.search(r"test error ([\d.]+)% \(([\d,]+) of ([\d,]+)\)", output)
    assert match
    errors, images = (int(match[i].replace(",", "")) for i in (2, 3))
    assert float(match[1]) == pytest.approx(100 * errors / images, abs=0.006)
    return errors, images


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The default network trained on the digits, by nothing but `train --dataset digits`."""
    folder = tmp_path_factory.mktemp("trained")
    result = run("train", "--dataset", "digits", cwd=folder)
    return folder / "model.npz", succeeded(result)


@pytest.fixture(scope="module")
def test_digits():
    return datasets.digits()[1]


# ---- train and evaluate ----


def test_train_on_digits_prints_what_it_promises(trained):
    model, output = trained
    recipe = RECIPES["lenet5-1998"]
    epochs = re.findall(
        r"^epoch +(\d+)/(\d+)  loss +([\d.]+)  error +([\d.]+)%  ([\d,]+) images/s$", output, re.M
    )
    assert [int(epoch[0]) for epoch in epochs] == list(range(1, recipe.digits_epochs + 1))
    assert {int(epoch[1]) for epoch in epochs} == {recipe.digits_epochs}
    assert float(epochs[-1][3]) < float(epochs[0][3])
    errors, images = error_of(output)
    assert images == 360
    assert errors / images < 0.05
    confusion = confusion_of(output)
    assert confusion.sum() == 360
    assert 360 - np.trace(confusion) == errors
    assert re.search(r"^training took [\d.]+ s$", output, re.M)
    assert output.endswith("saved model.npz\n")
    assert os.listdir(model.parent) == ["model.npz"]


def test_train_saves_the_network_that_it_reports(trained, test_digits):
    model, output = trained
    result = LeNet5.load(model).evaluate(*test_digits)
    np.testing.assert_array_equal(confusion_of(output), result.confusion)
    assert f"loss map {result.loss:.4f}" in output


def test_evaluate_agrees_with_train(trained):
    model, output = trained
    evaluated = succeeded(run("evaluate", model, "--dataset", "digits", "--threads", 1))
    assert "digits" in evaluated
    start = evaluated.index("test error")
    assert evaluated[start:] in output


def test_the_seed_decides_the_bits_and_the_threads_do_not(tmp_path):
    def train(seed, threads):
        file = tmp_path / f"{seed}-{threads}.npz"
        options = ("--epochs", 1, "--dataset", "digits", "--output", file)
        output = succeeded(run("train", *options, "--seed", seed, "--threads", threads))
        assert f"; seed {seed}; threads {threads}\n" in output
        return LeNet5.load(file).parameters

    first = train(3, 1)
    np.testing.assert_array_equal(first, train(3, 2))
    assert not np.array_equal(first, train(4, 1))


def train_here(monkeypatch, capsys, folder, *arguments):
    monkeypatch.chdir(folder)
    assert cli.main(["train", "--dataset", "digits", "--epochs", "1", *arguments]) == 0
    return LeNet5.load(folder / "model.npz"), capsys.readouterr().out


@pytest.mark.parametrize("name", list(RECIPES))
@pytest.mark.parametrize("optimizer", ["adam", "sgd", "sdlm"])
def test_every_recipe_runs(monkeypatch, capsys, tmp_path, name, optimizer):
    network, output = train_here(
        monkeypatch, capsys, tmp_path, "--architecture", name, "--optimizer", optimizer
    )
    recipe = RECIPES[name]
    assert network.architecture == NETWORKS[name]
    assert f"loss {recipe.loss}; " in output
    assert f"; {optimizer}; rate {recipe.optimizers[optimizer].lr:g} " in output
    assert f"; batch {1 if optimizer == 'sdlm' else recipe.batch_size};" in output


@pytest.mark.parametrize("name", list(RECIPES))
def test_distorted_images_have_a_recipe_of_their_own(monkeypatch, capsys, tmp_path, name):
    _, output = train_here(monkeypatch, capsys, tmp_path, "--architecture", name, "--distort")
    recipe = DISTORTED[name]
    adam = recipe.optimizers["adam"]
    decay = f"weight decay {adam.weight_decay:g}; " if adam.weight_decay else ""
    wanted = f"adam; rate {adam.lr:g} one_cycle; {decay}batch {recipe.batch_size}; distorted;"
    assert wanted in output


def test_options_reach_the_training(monkeypatch, capsys, tmp_path):
    arguments = (
        "--architecture lenet5-modern --loss map --j 0.5 --temperature 3 --optimizer sgd "
        "--rate 0.002 --momentum 0.7 --weight-decay 0.001 --schedule constant --batch-size 100 "
        "--seed 5"
    )
    network, output = train_here(monkeypatch, capsys, tmp_path, *arguments.split())
    settings = (
        "loss map; j 0.5; temperature 3; sgd; rate 0.002 constant; momentum 0.7; "
        "weight decay 0.001; batch 100; seed 5;"
    )
    assert settings in output

    (images, labels), test = datasets.digits()
    same = LeNet5(LENET5_MODERN, seed=5)
    optimizer = SGD(0.002, momentum=0.7, weight_decay=0.001)
    trainer = Trainer(same, optimizer, "map", j=0.5, temperature=3, batch_size=100, seed=5)
    trainer.fit(images, labels, 1)
    np.testing.assert_array_equal(network.parameters, same.parameters)
    assert f"loss map {same.evaluate(*test, 'map', j=0.5, temperature=3).loss:.4f}\n" in output


def test_distort_shows_other_images(monkeypatch, capsys, tmp_path):
    network, output = train_here(monkeypatch, capsys, tmp_path, "--distort")
    assert "batch 128; distorted; seed 0;" in output
    plain, output = train_here(monkeypatch, capsys, tmp_path, "--batch-size", "128")
    assert "distorted" not in output
    assert not np.array_equal(network.parameters, plain.parameters)


def test_a_kind_of_distortion(monkeypatch, capsys, tmp_path):
    given = ("--batch-size", "128", "--distort")
    by_default, _ = train_here(monkeypatch, capsys, tmp_path, *given)
    affine, output = train_here(monkeypatch, capsys, tmp_path, *given, "affine")
    np.testing.assert_array_equal(affine.parameters, by_default.parameters)
    assert "; distorted; seed 0;" in output
    world, output = train_here(monkeypatch, capsys, tmp_path, *given, "world")
    assert "; distorted as the world does; seed 0;" in output
    assert not np.array_equal(world.parameters, affine.parameters)


def test_quiet_leaves_the_epochs_out(tmp_path):
    output = succeeded(run("train", "--quiet", "--dataset", "digits", "--epochs", 2, cwd=tmp_path))
    assert not re.search(r"^epoch", output, re.M)
    assert "saved model.npz" in output


def test_output_replaces_an_older_file(monkeypatch, capsys, tmp_path):
    (tmp_path / "model.npz").write_text("old")
    train_here(monkeypatch, capsys, tmp_path)
    assert os.listdir(tmp_path) == ["model.npz"]


def test_train_and_evaluate_on_mnist(tmp_path):
    folder = os.environ.get("LENET_C_DATA")
    if not folder:
        pytest.skip("LENET_C_DATA is not set")
    try:
        datasets.mnist(folder)
    except FileNotFoundError:
        pytest.skip("LENET_C_DATA has no MNIST")
    output = succeeded(run("train", "--epochs", 1, cwd=tmp_path))
    assert " on mnist: 60,000 images" in output
    errors, images = error_of(output)
    assert images == 10_000
    assert errors < 500
    evaluated = succeeded(run("evaluate", "model.npz", "--data", folder, cwd=tmp_path))
    assert evaluated[evaluated.index("test error") :] in output


@pytest.fixture
def offline(tmp_path):
    """An environment without MNIST, and a network that refuses every connection."""
    empty = tmp_path / "empty"
    empty.mkdir()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and never listens
        proxy = f"http://127.0.0.1:{closed.getsockname()[1]}"
        names = ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY")
        yield {
            "LENET_C_DATA": "",
            "HOME": str(empty),
            "LOCALAPPDATA": str(empty),
            "XDG_CACHE_HOME": str(empty),
            "no_proxy": "",
            "NO_PROXY": "",
            **dict.fromkeys(names, proxy),
        }


def test_without_mnist_and_network_train_uses_digits_and_says_why(tmp_path, offline):
    output = succeeded(run("train", "--epochs", 1, cwd=tmp_path, **offline))
    lines = [line for line in output.splitlines() if "using digits instead" in line]
    assert len(lines) == 1
    assert "could not download" in lines[0]
    (looked,) = [line for line in output.splitlines() if "downloading" in line]
    assert re.fullmatch(r"MNIST is not in (.* or )?(.+): downloading it \(11 MB\) to \2", looked)
    assert "https://" in lines[0]
    assert " on digits: 1,437 images" in output
    assert (tmp_path / "model.npz").exists()


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("dataset", [(), ("--dataset", "mnist")])
def test_a_mistyped_folder_is_an_error(tmp_path, offline, exists, dataset):
    """Neither the cache, nor the network, nor the digits stand for what was named."""
    folder = tmp_path / ("empty" if exists else "dta")
    offline["LENET_C_DATA"] = str(folder)
    result = run("train", *dataset, cwd=tmp_path, **offline)
    found = "an empty folder" if exists else "no such folder"
    failed(result, f"LENET_C_DATA={folder}", "train-images-idx3-ubyte", f"found: {found}")
    assert "downloading" not in result.stdout
    assert not (tmp_path / "model.npz").exists()


def test_mnist_that_was_asked_for_is_not_replaced(tmp_path, offline):
    result = run("train", "--dataset", "mnist", cwd=tmp_path, **offline)
    failed(result, "could not download")
    assert not (tmp_path / "model.npz").exists()


# ---- plots ----

PLOTS = {
    *("confusion_matrix.png", "misclassified.png", "least_sure.png", "rejection.png"),
    *("feature_maps.png", "filters_C1.png", "filters_C3.png"),
}


def assert_plots(folder, names):
    assert set(os.listdir(folder)) == names
    for name in names:
        with Image.open(folder / name) as picture:
            assert picture.format == "PNG"
            assert min(picture.size) > 50
        assert (folder / name).stat().st_size < 100_000


def test_evaluate_plots(trained, tmp_path):
    pytest.importorskip("matplotlib")
    folder = tmp_path / "new" / "plots"
    plain = succeeded(run("evaluate", trained[0], "--dataset", "digits", "--threads", 1))
    output = succeeded(
        run("evaluate", trained[0], "--dataset", "digits", "--threads", 1, "--plot", folder)
    )
    assert output.startswith(plain)
    assert output.endswith(f" in {folder}\n")
    assert_plots(folder, {*PLOTS, "codes.png"})


def test_train_plots(monkeypatch, capsys, tmp_path):
    pytest.importorskip("matplotlib")
    arguments = ("--architecture", "lenet5-28")
    plain, _ = train_here(monkeypatch, capsys, tmp_path, *arguments)
    drawn, output = train_here(monkeypatch, capsys, tmp_path, *arguments, "--plot", "plots")
    np.testing.assert_array_equal(drawn.parameters, plain.parameters)
    assert "plotted learning_curves.png, " in output
    assert_plots(tmp_path / "plots", {*PLOTS, "learning_curves.png"})


def test_plots_without_matplotlib(trained, tmp_path):
    pytest.importorskip("matplotlib")
    for command in (("train", "--dataset", "digits"), ("evaluate", trained[0])):
        result = run_without("matplotlib.figure", *command, "--plot", "plots", cwd=tmp_path)
        failed(result, "matplotlib", "lenet_c[plot]")
        assert result.stdout == ""
        assert os.listdir(tmp_path) == []


# ---- predict ----


@pytest.fixture(scope="module")
def clear(trained, test_digits):
    """Test images of three classes that the network is sure of."""
    images, labels = test_digits
    probabilities = LeNet5.load(trained[0]).predict_proba(images)
    sure = probabilities[np.arange(len(labels)), labels] > 0.9
    return [(images[sure & (labels == label)][0], label) for label in (0, 3, 7)]


def test_predict_reads_png_jpeg_and_pgm(trained, clear, tmp_path):
    scaled = [255 - np.kron(image, np.ones((8, 8), np.uint8)) for image, _ in clear]
    Image.fromarray(scaled[0]).convert("RGB").save(tmp_path / "a.png")
    Image.fromarray(scaled[1]).save(tmp_path / "b.jpg", quality=90)
    Image.fromarray(clear[2][0]).save(tmp_path / "c.pgm")
    output = succeeded(run("predict", trained[0], "a.png", "b.jpg", "c.pgm", cwd=tmp_path))
    rows = [line.split("\t") for line in output.splitlines()]
    assert [row[0] for row in rows] == ["a.png", "b.jpg", "c.pgm"]
    assert [int(row[1]) for row in rows] == [label for _, label in clear]
    assert all(0.5 < float(row[2]) <= 1 for row in rows)


def test_names_of_weights_that_come_with_the_library(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["summary", "mnist-modern"]) == 0
    assert capsys.readouterr().out == LeNet5.pretrained("mnist-modern").summary() + "\n"
    (tmp_path / "mnist").mkdir()  # a folder of images, say
    assert cli.main(["summary", "mnist"]) == 0
    capsys.readouterr()
    shutil.copy(trained[0], "mnist-modern")  # a file of that name comes first
    assert cli.main(["summary", "mnist-modern"]) == 0
    assert capsys.readouterr().out == LeNet5.load(trained[0]).summary() + "\n"
    assert cli.main(["summary", "nobody"]) == 2
    assert capsys.readouterr().err == "lenet-c: error: nobody: No such file or directory\n"


def test_predict_rejects(trained, clear, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(clear[0][0]).save("a.png")
    for limit, rejected in (
        ("margin=0.1", False),
        ("margin=1e6", True),
        ("penalty=1e6", False),
        ("penalty=1e-6", True),
        ("penalty=1e6,margin=1e6", True),
    ):
        assert cli.main(["predict", str(trained[0]), "a.png", "--reject", limit]) == 0
        cells = capsys.readouterr().out.rstrip("\n").split("\t")
        assert cells[:2] == ["a.png", str(clear[0][1])]
        assert cells[3:] == ["doubtful"] * rejected


def test_predict_reads_the_pictures_around_a_bad_one(trained, clear, tmp_path):
    image, label = clear[0]
    Image.fromarray(image).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    result = run("predict", trained[0], "good.png", "bad.png", "good.png", cwd=tmp_path)
    failed(result, "bad.png")
    assert [line.split("\t")[:2] for line in result.stdout.splitlines()] == [
        ["good.png", str(label)]
    ] * 2


def test_predict_reads_the_pictures_after_one_too_large_for_memory(
    trained, clear, tmp_path, monkeypatch, capsys
):
    Image.fromarray(clear[0][0]).save(tmp_path / "good.png")
    character = preprocess.character

    def find(path, **line):
        if path == "large.png":
            raise MemoryError
        return character(path, **line)

    monkeypatch.setattr(preprocess, "character", find)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["predict", str(trained[0]), "large.png", "good.png"]) == 2
    printed = capsys.readouterr()
    assert printed.err == "lenet-c: error: out of memory\n"
    assert printed.out.startswith("good.png\t")


def test_predict_says_in_one_line_that_a_picture_is_too_large(trained, tmp_path):
    Image.new("1", (10_000, 9_000)).save(tmp_path / "large.png")  # Pillow warns of such
    failed(run("predict", trained[0], "large.png", cwd=tmp_path), "large.png", "10000x9000 pixels")


def test_predict_names_an_empty_picture_and_a_missing_one(trained, tmp_path):
    Image.fromarray(np.full((40, 40), 255, np.uint8)).save(tmp_path / "white.png")
    failed(run("predict", trained[0], "white.png", cwd=tmp_path), "error: white.png: ")
    failed(run("predict", trained[0], "none.png", cwd=tmp_path), "error: none.png: ")


def test_evaluate_names_a_model_of_too_few_classes(tmp_path, monkeypatch, capsys):
    LeNet5(LENET5_28.with_classes(5)).save(tmp_path / "five.npz")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["evaluate", "five.npz", "--dataset", "digits"]) == 2
    error = capsys.readouterr().err
    assert error == "lenet-c: error: five.npz: reads 5 classes, digits has labels 0 to 9\n"


@posix
def test_predict_prints_a_name_that_is_not_text(trained, clear, tmp_path):
    name = os.path.join(os.fsencode(tmp_path), b"\xff.png")
    try:
        with open(name, "wb") as file:
            Image.fromarray(clear[0][0]).save(file, "PNG")
    except OSError:
        pytest.skip("this file system wants names that are text")
    result = subprocess.run(
        [*COMMAND, "predict", str(trained[0]), name],
        capture_output=True,
        env=environment(),
        timeout=TIMEOUT,
    )
    assert result.stderr == b""
    assert result.returncode == 0
    assert result.stdout.count(b"\n") == 1


@posix
def test_predict_keeps_a_name_on_one_line(trained, clear, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    name = "a\tb\nc\x1b[31m.png"
    Image.fromarray(clear[0][0]).save(name)
    assert cli.main(["predict", str(trained[0]), name]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.split("\t")[0] == r"a\tb\nc\x1b[31m.png"


def test_predict_says_what_it_reads():
    words = " ".join(succeeded(run("predict", "--help")).split())
    assert "PNG, JPEG, PGM, PPM, BMP, WebP, TIFF or GIF file" in words


# ---- summary, info, version ----


def test_summary(trained):
    wanted = LeNet5().summary() + "\n"
    assert succeeded(run("summary")) == wanted
    named = wanted + "classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9\n"
    assert succeeded(run("summary", trained[0])) == named
    modern = succeeded(run("summary", "--architecture", "lenet5-modern"))
    assert modern == LeNet5(LENET5_MODERN).summary() + "\n"


def test_info():
    rows = dict(
        re.split(r" {2,}", line, maxsplit=1) for line in succeeded(run("info")).splitlines()
    )
    assert rows["lenet_c"] == __version__
    assert rows["numpy"] == np.__version__
    assert rows["instruction set"].split()[0] in rows["available"].split(", ")
    assert int(rows["threads"]) >= 1
    assert re.fullmatch(r"(openmp|team|none) \(of [a-z, ]+\)", rows["threading"])
    assert rows["processor"]
    assert rows["compiler"]


def test_version_and_help():
    assert succeeded(run("--version")) == f"lenet-c {__version__}\n"
    for command in ("train", "evaluate", "predict", "read", "export", "summary", "info"):
        assert command in succeeded(run("--help"))
        assert succeeded(run(command, "--help")).startswith(f"usage: lenet-c {command}")


def test_the_script_is_the_module():
    try:
        scripts = importlib.metadata.distribution("lenet_c").entry_points
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("lenet_c is not installed")
    assert scripts["lenet-c"].value == "lenet_c.__main__:main"
    script = Path(sys.executable).with_name("lenet-c" + (".exe" if os.name == "nt" else ""))
    if not script.exists():
        pytest.skip("the script is not beside Python")
    for arguments in (("summary",), ("info",), ("summary", "none.npz"), ()):
        installed = run(*arguments, command=(str(script),))
        module = run(*arguments)
        assert installed.returncode == module.returncode
        assert installed.stdout == module.stdout
        assert installed.stderr == module.stderr


# ---- errors ----


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["command"]),
        (["fly"], ["fly"]),
        (["train", "--epo", "1"], ["unrecognized arguments: --epo"]),
        (["train", "--epochs", "0"], ["--epochs", "'0'", "at least 1"]),
        (["train", "--epochs", "many"], ["--epochs", "'many'"]),
        (["train", "--batch-size", "-1"], ["--batch-size", "'-1'"]),
        (["train", "--threads", "5000"], ["--threads", "1 to 4096"]),
        (["train", "--seed", "-1"], ["--seed"]),
        (["train", "--rate", "nan"], ["--rate", "'nan'"]),
        (["train", "--rate", "-1"], ["--rate", "'-1'"]),
        (["train", "--rate", "1e39"], ["--rate", "'1e39'", "finite in float32"]),
        (["train", "--output", ""], ["--output", "want a path"]),
        (["train", "--plot", ""], ["--plot", "want a path"]),
        (["evaluate", "file", "--data", ""], ["--data", "want a path"]),
        (["summary", "two\nlines"], ["two lines: No such file"]),
        (["train", "--j", "0"], ["j: got 0.0"]),
        (["train", "--j", "1", "--loss", "mse"], ["--j is for --loss map, not mse"]),
        (["train", "--temperature", "0"], ["temperature: got 0.0"]),
        (["train", "--temperature", "2", "--loss", "mse"], ["--temperature is for --loss map and"]),
        (["train", "--momentum", "0.5"], ["--momentum", "sgd"]),
        (["train", "--optimizer", "sgd", "--momentum", "1"], ["momentum"]),
        (["train", "--loss", "hinge"], ["--loss", "hinge"]),
        (["train", "--architecture", "vgg"], ["--architecture", "vgg"]),
        (["train", "--dataset", "digits", "--data", "here"], ["--data"]),
        (["train", "--data", "no-such-folder"], ["no-such-folder", "train-images-idx3-ubyte"]),
        (["train", "--output", "missing/model.npz"], ["missing", "cannot write"]),
        (["train", "--output", "file/model.npz"], ["file", "cannot write"]),
        (["train", "--output", "."], ["not a regular file"]),
        (["train", "--output", "mnist"], ["mnist: the name of a network", "say mnist.npz"]),
        (["train", "--output", "./mnist-modern"], ["the name of a network that comes"]),
        (["train", "--resume", "mnist"], ["mnist: the name of a network that comes"]),
        (["train", "--output", "x" * 256], ["x" * 256 + ": File name too long"]),
        (["train", "--dataset", "digits", "--rate", "1e30"], ["no longer finite", "--rate"]),
        (["train", "--plot", "file"], ["file: cannot write here"]),
        (["evaluate", "none.npz", "--plot", "file"], ["file: cannot write here"]),
        (["evaluate", "none.npz"], ["none.npz: No such file"]),
        (["evaluate", "file"], ["file: not a model file"]),
        (["evaluate", "."], ["."]),
        (["predict", "none.npz", "a.png"], ["none.npz"]),
        (["predict", "none.npz"], ["image"]),
        (["predict", "a", "b", "--reject", "2"], ["--reject", "'2'", "margin=M"]),
        (["predict", "a", "b", "--reject", "margin=1,margin=2"], ["--reject", "margin=M"]),
        (["predict", "a", "b", "--reject", "margin=x"], ["--reject", "'x'", "at least 0"]),
        (["summary", "none.npz", "--architecture", "lenet5-1998"], ["not allowed with"]),
    ],
)
def test_errors_in_one_line(arguments, words, tmp_path, monkeypatch, capfd):
    if "--plot" in arguments:
        pytest.importorskip("matplotlib")
    (tmp_path / "file").write_text("not a model")
    monkeypatch.chdir(tmp_path)
    try:
        code = cli.main(arguments)
    except SystemExit as stop:
        code = stop.code
    printed = capfd.readouterr()
    failed(subprocess.CompletedProcess(arguments, code, printed.out, printed.err), *words)
    assert "test error" not in printed.out
    assert os.listdir(tmp_path) == ["file"]


def test_an_error_in_a_process(tmp_path):
    result = run("train", "--output", "missing/model.npz", cwd=tmp_path)
    failed(result, "missing")
    assert result.stdout == ""


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
def test_output_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    result = run("train", "--dataset", "digits", "--output", tmp_path / "model.npz")
    tmp_path.chmod(0o700)
    failed(result, "cannot write", tmp_path)
    assert result.stdout == ""


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
@pytest.mark.parametrize("command", ["evaluate", "predict", "summary"])
def test_damaged_model(trained, tmp_path, damage, command, monkeypatch, capsys):
    content = bytearray(trained[0].read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 1
    else:
        del content[len(content) // 2 if damage == "truncated" else 0 :]
    (tmp_path / "damaged.npz").write_bytes(content)
    monkeypatch.chdir(tmp_path)
    code = cli.main([command, "damaged.npz", *(["a.png"] if command == "predict" else [])])
    printed = capsys.readouterr()
    failed(subprocess.CompletedProcess(command, code, printed.out, printed.err), "damaged.npz: ")


def test_damaged_mnist_is_not_taken_for_a_missing_one(tmp_path):
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (tmp_path / f"{name}-ubyte").write_bytes(b"\0\0\x08\x03 damaged")
    failed(run("train", LENET_C_DATA=str(tmp_path), cwd=tmp_path), tmp_path)


@pytest.mark.parametrize("arguments", [("info",), ("summary",), ("train",)])
def test_instruction_set_that_is_not_there(arguments, tmp_path):
    result = run(*arguments, LENET_C_ISA="mmx", cwd=tmp_path)
    failed(result, "LENET_C_ISA=mmx", "portable")
    assert result.stdout == ""


def test_missing_packages_are_named_with_their_extra(trained, clear, tmp_path):
    Image.fromarray(clear[0][0]).save(tmp_path / "a.png")
    failed(
        run_without("PIL", "predict", trained[0], tmp_path / "a.png"), "Pillow", "lenet_c[images]"
    )
    result = run_without("sklearn", "train", "--dataset", "digits", cwd=tmp_path)
    failed(result, "scikit-learn", "lenet_c[")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "out of memory"),
        (MemoryError("workspace: 9 bytes"), "out of memory (workspace: 9 bytes)"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError(13, "Permission denied", "here"), "here: Permission denied"),
        (ValueError("first:\n  second\nthird"), "first: second; third"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_what_an_error_becomes(error, words, monkeypatch, capsys):
    def info():
        raise error

    monkeypatch.setattr(cli, "cpu_info", info)
    assert cli.main(["info"]) == 2
    assert capsys.readouterr().err == f"lenet-c: error: {words}\n"


def test_a_defect_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(cli, "cpu_info", lambda: None)
    with pytest.raises(TypeError):
        cli.main(["info"])


# ---- pipes, interrupts, terminals ----


def start(*arguments, **options):
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        env=environment(),
        stdout=options.pop("stdout", subprocess.PIPE),
        stderr=subprocess.PIPE,
        text=True,
        # A parent that runs in the background may have SIGINT ignored, which is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **options,
    )


@posix
def test_interrupt(tmp_path):
    # single images make an epoch long beside what a busy machine delays a signal by
    slow = ("--batch-size", 1, "--threads", 1)
    with start("train", "--dataset", "digits", "--epochs", 10**6, *slow, cwd=tmp_path) as process:
        late = threading.Timer(TIMEOUT, process.kill)
        late.start()
        while not (line := process.stdout.readline()).startswith("epoch"):
            assert line, process.stderr.read()
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        more, errors = process.stdout.read(), process.stderr.read()
        process.wait()
        seconds = time.monotonic() - began
        late.cancel()
    assert errors == "lenet-c: interrupted\n"
    assert process.returncode == 130
    assert os.listdir(tmp_path) == []
    assert seconds < 5
    # Each epoch's line comes when it ends; a pipe's buffer would hold back more than a hundred.
    assert more.count("\n") < 60


SLOW_NUMPY = """
import sys, time
print("importing", flush=True)
try:
    time.sleep(60)
except BaseException:
    if {swallows}:
        sys.exit(0)
    raise
"""


@posix
@pytest.mark.parametrize("swallows", [False, True])
def test_interrupt_while_the_rest_is_imported(tmp_path, monkeypatch, swallows):
    """Heard before numpy is there, also where what is imported would catch the exception."""
    (tmp_path / "numpy.py").write_text(SLOW_NUMPY.format(swallows=swallows))
    root = Path(cli.__file__).parents[1]
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{root}")
    with start("info") as process:
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=TIMEOUT)
    assert errors == "lenet-c: interrupted\n"
    assert process.returncode == 130


INTERRUPTED = """
import atexit, os, runpy, signal, sys
signal.signal(signal.SIGINT, signal.{handler})
def interrupt(*_):
    os.kill(os.getpid(), signal.SIGINT)
{when}
sys.argv = ["lenet-c", "summary"]
runpy.run_module("lenet_c", run_name="__main__")
"""


@posix
def test_interrupt_when_all_is_done():
    """In Python's last moments: what was to be done is done."""
    code = INTERRUPTED.format(handler="default_int_handler", when="atexit.register(interrupt)")
    assert succeeded(run(command=(sys.executable, "-c", code))) == LeNet5().summary() + "\n"


IN_THE_LAST_LINES = """
from lenet_c import cli
def last(*_):
    cli.fail = fail
    interrupt()
fail, cli.fail, cli._summary = cli.fail, last, interrupt
"""


@posix
@pytest.mark.parametrize(
    "when",
    [
        "from lenet_c import cli; cli._parser = interrupt",
        "from lenet_c import cli; cli.main = interrupt",
        IN_THE_LAST_LINES,
    ],
    ids=["within", "at its beginning", "while it says so"],
)
def test_interrupt_in_the_command_itself(when):
    """Also in its first and last lines: a line and 130."""
    code = INTERRUPTED.format(handler="default_int_handler", when=when)
    result = run(command=(sys.executable, "-c", code))
    assert result.stderr == "lenet-c: interrupted\n"
    assert result.returncode == 130


@posix
def test_an_interrupt_that_is_ignored_stays_so():
    """As nohup and a shell's background jobs have it."""
    when = "from lenet_c import cli; show = cli._summary\n"
    when += "cli._summary = lambda a: (interrupt(), show(a))[1]"
    code = INTERRUPTED.format(handler="SIG_IGN", when=when)
    assert succeeded(run(command=(sys.executable, "-c", code))) == LeNet5().summary() + "\n"


@posix
def test_nobody_reads_the_errors():
    reading, writing = os.pipe()
    os.close(reading)
    process = subprocess.run(
        [*COMMAND, "summary", "none.npz"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=writing,
        timeout=TIMEOUT,
    )
    os.close(writing)
    assert process.stdout == b""
    assert process.returncode == 2


@posix
@pytest.mark.parametrize("arguments", [("summary",), ("info",), ("--help",), ("train", "--help")])
def test_nobody_reads_the_output(arguments):
    reading, writing = os.pipe()
    os.close(reading)
    with start(*arguments, stdout=writing) as process:
        os.close(writing)
        _, errors = process.communicate(timeout=TIMEOUT)
    assert errors == ""
    assert process.returncode in (0, 141)


@posix
def test_the_reader_leaves_during_training(tmp_path):
    with start("train", "--dataset", "digits", "--epochs", 10**6, cwd=tmp_path) as process:
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
        process.wait(TIMEOUT)
    assert errors == ""
    assert process.returncode == 141
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_the_output_is_full():
    with open("/dev/full", "w") as full, start("info", stdout=full) as process:
        _, errors = process.communicate(timeout=TIMEOUT)
    assert errors == "lenet-c: error: No space left on device\n"
    assert process.returncode == 2


def on_terminal(command, folder):
    """Run on a terminal of 100 columns; give the exit code and everything that it showed."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    process = subprocess.Popen(
        command, cwd=folder, env=environment(), stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    deadline = time.monotonic() + TIMEOUT
    try:
        while time.monotonic() < deadline:
            if select.select([ours], [], [], 1.0)[0]:
                chunk = os.read(ours, 1 << 16)
                if not chunk:
                    break
                shown += chunk
    except OSError:
        pass  # how Linux says that the other side is closed
    finally:
        os.close(ours)  # which hangs up a process that is late
    return process.wait(TIMEOUT), shown.decode()


TRAIN = ("train", "--dataset", "digits", "--epochs", "5")


@posix
def test_progress_bar_on_a_terminal(tmp_path):
    pytest.importorskip("tqdm")
    code, shown = on_terminal([*COMMAND, *TRAIN], tmp_path)
    assert code == 0, shown
    bar = r"epoch \d/5: \|[^|\r]*\| [\d:]+<[\d:?]+, +[\d.]+k? images/s, loss [\d.]+, error [\d.]+%"
    assert re.search(bar, shown)
    assert re.search(r"\repoch 5/5  loss [\d.]+ ", shown)
    assert re.search(r"\r *\rtest error", shown)  # the bar is gone
    assert "saved model.npz" in shown


@posix
def test_no_progress_bar_when_quiet_or_without_tqdm(tmp_path):
    code, shown = on_terminal([*COMMAND, *TRAIN, "--quiet"], tmp_path)
    assert code == 0, shown
    assert "epoch " not in shown
    without = "import sys; sys.modules['tqdm'] = None; from lenet_c.cli import main; main()"
    code, shown = on_terminal([sys.executable, "-c", without, *TRAIN], tmp_path)
    assert code == 0, shown
    assert len(re.findall(r"^epoch \d/5  loss ", shown, re.M)) == 5
    assert "|" not in shown


# ---- pictures of one's own ----


def write_pictures(folder, images, labels, names="0123456789"):
    for k, (image, label) in enumerate(zip(images, labels, strict=True)):
        place = folder / names[label]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{k}.png")
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Two folders of digits, 150 to learn from and 60 others, and one of four letters."""
    (x, y), (xt, yt) = datasets.digits()
    top = tmp_path_factory.mktemp("pictures")
    write_pictures(top / "digits", x[:150], y[:150])
    write_pictures(top / "others", xt[:60], yt[:60])
    write_pictures(top / "letters", x[y < 4][:60], y[y < 4][:60], "ABC5")
    return top


RAW = ("--form", "raw", "--threads", 1)


def test_train_on_a_folder_of_pictures(pictures, tmp_path):
    """With the defaults, as people have pictures: the class names end in what predict prints."""
    (pictures / "letters" / "A" / "note.txt").write_text("no picture")
    output = succeeded(run("train", "--data", pictures / "letters", cwd=tmp_path))
    (pictures / "letters" / "A" / "note.txt").unlink()
    assert f"{pictures / 'letters'}: left out 1 of 61\n  A/note.txt: cannot be read" in output
    assert re.search(r"letters: 48 images, \d+ epochs", output)
    assert re.search(r"validation error [\d.]+% \(\d of 12\)", output)
    assert re.search(
        r"^kept the weights of epoch \d+, with the lowest validation loss$", output, re.M
    )
    assert re.search(r"^ +5 +A +B +C$", output, re.M)
    network = LeNet5.load(tmp_path / "model.npz")
    assert network.class_names == ("5", "A", "B", "C")
    file = sorted((pictures / "letters" / "B").iterdir())[0]
    read = succeeded(run("predict", "model.npz", file, cwd=tmp_path)).split("\t")
    assert read[1] == "B"
    data = datasets.folder(pictures / "letters", class_names=network.class_names)
    assert network.evaluate(*data).error_rate < 0.1


def command(monkeypatch, capsys, folder, *arguments):
    monkeypatch.chdir(folder)
    code = cli.main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_fine_tuning_of_the_same_classes(pictures, tmp_path, monkeypatch, capsys):
    train = ("train", "--data", pictures / "digits", "--validation", pictures / "others", *RAW)
    code, output, errors = command(
        monkeypatch, capsys, tmp_path, *train, "--from", "mnist", "--freeze", "C1,S2"
    )
    assert (code, errors) == (0, "")
    assert "from mnist: goes on with 0, 1, 2, 3, 4, 5, 6, 7 and 2 more\n" in output
    assert "slightly distorted; frozen C1.weight, C1.bias, S2.coefficient, S2.bias;" in output
    assert re.search(r": 150 images, 117 epochs\n", output)
    before = float(re.search(r"^before: validation error ([\d.]+)%$", output, re.M)[1])
    after = float(re.search(r"^validation error ([\d.]+)%", output, re.M)[1])
    assert after < before
    tuned, shipped = LeNet5.load("model.npz"), LeNet5.pretrained("mnist")
    for name in tuned:
        frozen = name.startswith(("C1", "S2"))
        assert np.array_equal(tuned[name], shipped[name]) == frozen, name
    code, output, _ = command(
        monkeypatch, capsys, tmp_path, "evaluate", "model.npz", "--data", pictures / "others", *RAW
    )
    assert code == 0
    assert f"test error {after:.2f}%" in output
    _, (x, y) = datasets.digits()
    tuned.class_names = tuned.class_names[::-1]  # labels go by name, not by place
    tuned.save("turned.npz")
    code, output, _ = command(
        monkeypatch, capsys, tmp_path, "evaluate", "turned.npz", "--dataset", "digits"
    )
    assert code == 0
    assert f"test error {tuned.evaluate(x, 9 - y).error_rate:.2%} (" in output


def test_fine_tuning_of_new_classes(pictures, tmp_path, monkeypatch, capsys):
    train = ("train", "--data", pictures / "letters", *RAW, "--epochs", 1, "--quiet")
    unnamed = LeNet5.pretrained("mnist")
    unnamed.class_names = None
    unnamed.save(tmp_path / "unnamed.npz")
    for model in ("mnist", "mnist-modern", "unnamed.npz"):
        code, output, errors = command(monkeypatch, capsys, tmp_path, *train, "--from", model)
        assert (code, errors) == (0, "")
        taken = " (without class names: taken for the digits)" if "unnamed" in model else ""
        assert f"from {model}: goes on with 5{taken}; new A, B, C\n" in output
        assert "before:" not in output
        assert LeNet5.load("model.npz").class_names == ("5", "A", "B", "C")
    # and on from there
    code, output, _ = command(
        monkeypatch, capsys, tmp_path, *train, "--from", "model.npz", "--no-distort"
    )
    assert "from model.npz: goes on with 5, A, B, C\n" in output
    assert "distorted" not in output


def test_codes_for_names_that_are_no_characters(pictures, tmp_path, monkeypatch, capsys):
    names = ("left", "right")
    write_pictures(tmp_path / "data", *datasets.digits()[0], ["left", "right"] * 5)
    for file in list((tmp_path / "data" / "left").iterdir())[50:]:
        file.unlink()
    train = ("train", "--data", "data", *RAW, "--epochs", 1, "--quiet")
    code, _, errors = command(monkeypatch, capsys, tmp_path, *train)
    assert code == 2
    assert "class 'left' has no code of its own" in errors
    assert "--codes takes a text" in errors
    code, output, _ = command(monkeypatch, capsys, tmp_path, *train, "--codes", "LR")
    assert code == 0
    assert "codes: left = L, right = R\n" in output
    np.testing.assert_array_equal(LeNet5.load("model.npz").codes, codes.of("LR"))
    np.save(tmp_path / "codes.npy", -codes.of("LR"))
    np.savetxt(tmp_path / "codes.csv", -codes.of("LR"), delimiter=",")
    for file in ("codes.npy", "codes.csv"):
        code, _, _ = command(monkeypatch, capsys, tmp_path, *train, "--codes", file)
        assert code == 0
        np.testing.assert_array_equal(LeNet5.load("model.npz").codes, -codes.of("LR"))
        assert LeNet5.load("model.npz").class_names == names
    (tmp_path / "bad.txt").write_text("x y")
    code, _, errors = command(monkeypatch, capsys, tmp_path, *train, "--codes", "bad.txt")
    assert code == 2
    assert "--codes: bad.txt: want numbers, a row a class" in errors


def test_a_share_of_the_digits_for_validation(monkeypatch, capsys, tmp_path):
    train = ("train", "--dataset", "digits", "--epochs", 2)
    code, output, errors = command(monkeypatch, capsys, tmp_path, *train, "--validation", 0.1)
    assert (code, errors) == (0, "")
    assert " on digits: 1,295 images" in output
    assert re.search(r"^epoch 1/2 .*  validation +[\d.]+%  ", output, re.M)
    assert re.search(r"^test error [\d.]+% \(\d+ of 360\)", output, re.M)
    code, output, _ = command(monkeypatch, capsys, tmp_path, *train, "--validation", 0)
    assert " on digits: 1,437 images" in output
    assert "validation" not in output


@posix
@pytest.mark.parametrize("options", [(), ("--distort", "--optimizer", "sgd", "--from", "mnist")])
def test_a_killed_training_ends_as_if_it_had_not_been(pictures, tmp_path, options):
    data = ("--data", pictures / "digits", "--form", "raw", "--seed", 7, *options)
    train = ("train", *data, "--epochs", 120)
    succeeded(run(*train, "--threads", 1, "--output", "whole.npz", "--quiet", cwd=tmp_path))
    state = ("--resume", "state.npz", "--output", "again.npz")
    for until in (20, 50):
        with start(*train, *state, "--threads", 2, cwd=tmp_path) as process:
            line = process.stdout.readline()
            while not line.startswith(f"epoch {until:3}/"):
                assert line, process.stderr.read()
                line = process.stdout.readline()
            process.kill()
    assert not (tmp_path / "again.npz").exists()
    other = run(*train[:-1], 100, *state, cwd=tmp_path)
    failed(other, "state.npz: was begun with other epochs than this command says")
    assert "seed" in run(*train, "--seed", 8, *state, cwd=tmp_path).stderr
    assert "settings" in run(*train, "--rate", 1e-4, *state, cwd=tmp_path).stderr
    output = succeeded(run(*train, *state, "--threads", 1, cwd=tmp_path))
    done = re.search(r"^going on from state\.npz: (\d+) of 120 epochs are done$", output, re.M)
    assert 49 <= int(done[1]) < 120  # a pass is told before it is kept
    assert f"\nepoch {int(done[1]) + 1:3}/120" in output
    assert f"\nepoch {done[1]:>3}/120" not in output
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()
    # once more: all is done
    again = succeeded(run(*train, *state, cwd=tmp_path))
    assert "going on from state.npz: 120 of 120" in again
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--from", "mnist", "--architecture", "lenet5-28"], ["--architecture is for a new"]),
        (
            ["--architecture", "lenet-cifar"],
            ["lenet-cifar: it reads colours", "want lenet_c.recipes.CIFAR"],
        ),
        (["--from", "mnist", "--activation", "relu"], ["--activation is for a new network"]),
        (["--from", "none.npz"], ["none.npz: No such file"]),
        (["--freeze", "C9"], ["freeze: got 'C9'"]),
        (["--freeze", ""], ["--freeze"]),
        (["--codes", "AB", "--architecture", "lenet5-28"], ["--codes is for RBF outputs"]),
        (["--codes", "AB", "--from", "mnist-modern"], ["--codes is for RBF outputs"]),
        (["--validation", "1"], ["--validation", "'1'", "from 0 to below 1"]),
        (["--validation", "0.1", "--hold-out", "20"], ["not allowed with"]),
        (["--validation", "nowhere"], ["nowhere"]),
        (["--hold-out", "20"], ["--hold-out is for data sets"]),
        (["--resume", "o.npz"], ["--resume: o.npz is --output's too, want another"]),
        (["--animate", "o.npz"], ["--animate: o.npz is --output's too, want another"]),
        (["--plot", "./o.npz"], ["--plot: ./o.npz is --output's too, want another"]),
        (["--plot", "p", "--animate", "p"], ["--plot: p is --animate's too, want another"]),
        (["--resume", "missing/state.npz"], ["missing", "cannot write"]),
        (["--resume", "model.npz"], ["model.npz: a network, not a training under way"]),
        (["--form", "grey"], ["--form"]),
    ],
)
def test_errors_of_training_on_pictures(pictures, arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    LeNet5().save("model.npz")
    data = ["train", "--data", str(pictures / "letters"), "--form", "raw", "--output", "o.npz"]
    try:
        code = cli.main([*data, *arguments])
    except SystemExit as stop:
        code = stop.code
    printed = capsys.readouterr()
    failed(subprocess.CompletedProcess(arguments, code, printed.out, printed.err), *words)
    assert os.listdir(tmp_path) == ["model.npz"]


@pytest.mark.parametrize("option", ["--data", "--validation"])
def test_a_picture_is_no_training_data(pictures, tmp_path, option):
    file = sorted((pictures / "letters" / "A").glob("*.png"))[0]
    data = ("--data", pictures / "letters") if option == "--validation" else ()
    result = run("train", *data, option, file, cwd=tmp_path)
    failed(result, f"{file}: a picture; want a folder of pictures, or a table")


def test_a_folder_that_is_neither_mnist_nor_pictures(tmp_path, pictures):
    (tmp_path / "a.png").write_bytes(b"x")
    result = run("train", "--data", tmp_path)
    failed(result, "MNIST is not in", "found: a.png", "or pictures of your own: a folder for each")
    failed(run("train", "--data", pictures), "class 'digits' has no picture, only folders: 0, 1")


def test_evaluate_asks_for_class_names(pictures, tmp_path, monkeypatch, capsys):
    network = LeNet5.pretrained("mnist").with_classes("0123")  # what the folders A, B, C, 5 show
    network.class_names = None
    network.save(tmp_path / "model.npz")
    evaluate = ("evaluate", "model.npz", "--data", pictures / "letters", *RAW)
    code, _, errors = command(monkeypatch, capsys, tmp_path, *evaluate)
    assert code == 2
    assert "model.npz: does not say what its 4 classes are called" in errors
    network.class_names = list("ABC5")
    network.save(tmp_path / "model.npz")
    code, output, _ = command(monkeypatch, capsys, tmp_path, *evaluate)
    assert code == 0
    assert float(re.search(r"test error ([\d.]+)%", output)[1]) < 25
    code, _, errors = command(
        monkeypatch, capsys, tmp_path, "evaluate", "model.npz", "--dataset", "digits"
    )
    assert "model.npz: reads A, B, C, 5, digits has labels 0 to 9" in errors


def test_fine_tuning_that_gains_nothing_is_told(pictures, tmp_path, monkeypatch, capsys):
    train = ("train", "--data", pictures / "digits", "--validation", pictures / "others", *RAW)
    told = "it reads the validation images no better than mnist does"
    for options, no_better in ((("--rate", 0), True), (("--epochs", 10), False)):
        code, output, _ = command(
            monkeypatch, capsys, tmp_path, *train, "--from", "mnist", *options
        )
        assert code == 0
        assert (told in output) == no_better
