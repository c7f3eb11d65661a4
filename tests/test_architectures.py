"""Architectures: the published counts, what is refused, and the way through a dict."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from typing import Any

import numpy as np
import pytest

from lenet_c import (
    LENET1,
    LENET4,
    LENET5_28,
    LENET5_1998,
    LENET5_MAX,
    LENET5_MODERN,
    LENET_3X3,
    LENET_CAFFE,
    LENET_CIFAR,
    LENET_D2L,
    RBF,
    Architecture,
    AveragePool,
    Conv,
    Dense,
    MaxPool,
    Subsample,
    _core,
)
from lenet_c.layers import ACTIVATIONS, KINDS, Layer, LayerRow
from lenet_c.networks import C3_TABLE, LENET1_TABLE, NETWORKS
from lenet_c.tables import table_art, table_from_art

ALL = [LENET5_1998, LENET5_MODERN, LENET5_28, LENET_3X3]
FAMILY = [LENET1, LENET4, LENET_CAFFE, LENET_D2L, LENET_CIFAR, LENET5_MAX]

# LeCun et al. 1998, Table I: rows are S2 maps, columns C3 maps.
TABLE_I = """\
X . . . X X X . . X X X X . X X
X X . . . X X X . . X X X X . X
X X X . . . X X X . . X . X X X
. X X X . . X X X X . . X . X X
. . X X X . . X X X X . X X . X
. . . X X X . . X X X X . X X X"""


def test_c3_table_is_table_i() -> None:
    assert table_art(C3_TABLE) == TABLE_I
    assert table_from_art(TABLE_I) == C3_TABLE
    # Six maps read 3 in a row, six read 4 in a row, three read 4 not in a row, one reads all.
    assert [len(inputs) for inputs in C3_TABLE] == [3] * 6 + [4] * 9 + [6]
    assert C3_TABLE[0] == (0, 1, 2)
    assert C3_TABLE[4] == (0, 4, 5)
    assert C3_TABLE[12] == (0, 1, 3, 4)
    assert C3_TABLE[15] == (0, 1, 2, 3, 4, 5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "text: got none, want a line for each input map"),
        ("X .\nX", "text: got 1 cells in row 1, want 2"),
        ("X . x", "text: got 'x' in row 0, want 'X' or '.'"),
    ],
)
def test_table_from_art_refuses(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        table_from_art(text)
    assert str(caught.value) == message


def test_a_table_is_drawn_or_refused() -> None:
    for table in (None, ((10**30,),), [(0,)]):
        with pytest.raises((TypeError, ValueError), match=r"^table"):
            table_art(table)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="want a str"):
        table_from_art(["X"])  # type: ignore[arg-type]


@pytest.mark.parametrize(("classes", "length"), [(False, None), (np.zeros(0), None), (3, "x")])
def test_with_classes_names_the_number_that_is_wrong(classes: object, length: object) -> None:
    name = "classes" if length is None else "code_length"
    with pytest.raises(TypeError, match=f"^{name}: got"):
        LENET5_1998.with_classes(classes, length)  # type: ignore[arg-type]


def test_rows_of_1998_are_the_published_ones() -> None:
    assert LENET5_1998.rows() == [
        LayerRow("C1", "conv", (6, 28, 28), 156, 122_304),
        LayerRow("S2", "subsample", (6, 14, 14), 12, 5_880),
        LayerRow("C3", "conv", (16, 10, 10), 1_516, 151_600),
        LayerRow("S4", "subsample", (16, 5, 5), 32, 2_000),
        LayerRow("C5", "conv", (120, 1, 1), 48_120, 48_120),
        LayerRow("F6", "dense", (84, 1, 1), 10_164, 10_164),
        LayerRow("output", "rbf", (10, 1, 1), 0, 840),
    ]
    assert LENET5_1998.n_parameters == 60_000
    assert LENET5_1998.n_connections == 340_908


def test_rows_of_modern() -> None:
    assert LENET5_MODERN.rows() == [
        LayerRow("C1", "conv", (6, 28, 28), 156, 122_304),
        LayerRow("S2", "average_pool", (6, 14, 14), 0, 4_704),
        LayerRow("C3", "conv", (16, 10, 10), 2_416, 241_600),
        LayerRow("S4", "average_pool", (16, 5, 5), 0, 1_600),
        LayerRow("C5", "conv", (120, 1, 1), 48_120, 48_120),
        LayerRow("F6", "dense", (84, 1, 1), 10_164, 10_164),
        LayerRow("output", "dense", (10, 1, 1), 850, 850),
    ]


@pytest.mark.parametrize(
    ("architecture", "n_parameters", "code_length", "input_shape", "greys"),
    [
        (LENET5_1998, 60_000, 84, (32, 32), (-0.1, 1.175)),
        (LENET5_MODERN, 61_706, None, (32, 32), (-0.1, 1.175)),
        (LENET5_28, 44_426, None, (28, 28), (0, 1)),
        (LENET_3X3, 53_558, None, (28, 28), (0, 1)),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_named_networks(
    architecture: Architecture,
    n_parameters: int,
    code_length: int | None,
    input_shape: tuple[int, int],
    greys: tuple[float, float],
) -> None:
    assert architecture.n_parameters == n_parameters
    assert architecture.code_length == code_length
    assert architecture.input_shape == input_shape
    assert (architecture.background, architecture.foreground) == greys
    assert architecture.classes == 10


@pytest.mark.parametrize(
    ("architecture", "n_parameters", "n_connections", "greys"),
    [
        (LENET1, 2_578, 98_442, (-0.1, 1.175)),  # published
        (LENET4, 52_698, 462_306, (-0.1, 1.175)),
        (LENET_CAFFE, 431_080, 2_322_950, (0, 255 / 256)),
        (LENET_D2L, 61_706, 429_342, (0, 1)),
        (LENET_CIFAR, 62_006, 664_542, (-1, 1)),
        (LENET5_MAX, 61_706, 429_342, (-0.1, 1.175)),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_the_family(
    architecture: Architecture, n_parameters: int, n_connections: int, greys: tuple[float, float]
) -> None:
    assert architecture.n_parameters == n_parameters
    assert architecture.n_connections == n_connections
    assert (architecture.background, architecture.foreground) == greys
    assert architecture.classes == 10
    assert NETWORKS[architecture.name] is architecture


def test_rows_of_lenet_1_and_4() -> None:
    assert LENET1.rows() == [
        LayerRow("C1", "conv", (4, 24, 24), 104, 59_904),
        LayerRow("S2", "subsample", (4, 12, 12), 8, 2_880),
        LayerRow("C3", "conv", (12, 8, 8), 512, 32_768),
        LayerRow("S4", "subsample", (12, 4, 4), 24, 960),
        LayerRow("output", "dense", (10, 1, 1), 1_930, 1_930),
    ]
    assert LENET4.rows() == [
        LayerRow("C1", "conv", (4, 28, 28), 104, 81_536),
        LayerRow("S2", "subsample", (8, 14, 14), 16, 7_840),
        LayerRow("C3", "conv", (16, 10, 10), 3_216, 321_600),
        LayerRow("S4", "subsample", (16, 5, 5), 32, 2_000),
        LayerRow("C5", "conv", (120, 1, 1), 48_120, 48_120),
        LayerRow("output", "dense", (10, 1, 1), 1_210, 1_210),
    ]


def test_lenet_1s_table_is_the_published_one() -> None:
    published = "1 12 12 2 12 12 3 34 34 4 34 34"
    table = [tuple(int(digit) - 1 for digit in row) for row in published.split()]
    assert list(LENET1_TABLE) == table
    assert sum(map(len, LENET1_TABLE)) == 20


def test_sums_with_a_table_go_through_a_dict_and_others_have_none() -> None:
    about = json.loads(json.dumps(LENET4.to_dict()))
    assert about["layers"][1]["table"] == [[0], [0], [1], [1], [2], [2], [3], [3]]
    assert "table" not in about["layers"][3]  # as in files from before there was any
    assert Architecture.from_dict(about) == LENET4


@pytest.mark.parametrize(
    ("table", "error", "message"),
    [
        ([(0,)], TypeError, "layer 's': table: got [(0,)], want a tuple of tuples of int"),
        ((), ValueError, "layer 's': table: entries: got 0, want a whole number from 1 to 4096"),
        (((0,), ()), ValueError, "layer 's': table[1]: got none, want at least one input map"),
        (((0,), (0, 1)), ValueError, "layer 's': table[1]: got 2 input maps, want one"),
        (((4,),), ValueError, "layer 's': table[0]: got 4, want a whole number from 0 to 3"),
    ],
)
def test_tables_of_sums_that_cannot_be(table: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        build(Conv("a", 4, 5), Subsample("s", table=table), END)
    assert str(caught.value) == message


def test_activations_of_the_named_networks() -> None:
    def activations(architecture: Architecture) -> list[str | None]:
        return [getattr(layer, "activation", None) for layer in architecture.layers]

    assert activations(LENET5_1998) == ["scaled_tanh"] * 6 + [None]
    five = ["tanh", None, "tanh", None]
    assert activations(LENET5_MODERN) == [*five, "tanh", "tanh", "identity"]
    assert activations(LENET5_28) == [*five, "tanh", "tanh", "identity"]
    assert activations(LENET_3X3) == [*five, "tanh", "identity"]


def test_shapes_of_3x3_floor() -> None:
    assert LENET_3X3.output_shapes == {
        "C1": (6, 26, 26),
        "S2": (6, 13, 13),
        "C3": (16, 11, 11),
        "S4": (16, 5, 5),
        "F5": (128, 1, 1),
        "output": (10, 1, 1),
    }
    assert LENET_3X3.input_shapes["C1"] == (1, 28, 28)
    assert LENET_3X3.input_shapes["F5"] == (16, 5, 5)


def test_parameter_shapes_are_in_vector_order() -> None:
    assert list(LENET5_1998.parameter_shapes.items()) == [
        ("C1.weight", (6, 1, 5, 5)),
        ("C1.bias", (6,)),
        ("S2.coefficient", (6,)),
        ("S2.bias", (6,)),
        ("C3.weight", (60, 5, 5)),
        ("C3.bias", (16,)),
        ("S4.coefficient", (16,)),
        ("S4.bias", (16,)),
        ("C5.weight", (120, 16, 5, 5)),
        ("C5.bias", (120,)),
        ("F6.weight", (84, 120)),
        ("F6.bias", (84,)),
    ]
    assert list(LENET5_28.parameter_shapes.items())[2:6] == [
        ("C3.weight", (16, 6, 5, 5)),
        ("C3.bias", (16,)),
        ("F5.weight", (120, 256)),
        ("F5.bias", (120,)),
    ]


def test_trained_rbf_has_840_parameters() -> None:
    layers = (*LENET5_1998.layers[:-1], RBF("output", trained=True))
    trained = dataclasses.replace(LENET5_1998, layers=layers)
    assert trained.parameter_shapes["output.weight"] == (10, 84)
    assert list(trained.parameter_shapes)[-1] == "output.weight"
    assert trained.n_parameters == 60_840
    assert trained.n_connections == 340_908
    assert trained.fan_in["output.weight"] == (84,) * 10


def test_padding_keeps_sizes_and_is_counted() -> None:
    same = build(Conv("a", 4, 5, padding=2), Conv("b", 3, 3, padding=1), END, input_shape=(9, 6))
    assert list(same.output_shapes.values())[:2] == [(4, 9, 6), (3, 9, 6)]
    assert same.rows()[0].n_connections == 9 * 6 * 4 * 26  # zeros too
    assert same.n_parameters == build(Conv("a", 4, 5), Conv("b", 3, 3), END).n_parameters - (
        (3 * 26 * 26 - 3 * 9 * 6) * 10
    )
    # as many as H1 of LeCun et al. 1989, whose 5x5 kernels reach over the border of the image
    assert build(Conv("H1", 12, 5, padding=4), END, input_shape=(4, 4)).rows()[0] == LayerRow(
        "H1", "conv", (12, 8, 8), 12 * 26, 19_968
    )
    whole = build(Conv("c", 1, 6, padding=5), END, input_shape=(1, 1))  # larger than its input
    assert whole.output_shapes["c"] == (1, 6, 6)


def test_padding_forbids_sweeping() -> None:
    assert all(architecture.sweepable for architecture in ALL)
    assert not build(Conv("a", 4, 5), Conv("b", 3, 3, padding=1), END).sweepable


def test_fan_in_follows_the_table() -> None:
    fan_in = LENET5_1998.fan_in
    assert fan_in["C1.weight"] == fan_in["C1.bias"] == (25,) * 6
    assert fan_in["S2.coefficient"] == fan_in["S2.bias"] == (4,) * 6
    assert fan_in["C3.bias"] == (75,) * 6 + (100,) * 9 + (150,)
    assert fan_in["C3.weight"] == (75,) * 18 + (100,) * 36 + (150,) * 6
    assert fan_in["C5.weight"] == (400,) * 120
    assert fan_in["F6.weight"] == fan_in["F6.bias"] == (120,) * 84
    assert LENET5_MODERN.fan_in["C3.weight"] == (150,) * 16


@pytest.mark.parametrize("architecture", ALL, ids=lambda a: a.name)
def test_fan_in_has_an_entry_for_each_along_axis_0(architecture: Architecture) -> None:
    shapes = architecture.parameter_shapes
    assert list(architecture.fan_in) == list(shapes)
    for name, counts in architecture.fan_in.items():
        assert len(counts) == shapes[name][0]


def test_grey_levels_may_be_numpys() -> None:
    """Computed from images, say; of what is kept in files none knows numpy."""
    architecture = dataclasses.replace(LENET5_1998, background=np.float32(-0.25), foreground=1)
    restored = Architecture.from_dict(json.loads(json.dumps(architecture.to_dict())))
    assert restored == architecture
    assert repr(restored.background) == "-0.25"


def test_derived_dicts_are_the_callers_own() -> None:
    LENET5_1998.parameter_shapes.clear()
    LENET5_1998.output_shapes.clear()
    assert LENET5_1998.n_parameters == 60_000
    assert LENET5_1998.classes == 10


def test_frozen_hashable_copied_and_pickled() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        LENET5_1998.name = "other"  # type: ignore[misc]
    assert len(set(ALL)) == 4
    assert copy.deepcopy(LENET5_1998) == LENET5_1998
    assert pickle.loads(pickle.dumps(LENET5_1998)) == LENET5_1998


def test_rectangular_input_and_dense_flattening() -> None:
    net = Architecture(
        "n", (Conv("c", 2, 3), AveragePool("p"), Dense("d", 5), RBF("r", 3)), (9, 12)
    )
    assert list(net.output_shapes.values()) == [(2, 7, 10), (2, 3, 5), (5, 1, 1), (3, 1, 1)]
    assert net.parameter_shapes["d.weight"] == (5, 30)
    assert net.code_length == 5
    assert net.classes == 3


END = Dense("out", 10, "identity")


def build(*layers: Any, **values: Any) -> Architecture:
    return Architecture(**{"name": "n", "layers": layers, **values})


# The wrong types below are the point.
ConvOf: Any = Conv
DenseOf: Any = Dense
SubsampleOf: Any = Subsample
RBFOf: Any = RBF


class Custom(Dense):
    """Not one of the five kinds."""


ERRORS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"name": 3}, TypeError, "architecture: name: got 3, want a str"),
    ({"name": ""}, ValueError, "architecture: name: got '', want 1 to 64 printable characters"),
    (
        {"name": "a\nb"},
        ValueError,
        "architecture: name: got 'a\\nb', want 1 to 64 printable characters",
    ),
    ({"layers": [END]}, TypeError, "layers: got a list, want a tuple of layers"),
    ({"layers": ()}, ValueError, "layers: got 0, want 1 to 64"),
    (
        {"layers": (*(Dense(f"d{i}", 1) for i in range(64)), END)},
        ValueError,
        "layers: got 65, want 1 to 64",
    ),
    (
        {"layers": ("conv", END)},
        TypeError,
        "layers[0]: got a str, want one of Conv, Subsample, AveragePool, MaxPool, Dense, RBF",
    ),
    (
        {"layers": (Custom("c", 3), END)},
        TypeError,
        "layers[0]: got a Custom, want one of Conv, Subsample, AveragePool, MaxPool, Dense, RBF",
    ),
    ({"layers": (DenseOf(None, 3), END)}, TypeError, "layers[0].name: got None, want a str"),
    (
        {"layers": (Dense("", 3), END)},
        ValueError,
        "layers[0].name: got '', want 1 to 64 printable characters",
    ),
    (
        {"layers": (Dense("\ud800", 3), END)},
        ValueError,
        "layers[0].name: got '\\ud800', want 1 to 64 printable characters",
    ),
    (
        {"layers": (Dense("a.b", 3), END)},
        ValueError,
        "layers[0].name: got 'a.b', want no '.' in it",
    ),
    (
        {"layers": (Dense("out", 3), END)},
        ValueError,
        "layers[1].name: got 'out' again, want another",
    ),
    ({"layers": (RBF("r"), END)}, ValueError, "layer 'r': got RBF before the end, want it last"),
    (
        {"layers": (Dense("d", 10),)},
        ValueError,
        (
            "layer 'd': got dense for the last layer, activation 'scaled_tanh', "
            "want RBF, or Dense with activation 'identity'"
        ),
    ),
    (
        {"layers": (AveragePool("p"),)},
        ValueError,
        (
            "layer 'p': got average_pool for the last layer, activation None, "
            "want RBF, or Dense with activation 'identity'"
        ),
    ),
    ({"layers": (RBF("r"),)}, ValueError, "layer 'r': got input (1, 32, 32), want flat, (n, 1, 1)"),
    (
        {"input_shape": [32, 32]},
        TypeError,
        "input_shape: got [32, 32], want a tuple (height, width), or (channels, height, width)",
    ),
    (
        {"input_shape": (32,)},
        TypeError,
        "input_shape: got (32,), want a tuple (height, width), or (channels, height, width)",
    ),
    (
        {"input_shape": (32.0, 32)},
        TypeError,
        "input_shape: side: got 32.0, want a whole number from 1 to 1024",
    ),
    (
        {"input_shape": (32, True)},
        TypeError,
        "input_shape: side: got True, want a whole number from 1 to 1024",
    ),
    (
        {"input_shape": (0, 32)},
        ValueError,
        "input_shape: side: got 0, want a whole number from 1 to 1024",
    ),
    (
        {"input_shape": (32, 1025)},
        ValueError,
        "input_shape: side: got 1025, want a whole number from 1 to 1024",
    ),
    ({"background": "0"}, TypeError, "background: got '0', want a number"),
    ({"foreground": True}, TypeError, "foreground: got True, want a number"),
    (
        {"background": float("nan")},
        ValueError,
        "background: got nan, want a number from -1e+06 to 1e+06",
    ),
    (
        {"foreground": float("inf")},
        ValueError,
        "foreground: got inf, want a number from -1e+06 to 1e+06",
    ),
    (
        {"foreground": 10**5000},
        ValueError,
        "foreground: got an integer of 16610 bits, want a number from -1e+06 to 1e+06",
    ),
    (
        {"background": 0.1, "foreground": 0.1 + 1e-9},
        ValueError,
        "foreground: got 0.100000001, in float32 the background, want another grey",
    ),
    (
        {"background": 1, "foreground": 1.0},
        ValueError,
        "foreground: got 1.0, in float32 the background, want another grey",
    ),
    (
        {"layers": (ConvOf("c", "6", 5), END)},
        TypeError,
        "layer 'c': maps: got '6', want a whole number from 1 to 4096",
    ),
    (
        {"layers": (Conv("c", 0, 5), END)},
        ValueError,
        "layer 'c': maps: got 0, want a whole number from 1 to 4096",
    ),
    (
        {"layers": (Conv("c", 4097, 5), END)},
        ValueError,
        "layer 'c': maps: got 4097, want a whole number from 1 to 4096",
    ),
    (
        {"layers": (ConvOf("c", 6, 5.0), END)},
        TypeError,
        "layer 'c': kernel: got 5.0, want a whole number from 1 to 32",
    ),
    (
        {"layers": (Conv("c", 6, 0), END)},
        ValueError,
        "layer 'c': kernel: got 0, want a whole number from 1 to 32",
    ),
    (
        {"layers": (Conv("c", 6, 33), END)},
        ValueError,
        "layer 'c': kernel: got 33, want a whole number from 1 to 32",
    ),
    (
        {"layers": (Conv("c", 6, 5, padding=5), END)},
        ValueError,
        "layer 'c': padding: got 5, want a whole number from 0 to 4",
    ),
    (
        {"layers": (Conv("c", 6, 5, padding=-1), END)},
        ValueError,
        "layer 'c': padding: got -1, want a whole number from 0 to 1024",
    ),
    (
        {"layers": (ConvOf("c", 6, 5, padding="same"), END)},
        TypeError,
        "layer 'c': padding: got 'same', want a whole number from 0 to 1024",
    ),
    (
        {"layers": (ConvOf("c", 6, 5, padding=False), END)},
        TypeError,
        "layer 'c': padding: got False, want a whole number from 0 to 1024",
    ),
    (
        {"layers": (Conv("c", 6, 37, padding=2), END)},
        ValueError,
        "layer 'c': kernel: got 37, want a whole number from 1 to 36",
    ),
    (
        {"layers": (Conv("c", 6, 5, padding=1), END), "input_shape": (8, 1024)},
        ValueError,
        (
            "layer 'c': padding: got 1, which makes the input (1, 10, 1026), want sides of at most "
            "1024 and at most 268,435,456 values"
        ),
    ),
    (
        {"layers": (Conv("c", 6, 5, activation="step"), END)},
        ValueError,
        "layer 'c': activation: got 'step', want one of identity, scaled_tanh, tanh, relu, sigmoid",
    ),
    (
        {"layers": (SubsampleOf("s", None), END)},
        TypeError,
        "layer 's': activation: got None, want one of identity, scaled_tanh, tanh, relu, sigmoid",
    ),
    (
        {"layers": (DenseOf("d", 3, ["tanh"]), END)},
        TypeError,
        (
            "layer 'd': activation: got ['tanh'], "
            "want one of identity, scaled_tanh, tanh, relu, sigmoid"
        ),
    ),
    (
        {"layers": (DenseOf("d", 3, np.array(["tanh"])), END)},
        TypeError,
        (
            "layer 'd': activation: got array(['tanh'], dtype='<U4'), "
            "want one of identity, scaled_tanh, tanh, relu, sigmoid"
        ),
    ),
    (
        {"layers": (Dense("d", -1), END)},
        ValueError,
        "layer 'd': units: got -1, want a whole number from 1 to 4096",
    ),
    (
        {"layers": (DenseOf("d", None), END)},
        TypeError,
        "layer 'd': units: got None, want a whole number from 1 to 4096",
    ),
    (
        {"layers": (Dense("d", 3), RBF("r", 0))},
        ValueError,
        "layer 'r': classes: got 0, want a whole number from 1 to 4096",
    ),
    (
        {"layers": (Dense("d", 3), RBFOf("r", 2, 1))},
        TypeError,
        "layer 'r': trained: got 1, want True or False",
    ),
    (
        {"layers": (Dense("d", 3), Subsample("s"), END)},
        ValueError,
        "layer 's': got subsample above the dense layer 'd', want Dense or RBF",
    ),
    (
        {"layers": (Conv("c", 3, 32), AveragePool("p"), END)},
        ValueError,
        "layer 'p': got input (3, 1, 1), want maps of at least 2x2",
    ),
    (
        {"layers": (ConvOf("c", 1, 5, [[0]]), END)},
        TypeError,
        "layer 'c': table: got a list, want a tuple of tuples of int",
    ),
    (
        {"layers": (Conv("c", 2, 5, ((0,),)), END)},
        ValueError,
        "layer 'c': table: got 1 entries, want 2, one for each map",
    ),
    (
        {"layers": (ConvOf("c", 1, 5, ([0],)), END)},
        TypeError,
        "layer 'c': table[0]: got a list, want a tuple of int",
    ),
    (
        {"layers": (Conv("c", 2, 5, ((0,), ())), END)},
        ValueError,
        "layer 'c': table[1]: got none, want at least one input map",
    ),
    (
        {"layers": (Conv("c", 1, 5, ((False,),)), END)},
        TypeError,
        "layer 'c': table[0]: got False, want a whole number from 0 to 0",
    ),
    (
        {"layers": (Conv("c", 1, 5, ((1,),)), END)},
        ValueError,
        "layer 'c': table[0]: got 1, want a whole number from 0 to 0",
    ),
    (
        {"layers": (Conv("c", 1, 5, ((-1,),)), END)},
        ValueError,
        "layer 'c': table[0]: got -1, want a whole number from 0 to 0",
    ),
    (
        {"layers": (Conv("b", 3, 5), Conv("c", 1, 5, ((0, 2, 1),)), END)},
        ValueError,
        "layer 'c': table[0]: got 1 after 2, want ascending input maps",
    ),
    (
        {"layers": (Conv("b", 3, 5), Conv("c", 1, 5, ((1, 1),)), END)},
        ValueError,
        "layer 'c': table[0]: got 1 after 1, want ascending input maps",
    ),
    (
        {"layers": (Conv("c", 4096, 1), END), "input_shape": (1024, 1024)},
        ValueError,
        "layer 'c': got output (4096, 1024, 1024), want at most 268,435,456 values",
    ),
    (
        {"layers": (Dense("d", 4096), END), "input_shape": (1024, 1024)},
        ValueError,
        "layers: got 4,295,012,362 parameters, want at most 268,435,456",
    ),
]


@pytest.mark.parametrize(("values", "kind", "message"), ERRORS, ids=[e[2] for e in ERRORS])
def test_refuses(values: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        Architecture(**{"name": "n", "layers": (END,), **values})
    assert str(caught.value) == message


def test_the_core_has_the_same_kinds_of_layers() -> None:
    assert list(KINDS) == list(_core.KINDS)
    activations = [getattr(layer, "activation", None) for layer in LENET5_MODERN.layers]
    assert {kind for kind in activations if kind} < set(ACTIVATIONS)


def test_limits_are_allowed() -> None:
    build(END, input_shape=(1024, 1024))
    build(Dense("d", 4096), END, input_shape=(1, 1))
    build(Conv("c", 1, 32), END)
    build(Dense("x" * 64, 1), END)


def test_base_layer_has_no_shape() -> None:
    with pytest.raises(TypeError, match=r"abstract method.*n_connections.*output_shape"):
        Layer("l")  # type: ignore[abstract]


@pytest.mark.parametrize("architecture", ALL, ids=lambda a: a.name)
def test_dict_round_trip_through_json(architecture: Architecture) -> None:
    text = json.dumps(architecture.to_dict(), allow_nan=False)
    again = Architecture.from_dict(json.loads(text))
    assert again == architecture
    assert hash(again) == hash(architecture)
    assert again.to_dict() == architecture.to_dict()


def test_round_trip_keeps_every_field() -> None:
    net = Architecture(
        "n",
        (
            Conv("a", 2, 3, ((0,), (0,)), "relu"),
            Conv("p", 3, 4, None, "relu", 2),
            Subsample("b", "tanh"),
            AveragePool("c"),
            MaxPool("m"),
            Dense("d", 7, "identity"),
            RBF("e", 4, True),
        ),
        (17, 15),
        1,
        -2.5,
    )
    data = net.to_dict()
    assert data == {
        "name": "n",
        "layers": [
            {
                "kind": "conv",
                "name": "a",
                "maps": 2,
                "kernel": 3,
                "table": [[0], [0]],
                "activation": "relu",
            },
            {
                "kind": "conv",
                "name": "p",
                "maps": 3,
                "kernel": 4,
                "table": None,
                "activation": "relu",
                "padding": 2,
            },
            {"kind": "subsample", "name": "b", "activation": "tanh"},
            {"kind": "average_pool", "name": "c"},
            {"kind": "max_pool", "name": "m"},
            {"kind": "dense", "name": "d", "units": 7, "activation": "identity"},
            {"kind": "rbf", "name": "e", "classes": 4, "trained": True},
        ],
        "input_shape": [17, 15],
        "background": 1.0,
        "foreground": -2.5,
    }
    assert Architecture.from_dict(json.loads(json.dumps(data))) == net


def test_from_dict_fills_in_defaults() -> None:
    layers = [{"kind": "dense", "name": "d", "units": 84}, {"kind": "rbf", "name": "r"}]
    assert Architecture.from_dict({"name": "n", "layers": layers}) == build(
        Dense("d", 84), RBF("r")
    )


def edited(*path: Any, to: Any) -> Any:
    """The 1998 network as a dict, with one place changed."""
    data = LENET5_1998.to_dict()
    place: Any = data
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to
    return data


KIND_NAMES = "conv, subsample, average_pool, max_pool, dense, rbf"
HOSTILE: list[tuple[Any, str]] = [
    (None, "architecture: got a NoneType, want a dict"),
    ([], "architecture: got a list, want a dict"),
    ({}, "architecture: got no key 'name', want one"),
    ({"name": "n"}, "architecture: got no key 'layers', want one"),
    (
        edited("extra", to=1),
        (
            "architecture: got a key 'extra', "
            "want only name, layers, input_shape, background, foreground, blank"
        ),
    ),
    (edited("name", to=None), "architecture: name: got None, want a str"),
    (edited("layers", to=None), "layers: got a NoneType, want a list of layers"),
    (edited("layers", to="conv"), "layers: got a str, want a list of layers"),
    (edited("layers", to=[]), "layers: got 0, want 1 to 64"),
    (edited("layers", to=[{}] * 65), "layers: got 65, want 1 to 64"),
    (edited("layers", 0, to=5), "layers[0]: got a int, want a dict"),
    (
        edited("layers", 0, to={}),
        f"layers[0].kind: got None, want one of {KIND_NAMES}",
    ),
    (
        edited("layers", 0, "kind", to="exec"),
        f"layers[0].kind: got 'exec', want one of {KIND_NAMES}",
    ),
    (
        edited("layers", 0, "kind", to=["conv"]),
        f"layers[0].kind: got ['conv'], want one of {KIND_NAMES}",
    ),
    (
        edited("layers", 0, "check", to=1),
        "layers[0]: got a key 'check', want only name, maps, kernel, table, activation, padding",
    ),
    (
        edited("layers", 1, "units", to=1),
        "layers[1]: got a key 'units', want only name, activation, table",
    ),
    (
        edited("layers", 0, to={"kind": "conv", "name": "C1", "maps": 6}),
        "layers[0]: got no key 'kernel', want one",
    ),
    (
        edited("layers", 0, "maps", to=6.0),
        "layer 'C1': maps: got 6.0, want a whole number from 1 to 4096",
    ),
    (
        edited("layers", 0, "maps", to=[6]),
        "layer 'C1': maps: got [6], want a whole number from 1 to 4096",
    ),
    (
        edited("layers", 0, "maps", to=10**5000),
        "layer 'C1': maps: got an integer of 16610 bits, want a whole number from 1 to 4096",
    ),
    (edited("layers", 0, "name", to={}), "layers[0].name: got {}, want a str"),
    (
        edited("layers", 2, "table", to="X"),
        "layer 'C3': table: got a str, want a tuple of tuples of int",
    ),
    (
        edited("layers", 2, "table", to=[[0]]),
        "layer 'C3': table: got 1 entries, want 16, one for each map",
    ),
    (
        edited("layers", 2, "table", 3, to=None),
        "layer 'C3': table[3]: got a NoneType, want a tuple of int",
    ),
    (
        edited("layers", 2, "table", 3, to=[[0]]),
        "layer 'C3': table[3]: got [0], want a whole number from 0 to 5",
    ),
    (
        edited("layers", 2, "table", 3, to=[6]),
        "layer 'C3': table[3]: got 6, want a whole number from 0 to 5",
    ),
    (
        edited("layers", 6, "trained", to="yes"),
        "layer 'output': trained: got 'yes', want True or False",
    ),
    (
        edited("input_shape", to=32),
        "input_shape: got 32, want a tuple (height, width), or (channels, height, width)",
    ),
    (
        edited("input_shape", to=[32, "32"]),
        "input_shape: side: got '32', want a whole number from 1 to 1024",
    ),
    (
        edited("input_shape", to=[16, 16]),
        "layer 'C5': kernel: got 5, want a whole number from 1 to 1",
    ),
    (edited("background", to=None), "background: got None, want a number"),
    (
        edited("background", to=float("-inf")),
        "background: got -inf, want a number from -1e+06 to 1e+06",
    ),
]


@pytest.mark.parametrize(("data", "message"), HOSTILE, ids=[h[1] for h in HOSTILE])
def test_from_dict_refuses(data: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        Architecture.from_dict(data)
    assert str(caught.value) == message


def test_numpys_whole_numbers_are_sizes() -> None:
    """Computed from an array's shape, say; a file has plain numbers."""
    table = ((np.int64(0),), (np.int32(0),))
    layer: Any = Conv("c", np.int64(2), np.uint8(3), table)  # type: ignore[arg-type]
    net = build(layer, END, input_shape=(np.int64(9), 9))  # type: ignore[arg-type]
    again = Architecture.from_dict(json.loads(json.dumps(net.to_dict())))
    assert again == net == build(Conv("c", 2, 3, ((0,), (0,))), END, input_shape=(9, 9))


def test_long_values_are_cut_in_messages() -> None:
    with pytest.raises(ValueError) as caught:
        Architecture.from_dict(edited("layers", 0, "kind", to="x" * 10_000))
    assert len(str(caught.value)) < 200


def test_from_dict_leaves_its_argument_alone() -> None:
    data = LENET5_1998.to_dict()
    before = copy.deepcopy(data)
    Architecture.from_dict(data)
    assert data == before


def test_only_dense_layers_follow_a_dense_layer() -> None:
    layers = (Dense("D", 9), Conv("C", 3, 1), Dense("o", 3, activation="identity"))
    with pytest.raises(ValueError, match="layer 'C': got conv above the dense layer 'D'"):
        Architecture("a", layers, (8, 8))


def test_a_dense_layer_has_a_largest_input() -> None:
    layers = (Conv("C", 17, 1), Dense("o", 3, activation="identity"))
    with pytest.raises(ValueError, match=r"layer 'o': got input \(17, 1024, 1024\), want at most"):
        Architecture("a", layers, (1024, 1024))


# ---- variants of a network -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "architecture", [LENET5_MODERN, LENET5_28, LENET_3X3], ids=lambda a: a.name
)
def test_relu_variants_of_the_tutorials_networks(architecture: Architecture) -> None:
    relu = architecture.with_activation("relu")
    assert relu.name == f"{architecture.name}-relu"
    assert relu.parameter_shapes == architecture.parameter_shapes
    pairs = zip(architecture.layers, relu.layers, strict=True)
    for before, after in pairs:
        kind = getattr(before, "activation", None)
        wanted = "relu" if kind == "tanh" else kind
        assert getattr(after, "activation", None) == wanted
        assert (after.name, after.kind) == (before.name, before.kind)
    assert relu.layers[-1] is architecture.layers[-1]
    assert {getattr(layer, "activation", "relu") for layer in relu.layers[:-1]} == {"relu"}


def test_activation_below_an_rbf_layer_stays() -> None:
    relu = LENET5_1998.with_activation("relu")
    kinds = [getattr(layer, "activation", None) for layer in relu.layers]
    assert kinds == ["relu"] * 5 + ["scaled_tanh", None]
    assert relu.layers[2] == dataclasses.replace(LENET5_1998.layers[2], activation="relu")
    long = dataclasses.replace(LENET5_1998, name="n" * 64)
    assert long.with_activation("relu").name == "n" * 59 + "-relu"


@pytest.mark.parametrize(
    ("activation", "error"), [("step", ValueError), (None, TypeError), (["relu"], TypeError)]
)
def test_with_activation_refuses(activation: Any, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        LENET5_28.with_activation(activation)
    assert str(caught.value) == (
        f"activation: got {activation!r}, want one of identity, scaled_tanh, tanh, relu, sigmoid"
    )


def test_with_classes() -> None:
    ascii_net = LENET5_1998.with_classes(95)
    assert ascii_net.output_shapes["output"] == (95, 1, 1)
    assert ascii_net.classes == 95
    assert ascii_net.code_length == 84
    assert ascii_net.n_parameters == 60_000
    short = LENET5_1998.with_classes(3, 20)
    assert short.parameter_shapes["F6.weight"] == (20, 120)
    assert (short.classes, short.code_length) == (3, 20)
    assert LENET5_1998.with_classes(10, 84) == LENET5_1998
    letters = LENET5_28.with_classes(26)
    assert letters.parameter_shapes["output.weight"] == (26, 84)
    assert letters.n_parameters == 44_426 + 16 * 85
    convolution = build(Conv("c", 5, 32), RBF("r", 4)).with_classes(3, 7)
    assert convolution.parameter_shapes == {"c.weight": (7, 1, 32, 32), "c.bias": (7,)}


NARROW = build(Conv("c", 5, 31), AveragePool("p"), RBF("r", 4))


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: LENET5_1998.with_classes(0),
            ValueError,
            "classes: got 0, want a whole number from 1 to 4096",
        ),
        (
            lambda: LENET5_28.with_classes(2.0),  # type: ignore[arg-type]
            TypeError,
            "classes: got 2.0, want a whole number from 1 to 4096",
        ),
        (
            lambda: LENET5_1998.with_classes(5, -1),
            ValueError,
            "code_length: got -1, want a whole number from 1 to 4096",
        ),
        (
            lambda: LENET5_28.with_classes(5, 84),
            ValueError,
            "code_length: got 84, want None: lenet5-28 has no Dense or Conv layer below an RBF",
        ),
        (
            lambda: NARROW.with_classes(5, 6),
            ValueError,
            "code_length: got 6, want None: n has no Dense or Conv layer below an RBF",
        ),
    ],
)
def test_with_classes_refuses(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        # The first pooling leaves 14x14, the second convolution 2x2, and the third wants more.
        (
            (Conv("a", 4, 5), AveragePool("b"), Conv("c", 4, 13), Conv("d", 4, 3), END),
            "layer 'd': kernel: got 3, want a whole number from 1 to 2",
        ),
        (
            (Conv("a", 4, 31), Subsample("b"), Subsample("c"), END),
            "layer 'c': got input (4, 1, 1), want maps of at least 2x2",
        ),
        (
            (Conv("a", 4, 5), RBF("b", 3)),
            "layer 'b': got input (4, 28, 28), want flat, (n, 1, 1)",
        ),
        (
            (Conv("a", 4, 5), Conv("c", 2, 3, ((0, 1), (3, 4))), END),
            "layer 'c': table[1]: got 4, want a whole number from 0 to 3",
        ),
    ],
)
def test_impossible_shapes_name_the_layer(layers: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        build(*layers)
    assert str(caught.value) == message
