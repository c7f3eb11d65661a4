"""Networks as ONNX graphs: what ONNX Runtime makes of them, and what comes back."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from lenet_c import (
    LENET4,
    LENET5_28,
    LENET5_1998,
    LENET5_MODERN,
    LENET5_STRINGS,
    LENET_CIFAR,
    RBF,
    Architecture,
    AveragePool,
    Conv,
    Dense,
    LeNet5,
    LineReader,
    MaxPool,
    ModelFileError,
    Rejection,
    Subsample,
    cli,
    export,
)
from lenet_c.chain import Chain

onnx = pytest.importorskip("onnx")
helper, numpy_helper = onnx.helper, onnx.numpy_helper

pytestmark = pytest.mark.filterwarnings("ignore::lenet_c.InputWarning")  # of random images

FIXTURES = Path(__file__).parent / "fixtures"
TOLERANCE = 1e-5  # of the largest output

PADDED = Architecture(
    "padded",
    (
        Conv("C1", maps=4, kernel=5, activation="sigmoid", padding=2),
        MaxPool("S2"),
        Conv("C3", maps=6, kernel=4, activation="relu", table=((0,), (1, 2)) * 3),  # odd: 13x13
        Subsample("S4", activation="tanh"),
        Dense("F5", units=12, activation="scaled_tanh"),
        RBF("output", classes=10, trained=True),
    ),
)
COLOURS = Architecture(
    "colours",
    (
        Conv("C1", maps=4, kernel=5, table=((0,), (1,), (2,), (0, 1, 2)), activation="identity"),
        AveragePool("S2"),
        Conv("C3", maps=6, kernel=3, activation="tanh"),
        Dense("flat", units=12, activation="relu"),  # the name of a value, too
        Dense("output", units=3, activation="identity"),
    ),
    input_shape=(3, 20, 24),
).with_normalization((0.4, 0.5, 0.6), (0.2, 0.3, 0.25))
WORDS = Architecture(
    "words",
    (
        Conv("C1", maps=3, kernel=5),
        MaxPool("S2"),
        Conv("C3", maps=5, kernel=3),
        Subsample("S4"),
        Dense("F5", units=12),
        RBF("output", classes=5),
    ),
    input_shape=(20, 18),
    blank=True,
)
NETWORKS = [
    *(LENET5_1998, LENET5_MODERN, LENET5_28.with_activation("relu"), LENET4, LENET_CIFAR),
    *(PADDED, COLOURS),
]


def filled(architecture):
    """Give a network whose parameters all matter, its biases too."""
    rng = np.random.default_rng(5)
    codes = None
    if architecture.code_length not in (None, 84):
        shape = architecture.classes, architecture.code_length
        codes = rng.integers(0, 2, shape) * 2.0 - 1 + np.arange(shape[0])[:, None] / 100
    network = LeNet5(architecture, codes=codes, seed=1)
    for name in network:
        if name.endswith("weight") and name != network._code_name:
            network[name] *= 3
        elif name.endswith("bias"):
            network[name] = rng.normal(0, 0.2, network[name].shape)
    return network


def session(content):
    runtime = pytest.importorskip("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def exported(network, **settings):
    file = io.BytesIO()
    export.onnx(network, file, **settings)
    return file.getvalue()


def assert_near(got, wanted):
    assert got.shape == wanted.shape
    assert np.abs(got - wanted).max() <= TOLERANCE * np.abs(wanted).max()


# ---- out ----


@pytest.mark.parametrize("name", ["mnist", "mnist-modern"])
def test_trained_networks_read_alike(name, real_digits):
    network = LeNet5.pretrained(name)
    images = real_digits[1][0][:1000]
    (outputs,) = session(exported(network)).run(None, {"images": images})
    wanted = network.forward(images)
    assert_near(outputs, wanted)
    best = np.argmin if network.codes is not None else np.argmax
    assert (best(outputs, 1) == best(wanted, 1)).all()


@pytest.mark.parametrize("network", NETWORKS, ids=lambda a: a.name)
@pytest.mark.parametrize("input", export.INPUTS)
def test_every_kind_of_layer(network, input, rng):
    network = filled(network)
    *channels, height, width = network.architecture.input_shape
    content = exported(network, input=input)
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
    run = session(content)
    given = run.get_inputs()[0]
    assert given.type == f"tensor({'float' if input == 'float32' else input})"
    if input == "uint8" and (height, width) == (32, 32):
        height = width = 28
    assert given.shape[1:] == [*channels, height, width]
    for n in (1, 7):  # any number of images
        images = rng.integers(0, 256, (n, *channels, height, width)).astype(np.uint8)
        if input == "float32":
            images = images.astype(np.float32) / 255
        (outputs,) = run.run(None, {"images": images})
        assert_near(outputs, network.forward(images))


def test_the_size_of_images(rng):
    network = filled(COLOURS)
    content = exported(network, size=(16, 24))
    images = rng.integers(0, 256, (2, 3, 16, 24), np.uint8)
    assert_near(session(content).run(None, {"images": images})[0], network.forward(images))
    for size in ((17, 24), (10, 24), (22, 24)):
        with pytest.raises(ValueError, match=r"size: got .*, want 20x24, or up to 8 pixels less"):
            export.onnx(network, io.BytesIO(), size=size)
    with pytest.raises(ValueError, match=r"size: got .*, want None: float32 images are 20x24"):
        export.onnx(network, io.BytesIO(), size=(16, 24), input="float32")
    with pytest.raises(TypeError, match="size: got 28, want"):
        export.onnx(network, io.BytesIO(), size=28)


@pytest.mark.parametrize("architecture", [LENET5_STRINGS, WORDS], ids=lambda a: a.name)
@pytest.mark.parametrize("input", export.INPUTS)
def test_strips_of_any_width(architecture, input, rng):
    network = filled(architecture)
    height, width = architecture.input_shape
    run = session(exported(network, input=input))
    for columns in (1, width - 3, width, width + 1, width + 4, 3 * width + 2):
        strips = rng.integers(0, 256, (2, height, columns)).astype(np.uint8)
        if input == "float32":
            strips = strips.astype(np.float32) / 255
        assert_near(run.run(None, {"images": strips})[0], network.sweep(strips))
    with pytest.raises(ValueError, match=r"size: got .*, want None: a strip is as high"):
        export.onnx(network, io.BytesIO(), size=(height - 4, width))


def test_a_reader_of_lines(tmp_path):
    network = LeNet5.pretrained("strings")
    export.onnx(LineReader(network), tmp_path / "reader.onnx")
    assert (tmp_path / "reader.onnx").read_bytes() == exported(network)
    metadata = {
        p.key: json.loads(p.value) for p in onnx.load(tmp_path / "reader.onnx").metadata_props
    }
    assert metadata["blank"] == 10


def test_the_metadata():
    network = filled(LENET5_1998)
    network.class_names = [*"ABCDEFGH", "é", "ten"]
    network.temperature, network.rejection = 2.5, Rejection(penalty=9.0, distance=3.0)
    model = onnx.load_from_string(exported(network))
    metadata = {p.key: json.loads(p.value) for p in model.metadata_props}
    assert metadata["class_names"] == list(network.class_names)
    assert metadata["temperature"] == 2.5
    assert metadata["rejection"] == {"penalty": 9.0}
    assert (model.opset_import[0].version, model.producer_name) == (17, "lenet_c")
    assert [each.name for each in model.graph.output] == ["penalties"]


def test_what_cannot_be_written(tmp_path):
    network = filled(LENET5_28)
    with pytest.raises(ValueError, match="input: got 'int8', want one of uint8, float32"):
        export.onnx(network, tmp_path / "x.onnx", input="int8")
    with pytest.raises(TypeError, match=r"network: got .*, want a LeNet5, a LineReader or an"):
        export.onnx(network.parameters, tmp_path / "x.onnx")
    with pytest.raises(TypeError, match="path: got 3, want a path or a binary file"):
        export.onnx(network, 3)
    network.parameters[3] = np.nan
    with pytest.raises(ValueError, match="parameters: some are NaN"):
        export.onnx(network, tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())


def test_the_command(tmp_path, monkeypatch, capsys):
    pytest.importorskip("PIL")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["export", "mnist", "--onnx", "digits.onnx"]) == 0
    written = (tmp_path / "digits.onnx").read_bytes()
    assert written == exported(LeNet5.pretrained("mnist"))
    size = f"{len(written) / 1000:.0f} kB"
    assert capsys.readouterr().out == f"lenet5-1998 written to digits.onnx, {size}\n"
    arguments = ["export", "mnist", "--onnx", "32.onnx", "--size", "32x30", "--input"]
    assert cli.main([*arguments, "uint8"]) == 0
    assert session("32.onnx").get_inputs()[0].shape == ["N", 32, 30]
    capsys.readouterr()
    for wrong, error in (
        ([*arguments, "float32"], "size: got (32, 30), want None: float32 images are 32x32"),
        (["export", "mnist"], "nothing to write, want --onnx FILE"),
        (
            ["export", "mnist", "--onnx", "x", "--c", "./x"],
            "--c: ./x is --onnx's too, want another",
        ),
        (["export", "mnist", "--onnx", "x.onnx", "--precision", "int8"], "--precision is for --c"),
        (["export", "mnist", "--onnx", "x.onnx", "--prefix", "x"], "--prefix is for --c"),
        (["export", "mnist", "--c", "x.c", "--input", "float32"], "--input is for --onnx"),
        (["export", "mnist", "--c", "x.c", "--prefix", ""], "prefix: got '', want a letter"),
        (["export", "none.npz", "--onnx", "x.onnx"], "none.npz: No such file or directory"),
        (["export", "mnist", "--onnx", "none/x.onnx"], f"{tmp_path / 'none'}: cannot write here"),
    ):
        assert cli.main(wrong) == 2
        assert capsys.readouterr().err.startswith(f"lenet-c: error: {error}")
    with pytest.raises(SystemExit):
        cli.main(["export", "mnist", "--onnx", "x.onnx", "--size", "28"])
    assert "got '28', want height and width, as 28x28" in capsys.readouterr().err


def test_without_onnx(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    for call in (lambda path: export.onnx(LeNet5(), path), export.load_onnx):
        with pytest.raises(ImportError, match=r'needs onnx: pip install "lenet_c\[interchange\]"'):
            call(tmp_path / "x.onnx")


# ---- and back ----


@pytest.mark.parametrize("architecture", [*NETWORKS, LENET5_STRINGS, WORDS], ids=lambda a: a.name)
@pytest.mark.parametrize("input", export.INPUTS)
def test_what_was_written_comes_back(architecture, input, tmp_path):
    network = filled(architecture)
    network.class_names = [f"class {i}" for i in range(architecture.characters)]
    network.temperature, network.rejection = 2.5, Rejection(penalty=9.0)
    network.notes = {"trained on": ["these", 3]}
    path = tmp_path / "network.onnx"
    export.onnx(network, path, input=input)
    again = export.load_onnx(path)
    assert again.architecture == network.architecture
    assert again.parameters.tobytes() == network.parameters.tobytes()
    if network.codes is not None:
        assert (again.codes == network.codes).all()
    for name in ("class_names", "temperature", "rejection", "notes"):
        assert getattr(again, name) == getattr(network, name)


def test_what_it_learnt_from_comes_back():
    network = LeNet5.pretrained("mnist")
    again = export.load_onnx(io.BytesIO(exported(network)))
    assert again.learnt_from == network.learnt_from
    assert again.notes == network.notes


def changed(content, change):
    model = onnx.load_from_string(content)
    change(model)
    return io.BytesIO(model.SerializeToString())


@pytest.mark.parametrize("architecture", NETWORKS, ids=lambda a: a.name)
def test_without_metadata_the_graph_says_it_all(architecture, rng):
    network = filled(architecture)
    found = export.load_onnx(
        changed(exported(network), lambda model: model.ClearField("metadata_props"))
    )
    *channels, height, width = architecture.input_shape
    images = rng.integers(0, 256, (3, *channels, height - 4, width - 4), np.uint8)
    wanted = network.forward(images)
    assert np.abs(found.forward(images) - wanted).max() <= 1e-6 * np.abs(wanted).max()


def test_a_graph_that_is_not_its_metadatas_is_read_as_it_is(rng):
    network = filled(LENET5_28)
    network.class_names = [*"ABCDEFGHIJ"]

    def relu(model):
        for node in model.graph.node:
            if node.op_type == "Tanh":
                node.op_type = "Relu"

    found = export.load_onnx(changed(exported(network), relu))
    other = LeNet5(LENET5_28.with_activation("relu"))
    other.parameters = network.parameters
    images = rng.integers(0, 256, (3, 28, 28), np.uint8)
    np.testing.assert_allclose(found.forward(images), other.forward(images), atol=1e-6)
    assert found.class_names == network.class_names


# ---- from elsewhere ----

ELSEWHERE = np.load(FIXTURES / "onnx-outputs.npz")


def probabilities(outputs):
    raised = np.exp(outputs - outputs.max(1, keepdims=True))
    return raised / raised.sum(1, keepdims=True)


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("torch-view-0", "conv max_pool conv max_pool dense dense"),
        ("torch-view-1", "conv max_pool conv max_pool dense dense"),
        ("torch-padded-0", "conv average_pool conv subsample dense dense"),
        ("torch-padded-1", "conv average_pool conv subsample dense dense"),
        ("keras", "conv average_pool conv average_pool dense dense"),
        ("keras-colours", "conv max_pool conv max_pool dense dense"),
    ],
)
def test_graphs_of_other_libraries(name, kinds):
    images, wanted = ELSEWHERE[f"{name}.images"], ELSEWHERE[f"{name}.outputs"]
    std = 1.0
    if name == "keras-colours":
        with pytest.raises(
            ModelFileError, match=r"multiplies its images by 0\.003922 .*std=1 / 255"
        ):
            export.load_onnx(FIXTURES / f"onnx-{name}.onnx")
        std, images = 1 / 255, images / np.float32(255)  # as behind the graph's own scaling
    network = export.load_onnx(FIXTURES / f"onnx-{name}.onnx", std=std)
    assert [layer.kind for layer in network.architecture.layers] == kinds.split()
    outputs = network.forward(images if images.shape[1] > 1 else images[:, 0])
    if "view" in name:
        wanted, outputs = np.exp(wanted), probabilities(outputs)
    elif name == "keras":
        outputs = probabilities(outputs)
    assert_near(outputs, wanted)
    if name == "keras-colours":  # whose levels are those of uint8 images
        assert_near(network.forward(np.round(images * 255).astype(np.uint8)), wanted)


def test_levels_of_a_graph_of_floats():
    path = FIXTURES / "onnx-torch-view-0.onnx"
    assert export.load_onnx(path).architecture.levels == ((0.0,) * 3, (1.0,) * 3)
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.25, 0.5)
    wanted = export.load_onnx(path).architecture.with_normalization(mean, std)
    assert export.load_onnx(path, mean=mean, std=std).architecture == wanted
    for bad, error in (({"std": 0}, "std: got 0"), ({"mean": (1, 2)}, "mean: got .*each of 3")):
        with pytest.raises(ModelFileError, match=error):
            export.load_onnx(path, **bad)
    with pytest.raises(ModelFileError, match="says itself how it scales"):
        export.load_onnx(io.BytesIO(exported(filled(LENET5_28))), std=2.0)


def test_channels_first_and_last_differ():
    """The order in which a graph flattens matters, and is read from it."""

    def channels_last(model):
        nodes = list(model.graph.node)
        (place,) = (i for i, node in enumerate(nodes) if node.op_type == "Flatten")
        before = nodes[place].input[0]
        nodes[place].input[0] = "last"
        turn = helper.make_node("Transpose", [before], ["last"], perm=[0, 2, 3, 1])
        del model.graph.node[:]
        model.graph.node.extend([*nodes[:place], turn, *nodes[place:]])

    network = filled(LENET5_28)
    found = export.load_onnx(changed(exported(network), channels_last))
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28), np.uint8)
    file = changed(exported(network), channels_last)
    wanted = session(file.getvalue()).run(None, {"images": images})[0]
    assert_near(found.forward(images), wanted)
    assert np.abs(network.forward(images) - wanted).max() > 1e-3 * np.abs(wanted).max()


def test_zeros_and_arithmetic_in_nodes_of_their_own(rng):
    """Zeros before a convolution, a bias behind it, factors behind a mean: of those layers."""
    network = filled(LENET5_28)
    bias, factors = np.arange(6, dtype=np.float32) / 9, np.arange(1, 7, dtype=np.float32) / 3
    changes = (
        with_constant("Mul", "AveragePool", factors.reshape(6, 1, 1)),
        with_constant("Add", "Conv", bias.reshape(1, 6, 1, 1)),
        with_constant("Pad", "AveragePool", np.array([0, 0, 2, 2] * 2)),
    )
    for change, kinds in zip(changes, ("subsample", "average_pool", "average_pool"), strict=True):
        if change is changes[2]:  # then its dense layer sees 6x6
            weight = rng.normal(0, 0.05, (120, 576)).astype(np.float32)
            change = (lambda one, two: lambda model: (one(model), two(model)))(
                change, with_weights("F5.weight", weight)
            )
        file = changed(exported(network), change)
        found = export.load_onnx(file)
        assert found.architecture.layers[1].kind == kinds
        images = rng.integers(0, 256, (3, 28, 28), np.uint8)
        content = onnx.load_from_string(file.getvalue())
        del content.graph.value_info[:]
        wanted = session(content.SerializeToString()).run(None, {"images": images})[0]
        assert_near(found.forward(images), wanted)


# ---- what is no such network ----


def with_node(op, at, inputs=None, **attributes):
    """Give a change that puts a node behind the first of a kind."""

    def change(model):
        nodes = list(model.graph.node)
        place = next(i for i, node in enumerate(nodes) if node.op_type == at)
        taken = nodes[place].output[0]
        made = helper.make_node(op, inputs or [taken], ["new"], "the new one", **attributes)
        for node in nodes:
            node.input[:] = ["new" if name == taken else name for name in node.input]
        del model.graph.node[:]
        model.graph.node.extend([*nodes[: place + 1], made, *nodes[place + 1 :]])

    return change


def with_attribute(op, name, value):
    def change(model):
        node = next(node for node in model.graph.node if node.op_type == op)
        for each in [each for each in node.attribute if each.name == name]:
            node.attribute.remove(each)
        node.attribute.append(helper.make_attribute(name, value))

    return change


def with_weights(name, values):
    def change(model):
        (old,) = (each for each in model.graph.initializer if each.name == name)
        old.CopyFrom(numpy_helper.from_array(values, name))

    return change


def with_constant(op, at, values, **attributes):
    """Give a change that puts a node with a constant behind the first of a kind."""

    def change(model):
        model.graph.initializer.append(numpy_helper.from_array(values, "new.constant"))
        node = next(node for node in model.graph.node if node.op_type == at)
        with_node(op, at, [node.output[0], "new.constant"], **attributes)(model)

    return change


def without_constant(name):
    def change(model):
        (old,) = (each for each in model.graph.initializer if each.name == name)
        model.graph.initializer.remove(old)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            with_node("Elu", "Conv"),
            r"node 'the new one' \(Elu\): no layer of a LeNet, want one of Add",
        ),
        (with_node("Relu", "Tanh"), r"'the new one' \(Relu\): relu of what is tanh"),
        (
            with_attribute("Conv", "strides", [2, 2]),
            r"node '/C1' \(Conv\): strides \[2, 2\], want 1",
        ),
        (
            with_attribute("Conv", "dilations", [2, 2]),
            r"'/C1' \(Conv\): dilations \[2, 2\], want 1",
        ),
        (
            with_attribute("Conv", "pads", [1, 1, 0, 0]),
            r"pads \[1, 1, 0, 0\], want the same on all",
        ),
        (
            with_attribute("AveragePool", "kernel_shape", [3, 3]),
            r"'/S2' .*kernel_shape \[3, 3\], want",
        ),
        (
            with_attribute("AveragePool", "strides", [1, 1]),
            r"'/S2' .*strides \[1, 1\], want \[2, 2\]",
        ),
        (with_attribute("AveragePool", "pads", [1, 1, 1, 1]), r"'/S2' .*with padding, want none"),
        (with_attribute("Gemm", "alpha", 0.5), r"node '/F5' \(Gemm\): alpha 0\.5, want 1"),
        (with_attribute("Gemm", "transB", 0), r"'/F5' \(Gemm\): weights for 120 inputs, want 256"),
        (
            with_node("Softmax", "Gemm", axis=1),
            r"'/F5\.tanh' \(Tanh\): the network is over before it",
        ),
        (
            with_node("Transpose", "Cast", perm=[1, 0, 2]),
            r"'the new one' .*want the images to stay",
        ),
        (with_node("Flatten", "Cast"), r"'/C1' \(Conv\): got \(N, H 1, C 784\), want \(N, ch"),
        (
            with_constant("Pad", "Tanh", np.array([0, 0, 1, 1] * 2)),
            r"'/S2' \(AveragePool\): behind zeros around the maps, want a convolution",
        ),
        (
            with_constant("Pad", "Tanh", np.array([0, 0, 1, 1, 0, 0, 2, 1])),
            r"'the new one' \(Pad\): pads .*, want as much on both sides",
        ),
        (
            with_constant("Mul", "Gemm", np.full((1, 1, 1), 2, "f")),
            r"'the new one' \(Mul\): a constant of 3 axes, want at most 2",
        ),
        (
            with_constant("Mul", "Gemm", np.full(1, 2, "f")),
            r"'the new one' \(Mul\): arithmetic where no layer has any",
        ),
        (without_constant("C1.weight"), r"'C1\.weight' is no constant, want weights that are part"),
        (
            with_weights("C1.weight", np.zeros((6, 1, 5, 5))),
            r"'/C1' \(Conv\): float64, want float32",
        ),
        (with_weights("C1.weight", np.zeros((6, 1, 5, 3), "f")), r"'/C1' .*want \(6, 1, k, k\)"),
        (with_weights("C3.bias", np.zeros(4, "f")), r"'/C3' \(Conv\): a bias of 4 values, want 16"),
        (with_weights("C3.bias", np.full(16, np.inf, "f")), "C3: some are NaN or infinite"),
        (with_node("Mul", "Tanh", ["/C1.tanh", "/C1"]), r"'the new one' \(Mul\): .*is no constant"),
        (with_node("Add", "Tanh", ["/C1.tanh", "/C1.tanh"]), r"takes the same values twice"),
        (
            with_node("Identity", "Tanh", ["/C1"]),
            r"'the new one' .*: reads what another node has read",
        ),
        (
            lambda model: model.graph.output.add(name="more"),
            "1 inputs and 2 outputs, want one of each",
        ),
        (lambda model: model.graph.ClearField("node"), r"not an ONNX model \(it has no graph\)"),
        (
            lambda model: setattr(model.graph.node[3], "domain", "com.example"),
            "of com.example, want ONNX's own",
        ),
    ],
)
def test_what_is_refused(change, message):
    file = changed(exported(filled(LENET5_28)), change)
    file.name = "net.onnx"
    with pytest.raises(ModelFileError, match=message) as error:
        export.load_onnx(file)
    assert str(error.value).startswith("net.onnx: ")


def test_files_that_are_none(tmp_path, rng):
    path = tmp_path / "x.onnx"
    for content in (b"", b"PK\x03\x04", bytes(100), rng.bytes(1000)):
        path.write_bytes(content)
        with pytest.raises(ModelFileError, match=r"x\.onnx: not an ONNX model"):
            export.load_onnx(path)
    with pytest.raises(ModelFileError, match="more than 99 bytes, want at most so many"):
        export.load_onnx(io.BytesIO(exported(filled(LENET5_28))), max_bytes=99)
    with pytest.raises(FileNotFoundError):
        export.load_onnx(tmp_path / "none.onnx")


def test_damaged_files_are_told():
    """Whatever is changed, a network comes back or a ModelFileError."""
    small = Architecture("small", (Conv("C1", 2, 5), AveragePool("S2"), Dense("F3", 3, "identity")))
    content = exported(filled(small))
    rng = np.random.default_rng(3)
    loaded = 0
    for _ in range(400):
        damaged = bytearray(content)
        for place in rng.integers(0, len(content), rng.integers(1, 4)):
            damaged[place] = rng.integers(256)
        try:
            export.load_onnx(io.BytesIO(bytes(damaged)))
            loaded += 1
        except ModelFileError:
            pass
    assert 0 < loaded < 400


@pytest.mark.parametrize(
    ("places", "axis", "message"),
    [
        ([0, 4], 1, "takes maps [0, 4], want some of 0 to 3"),
        ([], 1, "takes maps [], want some of 0 to 3"),
        ([0, 1], 2, "axis 2, want 1"),
        ([[0, 1]], 1, "places of 2 axes, want 1"),
        ([0, 1], 1, "group 8, want 1"),
    ],
)
def test_maps_that_are_taken_by_number_go_to_sums(places, axis, message):
    def change(model):
        (node,) = (each for each in model.graph.node if each.op_type == "Gather")
        (values,) = (each for each in model.graph.initializer if each.name == node.input[1])
        values.CopyFrom(onnx.numpy_helper.from_array(np.array(places, np.int64), values.name))
        node.attribute[0].i = axis
        del model.metadata_props[:]

    network = filled(LENET4)
    with pytest.raises(ModelFileError) as caught:
        export.load_onnx(changed(exported(network), change))
    assert message in str(caught.value)


def test_maps_that_are_taken_by_number_and_then_pooled():
    chain = Chain((3, 8, 8))
    chain.gather([0, 2])
    with pytest.raises(ValueError, match="want 2x2 sums behind them"):
        chain.pool(MaxPool)
