"""bench.family: what it trains, how it reads, and its tables."""

import json

import data_files
import numpy as np
import pytest

from bench import family
from lenet_c import LENET5_1998, LENET_CIFAR, LeNet5, networks


@pytest.fixture
def few(rng):
    """Images of ten classes, each with a bar of its own."""
    labels = (np.arange(600) % 10).astype(np.uint8)
    images = rng.integers(0, 64, (600, 28, 28), np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[2 * label : 2 * label + 6] += 128
    return (images[:500], labels[:500]), (images[500:], labels[500:])


def test_every_network_has_a_row_but_those_of_other_pages_and_the_colours():
    others = {"lenet5-28", "lenet-3x3", "lenet5-strings", LENET_CIFAR.name}
    wanted = networks.NETWORKS.keys() - others
    rows = family.ROWS.values()
    assert {row.recipe.architecture.name for row in rows if row.data == "mnist"} == wanted


def test_readers_of_the_last_hidden_layer(few):
    pytest.importorskip("sklearn")
    train, test = few
    network = LeNet5(LENET5_1998, seed=1)  # even of an untrained network the outputs tell much
    known = family.hidden(network, train[0])
    assert known.shape == (500, 84)
    np.testing.assert_allclose(
        known, network.activations(train[0])["F6"].reshape(500, 84), rtol=0, atol=1e-6
    )
    asked = family.hidden(network, test[0][:3])
    far = ((known[None] - asked[:, None]) ** 2).sum(axis=2)
    places = family.nearest(known, asked, 7)
    for row, found in zip(far, places, strict=True):
        assert len({*found}) == 7
        assert row[found].max() <= np.sort(row)[6] * (1 + 1e-4)
    for reads in (family.by_neighbours, family.by_local_layer):
        assert (reads(network, train, test[0]) == test[1]).mean() > 0.9


def test_the_local_layer_is_the_least_squares_of_the_nearest(few, monkeypatch):
    monkeypatch.setattr(family, "LOCAL", 20)
    train, test = few
    network = LeNet5(LENET5_1998, seed=1)
    known, asked = family.hidden(network, train[0]), family.hidden(network, test[0][:5])
    wanted = []
    for one in asked.astype(np.float64):
        places = np.argsort(((known - one) ** 2).sum(axis=1))[:20]
        x, t = known[places].astype(np.float64), np.where(np.eye(10)[train[1][places]], 1.0, -1.0)
        centred = x - x.mean(axis=0)
        square = centred.T @ centred + family.RIDGE * np.eye(84)
        weights = np.linalg.solve(square, centred.T @ (t - t.mean(axis=0)))
        wanted.append((t.mean(axis=0) + (one - x.mean(axis=0)) @ weights).argmax())
    assert list(family.by_local_layer(network, train, test[0][:5])) == wanted


def test_it_goes_on_where_it_stopped_and_writes_the_page(few, monkeypatch, tmp_path, capsys):
    _, test = few
    asked = []

    def trained(row, data, seed, threads):
        asked.append((row.what, len(data[0]), seed, threads))
        return LeNet5(row.recipe.architecture, seed=seed)

    monkeypatch.setattr(family, "trained", trained)
    monkeypatch.setattr(family, "mnist", lambda: few)
    monkeypatch.setattr(family, "hold_out", lambda data: ((data[0][:90], data[1][:90]), test))
    results, page = tmp_path / "results.jsonl", tmp_path / "page.md"
    results.write_text(json.dumps({"row": "1998", "seed": 0, "error_rate": 0.01}) + "\n")
    run = ["--only", "1998", "caffe", "--seeds", "2", "--threads", "3"]
    family.main([*run, "--results", str(results), "--output", str(page), "--write"])
    assert asked == [("LENET_CAFFE", 500, 0, 3), ("LENET5_1998", 500, 1, 3)]
    assert len(results.read_text().splitlines()) == 3
    text = page.read_text()
    assert "| LENET5_1998 | 60,000 | " in text
    assert " | 2 | 10 | 0.95% |" in text
    assert " | 1 | 12 | 1.03% |" in text  # one seed
    assert text in capsys.readouterr().out
    family.main(["--only", "max", "--seeds", "1", "--validation", "--results", str(results)])
    assert asked[-1] == ("LENET5_MAX", 90, 0, None)


def test_mirror_images_are_learnt_from_too(few, monkeypatch):
    seen = []

    class Trainer:
        def fit(self, images, labels, epochs):
            seen.append((images, labels, epochs))

    recipe = family.ROWS["fashion-best"].recipe
    monkeypatch.setattr(type(recipe), "trainer", lambda self, network, **how: Trainer())
    family.trained(family.ROWS["fashion-best"], few[0], 0, 1)
    ((images, labels, epochs),) = seen
    assert (images[500:] == few[0][0][:, :, ::-1]).all()
    assert (labels[500:] == few[0][1]).all()
    assert (len(images), epochs) == (1000, recipe.epochs)


def test_fashion_is_read_or_a_line_says_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("LENET_C_DATA", str(tmp_path))
    with pytest.raises(SystemExit, match=r"^error: Fashion-MNIST is not in LENET_C_DATA=.*want in"):
        family.fashion()
    data_files.put(
        tmp_path / "fashion-mnist",
        [np.zeros(shape, np.uint8) for shape in ((2, 28, 28), (2,), (3, 28, 28), (3,))],
        packed=True,
    )
    (images, labels), test = family.fashion()
    assert (images.shape, labels.shape, test[0].shape) == ((2, 28, 28), (2,), (3, 28, 28))
