"""What README.md and the guides show works when pasted, and what they name is there."""

import importlib.util
import inspect
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import data_files
import numpy as np
import pasted
import pytest
import readers
import test_interchange_guide
import test_recipes
import test_scale

from bench import chart
from lenet_c import (
    LENET5_28,
    LENET5_MAX,
    LENET5_MODERN,
    LENET_3X3,
    LENET_CAFFE,
    LENET_CIFAR,
    LENET_D2L,
    LeNet5,
    catalogue,
    cli,
    codes,
    datasets,
)

ROOT = Path(__file__).parent.parent
PAGES = {
    page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8")
    for page in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
}
STORED = [name for name in PAGES if re.match(r"docs/measured/\d", name)]  # of their day: not mended
README, ARCHITECTURES = PAGES["README.md"], PAGES["docs/architectures.md"]


def error_rate(output):
    return float(re.search(r"error_rate=([\d.]+)%", output)[1])


def draw_digits(folder):
    """Draw seven.jpg and eight.png, dark on light."""
    image, draw = pytest.importorskip("PIL.Image"), pytest.importorskip("PIL.ImageDraw")
    pytest.importorskip("scipy")
    for name, strokes in (
        ("seven.jpg", [(50, 50, 140, 50, 80, 160)]),
        ("eight.png", [(100, 30, 70, 65, 130, 125, 100, 160, 70, 125, 130, 65, 100, 30)]),
    ):
        sheet = image.new("L", (200, 190), 230)
        for stroke in strokes:
            draw.Draw(sheet).line(stroke, 30, 12, joint="curve")
        sheet.save(folder / name)


SHIPPED = (ROOT / "lenet_c" / "pretrained" / "strings.npz").exists()


def with_reader(code, reader, folder):
    """Give code that reads with this reader where none came with the library."""
    if SHIPPED:
        return code
    reader.save(folder / "quick.npz")
    return code.replace("LineReader.pretrained()", 'LineReader.load("quick.npz")')


@pytest.mark.parametrize("name", [name for name in PAGES if "```python" in PAGES[name]])
def test_a_page_says_what_its_code_needs(name):
    tomllib = pytest.importorskip("tomllib")
    prose = re.sub(r"```.*?```", "", PAGES[name], flags=re.DOTALL)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    said = prose.lower()
    for named in re.findall(r"lenet_c\[([a-z,]+)\]", prose):
        for extra in named.split(","):
            said += " ".join(extras["optional-dependencies"][extra])
    said = said.replace("scikit-learn", "sklearn").replace("pillow", "pil")
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGES[name], re.DOTALL))
    imported = set(re.findall(r"^(?:import|from) (\w+)", code, re.MULTILINE))
    if "lenet_c.plot" in code:
        imported.add("matplotlib")
    others = imported - {"lenet_c", "numpy", "bench", *sys.stdlib_module_names}
    assert [module for module in sorted(others) if module.lower() not in said] == []


def test_the_readme(tmp_path):
    draw_digits(tmp_path)
    code, _ = pasted.blocks(README)
    assert len(code.replace("\n\n", "\n").splitlines()) == 8  # as its heading says
    output = pasted.run(code, tmp_path)
    assert error_rate(output) < 3
    assert re.search(r"^0 +7 ", output, re.M), output
    assert LeNet5().summary() in README


def test_the_readmes_field(quick_reader, tmp_path, monkeypatch, capsys):
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "lines-field.png", tmp_path / "docs")
    code = pasted.blocks(README)[1]
    assert len(code.replace("\n\n", "\n").splitlines()) == 2  # as its heading says
    output = pasted.run(with_reader(code, quick_reader, tmp_path), tmp_path)
    text = "20742" if SHIPPED else r"\d{5}"
    assert re.match(rf"LineReading\(text='{text}', ", output)
    monkeypatch.chdir(tmp_path)
    command = "lenet-c read docs/lines-field.png"
    assert f"`{command}`" in README
    if SHIPPED:
        assert cli.main(command.split()[1:]) == 0
        assert capsys.readouterr().out.startswith("docs/lines-field.png\t20742\t0.9")


def test_the_guide_to_lines(quick_reader, tmp_path):
    for package in ("sklearn", "matplotlib"):
        pytest.importorskip(package)
    code = "\n".join(pasted.blocks(PAGES["docs/lines.md"]))
    output = pasted.run(with_reader(code, quick_reader, tmp_path), tmp_path)
    assert re.match(r"\d{5} 0\.\d+ (True|False)\n\[", output)
    lines = output.splitlines()
    assert sum(len(line) == 5 and line.isdigit() for line in lines) >= 2
    assert any(line.startswith("no writing") for line in lines)
    assert re.search(r"^[1-9]\d{0,2}(\.\d{3})*$", output, re.M)
    right = re.search(r"LineEvaluation\(n=50, wrong=(\d+), ", output)
    assert int(right[1]) < 20
    assert (tmp_path / "columns.png").stat().st_size > 1000


def test_the_guide_to_pictures_reads_many(tmp_path):
    draw_digits(tmp_path)
    code = pasted.blocks(PAGES["docs/pictures.md"])[0] + "\nprint(classes, found.reasons)\n"
    assert re.search(r"^\[7 8\] ", pasted.run(code, tmp_path), re.M)


def test_the_guide_to_scikit_learn(tmp_path):
    pytest.importorskip("sklearn", minversion="1.6")
    code = "\n".join(pasted.blocks(PAGES["docs/scikit_learn.md"]))
    checks = (
        "\nassert (model.predict_proba(X)[7] == model.predict_proba(X[7:8])[0]).all()"
        "\nassert calibrated.score(X_test, y_test) > 0.8 < weighted.score(X_test, y_test)"
    )
    lines = pasted.run(code + checks, tmp_path).splitlines()
    assert float(lines[0]) > 0.9
    assert lines[-2].startswith("{'learning_rate': 0.003, 'network': ")
    assert float(lines[-1]) > 0.9
    assert len(LeNet5.load(tmp_path / "digits.npz").class_names) == 10


def test_classes_and_codes(tmp_path):
    checks = (
        "\nassert [n.architecture.classes for n in (net, everything, short, letters)]"
        " == [26, 95, 3, 26]"
    )
    output = pasted.run(pasted.blocks(ARCHITECTURES)[0] + checks, tmp_path)
    assert output.startswith(codes.show("A") + "\n")
    assert re.search(r"^F6 +dense +3 +363 +363$", output, re.M)


def test_an_architecture_of_ones_own(tmp_path):
    assert error_rate(pasted.run(pasted.blocks(ARCHITECTURES)[1], tmp_path)) < 8


def test_pictures_of_several_channels(tmp_path):
    assert error_rate(pasted.run(pasted.blocks(ARCHITECTURES)[2], tmp_path)) < 5


def test_the_papers_training(tmp_path):
    """On few images."""
    given = "import lenet_c\n(x, y), _ = lenet_c.datasets.mnist()\nx, y = x[:500], y[:500]\n"
    (block,) = pasted.blocks(PAGES["docs/reproduction.md"])
    loss = "\nassert trainer.history.epochs[-1]['error_rate'] < 0.1"
    assert pasted.run(given + block + loss, tmp_path) == ""


def test_the_table_of_networks():
    for name, network in (
        ("LENET5_MODERN", LENET5_MODERN),
        ("LENET5_28", LENET5_28),
        ("LENET_3X3", LENET_3X3),
        ("LENET5_MAX", LENET5_MAX),
        ("LENET_D2L", LENET_D2L),
        ("LENET_CAFFE", LENET_CAFFE),
        ("LENET_CIFAR", LENET_CIFAR),
    ):
        assert (
            f" | {network.n_parameters:,} |"
            in re.search(rf"^\| `{name}` .*$", ARCHITECTURES, re.M)[0]
        )


def test_the_guide_to_callbacks(tmp_path):
    pytest.importorskip("sklearn")
    fit, own, _, _, schedule = pasted.blocks(PAGES["docs/callbacks.md"])
    output = pasted.run(fit + own + schedule, tmp_path)
    assert len(re.findall(r"^epoch \d/5  loss .*  validation ", output, re.M)) == 5
    assert re.search(r"^0\.\d+\n\[0\.003, 0\.0015, 0\.00075\]$", output, re.M)


@pytest.mark.parametrize(("package", "block"), [("tensorboard", 2), ("mlflow", 3)])
def test_the_guides_loggers(package, block, tmp_path):
    for needed in ("sklearn", package):
        pytest.importorskip(needed)
    blocks = pasted.blocks(PAGES["docs/callbacks.md"])
    assert f"import {package}" in blocks[block] or f"from {package}" in blocks[block]
    # these packages warn and log by themselves
    code = [sys.executable, "-c", blocks[0] + blocks[block]]
    subprocess.run(code, cwd=tmp_path, check=True, timeout=300)
    if package == "tensorboard":
        assert list((tmp_path / "runs" / "first").glob("events*"))
    else:
        (kept,) = tmp_path.glob("mlruns/*/*/artifacts/model.npz")
        assert LeNet5.load(kept).architecture == LENET5_MODERN


def test_the_guide_to_data_sets(tmp_path, monkeypatch):
    """Its code, on sets of the same form: patterns for classes."""
    random = np.random.default_rng(0)
    patterns = random.integers(0, 2, (26, 4, 4)).repeat(4, 1).repeat(4, 2) * 255

    def part(count, classes, first=0):
        labels = np.arange(count) % classes
        images = np.zeros((count, 28, 28), np.uint8)
        images[:, 6:22, 6:22] = patterns[labels]
        return [images, (labels + first).astype(np.uint8)]

    for name in ("mnist", "fashion-mnist"):
        data_files.put(tmp_path / name, part(1200, 10) + part(100, 10))
    wanted = catalogue.EMNIST["letters"].wanted
    names = [one.name.removesuffix(".gz") for one in wanted]
    data_files.put(tmp_path / "emnist", part(10400, 26, 1) + part(130, 26, 1), True, names)
    (tmp_path / "qmnist").mkdir()
    for one in catalogue.QMNIST.wanted:
        rows = np.zeros((1200, 8), ">i4")
        rows[:, 2] = np.arange(1200) // 10
        content = data_files.idx(rows, dtype=0x0C)
        (tmp_path / "qmnist" / one.name.removesuffix(".gz")).write_bytes(content)
    monkeypatch.setenv("LENET_C_DATA", str(tmp_path))
    output = pasted.run("\n".join(pasted.blocks(PAGES["docs/datasets.md"])), tmp_path)
    assert re.search(r"T-shirt/top.*Trouser.*Pullover", output)
    assert all(float(rate) < 20 for rate in re.findall(r"error_rate=([\d.]+)%", output))
    assert output.count("error_rate=") == 2


# What runs the Python of pages that are not run as a whole by `test_guide`.
ELSEWHERE = {
    "README.md": (test_the_readme, test_the_readmes_field),  # its two blocks
    "docs/architectures.md": (
        *(test_classes_and_codes, test_an_architecture_of_ones_own),
        test_pictures_of_several_channels,
    ),
    "docs/callbacks.md": (test_the_guide_to_callbacks, test_the_guides_loggers),
    "docs/datasets.md": (test_the_guide_to_data_sets,),
    "docs/interchange.md": (test_interchange_guide.test_the_guides_code,) * 4,  # a block each
    "docs/lines.md": (test_the_guide_to_lines,),
    "docs/fine_tuning.md": (test_recipes.test_the_guide_to_fine_tuning,),
    "docs/reproduction.md": (test_the_papers_training,),
    "docs/scale.md": (test_scale.test_examples,) * 8,  # each block a file
}


@pytest.mark.parametrize(
    "name",
    [
        name.removeprefix("docs/").removesuffix(".md")
        for name, page in PAGES.items()
        if pasted.blocks(page) and name not in {*ELSEWHERE, *STORED}
    ],
)
def test_guide(name, tmp_path):
    for package in ("sklearn", "matplotlib"):
        pytest.importorskip(package)
    image = pytest.importorskip("PIL.Image")
    images, labels = datasets.digits()[1]
    seven = np.kron(images[labels == 7][0], np.ones((8, 8), np.uint8))
    image.fromarray(255 - seven).save(tmp_path / "seven.jpg")
    output = pasted.run("\n".join(pasted.blocks(PAGES[f"docs/{name}.md"])), tmp_path)
    if name == "pictures":
        assert re.match(r" +label .*\n0 +7 +0\.9", output)
    if name == "fields":
        assert output.startswith("(32, ")
        assert output.rstrip().endswith("to white)']")
        assert output.count("(32, ") == 4
    if name == "printed":
        assert output == "cC,'Baseline\n"
    if name == "own_pictures":
        assert error_rate(output) < 50
        assert "('A', 'B', 'C')" in output


# ---- all blocks ----

FENCE = re.compile(r"^( *)```([^\n]*)\n(.*?)^ *```$", re.M | re.S)


def fences(page):
    """Give the language and the text of each block of a page."""
    return [(language, text) for _, language, text in FENCE.findall(page)]


def test_every_block_of_python_is_run():
    for name, page in PAGES.items():
        found = fences(page)
        # another language ("console", "py") or an indented block would be run by nothing
        others = COMPILED.get(name, set())
        assert {language for language, _ in found} <= {"python", "sh", "", *others}, name
        assert [text for language, text in found if language == "python"] == pasted.blocks(page)
        assert not [text for language, text in found if language == "" and "import " in text]
    for name, tests in ELSEWHERE.items():
        assert pasted.blocks(PAGES[name]), name
        source = "".join(inspect.getsource(test) for test in tests)
        whole = re.search(r"join\(pasted\.blocks\(|[,_)] = pasted\.blocks|, \w+ = pasted", source)
        assert whole or len(tests) == len(pasted.blocks(PAGES[name])), name


# Languages of programs that test_c_library.py and test_export_c.py build and run.
COMPILED = {"docs/embedding.md": {"c", "cmake", "cpp", "rust"}, "docs/one_c_file.md": {"c"}}

# Commands that are not run here, and why.
NOT_RUN = {
    'pip install -e ".[cli]" && lenet-c train': "installs; .ci/run does, test_cli.py trains",
    'pip install -e ".[dev]" && make test    # or pytest, which takes one process': (
        "this is what runs"
    ),
    "python -m tests.fuzz.long --write > long.txt 2>&1 &    # some 40 minutes on two processors": (
        "takes that long; test_fuzz.py has a short one"
    ),
    "cc -O3 main.c digit.c -o reader": "no Python; test_export_c.py does it",
    **dict.fromkeys(
        [
            *("cmake -S csrc -B build/c", "cmake --build build/c", "ctest --test-dir build/c"),
            'cmake --install build/c --prefix "$HOME/.local"',
            "cc -std=c11 reader.c $(pkg-config --cflags --libs lenet_c) -o reader",
            (
                "./reader \"$(python -c 'import lenet_c; print(lenet_c.__path__[0])')"
                '/pretrained/mnist.npz" digit.pgm'
            ),
            'rustc --edition 2021 -O reader.rs -L "$HOME/.local/lib" -l lenet',
        ],
        "no Python; test_c_library.py does the same in folders of its own",
    ),
}


def commands(name):
    """Give the commands of a page's blocks, each on one line."""
    text = "".join(text for language, text in fences(PAGES[name]) if language == "sh")
    return text.replace("\\\n", " ").splitlines()


def ones_own(folder, images, labels):
    """Make the pictures, fields and models that the guides' commands name."""
    image = pytest.importorskip("PIL.Image")
    large = [
        [np.kron(255 - one, np.ones((4, 4), np.uint8)) for one in images[labels == k][:5]]
        for k in range(2)
    ]
    for data in ("letters", "FOLDER"):
        for name, pictures in zip("AB", large, strict=True):
            (folder / data / name).mkdir(parents=True)
            for k, picture in enumerate(pictures):
                image.fromarray(picture).save(folder / data / name / f"{k}.png")
    for name in ("new.png", "seven.png", "x.png"):
        image.fromarray(large[1][0]).save(folder / name)
    random = np.random.default_rng(0)
    for data in ("fields", "other-fields"):
        (folder / data).mkdir()
        rows = ["file,text"]
        for k, text in enumerate(readers.texts(8, random)):
            image.fromarray(readers.drawn(images, labels, text, random)[1]).save(
                folder / data / f"{k}.png"
            )
            rows.append(f"{k}.png,{text}")
        (folder / data / "labels.csv").write_text("\n".join(rows))
    for name, text in (("scan1.png", "481632"), ("scan2.png", "900127")):
        image.fromarray(readers.drawn(images, labels, text, random)[1]).save(folder / name)
    LeNet5.pretrained("mnist").save(folder / "model.npz")


@pytest.mark.skipif(not SHIPPED, reason="no reader came with the library")
def test_commands_run(real_digits, tmp_path):
    left = {*NOT_RUN}
    ones_own(tmp_path, *real_digits[1])
    for name in ("README.md", *sorted(name for name in PAGES if name.startswith("docs/"))):
        for command in commands(name):
            if command in NOT_RUN:
                left -= {command}
                continue
            program, *arguments = shlex.split(command)
            if program == "lenet-c":
                arguments = ["-m", "lenet_c", *arguments]
                arguments += ["--epochs", "1"] if "train" in arguments else []
            elif arguments[1] == "timeit":
                arguments[2:2] = ["-n", "1", "-r", "1"]
                if not pasted.mnist_is_there():
                    arguments = [one.replace("mnist()", "digits()") for one in arguments]
            result = subprocess.run(
                [sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True
            )
            assert result.returncode == 0, f"{name}: {command}: {result.stderr}"
            assert result.stdout, f"{name}: {command}"
    assert not left, "commands that are on no page"


# ---- what the pages name ----


def anchors(page):
    """Give what GitHub makes of a page's headings."""
    text = re.sub(r"^```.*?^```", "", page, flags=re.M | re.S)
    headings = re.findall(r"^#+ +(.*?) *$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.skipif("CONTRIBUTING.md" not in PAGES, reason="a copy without all pages")
def test_links_lead_somewhere():
    for name, page in PAGES.items():
        for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page):
            path, _, anchor = target.partition("#")
            file = (ROOT / name).parent.joinpath(path).resolve() if path else ROOT / name
            assert file.exists(), f"{name}: {target}"
            if anchor:
                assert anchor in anchors(file.read_text(encoding="utf-8")), f"{name}: {target}"


@pytest.mark.skipif("CONTRIBUTING.md" not in PAGES, reason="a copy without all pages")
def test_files_are_where_pages_say():
    named = []
    for name in PAGES.keys() - STORED:
        # paths from the root, or of the core from csrc
        for path in re.findall(r"`((?:\w+/)+\w+\.(?:c|h|py|pyx))\b", PAGES[name]):
            assert (ROOT / path).exists() or (ROOT / "csrc" / path).exists(), f"{name}: {path}"
            named.append(path)
    assert {"csrc/layers/conv.c", "kernels/dispatch.c", "tests/reference.py"} <= {*named}


def test_no_page_has_the_marks_of_a_merge():
    for name, page in PAGES.items():
        assert not re.search(r"^(<{7} |>{7} |={7}$)", page, re.M), name


@pytest.mark.parametrize("name", [name for name in PAGES if name not in STORED])
def test_commands_are_there(name, capsys, monkeypatch):
    def known(option, main, *arguments):
        monkeypatch.setattr("sys.argv", ["command", *arguments, "--help"])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 0
        return re.search(rf"^  {option}\b", capsys.readouterr().out, re.M)

    for module, rest in re.findall(r"python -m ([\w.]+)([^`\n#&;]*)", PAGES[name]):
        if not module.startswith(("venv", "pip", "mpi4py")):
            spec = importlib.util.find_spec(module)
            assert spec, module
            package = spec.submodule_search_locations is not None
            main = importlib.import_module(f"{module}.__main__" if package else module).main
            for option in re.findall(r"--[a-z-]+", rest):
                assert known(option, main), f"{module} {option}"
    for command, rest in re.findall(r"lenet-c ([a-z]+)([^`\n#&]*)", PAGES[name]):
        for option in ["-h", *re.findall(r"--[a-z-]+", rest)]:
            assert known(option, cli.main, command), f"lenet-c {command} {option}"


@pytest.mark.skipif("CONTRIBUTING.md" not in PAGES, reason="a copy without all pages")
def test_targets_of_make_are_there():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for name, page in PAGES.items():
        for target in re.findall(r"(?:`|^)make ([a-z-]+)", page, re.M):
            assert re.search(rf"^{target}:", makefile, re.M), f"{name}: make {target}"


# ---- what the README quotes: copies of pages, so that printing a page anew breaks nothing ----


def rows(page, before, first):
    """Give the cells of the first table after a text whose head begins with `first`, by row."""
    _, _, rest = page.partition(before)
    lines = rest[rest.index(f"| {first} |") :].split("\n\n")[0].splitlines()
    return {cells[0]: cells[1:] for cells in (line[2:-2].split(" | ") for line in lines)}


@pytest.fixture
def quoted():
    """Give the stored pages that README.md links, by the last word of their names."""
    pages = {}
    for day, name in re.findall(r"of (\d{4}-\d\d-\d\d)\]\((docs/measured/[^)]+)\)", README):
        assert name.startswith(f"docs/measured/{day}-")
        assert re.search(rf"^- {day};|\bby {day}\.$", PAGES[name], re.M), f"{name}: not of {day}"
        pages[name.removesuffix(".md").rpartition("-")[2]] = PAGES[name]
    assert set(pages) == {"accuracy", "confidence", "limit", "peers"}
    return pages


@pytest.mark.skipif("CONTRIBUTING.md" not in PAGES, reason="a copy without all pages")
def test_the_readmes_figures_are_those_of_the_stored_pages(quoted):
    accuracy = rows(quoted["accuracy"], "# Accuracy", "what")
    plain = accuracy["the 1998 network, `lenet-c train`"]
    distorted = accuracy["the 1998 network, `lenet-c train --distort`"]
    modern = accuracy["the modern network, `lenet-c train --distort`"]
    best, exact = (accuracy[f'`pretrained("{name}")`'] for name in ("mnist-modern", "mnist"))
    trusted = rows(quoted["confidence"], "How many pictures", "not doubtful")
    of = {what: cells[trusted["not doubtful"].index("`mnist`")] for what, cells in trusted.items()}
    images = rows(quoted["limit"], "\n## avx512\n", "path")["1998: predict 1024"][1]
    peers = rows(quoted["peers"], "\n## 1 thread\n", "")

    def best_peer(task):
        ratio, _, name = peers["**best peer**"][peers[""].index(task)].partition("x, ")
        return name, f"{float(ratio):.1f}"

    def times(task):
        return f"{best_peer(task)[1]} times"

    reading = [best_peer(f"inference {n}") for n in (1, 64, 1024)]
    assert len({name for name, _ in reading}) == 1
    one, batch, epoch = map(best_peer, ("training 1, SGD", "training 128, Adam", "MNIST epoch"))
    assert batch[0] == epoch[0]
    assert of["noise"] == of["blank, and all ink"]
    rest = " ".join(README.split())
    for claim in (
        f"of the exact 1998 network, misread {exact[0]} of MNIST's test digits.",
        f"The paper published {plain[3]}, and {distorted[3]} with distorted training images.",
        f"reads {round(int(images.replace(',', '')), -3):,} images a second with the 1998 network.",
        f"reads {times('inference 1024')} and trains {times('training 128, Adam')} as fast",
        (
            f"best of them at reading is {reading[0][0]}: it takes {reading[0][1]} times as long "
            f"for one image, {reading[1][1]} for 64 at a time, {reading[2][1]} for 1,024."
        ),
        (
            f"At training it is {one[0]} on one image ({one[1]}), {batch[0]} on 128 at a time "
            f"({batch[1]}) and for a pass over MNIST ({epoch[1]})."
        ),
        f"trusts {of['test digits']} of its answers to MNIST's test digits, {of['noise']} of those",
        f"to noise and blank sheets, and {of['letters, four fonts']} of those to printed letters,",
        f"`lenet-c train` (10 passes) | {plain[0]} | {plain[3]}, 20 passes |",
        f"`lenet-c train --distort` (100 passes) | {distorted[0]} | {distorted[3]} |",
        f'`LeNet5.pretrained("mnist")`, ready to use | {exact[0]} | |',
        f"the modern network, `lenet-c train --distort` (40 passes) | {modern[0]} | |",
        f'`LeNet5.pretrained("mnist-modern")`, ready to use | {best[0]} | |',
    ):
        assert claim in rest
        rest = rest.replace(claim, "")
    assert not re.findall(r"\d[\d.,]*(?:%| times| images a| us\b| ms\b| s\b)", rest)


@pytest.mark.skipif("CONTRIBUTING.md" not in PAGES, reason="a copy without all pages")
def test_the_readmes_chart_is_of_the_page_that_it_quotes(quoted):
    assert chart.quoted().read_text(encoding="utf-8") == quoted["peers"]
    peers = rows(quoted["peers"], "\n## 1 thread\n", "")
    for column, (_, images) in chart.PANELS.items():
        speeds = chart.speeds(quoted["peers"], column, images)
        of_column = {name: cells[peers[""].index(column)] for name, cells in peers.items()}
        assert speeds.keys() == {
            name for name, cell in of_column.items() if re.match(r"[\d.]+ [mu]?s\b", cell)
        }
        name = of_column["**best peer**"].split("x, ")[1]
        assert max(speeds, key=speeds.get) == "lenet_c"
        assert sorted(speeds, key=speeds.get)[-2] == name
        # the page's ratio is the median of its rounds' ratios
        ratio = float(of_column["**best peer**"].partition("x")[0])
        assert speeds["lenet_c"] / speeds[name] == pytest.approx(ratio, rel=0.05)


def test_the_chart_is_drawn(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    page = tmp_path / "page.md"
    page.write_text(
        "# A page\n\n## 1 thread\n\n"
        "|  | inference 1 | inference 1024 | training 128, Adam |\n| --- | ---: | ---: | ---: |\n"
        "| lenet_c | 10.0 us | 1.00 ms | 2.00 ms |\n| other | 1.00 s | 2.00 ms (2.0x) | - |\n"
        "| **best peer** | 9x, other | 2.00x, other | - |\n\n## 2 threads\n"
    )
    monkeypatch.setattr("sys.argv", ["chart", str(page), str(tmp_path / "chart.png")])
    chart.main()
    assert capsys.readouterr().out.splitlines() == [
        "reading, one image at a time: lenet_c 100,000, other 1",
        "reading, 1,024 images at a time: lenet_c 1,020,000, other 512,000",
        "training, batches of 128: lenet_c 64,000",
    ]
    assert (tmp_path / "chart.png").stat().st_size > 1000
