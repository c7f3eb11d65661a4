"""bench.accuracy keeps what it measured, and puts tables where they belong."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from bench import accuracy, elsewhere, tutorials
from bench.common import put_tables
from lenet_c import datasets, recipes

PAGE = Path(__file__).parent.parent / "docs" / "accuracy.md"


@pytest.fixture
def measured(monkeypatch):
    """Two rows that need no training; gives what was measured."""
    calls = []

    def measure(data, seed, threads):
        calls.append(seed)
        return 0.005 + seed / 1000

    rows = {
        "one": accuracy.Row("the one", measure, target=0.60, published="0.8%"),
        "other": accuracy.Row("the other", measure, target=0.40, seeded=False),
    }
    monkeypatch.setattr(accuracy, "ROWS", rows)
    monkeypatch.setattr(datasets, "mnist", lambda folder: None)
    return calls


def test_a_run_goes_on_where_it_stopped(measured, tmp_path, capsys):
    results = tmp_path / "results.jsonl"
    accuracy.main(["--only", "one", "--seeds", "2", "--results", str(results)])
    assert measured == [0, 1]
    accuracy.main(["--only", "one", "other", "--seeds", "3", "--results", str(results)])
    assert measured == [0, 1, 2, 0]
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    assert [(line["row"], line["seed"]) for line in lines] == [
        ("one", 0),
        ("one", 1),
        ("one", 2),
        ("other", 0),
    ]
    output = capsys.readouterr().out
    assert re.search(
        r"^\| the one \| 0\.60% \(0\.50 to 0\.70\) \| 3 \| 0\.60%: reached \| 0\.8% \| \d+ s \|$",
        output,
        re.M,
    )
    assert "| the other | 0.50% | - | 0.40%: missed | - | - |\n" in output


def test_each_row_trains_as_it_says(monkeypatch):
    asked = []

    class Trained:
        def evaluate(self, *test):
            return type("Result", (), {"error_rate": 0.25})

    def by_recipe(recipe, train, *, epochs, seed, threads):
        asked.append((recipe, train, epochs, seed, threads))
        return Trained()

    def by_tutorial(recipe, train, test, seed, threads):
        asked.append((recipe, train, test, seed, threads))
        return 0.75

    monkeypatch.setattr(accuracy, "by_recipe", by_recipe)
    monkeypatch.setattr(tutorials, "accuracy", by_tutorial)
    rows = {name: row for name, row in accuracy.ROWS.items() if row.seeded}
    for row in rows.values():
        assert row.measure(("train", ("test", "labels")), 7, 2) == 0.25
    plain, distorted = recipes.RECIPES, recipes.DISTORTED
    old, modern = "lenet5-1998", "lenet5-modern"
    of = dict(zip(rows, asked, strict=True))
    for name, recipe, epochs in (
        ("quick", plain[old], None),
        ("plain", plain[old], 20),
        ("distorted", distorted[old], None),
        ("modern", distorted[modern], None),
    ):
        assert of[name] == (recipe, "train", epochs, 7, 2), name
    for recipe in tutorials.TUTORIALS:
        name = f"tutorial-{recipe.architecture.name}"
        for row, wanted in (
            (name, recipe),
            (f"{name}-annealed", tutorials.annealed(recipe)),
            (f"{name}-decayed", tutorials.decayed(recipe)),
        ):
            assert of[row] == (wanted, "train", ("test", "labels"), 7, 2)


def test_tables_go_between_their_comments(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("above\n<!-- one -->\nold\n<!-- end of one -->\nbelow\n")
    for _ in range(2):
        put_tables(page, {"one": "| new |\n"})
        assert page.read_text() == "above\n<!-- one -->\n| new |\n<!-- end of one -->\nbelow\n"
    with pytest.raises(ValueError, match="no place for the table 'two'"):
        put_tables(page, {"two": ""})


def test_the_page_has_a_line_for_every_row():
    text = PAGE.read_text(encoding="utf-8")
    for row in accuracy.ROWS.values():
        assert f"| {row.what} | " in text, row.what


def test_strokes_and_places():
    image = np.zeros((4, 28, 28), np.uint8)
    image[:, 10:14, 12:14] = 200
    assert (elsewhere.thicker(image) > 0).sum() == 4 * 5 * 3
    assert (elsewhere.thinner(image) > 0).sum() == 4 * 3 * 1
    np.testing.assert_array_equal(elsewhere.thinner(elsewhere.thicker(image)).sum(), image.sum())
    moved = elsewhere.shifted(image)
    for index, (dy, dx) in enumerate([(0, -2), (0, 2), (-2, 0), (2, 0)]):
        np.testing.assert_array_equal(moved[index], np.roll(image[0], (dy, dx), (0, 1)))
