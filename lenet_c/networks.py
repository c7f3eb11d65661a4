"""The networks that have names."""

from __future__ import annotations

from lenet_c.architecture import Architecture
from lenet_c.layers import RBF, AveragePool, Conv, Dense, MaxPool, Subsample
from lenet_c.tables import Table, table_from_art

C3_TABLE: Table = table_from_art("""
    X . . . X X X . . X X X X . X X
    X X . . . X X X . . X X X X . X
    X X X . . . X X X . . X . X X X
    . X X X . . X X X X . . X . X X
    . . X X X . . X X X X . X X . X
    . . . X X X . . X X X X . X X X
""")
"""Which S2 maps (rows) feed which C3 maps (columns): LeCun et al. 1998, Table I."""

LENET5_1998 = Architecture(
    "lenet5-1998",
    (
        Conv("C1", maps=6, kernel=5),
        Subsample("S2"),
        Conv("C3", maps=16, kernel=5, table=C3_TABLE),
        Subsample("S4"),
        Conv("C5", maps=120, kernel=5),
        Dense("F6", units=84),
        RBF("output"),
    ),
)
"""LeNet-5 as published: LeCun et al. 1998, section II.B."""

LENET5_MODERN = Architecture(
    "lenet5-modern",
    (
        Conv("C1", maps=6, kernel=5, activation="tanh"),
        AveragePool("S2"),
        Conv("C3", maps=16, kernel=5, activation="tanh"),
        AveragePool("S4"),
        Conv("C5", maps=120, kernel=5, activation="tanh"),
        Dense("F6", units=84, activation="tanh"),
        Dense("output", units=10, activation="identity"),
    ),
)
"""LeNet-5 as most tutorials teach it: average pooling, full C3, softmax; 61,706 parameters."""

LENET5_28 = Architecture(
    "lenet5-28",
    (
        Conv("C1", maps=6, kernel=5, activation="tanh"),
        AveragePool("S2"),
        Conv("C3", maps=16, kernel=5, activation="tanh"),
        AveragePool("S4"),
        Dense("F5", units=120, activation="tanh"),
        Dense("F6", units=84, activation="tanh"),
        Dense("output", units=10, activation="identity"),
    ),
    input_shape=(28, 28),
    background=0.0,
    foreground=1.0,
)
"""The modern network on unpadded 28x28 images; 44,426 parameters."""

LENET_3X3 = Architecture(
    "lenet-3x3",
    (
        Conv("C1", maps=6, kernel=3, activation="tanh"),
        AveragePool("S2"),
        Conv("C3", maps=16, kernel=3, activation="tanh"),
        AveragePool("S4"),
        Dense("F5", units=128, activation="tanh"),
        Dense("output", units=10, activation="identity"),
    ),
    input_shape=(28, 28),
    background=0.0,
    foreground=1.0,
)
"""A smaller relative with 3x3 kernels on 28x28 images; 53,558 parameters."""

LENET5_STRINGS = Architecture(
    "lenet5-strings",
    (*LENET5_1998.layers[:-1], Dense("output", units=11, activation="identity")),
    blank=True,
)
"""LeNet-5 of 1998 for strings of digits (section VII): logits and a blank class in place of the RBF
units; 60,935 parameters."""

LENET1_TABLE: Table = table_from_art("""
    X X X . X X . . . . . .
    . X X X X X . . . . . .
    . . . . . . X X X . X X
    . . . . . . . X X X X X
""")
"""Which S2 maps (rows) feed which C3 maps (columns) of LeNet-1: LeCun et al. 1990, 20 of 48."""

LENET1 = Architecture(
    "lenet1",
    (
        Conv("C1", maps=4, kernel=5),
        Subsample("S2"),
        Conv("C3", maps=12, kernel=5, table=LENET1_TABLE),
        Subsample("S4"),
        Dense("output", units=10, activation="identity"),
    ),
    input_shape=(28, 28),
)
"""LeNet-1: LeCun et al. 1990, "Handwritten digit recognition with a back-propagation network" (NIPS
2), and 1998, section III.C.7; 2,578 parameters, 98,442 connections. Outputs are logits here."""

LENET4 = Architecture(
    "lenet4",
    (
        Conv("C1", maps=4, kernel=5),
        Subsample("S2", table=((0,), (0,), (1,), (1,), (2,), (2,), (3,), (3,))),
        Conv("C3", maps=16, kernel=5),
        Subsample("S4"),
        Conv("C5", maps=120, kernel=5),
        Dense("output", units=10, activation="identity"),
    ),
)
"""LeNet-4 as described in LeCun et al. 1998, section III.C.8: two S2 maps for each C1 map.

52,698 parameters and 462,306 connections. The paper says about 17,000 and 260,000, which the layers
that it describes cannot have both: from the 16 maps of 5x5 in S4 to the 120 units alone there are
48,000 weights. A table of 48 of the 128 links into C3 would give 262,306 connections, but the paper
has none, so C3 reads all. Outputs are logits here."""

LENET_CAFFE = Architecture(
    "lenet-caffe",
    (
        Conv("C1", maps=20, kernel=5, activation="identity"),
        MaxPool("S2"),
        Conv("C3", maps=50, kernel=5, activation="identity"),
        MaxPool("S4"),
        Dense("F5", units=500, activation="relu"),
        Dense("output", units=10, activation="identity"),
    ),
    input_shape=(28, 28),
    background=0.0,
    foreground=255 / 256,
)
"""The LeNet of Caffe's examples/mnist/lenet.prototxt (Jia et al. 2014): levels / 256, convolutions
without activation, max pooling, 500 rectified units; 431,080 parameters."""

LENET_D2L = Architecture(
    "lenet-d2l",
    (
        Conv("C1", maps=6, kernel=5, activation="sigmoid", padding=2),
        AveragePool("S2"),
        Conv("C3", maps=16, kernel=5, activation="sigmoid"),
        AveragePool("S4"),
        Dense("F5", units=120, activation="sigmoid"),
        Dense("F6", units=84, activation="sigmoid"),
        Dense("output", units=10, activation="identity"),
    ),
    input_shape=(28, 28),
    background=0.0,
    foreground=1.0,
)
"""LeNet of "Dive into Deep Learning" (Zhang et al., section 7.6): padded, with sigmoids and average
pooling; 61,706 parameters."""

LENET_CIFAR = Architecture(
    "lenet-cifar",
    (
        Conv("C1", maps=6, kernel=5, activation="relu"),
        MaxPool("S2"),
        Conv("C3", maps=16, kernel=5, activation="relu"),
        MaxPool("S4"),
        Dense("F5", units=120, activation="relu"),
        Dense("F6", units=84, activation="relu"),
        Dense("output", units=10, activation="identity"),
    ),
    input_shape=(3, 32, 32),
    background=-1.0,
    foreground=1.0,
)
"""The network of PyTorch's tutorial "Training a classifier", for CIFAR-10's colours: levels from -1
to 1, ReLU, max pooling; 62,006 parameters."""

LENET5_MAX = Architecture(
    "lenet5-max",
    (
        Conv("C1", maps=6, kernel=5, activation="relu"),
        MaxPool("S2"),
        Conv("C3", maps=16, kernel=5, activation="relu"),
        MaxPool("S4"),
        Conv("C5", maps=120, kernel=5, activation="relu"),
        Dense("F6", units=84, activation="relu"),
        Dense("output", units=10, activation="identity"),
    ),
)
"""LeNet-5 with ReLU and max pooling, as many tutorials have it; 61,706 parameters."""

NETWORKS = {
    architecture.name: architecture
    for architecture in (
        LENET5_1998,
        LENET5_MODERN,
        LENET5_28,
        LENET_3X3,
        LENET5_STRINGS,
        LENET1,
        LENET4,
        LENET_CAFFE,
        LENET_D2L,
        LENET_CIFAR,
        LENET5_MAX,
    )
}
"""By name."""
