"""Where `Architecture`, its layers and the named networks were until version 0.1.0."""

from __future__ import annotations

from lenet_c._moved import getter

__getattr__ = getter(
    __name__,
    {
        **dict.fromkeys(
            ("Architecture", "MAX_GREY", "MAX_LAYERS", "MAX_VALUES"), "lenet_c.architecture"
        ),
        **dict.fromkeys(
            (
                *("ACTIVATIONS", "MAX_INPUTS", "MAX_NAME", "MAX_SIDE", "Shape", "Layer"),
                *("LayerRow", "Conv", "Subsample", "AveragePool", "Dense", "RBF"),
            ),
            "lenet_c.layers",
        ),
        **dict.fromkeys(
            ("LENET5_1998", "LENET5_MODERN", "LENET5_28", "LENET_3X3", "C3_TABLE"),
            "lenet_c.networks",
        ),
        **dict.fromkeys(
            ("MAX_MAPS", "Table", "check_table", "table_art", "table_from_art", "table_matrix"),
            "lenet_c.tables",
        ),
    },
)
