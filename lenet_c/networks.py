"""The networks that have names."""

from __future__ import annotations

from lenet_c.architecture import Architecture
from lenet_c.layers import RBF, AveragePool, Conv, Dense, Subsample
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

NETWORKS = {
    architecture.name: architecture
    for architecture in (
        LENET5_1998,
        LENET5_MODERN,
        LENET5_28,
        LENET_3X3,
        LENET5_STRINGS,
    )
}
"""By name."""
