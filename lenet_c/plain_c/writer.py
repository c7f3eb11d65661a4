"""Puts the C file together: see `lenet_c.export.c`."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import lenet_c
from lenet_c import strips
from lenet_c.inputs import InputWarning
from lenet_c.layers import RBF, Conv, Dense, Subsample
from lenet_c.network import Network
from lenet_c.plain_c import integers, snippets
from lenet_c.plain_c.integers import SQUASHED, Integers, Numbers
from lenet_c.plain_c.steps import Step, memory_of, step_of, steps_of, tile_of
from lenet_c.tables import table_matrix

Array = NDArray[Any]

MAX_PARAMETERS = 2**22  # some 50 MB of text
MAX_WIDTH = 1 << 20  # of a strip
POOLS = {"subsample": "SUBSAMPLE", "average_pool": "AVERAGE", "max_pool": "MAXIMUM"}


def source(
    network: Network,
    prefix: str,
    size: tuple[int, int],
    images: Array | None,
    example: Array,
) -> str:
    """Give the text of the file.

    Parameters
    ----------
    network : Network
    prefix : str
        A C identifier.
    size : (int, int)
        Height and width of the images that it takes.
    images : uint8 array (N, channels, height, width), or None
        What whole numbers are calibrated with, of the network's own size; None: float32.
    example : uint8 array (channels, height, width)
        The self-test's image.
    """
    return _File(network, prefix, size, images, example).text()


class _File:
    def __init__(
        self,
        network: Network,
        prefix: str,
        size: tuple[int, int],
        images: Array | None,
        example: Array,
    ) -> None:
        self._network, self._prefix, self._size, self._example = network, prefix, size, example
        self._architecture = architecture = network.architecture
        self._channels, self._height, self._width = architecture.image_shape
        self._swept = architecture.blank
        self._steps = steps_of(architecture)
        self._values = integers.parameters_of(network)
        self._integers: Integers | None = None
        if images is not None:
            shown = images if self._channels > 1 else images[:, 0]
            most = integers.largest(network, shown)
            self._integers = Integers(network, self._steps, self._values, most)
        self._precision = "float32" if images is None else "int8"
        self._type = "float" if images is None else "int8_t"
        self._memory = memory_of(architecture, self._steps)
        self._tables: list[str] = []
        self._names: dict[str, str] = {}
        for layer in architecture.layers:
            name = re.sub(r"[^A-Za-z0-9]+", "_", layer.name).strip("_")
            name = name if name[:1].isalpha() else f"layer_{name}"
            while name in self._names.values():
                name += "_"
            self._names[layer.name] = name

    # ---- the whole ----

    def text(self) -> str:
        """Give the file."""
        body = self._run()  # which makes the tables
        parts = [
            self._head(),
            self._declarations(),
            f"#ifndef {self._upper}_HEADER_ONLY\n",
            "/* ---- the network's numbers " + "-" * 60 + " */\n",
            *self._tables,
            "/* ---- kinds of layers " + "-" * 66 + " */\n",
            *self._functions(),
            "/* ---- the network " + "-" * 70 + " */\n",
            *self._layers,
            body,
            snippets.BEST,
            self._names_of_classes(),
            snippets.READ_STRING if self._swept else snippets.READ_IMAGE,
            self._self_test(),
            "#ifdef __cplusplus\n}\n#endif\n",
            f"#endif /* {self._upper}_HEADER_ONLY */",
            f"#endif /* {self._upper}_C */\n",
        ]
        return self._filled("\n".join(part for part in parts if part))

    @property
    def _upper(self) -> str:
        return self._prefix.upper()

    def _filled(self, text: str) -> str:
        """Put the file's own names and numbers in the place of the snippets' words."""
        integer = self._integers is not None
        sides = {step.layer.kernel for step in self._steps if isinstance(step.layer, Conv)}
        float_pool = (
            "pool_row(c->pool, rows, width, first, width / 2, c->coefficient ? c->coefficient[m] "
            ": 0.0f,\n"
            "                         c->pool_bias ? c->pool_bias[m] : 0.0f, c->pool_activation, "
            "out);"
        )
        integer_pool = (
            "pool_row(c->pool, rows, width, first, width / 2, c->coefficient, c->pool_bias, "
            "&c->pool_scale, m,\n                         out);"
        )
        activate = "activate(c->activation, end - begin, {} + begin);"
        penalties = isinstance(self._architecture.layers[-1], RBF)
        words = {
            "TYPE": self._type,
            "WEIGHT": self._type,
            "SUM": "int32_t" if integer else "float",
            "PRODUCT": "w[k] * row[k + t]",
            "STORED": "value_of(&c->scale, map, sum[t])" if integer else "sum[t]",
            "FINISH_ROW": "" if integer else activate.format("out"),
            "FINISH_ROWS": "" if integer else activate.format("rows + r * width"),
            "POOL_ROW": integer_pool if integer else float_pool,
            "CODE": "int8_t" if self._whole_codes else "float",
            "SIDE": str(*sides) if len(sides) == 1 else "c->side",
            "N_BEST": f"{self._upper}_CLASSES",
            "BETTER": "<" if penalties else ">",
            "IN_HEIGHT": str(self._height),
            "IN_WIDTH": str(self._width),
            "IMAGE_LEFT": str((self._width - self._size[1]) // 2),
            "N_SQUASHES": str(len(integers.SQUASHES)),
        }
        text = re.sub(r"\b(" + "|".join(words) + r")\b", lambda found: words[found[1]], text)
        text = re.sub(r"\n *(?=\n *\})", "", text)  # where a word stood for nothing
        text = text.replace("DIGIT_", f"{self._upper}_")
        return re.sub(r"\bdigit_(?=start|next|read|name|self_test)", f"{self._prefix}_", text)

    # ---- above the code ----

    def _head(self) -> str:
        network, layers = self._network, []
        for row in self._architecture.rows():
            maps, height, width = row.output_shape
            shape = f"{maps}" if height == width == 1 else f"{maps} x {height} x {width}"
            layers.append(f" *   {_comment(row.name):<10} {row.kind:<13} {shape}\n")
        rows, columns = self._size
        sides = f"{rows} rows of any width of" if self._swept else f"{rows}x{columns}"
        channels = f"{self._channels} channels of " if self._channels > 1 else ""
        how = "float" if self._integers is None else "weights and values of 8 bits, float outputs"
        return (
            f"/* {_comment(self._architecture.name)}, {network.n_parameters:,} parameters: {how}.\n"
            f" * Written by lenet_c {lenet_c.__version__}. C99, or C++; needs no library. No "
            "function "
            "keeps anything but in the\n * caller's `scratch`: several threads may read at once, "
            "each "
            "with its own. Nothing is allocated.\n *\n"
            f" * Compile this file with the program. Where it is used, for its declarations:\n *\n"
            f' *   #define {self._upper}_HEADER_ONLY\n *   #include "{self._prefix}.c"\n *\n'
            " * -O2 or -O3, with -ffp-contract=fast where the processor multiplies and adds at "
            "once. "
            f"-D{self._upper}_SELF_TEST\n * makes a program of it, which ends with 0 if it "
            "computes here "
            "what it did when it was written.\n *\n"
            f" * Images: {channels}{sides} bytes, 0 for background and 255 for ink. Layers and "
            "their "
            f"outputs:\n *\n{''.join(layers)} */\n"
            f"#ifndef {self._upper}_C\n#define {self._upper}_C\n"
        )

    def _declarations(self) -> str:
        architecture, network = self._architecture, self._network
        macros: list[tuple[str, Any, str]] = [("CLASSES", architecture.classes, "outputs")]
        if self._channels > 1:
            macros.append(("CHANNELS", self._channels, "one behind the other"))
        macros.append(("HEIGHT", self._size[0], "of an image"))
        if self._swept:
            macros += [
                ("WINDOW", self._width, "columns that it sees at a position"),
                ("STEP", step_of(architecture), "columns from a position to the next"),
                ("BLANK", architecture.classes - 1, "the class of what is no character"),
                ("MARGIN", strips.MARGIN, "columns of background that read puts at both ends"),
                ("MOST_WIDTH", MAX_WIDTH, "of a strip"),
            ]
        else:
            macros.append(("WIDTH", self._size[1], ""))
        macros.append(("SCRATCH", self._scratch, "floats of `scratch`"))
        macros.append(
            ("TEMPERATURE", f"{_number(network.temperature)}f", "divides outputs: see below")
        )
        rejection = None if self._swept else network.rejection  # of a whole text's probability
        for name in ("penalty", "margin"):
            threshold = getattr(rejection, name, None)
            if threshold is not None:
                what = "below which" if name == "margin" else "above which"
                macros.append((f"REJECT_{name.upper()}", f"{_number(threshold)}f", what))
        lines = [
            f"#define {self._upper}_{name} {value}" + (f"  /* {text} */" if text else "")
            for name, value, text in macros
        ]
        return (
            "#include <stddef.h>\n#include <stdint.h>\n#include <limits.h>\n\n"
            '#if INT_MAX < 2147483647\n#error "int must have 32 bits"\n#endif\n\n'
            + "\n".join(lines)
            + '\n\n#ifdef __cplusplus\nextern "C" {\n#endif\n\n'
            + self._prototypes()
            + f"\n#if defined {self._upper}_HEADER_ONLY && defined __cplusplus\n}}\n#endif\n"
        )

    def _prototypes(self) -> str:
        penalties = isinstance(self._architecture.layers[-1], RBF)
        what = "penalties, of which the smallest wins" if penalties else "logits, the largest wins"
        sign = "-" if penalties else ""
        confidence = (
            f" Probabilities: exp({sign}output / {self._upper}_TEMPERATURE), divided by their sum."
        )
        name = (
            "/* What a class is called, in UTF-8. */\nconst char *digit_name(int character);\n"
            if self._network.class_names is not None
            else ""
        )
        shape = "DIGIT_HEIGHT * DIGIT_WIDTH"
        if self._channels > 1:
            shape = f"DIGIT_CHANNELS * {shape}"
        if not self._swept:
            return (
                f"/* Reads an image: gives its class, 0 to {self._architecture.classes - 1}, and "
                "to "
                f"`outputs` {what}.\n *{confidence}\n * -1 if a pointer is NULL. */\n"
                f"int digit_read(const uint8_t *image /* [{shape}] */,\n"
                "               float *outputs /* [DIGIT_CLASSES] */, float *scratch "
                f"/* [DIGIT_SCRATCH] */);\n{name}"
            )
        return (
            "/* Reads a strip: gives how many characters it has, and the first `capacity` of their "
            "classes. columns: NULL,\n * or of each the column in its middle. By the best path: of "
            "each position the likeliest class, of equal\n * ones side by side one, without "
            "blanks. "
            "-1 if a pointer is NULL or a number out of range. */\n"
            "int digit_read(const uint8_t *strip /* [DIGIT_HEIGHT * width] */, int width, int "
            "*characters, int *columns,\n               int capacity, float *scratch /* "
            "[DIGIT_SCRATCH] */);\n\n"
            "/* The same position by position, as columns come: the first DIGIT_WINDOW of them, "
            "then "
            "DIGIT_STEP more each\n * time. Rows lie row_stride bytes apart"
            + (", channels DIGIT_HEIGHT rows" if self._channels > 1 else "")
            + f". To `outputs` come {what}.\n *{confidence}\n * Gives the likeliest class, "
            "DIGIT_BLANK if that is none; -1 if a pointer is NULL. `scratch` must be left\n * as "
            "it "
            "is between them. */\n"
            "int digit_start(const uint8_t *columns, int row_stride, float *outputs /* "
            "[DIGIT_CLASSES] */, float *scratch);\n"
            "int digit_next(const uint8_t *columns, int row_stride, float *outputs, float "
            "*scratch);\n" + name
        )

    # ---- tables ----

    def _table(self, kind: str, name: str, values: Array) -> str:
        """Add a table and give its name."""
        flat = np.asarray(values).reshape(-1)
        if kind == "float":
            words = [f"{value!s}f" for value in flat.astype(np.float32)]
        else:
            words = [str(value) if value != -(2**31) else "(-2147483647 - 1)" for value in flat]
        self._tables.append(f"static const {kind} {name}[{flat.size}] = {{\n{_lines(words)}\n}};\n")
        return name

    def _packed(self, layer: Any, weights: Array) -> Array:
        """Give a convolution's weights without those that its table lacks."""
        if not isinstance(layer, Conv) or layer.table is None:
            return weights
        return weights[table_matrix(layer.table, weights.shape[1]) > 0]

    def _connections(self, step: Step) -> tuple[str, str]:
        layer, name = step.layer, self._names[step.layer.name]
        assert isinstance(layer, Conv)
        table = layer.table or (tuple(range(step.input[0])),) * layer.maps
        begins = np.cumsum([0, *map(len, table)])
        if begins[-1] > 65535:
            raise ValueError(f"layer {layer.name!r}: {begins[-1]:,} pairs of maps, want 65,535")
        inputs = np.array([i for row in table for i in row], np.uint16)
        return (
            self._table("uint16_t", f"{name}_begin", begins.astype(np.uint16)),
            self._table("uint16_t", f"{name}_source", inputs),
        )

    @property
    def _whole_codes(self) -> bool:
        last = self._architecture.layers[-1]
        if not isinstance(last, RBF):
            return False
        codes = self._values[f"{last.name}.weight"]
        return bool((codes == np.rint(codes)).all() and abs(codes).max() < 128)

    # ---- layers ----

    def _run(self) -> str:
        """Give the function that runs all layers, after adding their tables."""
        self._layers: list[str] = []
        lines = []
        places = [self._place(i) for i in range(len(self._steps))]
        if self._squashes:
            self._table("int8_t", "squashes", integers.SQUASHES)
        sweeps = self._swept
        lines += self._loads(places[0])
        for i, step in enumerate(self._steps):
            into = "outputs" if i == len(self._steps) - 1 else places[i + 1]
            comment = " and ".join(_comment(layer.name) for layer in step.layers)
            lines.append(f"    /* {comment}: {step.kind} */")
            first = f"is_next ? {step.new} : 0" if sweeps and step.new else "0"
            if sweeps and step.new and i < len(self._steps) - 1:
                maps, height, width = step.output
                lines.append(
                    f"    if (is_next) slide({into}, {maps * height}, {width}, {step.columns});"
                )
            lines.append(f"    {self._call(i, step, places[i], first, into)}")
        return (
            "static void run(const uint8_t *pixels, int row_stride, int width, int left, int "
            "is_next,"
            "\n                float *outputs, float *scratch)\n{\n"
            + self._scratch_line()
            + "\n".join(lines)
            + ("\n" if sweeps else "\n    (void)is_next;\n")
            + "}\n"
        )

    @property
    def _floats(self) -> int:
        """Floats at the beginning of whole numbers' scratch, for what an RBF layer compares."""
        integer, last = self._integers, self._architecture.layers[-1]
        if integer is None or not isinstance(last, RBF):
            return 0
        return self._steps[-1].input[0]

    @property
    def _scratch(self) -> int:
        if self._integers is None:
            return self._memory.total
        return self._floats + (self._memory.total + 3) // 4

    def _scratch_line(self) -> str:
        if self._integers is None:
            return "    float *const maps = scratch;\n"
        return f"    int8_t *const maps = (int8_t *)(scratch + {self._floats});\n"

    def _place(self, i: int) -> str:
        if self._floats and i == len(self._steps) - 1 and self._makes_floats(i - 1):
            return "scratch"
        return f"maps + {self._memory.places[i]}"

    def _makes_floats(self, i: int) -> bool:
        assert self._integers is not None
        return i >= 0 and self._steps[i].kind == "dense"

    def _loads(self, to: str) -> list[str]:
        height = self._size[0]
        top = (self._height - height) // 2
        lines = []
        background, foreground = (np.array(e, np.float64) for e in self._architecture.levels)
        step = step_of(self._architecture)
        new = max(0, self._width - step)
        if self._swept and new:
            rows = self._channels * self._height
            lines.append(f"    if (is_next) slide({to}, {rows}, {self._width}, {step});")
        first = f"is_next ? {new} : 0" if self._swept and new else "0"
        for channel in range(self._channels):
            pixels = f"pixels + (ptrdiff_t){channel * height} * row_stride" if channel else "pixels"
            place = f"{to} + {channel * self._height * self._width}" if channel else to
            if self._integers is None:
                scale = (foreground[channel] - background[channel]) / 255
                how = f"{_float(background[channel])}, {_float(scale)}"
            else:
                how = str(int(integers.is_flipped(self._network)[channel]))
            lines.append(
                f"    load({pixels}, row_stride, {height}, width, {top}, left, {first}, {how}, "
                f"{place});"
            )
        return lines

    def _call(self, i: int, step: Step, start: str, first: str, into: str) -> str:
        numbers = None if self._integers is None else self._integers.numbers[i]
        name = self._names[step.layer.name]
        maps, height, width = step.input
        if step.kind == "pad":
            assert isinstance(step.layer, Conv)
            fill = ""
            if numbers is not None:
                assert numbers.fill is not None
                fill = self._table("int8_t", f"{name}_fill", numbers.fill) + ", "
            return f"pad({start}, {maps}, {height}, {width}, {step.layer.padding}, {fill}{into});"
        if step.kind == "pool":
            of = self._pool_of(step.layer, numbers)
            kind, how = POOLS[step.layer.kind], ", ".join(of)
            source = "NULL"
            if isinstance(step.layer, Subsample) and step.layer.table is not None:
                sources = np.array(step.layer.sources(step.input), np.uint16)
                source = self._table("uint16_t", f"{name}_source", sources)
            shape = f"{step.output[0]}, {source}, {height}, {width}"
            return f"pool({kind}, {start}, {shape}, {how}, {first}, {into});"
        if step.kind == "rbf":
            return self._rbf(step, start, into)
        if step.kind == "dense":
            return self._dense(step, numbers, start, into)
        self._conv(step, numbers)
        rows = f"maps + {self._memory.rows}"
        return f"conv(&{name}_layer, {start}, {first}, {rows}, {into});"

    def _pool_of(self, layer: Any, numbers: Numbers | None) -> list[str]:
        """Give the arguments of a 2x2 layer: coefficient, bias, activation or scale."""
        name = self._names[layer.name]
        if not isinstance(layer, Subsample):
            return ["NULL", "NULL", "IDENTITY" if numbers is None else "NULL"]
        if numbers is None:
            return [
                self._table("float", f"{name}_{what}", self._values[f"{layer.name}.{what}"])
                for what in ("coefficient", "bias")
            ] + [layer.activation.upper()]
        assert numbers.weights is not None
        assert numbers.bias is not None
        tables = [
            self._table("int32_t", f"{name}_coefficient", numbers.weights),
            self._table("int32_t", f"{name}_bias", numbers.bias),
        ]
        scale = self._scaling(name, numbers)
        self._layers.append(f"static const scaling {name}_scale = {scale};\n")
        return [*tables, f"&{name}_scale"]

    def _scaling(self, name: str, numbers: Numbers) -> str:
        factor = self._table("int32_t", f"{name}_factor", _given(numbers.factor))
        return f"{{{factor}, {numbers.shift}, {numbers.activation.upper()}}}"

    def _conv(self, step: Step, numbers: Numbers | None) -> None:
        layer, pool, name = step.layer, step.pool, self._names[step.layer.name]
        assert isinstance(layer, Conv)
        begin, inputs = self._connections(step)
        sizes = f"{step.input[1]}, {step.input[2]}, {layer.maps}, {layer.kernel}"
        kind = "NO_POOL" if pool is None else POOLS[pool.kind]
        if numbers is None:
            weights = self._packed(layer, self._values[f"{layer.name}.weight"])
            of = ["NULL", "NULL", "IDENTITY"] if pool is None else self._pool_of(pool, None)
            fields = [
                sizes,
                *(begin, inputs, self._table("float", f"{name}_weights", weights)),
                self._table("float", f"{name}_bias", self._values[f"{layer.name}.bias"]),
                *(layer.activation.upper(), kind, *of),
            ]
        else:
            tables = [
                self._table(
                    "int8_t", f"{name}_weights", self._packed(layer, _given(numbers.weights))
                ),
                self._table("int32_t", f"{name}_bias", _given(numbers.bias)),
                self._scaling(name, numbers),
            ]
            none = ["NULL", "NULL", "{NULL, 0, IDENTITY}"]
            if isinstance(pool, Subsample) and numbers.pool is not None:
                under, scale = self._names[pool.name], numbers.pool
                none = [
                    self._table("int32_t", f"{under}_coefficient", _given(scale.weights)),
                    self._table("int32_t", f"{under}_bias", _given(scale.bias)),
                    self._scaling(under, scale),
                ]
            fields = [sizes, begin, inputs, *tables, kind, *none]
        self._layers.append(
            f"static const conv_layer {name}_layer = {{\n    {', '.join(fields)}\n}};\n"
        )

    def _dense(self, step: Step, numbers: Numbers | None, start: str, into: str) -> str:
        layer: Any = step.layer
        name = self._names[layer.name]
        sizes = f"{int(np.prod(step.input))}, {step.output[0]}"
        call = "dense"
        if numbers is None:
            fields = [
                sizes,
                self._table("float", f"{name}_weights", self._values[f"{layer.name}.weight"]),
                self._table("float", f"{name}_bias", self._values[f"{layer.name}.bias"]),
                layer.activation.upper(),
            ]
        else:
            weights = self._table("int8_t", f"{name}_weights", _given(numbers.weights))
            bias = self._table("int32_t", f"{name}_bias", _given(numbers.bias))
            if numbers.activation == "float":
                call = "dense_floats"
                unit = self._table("float", f"{name}_unit", numbers.unit)
                fields = [sizes, weights, bias, f"{{NULL, 0, {layer.activation.upper()}}}", unit]
            else:
                fields = [sizes, weights, bias, self._scaling(name, numbers), "NULL"]
        self._layers.append(f"static const dense_layer {name}_layer = {{{', '.join(fields)}}};\n")
        return f"{call}(&{name}_layer, {start}, {into});"

    def _rbf(self, step: Step, start: str, into: str) -> str:
        name, layer = self._names[step.layer.name], step.layer
        codes = self._values[f"{layer.name}.weight"]
        kind = "int8_t" if self._whole_codes else "float"
        self._table(
            kind, f"{name}_codes", codes.astype(np.int8 if self._whole_codes else np.float32)
        )
        classes, inputs = codes.shape
        call = f"distances({name}_codes, {inputs}, {classes}, {{}}, {into});"
        if self._integers is None or self._integers.last is None:
            return call.format(start)
        last = self._integers.last
        scale = self._table("float", f"{name}_scale", last.scale.astype(np.float32))
        offset = self._table("float", f"{name}_offset", last.offset.astype(np.float32))
        widen = f"widen({start}, {inputs}, {scale}, {offset}, scratch);\n    "
        return widen + call.format("scratch")

    # ---- code ----

    @property
    def _squashes(self) -> bool:
        return self._integers is not None and any(
            numbers is not None and numbers.activation == "squash"
            for each in self._integers.numbers
            for numbers in (each, each.pool)
        )

    def _functions(self) -> Iterable[str]:
        """Give the functions that the network needs."""
        steps, precision = self._steps, self._precision
        integer = self._integers
        kinds = {step.kind for step in steps}
        layers = [layer for step in steps if step.kind != "pad" for layer in step.layers]
        pools = {layer.kind for layer in layers if layer.kind in POOLS}
        if "conv" in kinds:
            tile = tile_of(steps, self._swept or integer is not None)
            yield f"#define DIGIT_TILE {tile}  /* sums of a row that are taken together */\n"
        if kinds & {"conv", "dense"}:
            yield snippets.UNROLL
        names = ["IDENTITY", "RELU", "SCALED_TANH", "TANH", "SIGMOID"]
        if integer is not None:
            names.append("SQUASH")
        yield f"enum {{ {', '.join(names)} }};\n"
        yield "enum { NO_POOL, SUBSAMPLE, AVERAGE, MAXIMUM };\n"
        yield snippets.TYPES[precision]
        makes_floats = [True] * len(steps)
        if integer is not None:
            makes_floats = [numbers.activation == "float" for numbers in integer.numbers]
        used = {
            layer.activation
            for step, floats in zip(steps, makes_floats, strict=True)
            if floats and step.kind != "pad"
            for layer in step.layers
            if isinstance(layer, (Conv, Dense, Subsample))
        }
        if used & set(SQUASHED):
            yield snippets.TANH
        if used:
            cases = [text for name, text in snippets.ACTIVATE.items() if name in used]
            unused = "" if cases else "    (void)n;\n    (void)values;\n    (void)i;\n"
            yield (
                snippets.ACTIVATE_BEGIN
                + "".join(cases)
                + snippets.ACTIVATE_END.replace("    }\n}", f"    }}\n{unused}}}")
            )
        if integer is not None and any(
            numbers is not None and numbers.factor is not None
            for each in integer.numbers
            for numbers in (each, each.pool)
        ):
            text = snippets.REQUANTISE
            if not self._squashes:
                begin, end = text.index("    case SQUASH"), text.index("    case RELU")
                text = text[:begin] + text[end:]
            yield text
        yield snippets.LOAD[precision]
        if self._swept:
            yield snippets.SLIDE
        if "pad" in kinds:
            yield snippets.PAD[precision]
        if pools or "conv" in kinds:
            yield (
                snippets.POOL_BEGIN[precision]
                + (snippets.POOL_SUBSAMPLE[precision] if "subsample" in pools else "")
                + (snippets.POOL_AVERAGE[precision] if "average_pool" in pools else "")
                + (snippets.POOL_MAX if "max_pool" in pools else "")
                + (
                    ""
                    if pools
                    else "    (void)x; (void)below; (void)first; (void)end; (void)out;\n"
                )
                + snippets.POOL_END[precision]
            )
        if "pool" in kinds:
            yield snippets.POOL_LAYER[precision]
        if "conv" in kinds:
            yield snippets.CONV
        if "dense" in kinds:
            if integer is None:
                yield snippets.DENSE[precision]
            else:
                yield snippets.DENSE[precision]
                dense = [
                    floats
                    for step, floats in zip(steps, makes_floats, strict=True)
                    if step.kind == "dense"
                ]
                if not all(dense):
                    yield snippets.DENSE_BYTES
                if any(dense):
                    yield snippets.DENSE_FLOATS
        if "rbf" in kinds:
            if integer is not None and integer.last is not None:
                yield snippets.WIDEN
            yield snippets.RBF

    def _names_of_classes(self) -> str:
        names = self._network.class_names
        if names is None:
            return ""
        words = ", ".join(_text(name) for name in names)
        return (
            "const char *digit_name(int character)\n{\n"
            f"    static const char *const names[{len(names)}] = {{{words}}};\n"
            f'    return character >= 0 && character < {len(names)} ? names[character] : "";\n}}\n'
        )

    def _self_test(self) -> str:
        example = self._example
        height, width = self._size
        pixels = example.reshape(-1)
        top, left = (self._height - height) // 2, (self._width - width) // 2
        whole = np.zeros((1, *self._architecture.image_shape), np.uint8)
        whole[0, :, top : top + height, left : left + width] = example
        if self._integers is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", InputWarning)  # a pattern is no character
                shown = whole if self._channels > 1 else whole[:, 0]
                outputs = self._network.forward(shown)[0]  # type: ignore[attr-defined]
        else:
            outputs = self._integers.forward(whole)[0].reshape(-1)
        tolerance = 1e-4 * max(1e-3, float(abs(outputs).max()))
        image = _lines([str(pixel) for pixel in pixels])
        expected = _lines([f"{value!s}f" for value in outputs.astype(np.float32)])
        call = (
            "(void)digit_start(test_image, DIGIT_WINDOW, outputs, scratch);"
            if self._swept
            else "(void)digit_read(test_image, outputs, scratch);"
        )
        words = {
            "IMAGE": f"static const uint8_t test_image[{pixels.size}] = {{\n{image}\n}};",
            "OUTPUTS": f"static const float test_outputs[{outputs.size}] = {{\n{expected}\n}};",
            "CALL": call,
            "TOLERANCE": _float(tolerance),
        }
        return re.sub(
            r"\b(" + "|".join(words) + r")\b", lambda found: words[found[1]], snippets.SELF_TEST
        )


def _given(values: Array | None) -> Array:
    assert values is not None
    return values


def _lines(words: Sequence[str]) -> str:
    """Give comma separated words on lines of up to 110 characters."""
    lines, line = [], "   "
    for word in words:
        if len(line) + len(word) + 2 > 110:
            lines.append(line)
            line = "   "
        line += f" {word},"
    return "\n".join([*lines, line])


def _number(value: float) -> str:
    text = str(np.float32(value))
    return text if "." in text or "e" in text else f"{text}.0"


def _float(value: float) -> str:
    return f"{_number(value)}f"


def _comment(text: str) -> str:
    """Give a text that stays within a comment."""
    return (
        text.encode("ascii", "backslashreplace").decode().replace("*/", "* /").replace("/*", "/ *")
    )


def _text(text: str) -> str:
    """Give a C string."""
    plain = "".join(
        chr(byte) if chr(byte).isalnum() and byte < 128 else f"\\{byte:03o}"
        for byte in text.encode("utf-8")
    )
    return f'"{plain}"'
