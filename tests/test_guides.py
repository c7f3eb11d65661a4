"""What README.md and the guides show works when pasted, and what they name is there."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pasted
import pytest

from lenet_c import LENET5_28, LENET5_MODERN, LENET_3X3, LeNet5, cli, codes, datasets

ROOT = Path(__file__).parent.parent
PAGES = {
    page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8")
    for page in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
}
README, ARCHITECTURES = PAGES["README.md"], PAGES["docs/architectures.md"]


def error_rate(output):
    return float(re.search(r"error_rate=([\d.]+)%", output)[1])


def test_the_readme(tmp_path):
    code = pasted.blocks(README)[0]
    assert error_rate(pasted.run(code, tmp_path)) < 3
    assert (tmp_path / "model.npz").exists()
    assert LeNet5().summary() in README


def test_the_readme_reads_pictures(tmp_path):
    image, draw = pytest.importorskip("PIL.Image"), pytest.importorskip("PIL.ImageDraw")
    pytest.importorskip("scipy")
    for name, strokes in (
        ("seven.jpg", [(50, 50, 140, 50, 80, 160)]),
        ("eight.png", [(100, 30, 70, 65, 130, 125, 100, 160, 70, 125, 130, 65, 100, 30)]),
    ):
        sheet = image.new("L", (200, 190), 230)
        for stroke in strokes:
            draw.Draw(sheet).line(stroke, 30, 12, joint="curve")
        sheet.save(tmp_path / name)
    table = pasted.run("import lenet_c\n" + pasted.blocks(README)[1], tmp_path)
    assert re.search(r"^ *0 +7 .*\n *1 +8 ", table, re.M), table


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


def test_the_table_of_networks():
    for name, network in (
        ("LENET5_MODERN", LENET5_MODERN),
        ("LENET5_28", LENET5_28),
        ("LENET_3X3", LENET_3X3),
    ):
        assert (
            f" | {network.n_parameters:,} |"
            in re.search(rf"^\| `{name}` .*$", ARCHITECTURES, re.M)[0]
        )


@pytest.mark.parametrize(
    "name",
    [
        *("accuracy", "confidence", "distortions", "own_pictures"),
        *("pictures", "plots", "rejection"),
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
    if name == "own_pictures":
        assert error_rate(output) < 50
        assert "('A', 'B', 'C')" in output


# ---- what the pages name ----


@pytest.mark.skipif("CONTRIBUTING.md" not in PAGES, reason="a copy without all pages")
def test_links_lead_somewhere():
    for name, page in PAGES.items():
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page):
            assert (ROOT / name).parent.joinpath(target).exists(), f"{name}: {target}"


@pytest.mark.parametrize("name", PAGES)
def test_commands_are_there(name, capsys, monkeypatch):
    def known(option, main, *arguments):
        monkeypatch.setattr("sys.argv", ["command", *arguments, "--help"])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 0
        return re.search(rf"^  {option}\b", capsys.readouterr().out, re.M)

    for module, rest in re.findall(r"python -m ([\w.]+)([^`\n#&;]*)", PAGES[name]):
        if not module.startswith(("venv", "pip")):
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


def test_the_readmes_figures_are_those_of_the_pages():
    """Error rates, times and images a second in README's tables; the pages name their commands."""
    names = ("accuracy", "limit", "peers")
    pages = "".join(PAGES[f"docs/{name}.md"] for name in names)
    figures = re.findall(r"[\d.,]+ (?:us|ms|images/s)|\d\.\d\d%(?: \([\d.]+ to [\d.]+\))?", README)
    assert len(figures) > 30
    for figure in figures:
        bare = figure.removesuffix(" images/s")
        assert re.search(rf"(?<![\d.,]){re.escape(bare)}", pages), figure


def rows(page, heading, first):
    """Give the cells of the table that begins with `first`, under a heading, by their first one."""
    _, _, rest = PAGES[page].partition(f"\n## {heading}\n")
    lines = rest[rest.index(f"| {first} |") :].split("\n\n")[0].splitlines()
    return {cells[0]: cells[1:] for cells in (line[2:-2].split(" | ") for line in lines)}


def test_the_readmes_speeds_are_the_limit_pages():
    tables = [rows("docs/limit.md", isa, "path") for isa in ("avx512", "avx2")]
    for what, path, column in (
        ("`predict`, 1024 images", "1998: predict 1024", 1),
        ("`predict`, one image", "1998: predict 1", 0),
        ("`Trainer.step`, 128 images, Adam", "1998: step 128, Adam", 1),
        ("`Trainer.step`, one image, SGD", "1998: step 1, SGD", 0),
    ):
        (line,) = re.findall(rf"^\| {re.escape(what)} \| (.*) \|$", README, re.M)
        cells = line.split(" | ")
        for table, speed, percent in zip(tables, cells[::2], cells[1::2], strict=True):
            assert speed.removesuffix(" images/s") == table[path][column].partition(" (")[0]
            of_peak = float(table[path][3].partition("%")[0])
            assert abs(float(percent.removesuffix("%")) - of_peak) <= 0.5, what
    for page, words in (
        ("epyc/limit", r"EPYC \(Zen 4\) `predict` .*? (\d+)% .*? step\s+(\d+)%"),
        ("xeon/limit-slower", r"earlier version's `predict` .*? (\d+)% and its step (\d+)%"),
        ("xeon/limit-direct", r"by direct sums, in a faster hour, (\d+)% and (\d+)%"),
    ):
        table = rows(f"docs/{page}.md", "avx512", "path")
        said = re.search(words, README, re.S)
        for percent, path in zip(said.groups(), ("predict 1024", "step 128, Adam"), strict=True):
            of_peak = float(table[f"1998: {path}"][3].partition("%")[0])
            assert abs(float(percent) - of_peak) <= 0.5, (page, path)


def test_the_readmes_peers_are_the_best_ones_of_the_page():
    tables = [rows("docs/peers.md", f"{n} thread{'s' * (n > 1)}", "") for n in (1, 2)]
    for what, task in (
        ("inference, one image", "inference 1"),
        ("inference, 64 images", "inference 64"),
        ("inference, 1024 images", "inference 1024"),
        ("training, one image, SGD", "training 1, SGD"),
        ("training, 128 images, Adam", "training 128, Adam"),
    ):
        line = f"| {what} |"
        for table in tables:
            of_task = {name: cells[table[""].index(task)] for name, cells in table.items()}
            ratio, name = of_task["**best peer**"].split("x, ")
            assert float(ratio) > 1.0  # "No row has a peer ahead"
            time, _, rest = of_task[name].partition(" ")
            unit, _, ratio = rest.partition(" ")
            line += f" {of_task['lenet_c']} | {time} {unit}, {name} {ratio} |"
        assert line in README
