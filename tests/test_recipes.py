"""Weights that come with the library, and the command that trains them."""

import pickle
import re
from pathlib import Path

import numpy as np
import pasted
import pytest

from lenet_c import LENET5_1998, LENET5_MODERN, SGD, LeNet5, calibration, datasets
from lenet_c.recipes import DISTORTED, RECIPES, fine_tuning
from lenet_c.recipes import mnist as recipe
from lenet_c.recipes.recipe import round_weights

SHIPPED = {"mnist": LENET5_1998, "mnist-modern": LENET5_MODERN}
DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "accuracy.md").read_text(encoding="utf-8")
GUIDE = (DOCS / "fine_tuning.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "architecture"), SHIPPED.items())
def test_pretrained_is_what_the_recipe_says(name, architecture):
    network = LeNet5.pretrained(name)
    assert network.architecture == architecture == recipe.RECIPES[name].architecture
    assert network.notes["epochs"] == recipe.RECIPES[name].epochs
    assert f"--which {name} --seed 0" in network.notes["command"]
    assert 0 < network.notes["test_error_rate"] < 0.007


@pytest.mark.parametrize("name", [*SHIPPED, "printed", "strings"])
def test_shipped_weights_pack_well(name):
    network = LeNet5.pretrained(name)
    before = network.parameters.copy()
    round_weights(network)
    np.testing.assert_array_equal(network.parameters, before)
    network.parameters = before + np.float32(1e-5) * before
    round_weights(network)
    np.testing.assert_array_equal(network.parameters, before)
    if network.subspaces is not None:
        np.testing.assert_array_equal(network.subspaces, calibration.rounded(network.subspaces))


def test_pretrained_gives_a_network_of_its_own_each_time():
    first = LeNet5.pretrained()
    first.parameters[...] = 0
    assert np.abs(LeNet5.pretrained("mnist").parameters).max() > 0.1


@pytest.mark.parametrize("name", ["emnist", "", "../mnist"])
def test_an_unknown_name_tells_the_known_ones(name):
    known = "mnist, mnist-modern, printed, strings"
    with pytest.raises(ValueError, match=rf"^name: got .*, want one of {known}(;.*)?$"):
        LeNet5.pretrained(name)


@pytest.mark.parametrize("name", SHIPPED)
def test_error_rates_on_mnist_are_as_documented(name):
    try:
        _, test = datasets.mnist(download=False)
    except OSError:
        pytest.skip("MNIST is not here")
    network = LeNet5.pretrained(name)
    error_rate = network.evaluate(*test).error_rate
    documented = re.search(rf'^\| `pretrained\("{name}"\)` \| ([\d.]+)% ', PAGE, re.M)
    assert error_rate == pytest.approx(float(documented[1]) / 100, abs=0.0003)
    assert error_rate == pytest.approx(network.notes["test_error_rate"], abs=0.0003)


@pytest.fixture
def few_images(rng, monkeypatch):
    labels = (np.arange(1500) % 10).astype(np.uint8)
    images = rng.integers(0, 64, (1500, 28, 28), np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[2 * label : 2 * label + 6] += 128  # what one pass learns
    data = images, labels
    monkeypatch.setattr(datasets, "mnist", lambda folder=None: (data, data))


def run(folder, *arguments):
    recipe.main(["--epochs", "1", "--output", str(folder), *arguments])
    return {file.stem: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.usefixtures("few_images")
def test_the_recipe_writes_the_same_bytes_for_any_number_of_threads(tmp_path, capsys):
    one = run(tmp_path / "one", "--threads", "1")
    assert set(one) == set(SHIPPED)
    output = capsys.readouterr().out
    assert output.count("epoch 1/1  loss ") == 4  # another network each, which calibrates
    assert f"saved {tmp_path / 'one' / 'mnist.npz'}\n" in output
    assert run(tmp_path / "two", "--threads", "2") == one


@pytest.mark.usefixtures("few_images")
@pytest.mark.filterwarnings("ignore::lenet_c.InputWarning")  # one pass over few images
def test_which_and_seed(tmp_path):
    one, two = (run(tmp_path / seed, "--which", "mnist", "--seed", seed) for seed in "12")
    assert set(one) == {"mnist"}
    assert set(two) == {"mnist"}
    first, second = (LeNet5.load(tmp_path / seed / "mnist.npz") for seed in "12")
    assert not np.array_equal(first.parameters, second.parameters)
    notes = second.notes
    assert notes["command"] == "python -m lenet_c.recipes.mnist --which mnist --seed 2"
    assert notes["epochs"] == 1
    assert notes["distortion"]["translation"] == 1


def test_notes_stay_with_a_network(tmp_path):
    network = LeNet5()
    assert network.notes == {}
    network.save(tmp_path / "without.npz")
    assert LeNet5.load(tmp_path / "without.npz").notes == {}
    network.notes = {"by": "nobody", "error": [0.5]}
    network.save(tmp_path / "with.npz")
    for copy in (LeNet5.load(tmp_path / "with.npz"), pickle.loads(pickle.dumps(network))):
        assert copy.notes == {"by": "nobody", "error": [0.5]}


def test_the_guide_to_fine_tuning(tmp_path):
    for package in ("sklearn", "matplotlib", "PIL"):
        pytest.importorskip(package)
    output = pasted.run("\n".join(pasted.blocks(GUIDE)), tmp_path)
    before, after, letters = map(float, re.findall(r"error_rate=([\d.]+)%", output))
    assert after < 0.7 * before
    assert letters < 50  # of ten, in a font that it did not see


def test_a_trainer_has_the_recipes_settings():
    for one in (*RECIPES.values(), *DISTORTED.values(), *recipe.RECIPES.values()):
        trainer = one.trainer(LeNet5(one.architecture), seed=4, freeze=["C1"])
        assert trainer.optimizer == next(iter(one.optimizers.values())) == one.optimizer
        assert trainer._criterion == (one.loss, one.j, one.temperature)
        assert (trainer.batch_size, trainer.distort) == (one.batch_size, one.distortion)
        assert trainer._frozen == ["C1.weight", "C1.bias"]


def test_passes_over_pictures_of_ones_own():
    chosen = RECIPES["lenet5-1998"]  # 60 passes over 1437 digits, 23 batches of 64 in each
    assert chosen.passes(1437) == 60
    assert chosen.passes(64) == 60 * 23
    assert chosen.passes(1) == 60 * 23
    assert chosen.passes(60_000) == chosen.epochs
    online = chosen.with_optimizer(chosen.optimizers["sdlm"])
    assert online.batch_size == 1
    assert online.passes(1000) == -(-60 * 1437 // 1000)
    assert chosen.with_optimizer(SGD(0.1)).batch_size == chosen.batch_size


@pytest.mark.parametrize(("has_new", "rate"), [(False, 1e-3), (True, 3e-3)])
def test_fine_tuning_keeps_what_is_the_architectures(has_new, rate):
    chosen = DISTORTED["lenet5-1998"]
    tuned = fine_tuning(chosen, has_new)
    assert (tuned.loss, tuned.j, tuned.distortion) == ("map", chosen.j, chosen.distortion)
    assert tuned.optimizer.lr == rate
    assert tuned.optimizers["sgd"] == chosen.optimizers["sgd"]
    assert (tuned.batch_size, tuned.epochs) == (32, 5)
