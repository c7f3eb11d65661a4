"""Boosting's sets, the three that it trains, and a network that learns another one's answers."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lenet_c import (
    LENET5_28,
    LENET5_MODERN,
    Distortion,
    Ensemble,
    LeNet5,
    Trainer,
    cli,
    committee,
    datasets,
    distort,
)
from lenet_c.recipes import DISTORTED
from lenet_c.recipes import committee as recipe

pytestmark = pytest.mark.filterwarnings("ignore::lenet_c.InputWarning")


@pytest.fixture(scope="module")
def digits() -> Any:
    return datasets.digits()


@pytest.fixture(scope="module")
def pair(digits: Any) -> list[LeNet5]:
    """Two networks that have learnt something, and not the same."""
    (x, y), _ = digits
    found = []
    for seed in (0, 1):
        net = LeNet5(LENET5_28, seed=seed)
        Trainer(net, seed=seed).fit(x, y, epochs=5)
        found.append(net)
    return found


# ---- boosting's sets -----------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 101, 600])
def test_the_first_gets_half_wrong(pair: list[LeNet5], digits: Any, n: int) -> None:
    (x, y), _ = digits
    patterns, labels = committee.half_wrong(pair[0], x, y, n)
    assert patterns.shape == (n, 28, 28)
    assert patterns.dtype == np.uint8
    assert labels.dtype == np.int64
    wrong = pair[0].predict(patterns) != labels
    assert wrong.sum() == n // 2
    if n == 600:  # mixed, and each of a class's images
        assert 100 < wrong[:300].sum() < 200
        own = distort.preview(x, n=1, seed=7)[:, 0]
        assert own.shape == x.shape
        assert len(np.unique(patterns, axis=0)) == n
        assert set(labels) == set(range(10))


def test_labels_stay_with_their_patterns(pair: list[LeNet5], digits: Any) -> None:
    (x, y), _ = digits
    still = Distortion()
    patterns, labels = committee.half_wrong(pair[0], x, y, 40, still)
    other, others = committee.disagreements(*pair, x, y, 20, still)
    known = {image.tobytes(): label for image, label in zip(x, y, strict=True)}
    for image, label in [*zip(patterns, labels, strict=True), *zip(other, others, strict=True)]:
        assert known[image.tobytes()] == label


def test_the_third_set_is_what_the_two_disagree_on(pair: list[LeNet5], digits: Any) -> None:
    (x, y), _ = digits
    patterns, labels = committee.disagreements(*pair, x, y, 150, "slight")
    assert patterns.shape == (150, 28, 28)
    assert (pair[0].predict(patterns) != pair[1].predict(patterns)).all()
    assert set(labels) == set(range(10))


def test_sets_are_the_same_for_one_seed_and_any_threads(pair: list[LeNet5], digits: Any) -> None:
    (x, y), _ = digits
    for draw in (
        lambda **how: committee.half_wrong(pair[0], x, y, 50, **how),
        lambda **how: committee.disagreements(*pair, x, y, 50, **how),
    ):
        one, same, other = (
            draw(seed=seed, num_threads=threads) for seed, threads in ((3, 1), (3, 2), (4, 1))
        )
        for mine, its in zip(one, same, strict=True):
            np.testing.assert_array_equal(mine, its)
        assert not np.array_equal(one[0], other[0])


def test_too_few_patterns_are_told(
    pair: list[LeNet5], digits: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (x, y), _ = digits
    monkeypatch.setattr(committee, "DRAWS", 2)
    read = pair[0].predict(x)
    right = read == y
    with pytest.raises(ValueError, match=r"^n: of 20 patterns 10 that are read wrong are missing"):
        committee.half_wrong(pair[0], x[right], y[right], 20, Distortion())
    with pytest.raises(ValueError, match=r"^n: of 20 patterns 10 that are read right are missing"):
        committee.half_wrong(pair[0], x, (read + 1) % 10, 20, Distortion())
    with pytest.raises(ValueError, match=r"^n: of 5 patterns 5 on which the two disagree"):
        committee.disagreements(pair[0], pair[0], x, y, 5)


def test_what_boosting_is_given_is_checked(pair: list[LeNet5], digits: Any) -> None:
    (x, y), _ = digits
    with pytest.raises(ValueError, match=r"^n: got 1, want a whole number of at least 2"):
        committee.half_wrong(pair[0], x, y, 1)
    with pytest.raises(ValueError, match=r"^n: got 1, want a whole number of at least 2"):
        committee.boost(x[:0], y[:0], n=1)  # told before anything else is
    with pytest.raises(ValueError, match=r"^labels: shape \(9,\) for images "):
        committee.half_wrong(pair[0], x, y[:9], 10)
    with pytest.raises(TypeError, match=r"^images: "):
        committee.half_wrong(pair[0], x / 255, y, 10)
    with pytest.raises(TypeError, match=r"^labels: dtype float64, want integers"):
        committee.disagreements(*pair, x, y * 1.0, 10)
    with pytest.raises(ValueError, match=r"^distortion: got 'strong', want one of affine"):
        committee.half_wrong(pair[0], x, y, 10, "strong")
    with pytest.raises(ValueError, match=r"^recipe: got 'lenet9', want one of "):
        committee.boost(x, y, "lenet9")
    with pytest.raises(TypeError, match=r"^epochs: "):
        committee.boost(x, y, epochs=1.5)  # type: ignore[arg-type]
    compiled = Ensemble(pair).networks[0]  # what a committee's networks are
    assert len(committee.half_wrong(compiled, x, y, 10)[1]) == 10
    with pytest.raises(ValueError, match=r"^labels: from -5 to 4, want 0 to 9"):
        committee.half_wrong(pair[0], x, y.astype(int) - 5, 10)
    for call, name in (
        (lambda: committee.half_wrong("mnist", x, y, 10), "first: got 'mnist'"),
        (lambda: committee.disagreements(None, pair[0], x, y, 5), "first: got None"),
        (lambda: committee.disagreements(pair[0], [1], x, y, 5), r"second: got \[1\]"),
    ):
        with pytest.raises(TypeError, match=f"^{name}, want an Ensemble or a LeNet5"):
            call()


def test_boosting_looks_at_validation_data_first(
    digits: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (x, y), _ = digits
    monkeypatch.setattr(Trainer, "fit", None)  # not reached
    for given, error, text in (
        (x, TypeError, "want a pair"),
        ((x,), TypeError, "want a pair"),
        ("xy", TypeError, "want a pair"),
        ((x, y[:3]), ValueError, r"labels: shape \(3,\) for images"),
        ((x, y + 1), ValueError, "labels: from 1 to 10, want 0 to 9"),
    ):
        with pytest.raises(error, match=f"^validation_data: {text}"):
            committee.boost(x, y, "lenet5-28", n=20, epochs=1, validation_data=given)


def test_boosting(digits: Any) -> None:
    (x, y), test = digits
    x, y, others = x[:900], y[:900], (x[900:], y[900:])
    made = [
        committee.boost(
            x, y, "lenet5-28", n=300, epochs=3, seed=2, validation_data=given, num_threads=threads
        )
        for threads, given in ((1, None), (2, None), (1, others))
    ]
    plain, same, calibrated = made
    assert len(plain) == 3
    assert {net.architecture for net in plain.networks} == {LENET5_28}
    np.testing.assert_array_equal(plain.forward(x), same.forward(x))
    assert [net.temperature for net in plain.networks] == [1.0] * 3
    assert plain.rejection is None
    assert len({net.temperature for net in calibrated.networks} | {1.0}) == 4
    assert calibrated.rejection is not None
    own = DISTORTED["lenet5-28"]
    members = plain.members()
    first = LeNet5(own.architecture, seed=2)
    own.trainer(first, seed=2).fit(x, y, 3)
    np.testing.assert_array_equal(members[0].parameters, first.parameters)
    second = LeNet5(own.architecture, seed=3)
    trainer = own.trainer(second, seed=3)
    trainer.distort = None
    trainer.fit(*committee.half_wrong(first, x, y, 300, own.distortion, seed=2), 3)
    np.testing.assert_array_equal(members[1].parameters, second.parameters)
    third = LeNet5(own.architecture, seed=4)
    trainer = own.trainer(third, seed=4)
    trainer.distort = None
    trainer.fit(*committee.disagreements(first, second, x, y, 300, own.distortion, seed=2), 3)
    np.testing.assert_array_equal(members[2].parameters, third.parameters)
    assert plain.evaluate(*test).error_rate < 0.5


# ---- distillation --------------------------------------------------------------------------------


def test_a_network_learns_what_another_answers(pair: list[LeNet5], digits: Any) -> None:
    (x, _), (xt, _) = digits
    teacher = Ensemble(pair)
    teacher.class_names = list("abcdefghij")
    told: list[tuple[int, float]] = []
    how: dict[str, Any] = {"epochs": 20, "seed": 4}
    made = [
        committee.distil(
            teacher,
            x[:600],
            None,
            "lenet5-28",
            on_epoch=lambda epoch, loss, network: told.append((epoch, loss)),
            num_threads=threads,
            **how,
        )
        for threads in (1, 2)
    ]
    np.testing.assert_array_equal(made[0].parameters, made[1].parameters)
    assert [epoch for epoch, _ in told] == [*range(1, 21)] * 2
    assert told[19][1] < told[0][1]
    student = made[0]
    assert student.class_names == tuple("abcdefghij")
    assert student.temperature == 1.0
    assert student.learnt_from is not None
    answers = teacher.predict(xt)
    assert (student.predict(xt) == answers).mean() > 0.8
    by_one = committee.distil(pair[0], x[:600], recipe="lenet5-28", **how)
    assert (by_one.predict(xt) == pair[0].predict(xt)).mean() > 0.8
    hotter = committee.distil(teacher, x[:600], None, "lenet5-28", temperature=4.0, **how)
    assert (
        hotter.predict_proba(xt).max(axis=1).mean() < student.predict_proba(xt).max(axis=1).mean()
    )


def test_labels_have_their_share(pair: list[LeNet5], digits: Any) -> None:
    (x, y), _ = digits
    x, y = x[:400], y[:400]
    seen = []

    class Teacher(LeNet5):
        """Says 3 of everything."""

        def _outputs(self, *_: Any) -> Any:
            seen.append(1)
            return np.where(np.arange(10) == 3, 30.0, 0.0) * np.ones((400, 1), np.float32)

    plain = dataclasses.replace(DISTORTED["lenet5-28"], distortion=None)
    student = committee.distil(Teacher(LENET5_28), x, y, plain, share=0.3, epochs=60, seed=1)
    assert len(seen) == 60
    shares = student.predict_proba(x)
    assert shares[:, 3].mean() == pytest.approx(0.3 + 0.7 * (y == 3).mean(), abs=0.05)
    own = shares[np.arange(400), y]
    assert own[y != 3].mean() == pytest.approx(0.7, abs=0.1)
    assert own[y == 3].mean() > 0.9


def test_what_distillation_is_given_is_checked(pair: list[LeNet5], digits: Any) -> None:
    (x, y), _ = digits
    teacher = pair[0]
    for given, error, text in (
        ({"teacher": "mnist"}, TypeError, "teacher: got 'mnist', want an Ensemble or a LeNet5"),
        ({"share": 0.5}, ValueError, "share: got 0.5 without labels, want a share"),
        ({"labels": y}, ValueError, "share: got 1 with labels, want a share"),
        ({"labels": y, "share": 0.0}, ValueError, "share: got 0 with labels"),
        ({"labels": y[:5], "share": 0.5}, ValueError, r"labels: want \(1437,\), integers from"),
        ({"temperature": 0.0}, ValueError, "temperature: got 0.0, want"),
        ({"recipe": "lenet9"}, ValueError, "recipe: got 'lenet9'"),
        ({"images": x / 255}, TypeError, "images: "),
        ({"images": "x.png"}, ValueError, r"images: shape \(\), want \(N, height, width\)"),
        ({"on_epoch": 3}, TypeError, "on_epoch: got 3, want a function"),
    ):
        with pytest.raises(error, match=rf"^{text}"):
            committee.distil(**{"teacher": teacher, "images": x, "recipe": "lenet5-28", **given})
    other = LeNet5(LENET5_MODERN.with_classes(12))
    with pytest.raises(ValueError, match=r"lenet5-1998 has 10 classes, the teacher 12"):
        committee.distil(other, x)


# ---- the recipe ----------------------------------------------------------------------------------


def test_weights_are_rounded_to_few_bits() -> None:
    values = np.random.default_rng(0).normal(0, 0.2, 1000).astype(np.float32)
    found = recipe.shortened(values)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, found.astype(np.float16).astype(np.float32))
    assert np.abs(found - values).max() <= np.abs(values).max() / 2**recipe.BITS
    bits = found.astype(np.float16).view(np.uint16)
    assert not (bits & ((1 << (11 - recipe.BITS)) - 1)).any()
    np.testing.assert_array_equal(recipe.shortened(found), found)
    np.testing.assert_array_equal(recipe.shortened(np.float32([0.0, 1.0, -0.5])), [0.0, 1.0, -0.5])


def test_the_recipe_writes_the_same_bytes_again(
    digits: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(datasets, "mnist", lambda folder=None: digits)
    monkeypatch.setattr(recipe, "NEW", (4,))
    monkeypatch.setattr(recipe, "ON", (1,))
    contents = []
    for threads in ("1", "2"):
        folder = tmp_path / threads
        recipe.main(["--epochs", "2", "--threads", threads, "--output", str(folder)])
        contents.append((folder / "committee.npz").read_bytes())
    assert contents[0] == contents[1]
    assert "committee of 3: test error " in capsys.readouterr().out
    found = Ensemble.load(tmp_path / "1" / "committee.npz")
    assert len(found) == 2  # LeNet5.pretrained("mnist") is the first
    assert found.rejection is not None
    assert found.subspaces is None
    assert found.notes["command"] == "python -m lenet_c.recipes.committee"
    assert len({net.temperature for net in found.networks}) == 2


# ---- the command ---------------------------------------------------------------------------------


def train(*arguments: str) -> int:
    return cli.main(["train", "--dataset", "digits", "--architecture", "lenet5-28", *arguments])


def test_the_command_trains_a_committee(tmp_path: Path, capsys: Any) -> None:
    path = str(tmp_path / "two.npz")
    asked = ("--committee", "2", "--epochs", "2", "--seed", "3", "--hold-out", "200", "--quiet")
    assert train(*asked, "--output", path) == 0
    output = capsys.readouterr().out
    assert re.search(r"network 1: test error .*\nnetwork 2: test error .*\ntest error ", output)
    two = Ensemble.load(path)
    assert two.rejection is not None
    (x, y), _ = datasets.digits()
    one = LeNet5(LENET5_28, seed=4)
    from lenet_c.recipes import RECIPES

    RECIPES["lenet5-28"].trainer(one, seed=4).fit(x[:-200], y[:-200], 2)
    np.testing.assert_array_equal(two.members()[1].parameters, one.parameters)
    assert two.class_names == tuple("0123456789")


def test_the_command_boosts_and_distils(tmp_path: Path, capsys: Any) -> None:
    three, student = str(tmp_path / "three.npz"), str(tmp_path / "student.npz")
    assert train("--boost", "--epochs", "2", "--output", three) == 0
    assert len(Ensemble.load(three)) == 3
    assert capsys.readouterr().out.count("epoch 2/2") == 3
    assert train("--distil", three, "--epochs", "2", "--output", student) == 0
    assert "epoch 2/2  loss " in capsys.readouterr().out
    assert LeNet5.load(student).architecture == LENET5_28


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--committee", "1"), "argument --committee: got '1', want a whole number from 2 to 64"),
        (("--committee", "2", "--boost"), "not allowed with argument"),
        (("--committee", "2", "--freeze", "C1"), "--freeze is for training one network, not for"),
        (("--boost", "--resume", "x.npz"), "--resume is for training one network, not for --boost"),
        (
            ("--boost", "--animate", "x.gif"),
            "--animate is for training one network, not for --boost",
        ),
        (("--boost", "--no-distort"), "--no-distort: --boost needs distortions"),
        (("--distil", "nothing.npz"), "nothing.npz"),
    ],
)
def test_what_the_command_refuses(arguments: tuple[str, ...], text: str, capsys: Any) -> None:
    try:
        code: object = train(*arguments)
    except SystemExit as error:
        code = error.code
    assert code == 2
    assert text in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", ["plot filters committee", "read x.png --model committee", "train --from committee"]
)
def test_commands_for_one_network_say_so(command: str, capsys: Any) -> None:
    assert cli.main(command.split()) == 2
    wanted = "committee: a committee, want one network: a file of one, or mnist, mnist-modern"
    assert wanted in capsys.readouterr().err
