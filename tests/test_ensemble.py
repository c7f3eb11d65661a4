"""Committees: what is added, the face of a network, files, exports, the one that is shipped."""

from __future__ import annotations

import copy
import io
import json
import pickle
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_network import grey_images

import lenet_c
from lenet_c import (
    LENET5_28,
    LENET5_1998,
    LENET5_MODERN,
    LENET5_STRINGS,
    Ensemble,
    InputWarning,
    LeNet5,
    ModelFileError,
    Rejection,
    Trainer,
    _core,
    cli,
    datasets,
    ensemble_file,
    export,
    model_file,
    serialization,
)
from lenet_c.recipes import committee as recipe

pytestmark = pytest.mark.filterwarnings("ignore::lenet_c.InputWarning")

IMAGES = grey_images(41, 28, 28)
LABELS = np.arange(41) % 10
PAGE = Path(__file__).parent.parent / "docs" / "committee.md"


def nets(*kinds: str, seed: int = 0) -> list[LeNet5]:
    """Networks with temperatures of their own."""
    found = []
    for k, kind in enumerate(kinds):
        net = LeNet5(LENET5_1998 if kind == "rbf" else LENET5_MODERN, seed=seed + k)
        net.temperature = 1.5 + k
        found.append(net)
    return found


def test_penalties_are_added() -> None:
    three = nets("rbf", "rbf", "rbf")
    committee = Ensemble(three)
    want = sum(net.forward(IMAGES).astype(np.float64) / net.temperature for net in three) / 3
    got = committee.forward(IMAGES)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, want, rtol=1e-6)
    np.testing.assert_array_equal(committee.predict(IMAGES), want.argmin(axis=1))


@pytest.mark.parametrize("kinds", [("logits", "logits"), ("rbf", "logits"), ("logits", "rbf")])
def test_logits_are_added_and_penalties_count_against(kinds: tuple[str, ...]) -> None:
    pair = nets(*kinds)
    committee = Ensemble(pair)
    want = np.zeros((41, 10))
    for net, kind in zip(pair, kinds, strict=True):
        sign = -1 if kind == "rbf" else 1
        want += sign * net.forward(IMAGES).astype(np.float64) / net.temperature / 2
    np.testing.assert_allclose(committee.forward(IMAGES), want, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(committee.predict(IMAGES), want.argmax(axis=1))
    shares = np.exp(want) / np.exp(want).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(committee.predict_proba(IMAGES), shares, rtol=1e-4, atol=1e-7)
    committee.temperature = 3.0
    shares = np.exp(want / 3) / np.exp(want / 3).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(committee.predict_proba(IMAGES), shares, rtol=1e-4, atol=1e-7)


def test_a_committee_of_one_is_that_network() -> None:
    (net,) = nets("rbf")
    net.temperature = 1.0
    committee = Ensemble([net])
    for n in (1, 7, 41):
        np.testing.assert_array_equal(committee.forward(IMAGES[:n]), net.forward(IMAGES[:n]))
        np.testing.assert_array_equal(committee.predict(IMAGES[:n]), net.predict(IMAGES[:n]))
    np.testing.assert_array_equal(committee.predict_proba(IMAGES), net.predict_proba(IMAGES))
    assert committee.evaluate(IMAGES, LABELS) == net.evaluate(IMAGES, LABELS)
    assert committee.evaluate(IMAGES, LABELS, "mse") == net.evaluate(IMAGES, LABELS, "mse")
    assert committee.read(IMAGES) == net.read(IMAGES)
    reject = Rejection(margin=0.5)
    np.testing.assert_array_equal(
        committee.predict(IMAGES, reject=reject), net.predict(IMAGES, reject=reject)
    )
    for mine, own in zip(committee.best_two(IMAGES), net.best_two(IMAGES), strict=True):
        np.testing.assert_array_equal(mine, own)
    curves = [it.rejection_curve(IMAGES, LABELS).error_rate for it in (committee, net)]
    np.testing.assert_array_equal(*curves)


@pytest.mark.parametrize("n", [1, 8, 9, 33, 41])
def test_the_same_bits_for_any_threads_and_place(n: int) -> None:
    committee = Ensemble(nets("rbf", "logits", "rbf"))
    one = committee.forward(IMAGES[:n], num_threads=1)
    for threads in (2, 3, None):
        np.testing.assert_array_equal(committee.forward(IMAGES[:n], num_threads=threads), one)
    np.testing.assert_array_equal(committee.forward(IMAGES[:n][::-1])[::-1], one)
    np.testing.assert_array_equal(committee.predict(IMAGES[0]), one[:1].argmax(axis=1))


def test_it_does_not_follow_its_networks() -> None:
    pair = nets("rbf", "rbf")
    committee = Ensemble(pair)
    before = committee.forward(IMAGES)
    pair[0].parameters[...] *= 2
    pair[1].temperature = 50.0
    np.testing.assert_array_equal(committee.forward(IMAGES), before)
    members = committee.members()
    assert [member.temperature for member in members] == [1.5, 2.5]
    Trainer(members[0]).fit(IMAGES, LABELS, 1)
    np.testing.assert_array_equal(committee.forward(IMAGES), before)
    with pytest.raises(AttributeError, match="never changes"):
        committee.networks[0].temperature = 1.0  # type: ignore[misc]


def test_what_it_is_made_of() -> None:
    pair = nets("rbf", "logits")
    pair[1].class_names = list("abcdefghij")
    committee = Ensemble(net.compile() if k else net for k, net in enumerate(pair))
    assert len(committee) == 2
    assert repr(committee) == "Ensemble(2 networks, 121,706 parameters)"
    assert committee.n_parameters == 121_706
    assert committee.n_connections == sum(net.n_connections for net in pair)
    assert committee.class_names == tuple("abcdefghij")
    assert [net.temperature for net in committee.networks] == [1.5, 2.5]
    assert committee.read(IMAGES[:1]).labels[0] in "abcdefghij"
    lines = committee.summary().splitlines()
    assert lines[0] == "committee, input 32 x 32"
    assert re.fullmatch(r"lenet5-1998 +60,000 +340,908 +1\.5", lines[3])
    assert re.fullmatch(r"total +121,706 +[\d,]+", lines[-1])


@pytest.mark.parametrize(
    ("networks", "error", "text"),
    [
        ([], ValueError, "got 0, want 1 to 64"),
        (LeNet5(), TypeError, "got LeNet5.*, want a list of networks|0 is "),
        (["mnist"], TypeError, "0 is 'mnist', want a LeNet5"),
        ([LeNet5(), LeNet5(LENET5_28)], ValueError, "1 takes images of '28x28', the first '32x32'"),
        (
            [LeNet5(), LeNet5(LENET5_MODERN.with_classes(7))],
            ValueError,
            "1 has classes: 7, the first 10; want networks that read the same",
        ),
        (
            [LeNet5(), LeNet5(LENET5_MODERN.with_normalization(0.1, 0.3))],
            ValueError,
            "1 takes images of the levels",
        ),
        ([LeNet5(LENET5_STRINGS)], ValueError, "one reads strings, want networks"),
        ([LeNet5(LENET5_STRINGS)] * 2, ValueError, "one reads strings, want networks"),
    ],
)
def test_what_is_no_committee(networks: Any, error: Any, text: str) -> None:
    with pytest.raises(error, match=rf"^networks: ({text})"):
        Ensemble(networks)


def test_names_that_differ() -> None:
    pair = nets("rbf", "rbf")
    pair[0].class_names, pair[1].class_names = map(str, range(10)), map(str, range(9, -1, -1))
    with pytest.raises(ValueError, match=r"^networks: 1 reads "):
        Ensemble(pair)


def test_what_it_is_given_is_checked_as_a_network_does() -> None:
    committee, net = Ensemble(nets("rbf", "rbf")), LeNet5()
    for bad in (
        IMAGES.astype(np.float64),
        IMAGES[:, :20],
        IMAGES[:0],
        np.full((1, 32, 32), np.nan),
    ):
        told = []
        for it in (committee, net):
            with pytest.raises((TypeError, ValueError)) as error:
                it.forward(bad)
            told.append((error.type, str(error.value)))
        assert told[0] == told[1]
    inverted = 255 - datasets.digits()[1][0][:20]
    with pytest.warns(InputWarning, match="images"):
        Ensemble([LeNet5.pretrained("mnist")]).predict(inverted)
    with pytest.raises(ValueError, match="labels: row 0 is 11"):
        committee.evaluate(IMAGES[:1], [11])
    spoiled = LeNet5()
    spoiled.parameters[...] = np.nan
    with pytest.raises(FloatingPointError, match="row 0 of images"):
        Ensemble([net, spoiled]).predict(IMAGES)


def test_the_core_refuses_what_would_not_fit() -> None:
    models = [_core.Model(net._network, net.parameters) for net in nets("rbf", "rbf")]
    other = LeNet5(LENET5_28)
    for members, scales in (
        ([], []),
        (models, [1.0]),
        ([*models, _core.Model(other._network, other.parameters)], [1.0] * 3),
    ):
        with pytest.raises(ValueError, match=r"members|scales"):
            _core.Committee(members, scales)
    committee = _core.Committee(models, [1.0, 1.0])
    with pytest.raises(TypeError, match="sweep one of its networks"):
        committee.sweep(IMAGES[0])
    with pytest.raises(TypeError, match="ask one of its networks"):
        committee.sweep_activations(IMAGES[0])
    with pytest.raises(ValueError, match="refused"):
        committee.activations(IMAGES)


def test_memory_is_limited() -> None:
    committee = Ensemble(nets("rbf", "rbf"))
    before = lenet_c.get_memory_limit()
    lenet_c.set_memory_limit(100_000)
    try:
        with pytest.raises(MemoryError):
            committee.forward(IMAGES)
    finally:
        lenet_c.set_memory_limit(before)


@pytest.fixture(scope="module")
def trained() -> tuple[Ensemble, Any]:
    """Two that have learnt a little, calibrated."""
    (x, y), test = datasets.digits()
    pair = [LeNet5(LENET5_1998, seed=0), LeNet5(LENET5_MODERN, seed=1)]
    for net in pair:
        Trainer(net).fit(x[:1000], y[:1000], epochs=4)
        net.calibrate(x[1000:], y[1000:], reject=None)
    committee = Ensemble(pair).calibrate(x[1000:], y[1000:])
    committee.class_names = list("0123456789")
    committee.notes = {"by": "nobody"}
    return committee, test


def test_calibration(trained: Any) -> None:
    committee, (x, y) = trained
    assert committee.temperature != 1.0
    assert committee.rejection is not None
    assert committee.subspaces.shape == (10, 21, 16, 16)
    reading = committee.read(x)
    assert 0 < reading.rejected.mean() < 0.2
    loss = [-np.log(committee.predict_proba(x)[np.arange(len(y)), y]).mean()]
    plain = Ensemble(committee.networks)
    loss.append(-np.log(plain.predict_proba(x)[np.arange(len(y)), y]).mean())
    assert loss[0] < loss[1]
    worst = max(net.evaluate(x, y).error_rate for net in committee.networks)
    assert committee.evaluate(x, y).error_rate < worst
    with pytest.raises(ValueError, match="want at least 10"):
        committee.calibrate(x[:3], y[:3])


def same(one: Ensemble, other: Ensemble, x: np.ndarray) -> None:
    np.testing.assert_array_equal(one.forward(x), other.forward(x))
    assert one.read(x) == other.read(x)
    for name in ("class_names", "temperature", "rejection", "notes", "learnt_from"):
        assert getattr(one, name) == getattr(other, name)
    np.testing.assert_array_equal(one.subspaces, other.subspaces)


def test_copies_and_files_are_the_same(trained: Any, tmp_path: Path) -> None:
    committee, (x, _) = trained
    committee.save(tmp_path / "two.npz")
    file = io.BytesIO()
    committee.save(file)
    assert (tmp_path / "two.npz").read_bytes() == file.getvalue()
    for other in (
        Ensemble.load(tmp_path / "two.npz"),
        pickle.loads(pickle.dumps(committee)),
        copy.deepcopy(committee),
    ):
        same(committee, other, x)
        again = io.BytesIO()
        other.save(again)
        assert again.getvalue() == file.getvalue()


def test_half_the_space(trained: Any, tmp_path: Path) -> None:
    committee, (x, _) = trained
    for name, half in (("whole", False), ("half", True)):
        committee.save(tmp_path / name, half=half)
    sizes = [(tmp_path / name).stat().st_size for name in ("whole", "half")]
    assert sizes[0] - sizes[1] == pytest.approx(2 * committee.n_parameters, abs=200)
    found = Ensemble.load(tmp_path / "half")
    for rounded, net in zip(found.members(), committee.members(), strict=True):
        want = net.parameters.astype(np.float16).astype(np.float32)
        np.testing.assert_array_equal(rounded.parameters, want)
    np.testing.assert_array_equal(found.predict(x), committee.predict(x))
    large = LeNet5()
    large.parameters[5] = 7e4
    with pytest.raises(ValueError, match="network 1: parameters: some are beyond float16's range"):
        Ensemble([LeNet5(), large]).save(io.BytesIO(), half=True)
    with pytest.raises(TypeError, match="half: got 1, want True or False"):
        committee.save(io.BytesIO(), half=1)


def test_files_that_are_something_else(trained: Any, tmp_path: Path) -> None:
    committee, _ = trained
    committee.save(tmp_path / "two.npz")
    LeNet5().save(tmp_path / "one.npz")
    Trainer(LeNet5()).save(tmp_path / "training.npz")
    with pytest.raises(ModelFileError, match=r"a committee, Ensemble.load\(path\) reads it"):
        LeNet5.load(tmp_path / "two.npz")
    with pytest.raises(ModelFileError, match=r"a single network, LeNet5.load\(path\) reads it"):
        Ensemble.load(tmp_path / "one.npz")
    with pytest.raises(ModelFileError, match="no committee's file"):
        Ensemble.load(tmp_path / "training.npz")
    content = bytearray((tmp_path / "two.npz").read_bytes())
    content[len(content) // 2] ^= 1
    with pytest.raises(ModelFileError, match="damaged"):
        Ensemble.load(io.BytesIO(bytes(content)))
    with pytest.raises(ModelFileError, match="max_bytes"):
        Ensemble.load(tmp_path / "two.npz", max_bytes=1000)


def test_files_that_lie(trained: Any) -> None:
    committee, _ = trained
    file = io.BytesIO()
    committee.save(file)
    file.seek(0)
    metadata, arrays = serialization.read(file)
    other = io.BytesIO()
    LeNet5(LENET5_28).save(other)
    other.seek(0)
    smaller, small = serialization.read(other)
    for change, text in (
        ({"networks": None}, "networks: want a list of 1 to 64"),
        ({"networks": []}, "networks: want a list"),
        ({"networks": metadata["networks"] * 40}, "networks: want a list"),
        ({"networks": [metadata["networks"][0], "x"]}, "networks: 1 is no dict"),
        ({"networks": metadata["networks"] * 2}, "it has no 'parameters'"),
        ({"networks": [metadata["networks"][0], smaller]}, r"networks: 1 takes images of '28x28'"),
        ({"temperature": "hot"}, "temperature: got 'hot'"),
        ({"rejection": {"x": 1}}, "rejection"),
    ):
        given = dict(arrays)
        if smaller in (change.get("networks") or ()):
            given["1.parameters"] = small["parameters"]
        bad = io.BytesIO()
        serialization.write(bad, {**metadata, **change}, given)
        bad.seek(0)
        with pytest.raises(ModelFileError, match=text):
            Ensemble.load(bad)
    for values in (np.zeros((2, 9), np.uint8), np.full((2, 60_000), 255, np.uint8)):
        bad = io.BytesIO()
        serialization.write(bad, metadata, {**arrays, "0.parameters": values})
        bad.seek(0)
        with pytest.raises(ModelFileError, match="parameters: "):
            Ensemble.load(bad)


# ---- for other programs --------------------------------------------------------------------------


@pytest.mark.parametrize("input", ["uint8", "float32"])
def test_onnx(trained: Any, input: str) -> None:
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    _, (x, _) = trained
    for kinds in (("rbf", "rbf"), ("logits", "rbf"), ("logits", "logits", "logits")):
        committee = Ensemble(nets(*kinds))
        committee.temperature, committee.rejection = 2.0, Rejection(margin=1.0)
        file = io.BytesIO()
        export.onnx(committee, file, input=input)
        model = onnx.load_from_string(file.getvalue())
        onnx.checker.check_model(model)
        session = runtime.InferenceSession(file.getvalue())
        images = x[:20]
        if input == "float32":
            images = np.full((20, 32, 32), -0.1, np.float32)
            images[:, 2:30, 2:30] += x[:20] / np.float32(255) * np.float32(1.275)
        (outputs,) = session.run(None, {"images": images})
        assert session.get_outputs()[0].name == ("penalties" if set(kinds) == {"rbf"} else "logits")
        np.testing.assert_allclose(outputs, committee.forward(images), rtol=1e-4, atol=1e-4)
        props = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
        assert (props["networks"], props["temperature"]) == (len(kinds), 2.0)
        assert props["rejection"] == {"margin": 1.0}
        with pytest.raises(ModelFileError, match="a committee"):
            export.load_onnx(io.BytesIO(file.getvalue()))


PROGRAM = """
#define THREE_HEADER_ONLY
#include "three.c"
#include <stdio.h>
int main(void)
{
    static uint8_t image[THREE_HEIGHT * THREE_WIDTH];
    static float outputs[THREE_CLASSES], scratch[THREE_SCRATCH];
    while (fread(image, sizeof image, 1, stdin) == 1) {
        int best = three_read(image, outputs, scratch);
        printf("%s %d", three_name(best), three_read(NULL, outputs, scratch));
        for (int i = 0; i < THREE_CLASSES; i++) printf(" %.9g", outputs[i]);
        printf("\\n");
    }
    return THREE_TEMPERATURE == 4.0f && THREE_REJECT_MARGIN == 1.0f ? 0 : 1;
}
"""


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_one_c_file(trained: Any, precision: str, tmp_path: Path) -> None:
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no gcc")
    _, (x, _) = trained
    for kinds in (("rbf", "logits", "rbf"), ("rbf", "rbf")):
        members = nets(*kinds)
        # two are names within the file as well
        names = ["conv", 'a "conv"', *(f"d{k}" for k in range(2, 10))]
        for net in members:
            net.class_names = names
        committee = Ensemble(members)
        committee.temperature, committee.rejection = 4.0, Rejection(margin=1.0)
        images = x[:60] if precision == "int8" else None
        export.c(committee, tmp_path / "three.c", precision=precision, images=images)
        (tmp_path / "main.c").write_text(PROGRAM)
        flags = ["-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-lm"]
        command = [compiler, "main.c", "three.c", "-o", "main", *flags]
        subprocess.run(command, cwd=tmp_path, check=True)
        done = subprocess.run(
            [tmp_path / "main"], input=x[:9].tobytes(), capture_output=True, check=True
        )
        rows = [line.rsplit(maxsplit=11) for line in done.stdout.decode().splitlines()]
        got = np.array([[float(value) for value in row[2:]] for row in rows])
        want = committee.forward(x[:9])
        spread = np.abs(want).max()
        assert np.abs(got - want).max() <= spread * (1e-5 if precision == "float32" else 0.1)
        best = got.argmin(axis=1) if set(kinds) == {"rbf"} else got.argmax(axis=1)
        assert [row[:2] for row in rows] == [[names[k], "-1"] for k in best]
        assert '"three_0_conv"' not in (tmp_path / "three.c").read_text()


def test_a_c_file_needs_room_for_the_numbers() -> None:
    with pytest.raises(ValueError, match="want at most 37: numbers of the networks"):
        export.c(Ensemble(nets("rbf", "rbf")), io.BytesIO(), prefix="x" * 38)


# ---- the committee that comes with the library ---------------------------------------------------


def test_pretrained() -> None:
    committee = Ensemble.pretrained()
    first = LeNet5.pretrained("mnist")
    assert 2 <= len(committee) <= 5
    assert {net.architecture for net in committee.networks} == {LENET5_1998}
    np.testing.assert_array_equal(committee.networks[0]._network.parameters, first.parameters)
    for net in committee.members()[1:]:
        np.testing.assert_array_equal(recipe.shortened(net.parameters), net.parameters)
        assert not np.array_equal(net.parameters, first.parameters)
    assert committee.class_names == tuple("0123456789")
    assert committee.rejection is not None
    assert committee.temperature > 0
    assert len(committee) == 1 + len(recipe.NEW) + len(recipe.ON)
    assert committee.notes["test_error_rate"] <= 0.0035
    with pytest.raises(ValueError, match=r"want one of committee \(LeNet5.pretrained has single"):
        Ensemble.pretrained("mnist")
    with pytest.raises(ValueError, match="want one of mnist, "):
        LeNet5.pretrained("committee")
    assert "committee" not in model_file.pretrained_files()


def test_it_takes_little_space() -> None:
    file = ensemble_file.pretrained_files()["committee"]
    assert len(file.read_bytes()) < 1_000_000


def test_the_error_rate_is_as_documented() -> None:
    try:
        _, (x, y) = datasets.mnist(download=False)
    except OSError:
        pytest.skip("MNIST is not here")
    committee = Ensemble.pretrained()
    rate = committee.evaluate(x, y).error_rate
    assert rate == pytest.approx(committee.notes["test_error_rate"], abs=0.0003)
    table = PAGE.read_text(encoding="utf-8").partition("<!-- shipped -->")[2]
    row = re.search(rf"^\| {len(committee)} \| ([\d.]+)% ", table, re.M)
    assert row is not None
    assert rate == pytest.approx(float(row[1]) / 100, abs=0.0003)
    reading = committee.read(x)
    assert 0.002 < reading.rejected.mean() < 0.03
    shares = committee.predict_proba(x)
    right = shares[np.arange(len(y)), y]
    assert -np.log(right).mean() < 0.015


# ---- the command ---------------------------------------------------------------------------------


def test_the_command_reads_with_committees(trained: Any, tmp_path: Path, capsys: Any) -> None:
    image = pytest.importorskip("PIL.Image")
    committee, (x, _) = trained
    committee.save(tmp_path / "two.npz")
    sheet = np.pad(255 - x[0], 30, constant_values=255)
    image.fromarray(sheet).resize((264, 264)).save(tmp_path / "digit.png")
    for model in (str(tmp_path / "two.npz"), "committee"):
        assert cli.main(["predict", model, str(tmp_path / "digit.png")]) == 0
        assert re.search(r"digit\.png\t\d\t[\d.]+", capsys.readouterr().out)
        assert cli.main(["summary", model]) == 0
        assert capsys.readouterr().out.startswith("committee, input 32 x 32\n")
    model = str(tmp_path / "two.npz")
    assert cli.main(["evaluate", model, "--dataset", "digits"]) == 0
    output = capsys.readouterr().out
    assert "with Ensemble(2 networks, 121,706 parameters)" in output
    assert re.search(r"test error [\d.]+% ", output)
    assert cli.main(["export", model, "--c", str(tmp_path / "two.c")]) == 0
    assert "Ensemble(2 networks" in capsys.readouterr().out
    assert cli.main(["train", "--from", model, "--dataset", "digits"]) == 2
    assert "a committee, Ensemble.load(path) reads it" in capsys.readouterr().err
    assert cli.main(["train", "--output", "committee"]) == 2
    assert "comes with the library" in capsys.readouterr().err
