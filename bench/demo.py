"""Build the page docs/demo/index.html: the core in WebAssembly, and two networks, in one file.

python -m bench.demo [--out FILE] compiles docs/demo/core.c and the core with the package ziglang,
puts the weights that come with the library into it, as numbers of 16 bits, and the result into the
page. `make demo` draws the picture of it too.
"""

from __future__ import annotations

import base64
import gzip
import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench.common import ROOT, parser
from lenet_c import LeNet5, calibration, decoding, strips

DEMO = ROOT / "docs" / "demo"
MOST = 700_000  # bytes of the page
FLAGS = [
    *("-target", "wasm32-wasi", "-mexec-model=reactor", "-std=c11", "-Os", "-msimd128", "-s"),
    *("-Wall", "-Wextra", "-Werror", "-Wl,--gc-sections"),
    "-Dlenet_kernels_portable=lenet_kernels_wasm",  # the only ones
]


def halves(name: str, values: np.ndarray) -> str:
    """Write an array in C, of numbers of 16 bits."""
    bits = np.ascontiguousarray(values, np.float16).view(np.uint16).ravel().tolist()
    return f"static const uint16_t {name}[] = {{{','.join(map(str, bits))}}};\n"


def layers(name: str, net: LeNet5) -> str:
    """Write a network's layers in C."""
    text, rows, shape = "", [], net.architecture.image_shape
    for layer in net.architecture.layers:
        kind, activation, maps, kernel, table, trained, padding = layer.spec(shape)
        connected = "NULL"
        if table is not None:
            connected = f"{name}_{layer.name}"
            cells = ",".join(str(int(cell)) for row in np.asarray(table) for cell in row)
            text += f"static const uint8_t {connected}[] = {{{cells}}};\n"
        rows.append(
            f"{{LENET_{kind.upper()}, LENET_{activation.upper()}, {maps}, {kernel}, {connected}, "
            f"{int(trained)}, {padding}}}"
        )
        shape = layer.output_shape(shape)
    return text + f"static const lenet_layer {name}_LAYERS[] = {{{', '.join(rows)}}};\n"


def network(name: str, net: LeNet5) -> str:
    """Write a network in C."""
    _, height, width = net.architecture.image_shape
    levels = net.architecture.background, net.architecture.foreground
    return (
        layers(name, net)
        + f"static const lenet_input {name}_INPUT = "
        + f"{{1, {height}, {width}, {{{levels[0]!r}f}}, {{{levels[1]!r}f}}}};\n"
        + f"enum {{ N_{name}_PARAMETERS = {net.n_parameters} }};\n"
        + halves(f"{name}_PARAMETERS", net.parameters)
        + f"#define {name}_TEMPERATURE {net.temperature!r}\n"
    )


def header(digit: LeNet5, number: LeNet5) -> str:
    """Write what docs/demo/core.c includes."""
    assert digit.codes is not None
    assert digit.subspaces is not None
    return (
        '#include "lenet.h"\n'
        f"enum {{ CLASSES = {digit.codes.shape[0]}, CODES = {digit.codes.size} }};\n"
        f"enum {{ MARGIN = {strips.MARGIN}, BEAM = {decoding.BEAM} }};  /* LineReader's */\n"
        f"#define LEAST_INK {calibration.INK!r}\n"
        + network("DIGIT", digit)
        + halves("DIGIT_CODES", digit.codes)
        + halves("DIGIT_SUBSPACES", digit.subspaces)
        + network("NUMBER", number)
    )


def compiled(digit: LeNet5, number: LeNet5) -> bytes:
    """Compile the core and the networks to WebAssembly."""
    csrc = ROOT / "csrc"
    sources = {*csrc.rglob("*.c")} - {*csrc.rglob("isa_*.c")} | {csrc / "kernels" / "isa_wasm.c"}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "demo_networks.h").write_text(header(digit, number))
        out = Path(folder, "core.wasm")
        command = [sys.executable, "-m", "ziglang", "cc", *FLAGS, f"-I{csrc}", f"-I{folder}"]
        subprocess.run(
            [*command, str(DEMO / "core.c"), *map(str, sorted(sources)), "-o", str(out), "-lm"],
            check=True,
        )
        return out.read_bytes()


def facts(digit: LeNet5, number: LeNet5) -> dict[str, Any]:
    """Give what the page says and draws besides what the core computes."""
    assert digit.rejection is not None
    assert number.rejection is not None
    assert digit.codes is not None
    shape, shapes = digit.architecture.image_shape, []
    for layer in digit.architecture.layers:
        shape = layer.output_shape(shape)
        shapes.append([layer.name, *shape])
    return {
        "layers": shapes,
        "margin": strips.MARGIN,
        "codes": ["".join("01"[int(bit > 0)] for bit in code) for code in digit.codes],
        "digit": digit.rejection.to_dict(),
        "number": number.rejection.to_dict(),
    }


def page(core: bytes, known: dict[str, Any]) -> str:
    """Put everything into one page."""
    text = (DEMO / "page.html").read_text(encoding="utf-8")
    parts = {
        "style": (DEMO / "page.css").read_text(encoding="utf-8"),
        "script": (DEMO / "page.js").read_text(encoding="utf-8"),
        "facts": json.dumps(known, separators=(",", ":")),
        "core": base64.b64encode(gzip.compress(core, 9, mtime=0)).decode(),
    }
    for name, part in parts.items():
        text = text.replace(f"[[{name}]]", part)
    return text


def main() -> None:
    """Build the page."""
    command = parser("demo", __doc__)
    command.add_argument("--out", type=Path, default=DEMO / "index.html")
    out: Path = command.parse_args().out
    if importlib.util.find_spec("ziglang") is None:
        raise SystemExit("error: needs a compiler: pip install --group wasm")
    digit, number = LeNet5.pretrained("mnist"), LeNet5.pretrained("strings")
    core = compiled(digit, number)
    text = page(core, facts(digit, number))
    if len(text.encode()) > MOST:
        raise SystemExit(f"the page has {len(text.encode())} bytes, want at most {MOST}")
    out.write_text(text, encoding="utf-8", newline="\n")
    print(f"{out}: {len(text.encode()):,} bytes, of which {len(core):,} of WebAssembly before gzip")


if __name__ == "__main__":
    main()
