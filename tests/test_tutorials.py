"""bench.tutorials: the recipes, what it trains and tests on, and its table."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bench import tutorials
from lenet_c import LENET5_28, LENET5_MODERN, LENET_3X3, Adam, LeNet5, Trainer, datasets

MODERN, TWENTY_EIGHT, THREES = tutorials.TUTORIALS


def test_the_recipes_are_as_published():
    assert [r.architecture for r in tutorials.TUTORIALS] == [LENET5_MODERN, LENET5_28, LENET_3X3]
    assert [(r.epochs, r.batch_size) for r in tutorials.TUTORIALS] == [
        (10, 128),
        (10, 128),
        (10, 32),
    ]
    assert {r.optimizer for r in tutorials.TUTORIALS} == {Adam(1e-3, epsilon=1e-7)}
    assert (THREES.published, THREES.target) == ("98.36%", 98.36)


def test_the_options_change_what_they_say():
    relu = tutorials.with_relu(MODERN)
    assert {getattr(layer, "activation", "relu") for layer in relu.architecture.layers[:-1]} == {
        "relu"
    }
    assert relu.init == "he"
    for recipe, rate in ((TWENTY_EIGHT, 6e-3), (THREES, 3e-3)):  # the root of the batch over 32
        changed = tutorials.annealed(recipe)
        assert changed.optimizer.lr == pytest.approx(rate)
        assert (changed.optimizer.schedule, changed.optimizer.weight_decay) == ("one_cycle", 0.0)
        assert dataclasses.replace(changed, optimizer=recipe.optimizer) == recipe
        optimizer = dataclasses.replace(changed.optimizer, weight_decay=0.1)
        assert tutorials.decayed(recipe) == dataclasses.replace(changed, optimizer=optimizer)


@pytest.mark.parametrize("recipe", tutorials.TUTORIALS, ids=lambda r: r.architecture.name)
def test_a_recipe_trains_and_is_tested_on_images_normalised_alike(recipe, real_digits, monkeypatch):
    (x, y), (xt, yt) = real_digits
    normalised = []

    def normalize(images):
        normalised.append(len(images))
        return recipe.normalize(images)

    short = dataclasses.replace(recipe, epochs=6, batch_size=16, normalize=normalize)
    train, test = (x[:1400], y[:1400]), (xt[:300], yt[:300])
    assert tutorials.accuracy(short, train, test, seed=0, num_threads=1) > 0.8
    assert normalised == [1400, 300]
    # one seed is that of the weights and of the order
    seeds = []
    for kind in (LeNet5, Trainer):

        def made(*arguments, kind=kind, seed, **settings):
            seeds.append(seed)
            return kind(*arguments, seed=seed, **settings)

        monkeypatch.setattr(tutorials, kind.__name__, made)
    once = dataclasses.replace(short, epochs=1)
    assert len({tutorials.accuracy(once, train, test, 7, threads) for threads in (1, 2)}) == 1
    assert seeds == [7] * 4


def test_a_row_says_what_was_reached():
    assert tutorials.row(THREES, [0.985, 0.9836, 0.98], 12.4) == (
        "| lenet-3x3 | 53,558 | Adam 0.001 constant, batch 32, 10 passes "
        "| 98.36% (98.00 to 98.50) | 98.36% | 98.36%: reached | 12 s |"
    )
    missed = tutorials.row(tutorials.decayed(TWENTY_EIGHT), [0.9879], 1.0)
    assert "Adam 0.006 one_cycle, decay 0.1, batch 128" in missed
    assert "98.80%: missed" in missed


@pytest.fixture
def asked(monkeypatch):
    """MNIST whose labels are the images' numbers; gives what is to be trained and tested on."""
    images = np.zeros((60_000, 1, 1), np.uint8)
    data = (images, np.arange(60_000)), (images[:10_000], -np.arange(10_000))
    calls = []

    def accuracy(recipe, train, test, seed, threads):
        calls.append((recipe, train[1], test[1], seed, threads))
        return 0.99

    monkeypatch.setattr(datasets, "mnist", lambda folder: data)
    monkeypatch.setattr(tutorials, "accuracy", accuracy)
    return calls


def test_the_command_tests_on_the_test_set(asked, capsys):
    tutorials.main(["--seeds", "2", "--threads", "1"])
    assert [(r.architecture, seed) for r, _, _, seed, _ in asked] == [
        (r.architecture, seed) for r in tutorials.TUTORIALS for seed in (0, 1)
    ]
    for _, train, test, _, threads in asked:
        assert (len(train), test[-1], threads) == (60_000, -9_999, 1)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + 3
    assert lines[0].count("|") == lines[-1].count("|") == 8


def test_validation_leaves_the_test_set_alone(asked):
    tutorials.main(["--validation", "--seeds", "1", "--only", "lenet5-28", "--relu", "--annealed"])
    ((recipe, train, test, _, _),) = asked
    assert recipe == tutorials.annealed(tutorials.with_relu(TWENTY_EIGHT))
    np.testing.assert_array_equal(train, np.arange(50_000))
    np.testing.assert_array_equal(test, np.arange(50_000, 60_000))
    tutorials.main(["--seeds", "1", "--only", "lenet5-28", "--decayed"])
    assert asked[-1][0] == tutorials.decayed(TWENTY_EIGHT)
