"""Names in place of networks, optimizers and distortions; and what a misspelt one meant."""

import numpy as np
import pytest

from lenet_c import (
    LENET5_MODERN,
    SDLM,
    SGD,
    Adam,
    LeNet5,
    Trainer,
    checkpoint,
    checks,
    distort,
    line_training,
)
from lenet_c.commands import arguments
from lenet_c.networks import NETWORKS
from lenet_c.optimizers import OPTIMIZERS, SCHEDULES
from lenet_c.recipes import DISTORTED, RECIPES


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name):
    net = LeNet5(name, seed=3)
    assert net.architecture is NETWORKS[name]
    assert net == net
    want = LeNet5(NETWORKS[name], seed=3)
    np.testing.assert_array_equal(net.parameters, want.parameters)
    assert LeNet5(architecture=name).architecture.name == name


def test_optimizers():
    for name, optimizer in (("adam", Adam()), ("sgd", SGD()), ("sdlm", SDLM())):
        trainer = Trainer(LeNet5(), name)
        assert trainer.optimizer == optimizer
        assert trainer.batch_size == optimizer.batch_size
    assert Trainer(LeNet5()).optimizer == Trainer(LeNet5(), "adam").optimizer
    assert {name: one.kind for name, one in OPTIMIZERS.items()} == {n: n for n in OPTIMIZERS}


def test_distortions():
    for name, distortion in (
        ("affine", distort.AFFINE),
        ("slight", distort.SLIGHT),
        ("world", distort.WORLD),
    ):
        assert Trainer(LeNet5(), distort=name).distort == distortion
        image = np.arange(28 * 28, dtype=np.uint8).reshape(28, 28)
        np.testing.assert_array_equal(
            distort.preview(image, name, n=3), distort.preview(image, distortion, n=3)
        )


def test_a_reader_of_lines_takes_names(quick_reader, monkeypatch):
    told = {}

    def update(trainer, batch, step, steps):
        told["optimizer"] = trainer.optimizer
        return 0.0

    def batches(own, n_own, distortion, *others):
        told["distort"] = distortion
        return iter([[]])

    monkeypatch.setattr(line_training, "update", update)
    monkeypatch.setattr(line_training, "batches", batches)
    strips = [np.full((32, 60), 9, np.uint8)] * 2
    quick_reader.fit(strips, ["1", "2"], 1, optimizer="sgd", distort="slight")
    assert told == {"optimizer": SGD(), "distort": distort.SLIGHT}
    with pytest.raises(ValueError, match="distort: got 'none', want one of affine, slight, world"):
        quick_reader.fit(strips, ["1", "2"], 1, distort="none")


def test_a_checkpoint_has_what_a_name_stands_for(tmp_path):
    Trainer(LeNet5("lenet5-28"), "sgd", distort="world").save(tmp_path / "state.npz")
    trainer = Trainer.load(tmp_path / "state.npz")
    assert (trainer.optimizer, trainer.distort) == (SGD(), distort.WORLD)
    assert set(checkpoint._OPTIMIZERS.values()) == {Adam, SGD, SDLM}


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: LeNet5("LENET5_MODERN"),
            ValueError,
            r"^architecture: .* want one of .*max; did you mean 'lenet5-modern'\?$",
        ),
        (lambda: LeNet5("modern"), ValueError, "did you mean 'lenet5-modern'"),
        (lambda: LeNet5("vgg"), ValueError, "lenet5-max$"),
        (
            lambda: LeNet5(3),
            TypeError,
            "^architecture: got 3, want an Architecture or one of lenet5-1998, .*max$",
        ),
        (lambda: LeNet5.pretrained("mnist_modern"), ValueError, "did you mean 'mnist-modern'"),
        (lambda: Trainer(LeNet5(), "Adam"), ValueError, "one of adam, sgd, sdlm; .* 'adam'"),
        (lambda: Trainer(LeNet5(), "rmsprop"), ValueError, "want one of adam, sgd, sdlm$"),
        (lambda: Trainer(LeNet5(), Adam), TypeError, r"want SGD\(.*\) or one of adam, sgd, sdlm$"),
        (lambda: Trainer(LeNet5(), loss="CrossEntropy"), ValueError, "mean 'cross_entropy'"),
        (lambda: Trainer(LeNet5(), distort="afine"), ValueError, "world; .* 'affine'"),
        (lambda: Trainer(LeNet5(), distort=True), TypeError, "want a Distortion, None or one of"),
        (lambda: Adam(schedule="onecycle"), ValueError, r"callable \(.*\); .* mean 'one_cycle'"),
        (lambda: Trainer(LeNet5(), freeze=["c1"]), ValueError, "did you mean 'C1'"),
        (lambda: distort.preview(np.zeros((9, 9), np.uint8), "words"), ValueError, "'world'"),
    ],
)
def test_what_a_misspelt_name_meant(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_long_name_takes_no_time():
    with pytest.raises(ValueError, match=r"want one of a, b$"):
        checks.one_of("name", "x" * 10_000_000, "ab")


def test_the_command_line_has_the_same_names(capsys):
    class Commands(dict):
        __missing__ = staticmethod(lambda name: None)

    parse = arguments.parser(Commands()).parse_args
    for option, table in (
        ("architecture", NETWORKS),
        ("optimizer", OPTIMIZERS),
        ("schedule", SCHEDULES),
        ("distort", distort.DISTORTIONS),
    ):
        for name in table:
            assert getattr(parse(["train", f"--{option}", name]), option) == name
        with pytest.raises(SystemExit):
            parse(["train", f"--{option}", "none"])
        assert all(name in capsys.readouterr().err for name in [f"--{option}"])
    distorted = [
        parse(["train", *given]).distort for given in ([], ["--distort"], ["--no-distort"])
    ]
    assert distorted == [None, True, False]
    for recipe in (*RECIPES.values(), *DISTORTED.values()):
        assert list(recipe.optimizers) == list(OPTIMIZERS)
        assert all(type(recipe.optimizers[name]) is type(OPTIMIZERS[name]) for name in OPTIMIZERS)
    assert LENET5_MODERN.name in RECIPES
