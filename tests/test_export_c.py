"""Exported C files: compiled without a warning, and held against the network itself."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from pathlib import Path

import exported
import numpy as np
import pasted
import pytest

import reference
from lenet_c import (
    LENET5_1998,
    LENET5_STRINGS,
    LENET_3X3,
    RBF,
    Architecture,
    AveragePool,
    Conv,
    Dense,
    LeNet5,
    LineReader,
    MaxPool,
    Rejection,
    Subsample,
    cli,
    datasets,
    decoding,
    export,
)
from lenet_c.plain_c import integers, steps
from lenet_c.strips import MARGIN

pytestmark = [
    pytest.mark.skipif(not exported.has_compiler(), reason="no C compiler"),
    pytest.mark.filterwarnings("ignore::lenet_c.InputWarning"),  # of noise that is no character
]

COLOURS = Architecture(
    "3 channels */ \\",
    (
        Conv("C1", 5, 3, padding=1, activation="relu"),
        MaxPool("1 S"),
        Conv("out put", 7, 4, ((0, 2, 4),) * 7, activation="sigmoid", padding=2),
        Conv("C3b", 4, 2, activation="identity"),
        Subsample("S4", activation="sigmoid"),
        Conv("C5", 6, 3, padding=1, activation="tanh"),
        AveragePool("S6"),
        Dense("float", 9, activation="relu"),
        RBF("output", 4, True),
    ),
    (3, 19, 22),
    background=(0.0, -0.4, 1.5),
    foreground=(1.0, 2.8, -1.0),
)
POOLED = Architecture(
    "pooled first",
    (MaxPool("A"), AveragePool("B"), Subsample("C", "tanh"), Dense("D", 3, "identity")),
    (17, 26),
    background=1.0,
    foreground=-0.5,
)
NARROW = Architecture(
    "narrow",
    (Conv("C1", 3, 2), Conv("C2", 4, 2, activation="relu"), MaxPool("S"), RBF("output", 4)),
    (4, 4),
)
TABLED = Architecture(
    "sums by tables",
    (
        Conv("C1", 4, 3, activation="relu"),
        Subsample("S2", "relu", table=((3,), (0,), (3,), (1,), (1,))),
        Conv("C3", 6, 3, activation="relu"),
        Subsample("S4", table=((5,), (5,), (0,), (2,))),
        Dense("D", 3, "identity"),
    ),
    (18, 26),
)
BYTES = Architecture("bytes", (Dense("D", 3, "identity"),), (2, 3, 5), (1.0, 0.0), (0.0, 2.0))
CODES = np.array([[1, 1, -1, 1.5], [1, -1, -1, 1], [-1, 1, 1, -1], [1, 1, 1, 1]])
WIDE_STEP = Architecture(
    "even kernels",
    (
        *(Conv("C1", 3, 4, activation="tanh"), MaxPool("S2")),
        *(Conv("C3", 5, 2, ((0, 1), (1, 2), (0, 2), (0, 1, 2), (2,)), "relu"), AveragePool("S4")),
        *(Conv("C5", 4, 2, activation="sigmoid"), Conv("C6", 6, 4), Dense("o", 4, "identity")),
    ),
    (2, 25, 31),
    blank=True,
)


def network(which):
    if isinstance(which, str):
        return LeNet5.pretrained(which)
    codes = None
    if isinstance(which.layers[-1], RBF) and which is not LENET5_1998:
        length = which.code_length
        codes = np.resize(CODES, (4, length)) + 0.25 * np.arange(4)[:, None]
    net = LeNet5(which, seed=3, codes=codes)
    if which is COLOURS:  # whose outputs hardly differ with small weights
        for layer in which.layers[:-1]:
            if f"{layer.name}.weight" in net:
                net[f"{layer.name}.weight"][...] *= 3
    elif which is POOLED:
        net["C.coefficient"][...], net["C.bias"][...] = 1.0, -3.8
    return net


def pictures(net, n, rng):
    """Make blobs of ink, so that layers have something to see."""
    channels, height, width = net.architecture.image_shape
    if (height, width) == (32, 32) and not net.architecture.blank:
        height = width = 28
    noise = rng.random((n, channels, height + 8, width + 8))
    for axis in (2, 3):
        noise = np.apply_along_axis(np.convolve, axis, noise, np.ones(5) / 5, mode="same")
    levels = ((noise - 0.5) * 3 * 255).clip(0, 255)[:, :, 4:-4, 4:-4].astype(np.uint8)
    return levels if channels > 1 else levels[:, 0]


def strip(net, width, rng):
    architecture = net.architecture
    channels, height, _ = architecture.image_shape
    levels = rng.integers(0, 256, (channels, height, width))
    levels = np.where(levels > 140, levels, 0).astype(np.uint8)
    return levels if channels > 1 else levels[0]


def written(net, folder, name="digit.c", **settings):
    path = Path(folder) / name
    export.c(net, path, **settings)
    return exported.Exported(path)


def own_size(net, images):
    channels, height, width = net.architecture.image_shape
    images = images.reshape(len(images), channels, *images.shape[-2:])
    rows, columns = ((a - b) // 2 for a, b in zip((height, width), images.shape[2:], strict=True))
    return np.pad(images, ((0, 0), (0, 0), (rows, rows), (columns, columns)))


def simulated(net, images):
    """Give the network in whole numbers, calibrated as the file is."""
    shown = own_size(net, images)
    most = integers.largest(net, shown if shown.shape[1] > 1 else shown[:, 0])
    plan = steps.steps_of(net.architecture)
    return integers.Integers(net, plan, integers.parameters_of(net), most)


def best(net, outputs):
    penalties = isinstance(net.architecture.layers[-1], RBF)
    return outputs.argmin(axis=-1) if penalties else outputs.argmax(axis=-1)


NETWORKS = [
    *("mnist", "mnist-modern"),
    *(LENET_3X3.with_activation("relu"), COLOURS, POOLED, TABLED, NARROW, BYTES),
]


def id_of(which):
    return which if isinstance(which, str) else which.name[:8]


@pytest.mark.parametrize("which", NETWORKS, ids=id_of)
def test_float_files_read_as_the_network_does(which, tmp_path, rng):
    net = network(which)
    images = pictures(net, 1000, rng)
    file = written(net, tmp_path)
    classes, outputs = file.read(images)
    wanted = net.forward(images)
    assert abs(outputs - wanted).max() < 1e-5 * abs(wanted).max()
    assert (classes == best(net, outputs)).all()
    sure = np.sort(wanted, axis=1)
    sure = np.minimum(sure[:, 1] - sure[:, 0], sure[:, -1] - sure[:, -2]) > 1e-4 * abs(sure).max()
    assert sure.mean() > 0.5
    assert (classes == net.predict(images))[sure].all()


def test_a_float_file_reads_as_the_slow_network_does(tmp_path, rng):
    net = network(COLOURS)
    images = pictures(net, 20, rng)
    background, foreground = (np.array(e)[:, None, None] for e in COLOURS.levels)
    values = background + images / 255 * (foreground - background)
    parameters = {name: net[name].astype(np.float64) for name in net}
    wanted = reference.forward(COLOURS, parameters, values, net.codes)["output"]
    assert abs(written(net, tmp_path).read(images)[1] - wanted).max() < 1e-5 * abs(wanted).max()


@pytest.mark.parametrize("which", NETWORKS, ids=id_of)
def test_whole_numbers_are_those_of_the_simulation(which, tmp_path, rng):
    net = network(which)
    images = pictures(net, 300, rng)
    file = written(net, tmp_path, precision="int8", images=images[:200])
    classes, outputs = file.read(images)
    wanted = simulated(net, images[:200]).forward(own_size(net, images)).reshape(300, -1)
    assert abs(outputs - wanted).max() < 2e-6 * abs(wanted).max()
    assert (classes == best(net, outputs)).all()
    floats = net.forward(images)
    apart = np.sqrt(((outputs - floats) ** 2).mean() / floats.var(axis=0).mean())
    assert apart < 0.2  # of how much images' outputs differ


@pytest.mark.parametrize("name", ["mnist", "mnist-modern"])
def test_whole_numbers_read_real_digits(name, tmp_path, real_digits):
    (images, _), (others, _) = real_digits
    net = LeNet5.pretrained(name)
    file = written(net, tmp_path, precision="int8", images=images[:200])
    classes, _ = file.read(others[:1000])
    assert (classes == net.predict(others[:1000])).mean() > 0.99
    floats = io.BytesIO()
    export.c(net, floats)
    assert file.source.stat().st_size < 0.5 * len(floats.getvalue())
    assert int(file.macros["SCRATCH"]) < 700


@pytest.mark.parametrize("which", ["strings", WIDE_STEP], ids=id_of)
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_strips_are_read_as_the_sweep_reads_them(which, precision, tmp_path, rng):
    net = network(which)
    strips = [strip(net, width, rng) for width in (1, 19, 20, 21, 32, 40, 131, 400)]
    file = written(net, tmp_path, "line.c", precision=precision, images=strips)
    simulation = simulated(net, _calibration(net, strips)) if precision == "int8" else None
    for each in strips:
        padding = [(0, 0)] * (each.ndim - 1) + [(MARGIN, MARGIN)]
        given = np.pad(each, padding)
        outputs = net.sweep(given[None])[0]
        if simulation is not None:
            outputs = simulation.forward(_windows_of(net, given)).reshape(outputs.shape)
        blank = net.architecture.classes - 1
        path = outputs.argmax(axis=1)
        wanted = [c for i, c in enumerate(path) if c != blank and (i == 0 or c != path[i - 1])]
        n, characters, columns = file.read_strip(each)
        assert n == len(wanted)
        assert (characters == wanted).all()
        assert (np.diff(columns) > 0).all()
        names = [chr(97 + i) for i in range(blank)]
        if simulation is None:
            decoded = decoding.best_path(outputs, names, blank)
            assert "".join(names[c] for c in characters) == decoded.text
            step, window = int(file.macros["STEP"]), int(file.macros["WINDOW"])
            narrow = max(0, window - given.shape[-1]) // 2
            middles = decoded.spans.sum(axis=1) * step // 2 + window // 2 - MARGIN - narrow
            assert (columns == middles).all()
        if given.shape[-1] >= int(file.macros["WINDOW"]):
            classes, streamed = file.stream(given)
            whole = len(streamed)
            assert abs(streamed - outputs[:whole]).max() < 1e-5 * abs(outputs).max()
            assert (classes == streamed.argmax(axis=1)).all()
    assert file.read_strip(strips[-1], 2)[0] == file.read_strip(strips[-1])[0]


def _calibration(net, strips):
    from lenet_c.plain_c import asked

    return asked._windows(net, strips)


def _windows_of(net, given):
    """Cut the window of each position, background beyond the strip."""
    channels, height, window = net.architecture.image_shape
    step, width = steps.step_of(net.architecture), given.shape[-1]
    given = given.reshape(channels, height, width)
    left = max(0, window - width) // 2
    n = 1 + max(0, -(-(width - window) // step))
    room = np.zeros((channels, height, n * step + window + width), np.uint8)
    room[:, :, left : left + width] = given
    return np.stack([room[:, :, i * step : i * step + window] for i in range(n)])


@pytest.mark.parametrize(
    ("name", "which", "precision"),
    [("digit", "mnist", "float32"), ("line", "strings", "int8"), ("c", COLOURS, "int8")],
)
def test_a_file_is_c_and_cpp_and_its_own_header(name, which, precision, tmp_path, rng):
    net, path, upper = network(which), tmp_path / f"{name}_1.c", name.upper()
    net.class_names = net.class_names or [str(i) for i in range(net.architecture.characters)]
    export.c(net, path, prefix=name, precision=precision, images=pictures(net, 3, rng))
    (tmp_path / "user.c").write_text(
        f'#define {upper}_HEADER_ONLY\n#include "{path.name}"\n'
        f"int main(void) {{ return {name}_name({upper}_CLASSES)[0] + {upper}_HEIGHT; }}\n"
    )
    exported.compile_c(path, tmp_path / "part.o", "-std=c99", "-c")
    exported.compile_c(tmp_path / "user.c", tmp_path / "user", "-std=c99", tmp_path / "part.o")
    assert subprocess.run([tmp_path / "user"]).returncode == net.architecture.image_shape[1] - (
        4 if which == "mnist" else 0
    )
    commands = [(exported.compiler(), ["-std=c99", "-Wconversion"])]
    commands += [([other], ["-std=c99"]) for other in ("clang",) if shutil.which(other)]
    commands += [([other], ["-x", "c++"]) for other in ("g++", "clang++") if shutil.which(other)]
    for command, flags in commands:
        flags = [*flags, f"-D{upper}_SELF_TEST", "-Wshadow"]
        exported.compile_c(path, tmp_path / "own", *flags, command=command)
        assert subprocess.run([tmp_path / "own"]).returncode == 0


def _links(command):
    program = "#include <stdint.h>\nint main(void) { return 0; }\n"
    try:
        done = subprocess.run(
            [*command, "-x", "c", "-", "-o", "/dev/null"], input=program, text=True, stderr=-3
        )
    except OSError:
        return False
    return done.returncode == 0


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_32_bits(precision, tmp_path, rng):
    command = [*exported.compiler(), "-m32"]
    if not _links(command):
        pytest.skip("no compiler for 32 bits")
    path = tmp_path / "line.c"
    export.c(
        network("strings"), path, precision=precision, images=[np.eye(32, 90, dtype=np.uint8) * 255]
    )
    flags = ["-std=c99", "-O2", "-DLINE_SELF_TEST"]
    exported.compile_c(path, tmp_path / "own", *flags, command=command)
    assert subprocess.run([tmp_path / "own"]).returncode == 0


@pytest.mark.parametrize("level", ["-Os", "-O3"])
@pytest.mark.parametrize(
    ("which", "precision"), [("mnist", "float32"), ("strings", "int8"), (COLOURS, "int8")]
)
def test_a_cortex_m4(which, precision, level, tmp_path, rng):
    command = [
        *("arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16"),
        *("-mfloat-abi=hard", level),
    ]
    if not shutil.which(command[0]) or not shutil.which("qemu-system-arm"):
        pytest.skip("Debian: gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm")
    net, path = network(which), tmp_path / "digit.c"
    export.c(net, path, precision=precision, images=pictures(net, 2, rng))
    exported.compile_c(path, tmp_path / "digit.o", "-std=c99", "-c", command=command)
    tests = Path(__file__).parent
    words = ["-DPREFIX(n)=digit_##n", "-DMACRO(n)=DIGIT_##n", f'-DSOURCE="{path}"']
    linked = ["-nostartfiles", "-T", tests / "cortex_m4.ld"]
    flags = ["-std=gnu99", "-Wno-pedantic", "-DDIGIT_SELF_TEST", *words, *linked]
    exported.compile_c(tests / "cortex_m4.c", tmp_path / "own.elf", *flags, command=command)
    emulator = "qemu-system-arm -M mps2-an386 -nographic -semihosting -monitor none -serial none"
    done = exported.run([*emulator.split(), "-kernel", tmp_path / "own.elf"], timeout=60)
    assert done.returncode == 0, done
    _, stack = done.stderr.split() if done.stderr else done.stdout.split()
    assert 0 < int(stack) < 1024


def test_the_guides_program(tmp_path, monkeypatch):
    pytest.importorskip("sklearn")
    guide = (Path(__file__).parent.parent / "docs" / "one_c_file.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    exec(pasted.blocks(guide)[0], {})
    program = re.search(r"```c\n(#define DIGIT.*?)```", guide, re.DOTALL)[1]
    for name in ("digit", "digit8"):
        text = re.sub("digit(?=_|\\.c)", name, program)
        (tmp_path / "main.c").write_text(text.replace("DIGIT", name.upper()))
        exported.compile_c("main.c", "reader", "-O3", f"{name}.c")
        said = subprocess.run(["./reader"], capture_output=True, text=True).stdout
        assert re.fullmatch(r"1, penalty \d+\.\d\d\n", said)
    export.c(LeNet5.pretrained("strings"), "line.c")
    for line in re.findall(r"^int line_\w+\(.*?, ", guide, re.MULTILINE):
        assert line.split(",")[0] in Path("line.c").read_text()


def test_the_self_test_finds_a_changed_weight(tmp_path, rng):
    net = network("mnist")
    export.c(net, tmp_path / "digit.c", images=pictures(net, 1, rng))
    text = (tmp_path / "digit.c").read_text()
    changed = re.sub(r"(F6_bias\[84\] = \{\n +)[^,]+,", r"\g<1>0.5f,", text)
    assert changed != text
    (tmp_path / "digit.c").write_text(changed)
    exported.compile_c(tmp_path / "digit.c", tmp_path / "own", "-DDIGIT_SELF_TEST")
    assert subprocess.run([tmp_path / "own"]).returncode == 1


@pytest.mark.skipif(shutil.which("nm") is None, reason="no nm")
@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("which", ["mnist", COLOURS, "strings"], ids=id_of)
def test_nothing_can_be_written_and_no_library_is_called(which, precision, tmp_path, rng):
    net = network(which)
    path = tmp_path / "digit.c"
    export.c(net, path, precision=precision, images=pictures(net, 3, rng))
    exported.compile_c(path, tmp_path / "digit.o", "-std=c99", "-O1", "-c", "-fno-pie")
    symbols = subprocess.run(["nm", tmp_path / "digit.o"], capture_output=True, text=True).stdout
    kinds = [line.split()[-2:] for line in symbols.splitlines()]
    assert any(kind in "rR" for kind, _ in kinds)
    assert not [name for kind, name in kinds if kind in "dDbBcCgGsS"]
    called = {name for kind, name in kinds if kind == "U"}
    assert called <= {"memcpy", "memset", "memmove", "_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail"}
    public = {name for kind, name in kinds if kind == "T"}
    assert public
    assert all(name.startswith("digit_") for name in public)


def test_names_temperature_and_thresholds_go_along(tmp_path, rng):
    net = network("mnist")
    net.class_names = [f'{i}"\\?é' for i in range(10)]
    net.temperature = 2.5
    net.rejection = Rejection(penalty=7.0, margin=0.5)
    export.c(net, tmp_path / "Some-Digits.c")
    file = exported.Exported(tmp_path / "Some-Digits.c", prefix="some_digits")
    text = file.source.read_text()
    for line in ("TEMPERATURE 2.5f", "REJECT_PENALTY 7.0f", "REJECT_MARGIN 0.5f"):
        assert f"#define SOME_DIGITS_{line}" in text
    name = file.function("name")
    name.restype = exported.ctypes.c_char_p
    assert [name(i).decode() for i in range(10)] == list(net.class_names)
    assert name(10) == name(-1) == b""


def test_bad_pointers_and_numbers(tmp_path, rng):
    file = written(network("mnist"), tmp_path)
    a = exported.pointer(file.scratch())
    for given in ((None, a, a), (a, None, a), (a, a, None)):
        assert file.function("read")(*given) == -1
    file = written(network("strings"), tmp_path, "line.c")
    room = [exported.pointer(np.zeros(20000, np.float32)) for _ in range(4)]
    pixels, characters, columns, scratch = room
    read = file.function("read")
    assert read(pixels, 40, characters, None, 9, scratch) >= 0
    assert read(pixels, 0, characters, columns, 9, scratch) == -1
    assert read(pixels, 2**30, characters, columns, 9, scratch) == -1
    assert read(pixels, 40, characters, columns, -1, scratch) == -1
    assert read(pixels, 40, None, columns, 9, scratch) == -1
    assert file.function("start")(None, 40, scratch, scratch) == -1
    assert file.function("next")(pixels, 40, None, scratch) == -1


def test_other_sizes_readers_and_open_files(tmp_path, rng):
    net = network("mnist")
    file = written(net, tmp_path, size=(32, 30))
    images = rng.integers(0, 256, (9, 32, 32)).astype(np.uint8)
    images[:, :, [0, -1]] = 0
    assert abs(file.read(images[:, :, 1:-1])[1] - net.forward(images)).max() < 1e-3
    opened = io.BytesIO()
    export.c(LineReader.pretrained(), opened)
    assert b"int lenet_read(" in opened.getvalue()


def test_the_command_writes_files(tmp_path, monkeypatch, capsys):
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["export", "mnist", "--c", "digit.c", "--size", "32x32"]) == 0
    assert "lenet5-1998 written to digit.c, " in capsys.readouterr().out
    int8 = ["--precision", "int8", "--dataset", "digits"]
    assert cli.main(["export", "mnist", "--c", "b.c", "--prefix", "digit", *int8]) == 0
    assert cli.main(["export", "strings", "--c", "line.c", *int8]) == 0
    _, (others, _) = datasets.digits()
    file = exported.Exported(tmp_path / "b.c", prefix="digit")
    classes = file.read(others[:200])[0]
    assert (classes == LeNet5.pretrained("mnist").predict(others[:200])).mean() > 0.98
    assert "#define LINE_STEP 4" in (tmp_path / "line.c").read_text()
    assert "#define DIGIT_WIDTH 32" in (tmp_path / "digit.c").read_text()
    capsys.readouterr()
    assert cli.main(["export", "mnist"]) == 2
    assert "want --onnx FILE or --c FILE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "kind", "text"),
    [
        ({"precision": "int4"}, ValueError, "precision"),
        ({"precision": "int8"}, ValueError, "images: got None"),
        ({"prefix": "2nd"}, ValueError, "prefix: got '2nd'"),
        ({"prefix": 3}, TypeError, "prefix"),
        ({"size": (27, 28)}, ValueError, "size"),
        ({"images": np.zeros((3, 28, 28))}, TypeError, r"images: got float64 \(3, 28, 28\)"),
        ({"images": np.zeros((0, 28, 28), np.uint8)}, TypeError, "images"),
        ({"images": np.zeros((2, 20, 20), np.uint8)}, ValueError, "images"),
    ],
)
def test_bad_arguments(settings, kind, text, tmp_path):
    with pytest.raises(kind, match=text):
        export.c(network("mnist"), tmp_path / "digit.c", **settings)
    assert not list(tmp_path.iterdir())


def test_bad_networks(tmp_path, rng):
    with pytest.raises(TypeError, match="network"):
        export.c("mnist", tmp_path / "digit.c")
    with pytest.raises(ValueError, match=r"prefix='digit'"):
        export.c(network("mnist"), tmp_path / "123.c")
    strips = [np.zeros((32, 40), np.uint8), np.zeros((30, 40), np.uint8)]
    with pytest.raises(TypeError, match=r"images\[1\]: got uint8 \(30, 40\)"):
        export.c(LeNet5(LENET5_STRINGS), tmp_path / "line.c", images=strips)
    net = network("mnist")
    net.parameters[3] = np.nan
    with pytest.raises(ValueError, match="parameters"):
        export.c(net, tmp_path / "digit.c")
    away = Architecture(
        "0 is no level",
        (Conv("C1", 2, 3, padding=1), Dense("o", 2, "identity")),
        (6, 6),
        background=1.0,
        foreground=2.0,
    )
    images = rng.integers(0, 256, (5, 6, 6)).astype(np.uint8)
    with pytest.raises(ValueError, match="layer 'C1': padding"):
        export.c(LeNet5(away), tmp_path / "digit.c", precision="int8", images=images)
    many = LeNet5(Architecture("many", (Dense("o", 4096, "identity"),), (33, 32)))
    with pytest.raises(ValueError, match=r"4,329,472 parameters"):
        export.c(many, tmp_path / "digit.c")
