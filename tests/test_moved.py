"""Names that have moved: the old places warn, and what version 0.1.0 pickled still loads."""

import importlib
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import lenet_c

FIXTURES = Path(__file__).parent / "fixtures"

MOVED = {
    ("architectures", "architecture"): "Architecture MAX_GREY MAX_LAYERS MAX_VALUES",
    ("architectures", "layers"): "ACTIVATIONS MAX_INPUTS MAX_NAME MAX_SIDE Shape Layer LayerRow "
    "Conv Subsample AveragePool Dense RBF",
    ("architectures", "networks"): "LENET5_1998 LENET5_MODERN LENET5_28 LENET_3X3 C3_TABLE",
    ("architectures", "tables"): "MAX_MAPS Table check_table table_art table_from_art table_matrix",
    ("trainer", "callbacks"): "BestWeights Callback EarlyStopping",
    ("trainer", "updates"): "KEEP_EVERY LOOKS_OF_STEP",
    ("trainer", "optimizers"): "MEASURE_EVERY",
    ("model", "evaluation"): "Evaluation",
    ("cli", "recipes"): "DISTORTED RECIPES Recipe",
}
OLD = [(old, name, new) for (old, new), names in MOVED.items() for name in names.split()]


@pytest.mark.parametrize(("old", "name", "new"), OLD)
def test_old_places_warn_and_go_on(old, name, new):
    module = importlib.import_module(f"lenet_c.{old}")
    with pytest.warns(
        DeprecationWarning, match=f"lenet_c.{old}.{name} is now lenet_c.{new}.{name}"
    ):
        value = getattr(module, name)
    assert value is getattr(importlib.import_module(f"lenet_c.{new}"), name)


@pytest.mark.parametrize("old", sorted({old for old, _, _ in OLD}))
def test_names_that_never_were(old):
    module = importlib.import_module(f"lenet_c.{old}")
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = module.nothing


def test_nothing_in_the_library_uses_an_old_place():
    """Imports everything in a process where a warning is an error."""
    code = (
        "import importlib.util, pkgutil, lenet_c\n"
        "for found in pkgutil.walk_packages(lenet_c.__path__, 'lenet_c.'):\n"
        "    needs = {'lenet_c.estimator': 'sklearn'}.get(found.name, 'lenet_c')\n"
        "    is_there = importlib.util.find_spec(needs) is not None\n"
        "    if is_there and not found.name.endswith(('__main__', 'hook-lenet_c')):\n"
        "        importlib.import_module(found.name)\n"
        "for name in lenet_c.__all__:\n"
        "    getattr(lenet_c, name)\n"
    )
    subprocess.run([sys.executable, "-W", "error::DeprecationWarning", "-c", code], check=True)


@pytest.fixture
def of_old():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return pickle.loads((FIXTURES / "pickle-0.1.0.bin").read_bytes())


def test_a_pickle_of_an_older_version_loads(of_old):
    network, trainer = of_old["network"], of_old["trainer"]
    assert trainer.network is network
    assert network.architecture.layers[0] == lenet_c.Conv("C1", 2, 3, ((0,), (0,)))
    assert network.class_names == ("a", "b", "c")
    assert of_old["row"] == network.architecture.rows()[0]
    assert isinstance(of_old["error"], lenet_c.ModelFileError)
    assert type(of_old["history"]) is lenet_c.History
    assert of_old["history"].epochs == trainer.history.epochs
    assert [type(one) for one in trainer.callbacks] == [lenet_c.EarlyStopping, lenet_c.BestWeights]
    images = (np.arange(12 * 32 * 32).reshape(12, 32, 32) * 37 % 256).astype(np.uint8)
    labels = np.arange(12) % 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lenet_c.InputWarning)
        found = network.evaluate(images, labels)
        assert found.loss == pytest.approx(of_old["evaluation"].loss, rel=1e-5)
        before, n_updates = network.parameters.copy(), trainer.n_updates
        trainer.fit(images, labels, 1)
    assert trainer.n_updates == n_updates + 3
    assert (network.parameters != before).any()
