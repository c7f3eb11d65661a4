"""Exported C files: error, size, time, a Cortex-M4: python -m bench.exported [--write].

Reads MNIST's test images with the C files of the two networks that come with the library, in
float32 and int8. Where arm-none-eabi-gcc and qemu-system-arm are (Debian: gcc-arm-none-eabi
libnewlib-arm-none-eabi qemu-system-arm), they run on a Cortex-M4 too. Where ai-edge-litert and
TensorFlow are installed, LiteRT's network of the same layers is measured beside them. --write puts
the page into docs/exported.md.
"""

from __future__ import annotations

import ctypes
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.common import ROOT, add_output, markdown, mnist, parser
from lenet_c import LeNet5, export

PRECISIONS = ("float32", "int8")
NETWORKS = ("mnist", "mnist-modern")
CALIBRATED = 1000
TURNS = 7
M4 = [
    *("-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"),
    *("-ffp-contract=fast", "-std=gnu99"),
]
QEMU = [
    *("qemu-system-arm", "-M", "mps2-an386", "-nographic", "-semihosting"),
    *("-monitor", "none", "-serial", "none"),
]
ONNX2C = "[onnx2c](https://github.com/kraiskil/onnx2c)'s README"
TFLM = "TensorFlow Lite Micro ([David et al. 2020](https://arxiv.org/abs/2010.08678))"

PAGE = """\
# What exported C files cost

`python -m bench.exported --write` printed this: {system}. [one_c_file.md](one_c_file.md) says how
to use them.

## Error and time

All {n:,} test images of MNIST. "differ": from the classes that the network itself gives. int8 is
scaled by {calibrated:,} training images. Times are of one image, the shortest of {calls:,} calls in
turns, on one thread. The network itself, `net.compile().predict(image)`, took {own} in them.

{errors}

The files have no vector code of their own: what is quick is the compiler's doing. gcc 12 makes
slower code with `-march=native` than without. On such a processor int8 saves memory, no time.
{litert}
## Cortex-M4

{m4}

"tables" are the network's numbers: both are flash. "scratch" is the caller's memory, the only one
that is written to but for the stack. Instructions are those that QEMU counts for one image
(`-icount shift=0`): it knows no cycles. At one cycle each, the least that they can take, the first
network in float32 with -O3 needs {milliseconds} ms on 100 MHz.

## What others publish

| what | says |
| --- | --- |
| {onnx2c} | a sine network: 8.2 kB of code, 20 us on a Cortex-M4 of 96 MHz; no convolutions |
| {tflm} | the interpreter's core takes some 2 kB; kernels, .tflite file and arena are on top |

No figures of a LeNet-5 were found there.
"""


def run(*command: Any) -> str:
    """Run a command and give what it prints."""
    both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}  # QEMU prints to the second
    done = subprocess.run([str(each) for each in command], text=True, check=False, **both)
    if done.returncode:
        raise SystemExit(f"error: {' '.join(map(str, command))}: {done.stdout}")
    return str(done.stdout)


class File:
    """An exported file in a folder of its own."""

    def __init__(self, name: str, precision: str, images: np.ndarray, folder: Path) -> None:
        self.name, self.precision = name, precision
        self.network = LeNet5.pretrained(name)
        self.source = folder / f"{name}-{precision}" / "digit.c"
        self.source.parent.mkdir()
        export.c(self.network, self.source, precision=precision, images=images)
        text = self.source.read_text()
        self.scratch = int(re.findall(r"#define DIGIT_SCRATCH (\d+)", text)[0])
        library = self.source.with_suffix(".so")
        run("gcc", "-O3", "-shared", "-fPIC", self.source, "-o", library)
        self._read = ctypes.CDLL(str(library)).digit_read
        self.shortest: dict[str, float] = {}

    def classes(self, images: np.ndarray) -> np.ndarray:
        """Read images."""
        outputs, scratch = np.empty(10, np.float32), np.empty(self.scratch, np.float32)
        to = ctypes.c_void_p(outputs.ctypes.data), ctypes.c_void_p(scratch.ctypes.data)
        images = np.ascontiguousarray(images)
        at, size = images.ctypes.data, images[0].size
        return np.array(
            [self._read(ctypes.c_void_p(at + i * size), *to) for i in range(len(images))]
        )

    def programs(self) -> dict[str, Path]:
        """Make a timed program with each compiler."""
        found = {}
        for name in ("gcc", "clang"):
            if shutil.which(name):
                found[name] = self.source.parent / f"{name}.out"
                define = f'-DSOURCE="{self.source}"'
                clock = ROOT / "bench" / "exported.c"
                run(name, "-O3", define, clock, self.source, "-o", found[name])
        return found

    def on_m4(self, level: str) -> list[str]:
        """Give flash, scratch, stack and instructions on a Cortex-M4."""
        part, program = self.source.with_suffix(".o"), self.source.with_suffix(".elf")
        run("arm-none-eabi-gcc", *M4, level, "-c", self.source, "-o", part)
        sizes = run("arm-none-eabi-size", "-A", part)
        code, tables = (
            sum(int(size) for size in re.findall(rf"^\.{kind}\S* +(\d+)", sizes, re.MULTILINE))
            for kind in ("text", "rodata")
        )
        tests = ROOT / "tests"
        words = ("-DPREFIX(n)=digit_##n", "-DMACRO(n)=DIGIT_##n", f'-DSOURCE="{self.source}"')
        linked = ("-nostartfiles", "-T", tests / "cortex_m4.ld", "-o", program)
        command = ("arm-none-eabi-gcc", *M4, level, "-DDIGIT_SELF_TEST", *words)
        run(*command, tests / "cortex_m4.c", *linked)
        counted, stack = run(*QEMU, "-icount", "shift=0", "-kernel", program).split()
        return [
            f"{code / 1000:.1f} kB",
            f"{tables / 1000:.1f} kB",
            f"{4 * self.scratch / 1000:.1f} kB",
            f"{stack} B",
            f"{int(counted):,}",
        ]


def shortest(call: Callable[[], object], calls: int = 300) -> float:
    """Give the shortest time of some calls, in nanoseconds."""
    best = np.inf
    for _ in range(calls):
        begin = time.perf_counter_ns()
        call()
        best = min(best, time.perf_counter_ns() - begin)
    return float(best)


def litert_calls(images: np.ndarray) -> dict[str, tuple[Callable[[], object], int]]:
    """Give LiteRT's call for one image, and the size of its file, of each precision."""
    needed = ("ai_edge_litert", "tensorflow")
    if any(importlib.util.find_spec(name) is None for name in needed):
        return {}
    import keras
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter
    from keras import layers

    model = keras.Sequential(
        [
            keras.Input((32, 32, 1)),
            *(layers.Conv2D(6, 5, activation="tanh"), layers.AveragePooling2D(2)),
            *(layers.Conv2D(16, 5, activation="tanh"), layers.AveragePooling2D(2)),
            *(layers.Conv2D(120, 5, activation="tanh"), layers.Flatten()),
            *(layers.Dense(84, activation="tanh"), layers.Dense(10)),
        ]
    )
    shown = np.pad(images[:200], ((0, 0), (2, 2), (2, 2)))[..., None] / np.float32(255)
    found: dict[str, tuple[Callable[[], object], int]] = {}
    for precision in PRECISIONS:
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        if precision == "int8":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([each[None]] for each in shown)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        content = converter.convert()
        interpreter = Interpreter(model_content=content, num_threads=1)
        interpreter.allocate_tensors()
        found[precision] = interpreter.invoke, len(content)
    return found


def main() -> None:
    """Measure, and print or write the page."""
    command = parser("exported", __doc__)
    add_output(command, ROOT / "docs" / "exported.md")
    options = command.parse_args()
    (images, _), (shown, labels) = mnist()
    peers = litert_calls(images)
    with tempfile.TemporaryDirectory() as folder:
        files = [
            File(name, precision, images[:CALIBRATED], Path(folder))
            for name in NETWORKS
            for precision in PRECISIONS
        ]
        text = page(files, shown, labels, peers)
    print(text, end="")
    if options.write:
        options.output.write_text(text, encoding="utf-8")


def page(files: list[File], shown: Any, labels: Any, peers: dict[str, Any]) -> str:
    """Give the page."""
    programs = [file.programs() for file in files]
    times = [dict.fromkeys(each, np.inf) for each in programs]
    peer_times = dict.fromkeys(peers, np.inf)
    compiled = files[0].network.compile()
    own = np.inf
    for _ in range(TURNS):
        for each, best in zip(programs, times, strict=True):
            for name, program in each.items():
                best[name] = min(best[name], float(run(program)))
        for name, (call, _) in peers.items():
            peer_times[name] = min(peer_times[name], shortest(call))
        own = min(own, shortest(lambda: compiled.predict(shown[0])))
    errors = []
    for file, best in zip(files, times, strict=True):
        read, wanted = file.classes(shown), file.network.predict(shown)
        errors.append(
            [
                f"{file.network.architecture.name}, {file.precision}",
                f"{100 * (wanted != labels).mean():.2f}%",
                f"{100 * (read != labels).mean():.2f}%",
                str(int((read != wanted).sum())),
                f"{file.source.stat().st_size / 1000:.0f} kB",
                *(f"{best.get(name, np.nan) / 1000:.1f} us" for name in ("gcc", "clang")),
            ]
        )
    heads = ["network", "error", "in C", "differ", "file", "gcc -O3", "clang -O3"]
    litert = ""
    if peers:
        rows = [
            [precision, f"{size / 1000:.0f} kB", f"{peer_times[precision] / 1000:.1f} us"]
            for precision, (_, size) in peers.items()
        ]
        litert = (
            "\nLiteRT (`invoke`, one thread) with a network of the modern one's layers, in the "
            "same turns:\n\n" + markdown(["LiteRT", ".tflite", "an image"], rows) + "\n"
        )
    m4, milliseconds = "Not measured: no arm-none-eabi-gcc or qemu-system-arm there.", "?"
    if shutil.which("arm-none-eabi-gcc") and shutil.which("qemu-system-arm"):
        rows = [
            [f"{file.network.architecture.name}, {file.precision}, {level}", *file.on_m4(level)]
            for file in files
            for level in ("-Os", "-O2", "-O3")
        ]
        m4 = markdown(["network", "code", "tables", "scratch", "stack", "instructions"], rows)
        counted = int(rows[2][-1].replace(",", ""))
        milliseconds = f"{counted / 1e5:.0f}"
    return PAGE.format(
        system=system(),
        n=len(shown),
        calibrated=CALIBRATED,
        calls=300 * TURNS,
        own=f"{own / 1000:.1f} us",
        errors=markdown(heads, errors),
        litert=litert,
        m4=m4,
        milliseconds=milliseconds,
        onnx2c=ONNX2C,
        tflm=TFLM,
    )


def system() -> str:
    """Say what measured this."""
    from lenet_c import cpu_info

    gcc = run("gcc", "-dumpfullversion").strip()
    return f"{cpu_info()['processor']}, gcc {gcc}, {sys.platform}"


if __name__ == "__main__":
    main()
