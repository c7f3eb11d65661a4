"""Printed characters: their place on the line, the pictures of them, and the network that reads."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL")
pytest.importorskip("scipy")
pytest.importorskip("matplotlib")

import matplotlib
from PIL import Image

from bench import printed as figures
from lenet_c import LENET5_1998, LeNet5, cli, codes, preprocess
from lenet_c.recipes import printed as recipe

DEJAVU = str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")
BOLD = DEJAVU.replace("Sans.ttf", "Sans-Bold.ttf")
PAGE = Path(__file__).parent.parent / "docs" / "printed.md"


def plain(character, path=DEJAVU):
    """Give a picture, black on white, and the line."""
    return recipe.draw(path, character, np.random.default_rng(0), plain=True)


def form(character, path=DEJAVU):
    drawn = plain(character, path)
    return preprocess.character(drawn.picture, line=drawn.line)


def rows_of(image):
    found = np.flatnonzero((image > 127).any(axis=1))
    return int(found[0]), int(found[-1]) + 1


# ---- a character in its place on the line ----


def test_a_block_of_pixels_becomes_one():
    """A character of whole blocks of 3x3 pixels: each becomes a pixel, and nothing else does."""
    rng = np.random.default_rng(0)
    small = np.zeros((28, 28), np.uint8)
    small[5:21, 8:20] = rng.random((16, 12)) < 0.2
    small[5:21] = np.maximum(small[5:21], small[5:21, ::-1])  # its mass is in the middle
    picture = np.kron(255 - 255 * small, np.ones((3, 3), np.uint8))
    np.testing.assert_array_equal(
        preprocess.character(picture, line=(15, 63)), 255 * small, strict=True
    )
    # cut to its ink and a pixel more, the line is where it was
    top, left = 14, 23
    cut = picture[top:64, left:61]
    assert (preprocess.character(cut, line=(15 - top, 63 - top)) == 255 * small).all()


def test_size_and_height_are_kept():
    assert rows_of(form("H")) == rows_of(form("E")) == (5, 21)
    small, large = rows_of(form("c")), rows_of(form("C"))
    assert 7 <= small[0] <= 10
    assert abs(large[0] - 5) <= 1
    comma, quote = rows_of(form(",")), rows_of(form("'"))
    assert comma[0] > 16 > quote[1]
    assert rows_of(form("p"))[1] > 23
    for pair in ("cC", "oO", "sS", "vV", "wW", "xX", "zZ", ",'"):
        assert np.abs(form(pair[0]).astype(int) - form(pair[1])).mean() > 5, pair


@pytest.mark.parametrize("character", "agHM%@.:\"|'-_")
def test_polarity_grey_levels_and_the_pictures_size_change_little(character):
    picture, (top, baseline) = plain(character)
    wanted = form(character).astype(int)
    for other, line in (
        (255 - picture, (top, baseline)),
        (60 + picture // 2, (top, baseline)),
        (picture / 255, (top, baseline)),
        (np.dstack([picture] * 3), (top, baseline)),
        (np.kron(picture, np.ones((5, 5), np.uint8)), (5 * top, 5 * baseline)),
        (np.pad(picture, 9, constant_values=255), (top + 9, baseline + 9)),
    ):
        found = preprocess.character(other, line=line)
        assert np.abs(found - wanted).mean() < 3


@pytest.mark.parametrize(("level", "noise"), [(0, 6), (80, 6), (128, 60), (255, 6)])
def test_no_ink_is_a_space(level, noise, rng):
    blank = np.full((40, 30), level, np.uint8)
    assert not preprocess.character(blank, line=(5, 30)).any()
    noisy = np.clip(level + rng.normal(0, noise, blank.shape), 0, 255).astype(np.uint8)
    assert not preprocess.character(noisy, line=(5, 30)).any()
    assert not preprocess.character(np.zeros((1, 1), np.uint8), line=(0, 1)).any()


def test_specks_are_no_dots(rng):
    picture, line = plain("l")
    sheet = np.pad(picture, ((0, 0), (12, 12)), constant_values=255)
    clean = preprocess.character(sheet, line=line)
    sheet[4, 3] = sheet[20, -4] = 0
    np.testing.assert_array_equal(preprocess.character(sheet, line=line), clean)


def test_a_wide_character_is_squeezed_and_stays_inside():
    picture = np.full((48, 300), 255, np.uint8)
    picture[20:28, 4:200] = 0
    picture[10:40, 180:200] = 0  # its mass lies aside
    image = preprocess.character(picture, line=(8, 40))
    columns = np.flatnonzero((image > 127).any(axis=0))
    assert 24 <= np.ptp(columns) + 1 <= 26
    assert 0 < columns[0] < columns[-1] < 27


@pytest.mark.parametrize(
    ("line", "error", "words"),
    [
        (5, TypeError, r"line: got 5, want \(top, baseline\)"),
        ((1, 2, 3), TypeError, r"line: got \(1, 2, 3\), want \(top, baseline\)"),
        (("a", "b"), TypeError, "line: "),
        ((float("nan"), 3), ValueError, "line: "),
        ((30, 10), ValueError, r"line: got \(30, 10\), want .*rows count downward"),
        ((200, 230), ValueError, "line: the picture's ink lies beyond the line"),
        ((0, 2), ValueError, "line: capital letters of 2 rows in a picture of .* want a picture"),
    ],
)
def test_lines_that_cannot_be(line, error, words):
    with pytest.raises(error, match=words):
        preprocess.character(plain("A").picture, line=line)


def test_many_characters_with_lines():
    drawn = [plain(character) for character in "ab"]
    pictures, lines = [d.picture for d in drawn], [d.line for d in drawn]
    found = preprocess.characters(pictures, line=np.array(lines))
    np.testing.assert_array_equal(found.images, [form("a"), form("b")])
    assert not found.refused.any()
    both = preprocess.characters(iter(pictures[:1] * 2), line=lines[0])
    np.testing.assert_array_equal(both.images, [form("a")] * 2)
    with pytest.raises(ValueError, match=r"line: shape \(2, 2\), want .* each of the 1 pictures"):
        preprocess.characters(pictures[:1], line=lines)
    with pytest.raises(ValueError, match=r"line\[1\]: got \(5, 1\), want"):
        preprocess.characters(pictures, line=[(1, 5), (5, 1)])


# ---- fonts ----


def test_no_family_is_in_two_parts():
    parts = {part: recipe.fonts(part) for part in recipe.PARTS}
    assert sum(map(len, parts.values())) == len(recipe.fonts()) > 300
    families = {part: {font.family for font in fonts} for part, fonts in parts.items()}
    assert not families["train"] & (families["validation"] | families["test"])
    assert not families["validation"] & families["test"]
    assert len(families["train"]) >= 60
    assert len(families["test"]) >= 15
    sums = [font.sha256 for font in recipe.fonts()]
    assert len(set(sums)) == len(sums)
    assert all(re.fullmatch("[0-9a-f]{64}", one) for one in sums)
    with pytest.raises(ValueError, match="part: got 'tests', want one of train, validation, test"):
        recipe.fonts("tests")


def test_families_are_parted_by_their_names_alone():
    own = {font.family for font in recipe.fonts() if font.package == "matplotlib"}
    part = {font.family: font.part for font in recipe.fonts()}
    assert {part[family] for family in own} == {"train"}
    others = sorted(set(part) - own, key=lambda name: hashlib.sha256(name.encode()).digest())
    wanted = ["test"] * 17 + ["validation"] * 10 + ["train"] * (len(others) - 27)
    assert [part[family] for family in others] == wanted


def dejavu():
    return [font for font in recipe.fonts() if font.file == "DejaVuSans.ttf"]


def test_fonts_are_found_by_their_content(tmp_path):
    font = dejavu()
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    (inside / "DejaVuSans.ttf").write_bytes(b"another")
    with pytest.raises(FileNotFoundError, match=r"1 of 1 files .* with another content"):
        recipe.find(font, str(tmp_path))
    (tmp_path / "DejaVuSans.ttf").write_bytes(Path(DEJAVU).read_bytes())
    assert recipe.find(font, str(tmp_path)) == [str(tmp_path / "DejaVuSans.ttf")]


def test_fonts_that_are_missing_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"files are missing.*apt-get install fonts-adf-"):
        recipe.find(recipe.fonts("train"), str(tmp_path))


# ---- pictures ----


def test_pictures_are_drawn_by_the_seed_alone():
    first = recipe.pictures([DEJAVU, BOLD], seed=3)
    for one, other in zip(first, recipe.pictures([DEJAVU, BOLD], seed=3), strict=True):
        np.testing.assert_array_equal(one, other, strict=True)
    # a font's pictures do not depend on those before it
    more = recipe.pictures([BOLD, BOLD], seed=3)
    np.testing.assert_array_equal(more[0][-60:], first[0][-60:])
    assert not np.array_equal(first[0], recipe.pictures([DEJAVU, BOLD], seed=4)[0])


def test_pictures_with_the_line_have_every_character():
    images, labels, known = recipe.pictures([DEJAVU], 2, on_line=1.0)
    np.testing.assert_array_equal(labels, np.tile(np.arange(95), 2))
    assert known.all()
    assert not images[labels == 0].any()
    assert images[labels > 0].any(axis=(1, 2)).all()


def test_pictures_without_the_line_have_those_that_can_be_told():
    _, labels, known = recipe.pictures([DEJAVU], 2, on_line=0.0)
    shown = {codes.CHARACTERS[label] for label in labels}
    assert shown <= set(recipe.ALONE)
    assert len(shown) > 0.9 * len(recipe.ALONE)
    assert not known.any()


def test_the_line_of_a_drawn_picture_is_that_of_its_capitals():
    picture, (top, baseline) = plain("H")
    dark = np.flatnonzero((picture < 128).any(axis=1))
    assert abs(dark[0] - top) <= 1
    assert abs(dark[-1] + 1 - baseline) <= 1
    assert baseline - top == pytest.approx(32, abs=1)


def test_characters_that_count_as_one():
    place = codes.CHARACTERS.index
    answers = [place(c) for c in "oO0lI1|cCab,'"]
    ones = recipe.merged(answers)
    assert len(set(ones[:3])) == len(set(ones[3:7])) == len(set(ones[7:9])) == 1
    assert len(set(ones)) == 3 + 4
    found = recipe.result([place(c) for c in "oaC"], [place(c) for c in "Obc"])
    assert (found.pictures, found.right, round(found.right_merged, 3)) == (3, 0.0, 0.667)
    assert found.confusion.sum() == 3
    assert found.confusion[place("O"), place("o")] == 1


# ---- training ----


@pytest.fixture
def two_fonts(monkeypatch):
    """The recipe with two fonts that come with matplotlib, and few pictures."""
    fonts = [font for font in recipe.fonts() if font.file in ("DejaVuSans.ttf", "DejaVuSerif.ttf")]
    assert len(fonts) == 2
    monkeypatch.setattr(recipe, "fonts", lambda part=None: fonts)
    monkeypatch.setattr(recipe, "PICTURES", 4)
    monkeypatch.setattr(recipe, "CALIBRATED_ON", 1)
    monkeypatch.setattr(recipe, "TESTED_ON", 1)


@pytest.mark.usefixtures("two_fonts")
def test_the_command_trains_the_same_bytes_for_any_number_of_threads(tmp_path, capsys):
    files = []
    for threads in ("1", "2"):
        out = tmp_path / f"{threads}.npz"
        command = ["train", "--printed", "--quiet", "--epochs", "3", "--threads", threads]
        assert cli.main([*command, "--output", str(out)]) == 0, capsys.readouterr().err
        files.append(out.read_bytes())
    assert files[0] == files[1]
    said = capsys.readouterr().out
    assert re.search(r"drawing in 2 fonts of 1 families\ntraining \S+ on 3[78]\d pictures", said)
    network = LeNet5.load(tmp_path / "1.npz")
    assert network.class_names == tuple(codes.CHARACTERS)
    np.testing.assert_array_equal(network.codes, codes.ASCII)
    assert network.notes["command"] == "lenet-c train --printed --epochs 3 --seed 0"
    assert network.notes["drawn_by"] == recipe.drawn_by()
    assert network.temperature != 1.0
    assert 0 < network.rejection.penalty < np.inf
    assert (network.parameters == network.parameters.astype(np.float16)).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--fonts", "."], "--fonts is for --printed"),
        (["--printed", "--fonts", "{empty}"], "files are missing"),
        (["--printed", "--codes", "abc"], "--codes is not for --printed"),
        (["--printed", "--animate", "x.gif"], "--animate is not for --printed"),
        (["--printed", "--boost"], "--boost is not for --printed"),
        (["--printed", "--strings"], "--printed and --strings"),
        (["--printed", "--output", "printed"], "the name of a network that comes with"),
    ],
)
def test_training_says_what_does_not_go(arguments, words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    given = [one.replace("{empty}", "empty") for one in arguments]
    assert cli.main(["train", *given]) == 2
    assert words in capsys.readouterr().err


# ---- the network that comes with the library ----


@pytest.fixture(scope="module")
def shipped():
    return LeNet5.pretrained("printed")


def test_what_is_shipped_is_what_the_recipe_says(shipped):
    assert shipped.architecture == recipe.RECIPE.architecture
    assert shipped.architecture.layers[:-1] == LENET5_1998.layers[:-1]
    assert shipped.n_parameters <= 100_000
    assert shipped.class_names == tuple(codes.CHARACTERS)
    np.testing.assert_array_equal(shipped.codes, codes.ASCII)
    notes = shipped.notes
    assert notes["command"] == f"lenet-c train --printed --epochs {recipe.RECIPE.epochs} --seed 0"
    assert notes["families"] == len({font.family for font in recipe.fonts("train")})
    assert notes["right"] > 0.93
    assert notes["right_merged"] > 0.97
    # float16's values: half as many bytes in the wheel
    assert (shipped.parameters == shipped.parameters.astype(np.float16)).all()


def test_it_reads_dejavu(shipped):
    found = recipe.evaluate(shipped, [DEJAVU, BOLD], plain=True, times=1)
    assert found.pictures == 190
    assert found.right > 0.95
    assert found.right_merged > 0.97
    worse = recipe.evaluate(shipped, [DEJAVU, BOLD], times=2)
    assert worse.right > 0.9
    assert recipe.evaluate(shipped, [DEJAVU], times=1, on_line=0.0).right_merged > 0.85


def test_figures_are_as_documented(shipped):
    page = PAGE.read_text(encoding="utf-8")
    row = re.search(r"^\| as they may be found \| [\d,]+ \| ([\d.]+)% \| ([\d.]+)% \|$", page, re.M)
    assert float(row[1]) / 100 == pytest.approx(shipped.notes["right"], abs=0.003)
    assert float(row[2]) / 100 == pytest.approx(shipped.notes["right_merged"], abs=0.003)


def test_confusions_are_of_both_ways():
    confusion = np.diag(np.full(95, 9))
    confusion[5, 3], confusion[3, 5], confusion[7, 1] = 4, 1, 2
    assert figures.confusions(confusion) == [(5, 5, 3), (2, 7, 1)]


def without_tables(page):
    return re.sub(r"(<!-- (\w+) -->\n).*?(<!-- end of \2 -->)", r"\1\3", page, flags=re.S)


@pytest.mark.usefixtures("two_fonts")
def test_the_figures_are_put_into_the_page(tmp_path, capsys):
    page = PAGE.read_text(encoding="utf-8")
    empty = without_tables(page)
    (tmp_path / PAGE.name).write_text(empty, encoding="utf-8")
    figures.main(["--write", "--output", str(tmp_path)])
    said = capsys.readouterr().out
    written = (tmp_path / PAGE.name).read_text(encoding="utf-8")
    assert re.search(r"^\| as they may be found \| 190 \| [\d.]+% \| [\d.]+% \|$", written, re.M)
    assert re.search(r"^\| DejaVu \| 2 \| [\d.]+% \| [\d.]+% \|$", written, re.M)
    for row in re.findall(r"^\|.*$", said, re.M):
        assert row in written
    assert (
        re.sub(r"(<!-- (\w+) -->\n).*?(<!-- end of \2 -->)", r"\1\3", written, flags=re.S) == empty
    )
    with Image.open(tmp_path / figures.SHEET.name) as drawn:
        assert drawn.size[0] > 500


@pytest.mark.parametrize("character", 'Aag4,";')
def test_predict_prints_the_character(character, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    picture, (top, baseline) = plain(character)
    Image.fromarray(picture).save("x.png")
    assert cli.main(["predict", "printed", "x.png", f"--line={top},{baseline}"]) == 0
    assert capsys.readouterr().out.startswith(f"x.png\t{character}\t")


@pytest.mark.parametrize("character", "Rk7&")
def test_predict_prints_a_character_whose_line_is_unknown(character, tmp_path, capsys):
    path = tmp_path / "x.png"
    Image.fromarray(plain(character).picture).save(path)
    assert cli.main(["predict", "printed", str(path)]) == 0
    assert capsys.readouterr().out.split("\t")[1] == character


@pytest.mark.parametrize("line", ["5", "9,3", "a,b", "nan,5", "1,2,3"])
def test_predict_wants_two_rows(line, capsys):
    with pytest.raises(SystemExit):
        cli.main(["predict", "printed", "x.png", f"--line={line}"])
    assert f"got '{line}', want two rows of the picture" in capsys.readouterr().err


def test_predict_names_the_picture_that_the_line_does_not_fit(tmp_path, capsys):
    path = tmp_path / "x.png"
    Image.fromarray(plain("A").picture).save(path)
    assert cli.main(["predict", "printed", str(path), "--line=0,2"]) == 2
    assert "--line: capital letters of 2 rows" in capsys.readouterr().err
