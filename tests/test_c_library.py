"""The C interface, installed: header, version, exports, CMake, pkg-config, and model files in C."""

import ctypes
import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from random import Random

import numpy as np
import pytest

import lenet_c
from lenet_c import Architecture, Dense, Ensemble, LeNet5, datasets, headers, model_file
from tests.fuzz import files, native
from tests.fuzz.files import networks, packed
from tests.sanitized import without

ROOT = Path(__file__).parent.parent
CSRC = ROOT / "csrc"
HEADER = (CSRC / "lenet.h").read_text(encoding="utf-8")
DECLARED = {*re.findall(r"^LENET_API [\w *]*?\b(lenet_\w+)\(", HEADER, re.MULTILINE)}
FIXTURES = sorted((ROOT / "tests" / "fixtures").glob("model-*.npz"))

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="of Linux's libraries"),
    pytest.mark.filterwarnings("ignore::lenet_c.InputWarning"),  # of random pixels
]


# ---- the header and what is exported ----


def test_the_version_is_pythons():
    numbers = re.findall(r"^#define LENET_VERSION_[MP][A-Z]+ (\d+)$", HEADER, re.MULTILINE)
    assert ".".join(numbers) == lenet_c.__version__
    assert native.LIBRARY.lenet_version().decode() == lenet_c.__version__


def test_get_include(tmp_path, monkeypatch):
    assert (Path(lenet_c.get_include()) / "lenet.h").is_file()
    package = tmp_path / "lenet_c"
    (package / "include").mkdir(parents=True)
    monkeypatch.setattr(headers, "__file__", str(package / "headers.py"))
    with pytest.raises(FileNotFoundError, match=r"^lenet\.h: got neither .* want a wheel or a"):
        lenet_c.get_include()
    (package / "include" / "lenet.h").touch()
    assert lenet_c.get_include() == str((package / "include").resolve())


def test_the_header_is_in_the_wheel(tmp_path):
    for package in ("Cython", "setuptools"):
        pytest.importorskip(package)
    if not (ROOT / "setup.py").exists():
        pytest.skip("no setup.py here")
    command = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert (tmp_path / "lenet_c" / "include" / "lenet.h").read_text("utf-8") == HEADER
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import lenet_c"
    code += "; print(lenet_c.get_include())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.strip() == str((tmp_path / "lenet_c" / "include").resolve()), done.stderr


def test_every_function_of_the_header_is_exported():
    plain = re.sub(r"/\*.*?\*/", "", HEADER, flags=re.DOTALL)
    plain = re.sub(r"(?:typedef )?(?:enum|struct)[^;{]*\{.*?\}[^;]*;", "", plain, flags=re.DOTALL)
    assert {*re.findall(r"\b(lenet_\w+)\(", plain)} == DECLARED
    assert len(DECLARED) > 60


def exported(library):
    """List the functions that a shared library exports."""
    if not shutil.which("nm"):
        pytest.skip("no nm here")
    done = subprocess.run(
        ["nm", "-D", "--defined-only", str(library)], check=True, capture_output=True, text=True
    )
    return {line.split()[2].partition("@")[0] for line in done.stdout.splitlines()}


def test_the_core_exports_the_header_and_nothing_else():
    names = exported(lenet_c._core.__file__)
    assert "PyInit__core" in names
    assert {name for name in names if name.startswith("lenet")} == DECLARED


# ---- model files ----


@pytest.mark.parametrize("name", model_file.pretrained_files())
def test_c_reads_what_comes_with_the_library(name):
    python = LeNet5.pretrained(name)
    file = model_file.pretrained_files()[name]
    with native.loaded(file.read_bytes()) as (status, net):
        assert status == native.OK
        for seed in range(4):
            native.same(python, net, Random(seed))
        assert net.blank == python.architecture.blank
        images = datasets.digits()[1][0][:40]
        assert np.array_equal(native.forward(net, images), python.forward(images, num_threads=1))
    assert native.from_path(str(file)) == native.OK


def test_c_reads_every_value_of_half_the_size():
    linear = Dense("out", units=62, activation="identity")
    net = LeNet5(Architecture("linear", (linear,), input_shape=(16, 16)))
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    every = every[np.isfinite(every)].astype(np.float32)
    images = np.random.default_rng(0).integers(0, 256, (20, 16, 16), np.uint8)
    n = net.n_parameters
    for values in [every[k : k + n] for k in range(0, len(every) - n, n)] + [every[-n:]]:
        net.parameters = values
        file = io.BytesIO()
        net.save(file, half=True)
        with native.loaded(file.getvalue()) as (status, found):
            assert status == native.OK
            np.testing.assert_array_equal(
                native.forward(found, images), net.forward(images, num_threads=1)
            )


def test_c_refuses_a_committees_file():
    file = io.BytesIO()
    Ensemble([LeNet5()]).save(file)
    with native.loaded(file.getvalue()) as (status, net):
        assert status == native.BAD_FILE
        assert net is None


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_c_reads_what_older_versions_wrote(path):
    python = LeNet5.load(path)
    with native.loaded(path.read_bytes()) as (status, net):
        assert status == native.OK
        native.same(python, net, Random(0))


@pytest.mark.parametrize("net", networks(), ids=lambda net: net.architecture.name)
def test_c_reads_networks_of_every_kind(net):
    with native.loaded(packed(net)) as (status, found):
        assert status == native.OK
        native.same(net, found, Random(1))


def test_numbers_are_read_in_any_locale(tmp_path):
    """Where a comma is the decimal point."""
    if not shutil.which("localedef"):
        pytest.skip("no localedef here")
    made = ["localedef", "-i", "de_DE", "-f", "UTF-8", str(tmp_path / "de_DE.UTF-8")]
    if subprocess.run(made, capture_output=True).returncode:
        pytest.skip("no definitions of locales here")
    code = (
        "import locale\n"
        "locale.setlocale(locale.LC_ALL, 'de_DE.UTF-8')\n"
        "assert locale.localeconv()['decimal_point'] == ','\n"
        "from tests.fuzz import native\n"
        "from lenet_c import model_file\n"
        "with native.loaded(model_file.pretrained_files()['mnist'].read_bytes()) as (_, net):\n"
        "    assert abs(net.input.background[0] + 0.1) < 1e-6, net.input.background[0]\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "LOCPATH": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_every_changed_bit_is_noticed():
    content = bytearray(packed(networks()[0]))
    guarded = native.Guarded(len(content))
    random = Random(2)
    for _ in range(300):
        at, bit = random.randrange(len(content)), 1 << random.randrange(8)
        content[at] ^= bit
        with native.loaded(bytes(content), guarded) as (status, net):
            if status == native.OK:  # times, and fields that name a system, say nothing
                native.same(networks()[0], net, random)
        content[at] ^= bit


def test_every_end_that_is_missing_is_noticed():
    content = packed(networks()[0])
    guarded = native.Guarded(len(content))
    for n in range(len(content)):
        with native.loaded(content[:n], guarded) as (status, _):
            assert status == native.BAD_FILE


def changed(change, layer=None):
    """Give the file of a small network with other metadata, or layer, and a right checksum."""
    base = packed(networks()[0])
    with zipfile.ZipFile(io.BytesIO(base)) as archive:
        members = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    about = json.loads(files.Files._data(members["metadata.npy"]))
    (about if layer is None else about["architecture"]["layers"][layer]).update(change)
    random = Random(1)
    text = json.dumps(about).encode()
    members["metadata.npy"] = files.npy("False", f"({len(text)},)", "|u1", text, random)
    digest = files.Files.checksum(members)
    members["checksum.npy"] = files.npy("False", "(32,)", "|u1", digest, random)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return out.getvalue()


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"version": 2}, native.NEWER_FILE),
        ({"version": 0}, native.BAD_FILE),
        ({"format": "another"}, native.BAD_FILE),
        ({"kind": "training"}, native.BAD_FILE),
        ({"temperature": 0}, native.BAD_FILE),
        ({"temperature": True}, native.BAD_FILE),
        ({"class_names": ["a"]}, native.BAD_FILE),
        ({"class_names": ["a", "b", "\ud800"]}, native.BAD_FILE),
        ({"class_names": ["a", "b", ""]}, native.BAD_FILE),
        ({"rejection": {"penalty": -1}}, native.BAD_FILE),
        ({"architecture": {}}, native.BAD_FILE),
        ({"notes": "anything"}, native.OK),
    ],
)
def test_metadata_that_cannot_be(change, status):
    with native.loaded(changed(change)) as (found, _):
        assert found == status


@pytest.mark.parametrize(
    ("layer", "change"),
    [
        (0, {"maps": 4097}),
        (0, {"maps": 4096}),
        (0, {"maps": -1}),
        (0, {"kernel": 9}),
        (0, {"kernel": 5}),  # fewer parameters than the file has
        (0, {"padding": 3}),
        (0, {"kind": "other"}),
        (0, {"dilation": 2}),
        (0, {"activation": "swish"}),
        (0, {"table": [[0], [1]]}),
        (0, {"table": [[0], []]}),
        (0, {"table": [[0]]}),
        (1, {"table": [[0], [2]]}),
        (1, {"table": [[0], [0, 1]]}),
        (1, {"table": [[0], []]}),
        (1, {"table": [[0], [1], [1]]}),  # more parameters than the file has
        (1, {"table": []}),
        (1, {"table": "all"}),
        (1, {"maps": 2}),
        (2, {"units": 6}),
        (3, {"classes": 4}),
        (3, {"trained": True}),
    ],
)
def test_layers_that_cannot_be(layer, change):
    with native.loaded(changed(change, layer)) as (status, _):
        assert status == native.BAD_FILE


@pytest.mark.parametrize("change", [{"table": None}, {"table": [[1], [0]]}])
def test_sums_may_have_a_table(change):
    with native.loaded(changed(change, 1)) as (status, _):
        assert status == native.OK


def test_a_wrong_checksum_is_noticed():
    """In a zip file that is right."""
    content = packed(networks()[0])
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    at = len(members["parameters.npy"]) - 1
    for name in ("parameters.npy", "checksum.npy"):
        values = bytearray(members[name])
        values[min(at, len(values) - 1)] ^= 1
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for other, member in members.items():
                archive.writestr(zipfile.ZipInfo(other), bytes(values) if other == name else member)
        with native.loaded(out.getvalue()) as (status, _):
            assert status == native.BAD_FILE


@pytest.mark.parametrize(
    ("field", "value"), [(16, 1), (20, 1), (24, 1), (42, 1), (42, 1 << 30), (10, 8)]
)
def test_a_directory_that_lies_is_noticed(field, value):
    """Of its last entry: checksum, sizes, place, compression."""
    content = bytearray(packed(networks()[0]))
    at = content.rindex(b"PK\x01\x02") + field
    content[at] ^= value & 255
    content[at + 3] ^= value >> 24
    guarded = native.Guarded(len(content))
    with native.loaded(bytes(content), guarded) as (status, _):
        assert status == native.BAD_FILE


def test_a_member_that_is_longer_than_the_file_is_not_read():
    content = bytearray(packed(networks()[0]))
    at = content.rindex(b"PK\x01\x02")
    for field in (20, 24):
        content[at + field : at + field + 4] = (1 << 27).to_bytes(4, "little")
    with native.loaded(bytes(content), native.Guarded(len(content))) as (status, _):
        assert status == native.BAD_FILE


def test_files_that_cannot_be_read(tmp_path):
    assert native.from_path(tmp_path / "none.npz") == native.NO_FILE
    assert native.from_path(tmp_path) == native.NO_FILE
    (tmp_path / "empty.npz").touch()
    assert native.from_path(tmp_path / "empty.npz") == native.BAD_FILE


def test_nothing_to_free():
    native.LIBRARY.lenet_network_free(ctypes.POINTER(native.LoadedNetwork)())


# ---- CMake, pkg-config, and the programs of docs/embedding.md ----

PAGE = ROOT / "docs" / "embedding.md"
PROJECT = """\
cmake_minimum_required(VERSION 3.16)
project(consumer LANGUAGES CXX)
find_package(lenet_c 0.1 REQUIRED)
add_executable(reader reader.cpp)
set_target_properties(reader PROPERTIES CXX_STANDARD 14)
target_link_libraries(reader PRIVATE lenet_c::lenet)
"""


def tool(name):
    """Give a tool's path, or skip the test."""
    return shutil.which(name) or pytest.skip(f"no {name} here")


def run(*command, **settings):
    settings = {"env": without(), **settings}
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, **settings)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def build(source, folder, *options):
    ninja = ["-G", "Ninja"] if shutil.which("ninja") else []
    run(tool("cmake"), "-S", source, "-B", folder, *ninja, *options)
    run("cmake", "--build", folder)


def install(folder, *options):
    """Build the library with portable kernels alone, which compile quickly, and install it."""
    if not (CSRC / "CMakeLists.txt").exists() or not shutil.which("cc"):
        pytest.skip("no CMakeLists.txt, or no compiler")
    quick = [f"-DLENET_{isa}=OFF" for isa in ("AVX512", "AVX2", "NEON")]
    quick += ["-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_C_FLAGS_DEBUG=-Og"]
    build(CSRC, folder / "build", *quick, *options)
    # into a folder that is not the one that was configured
    run("cmake", "--install", folder / "build", "--prefix", folder / "prefix")
    return folder


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return install(tmp_path_factory.mktemp("shared"), "-DBUILD_SHARED_LIBS=ON")


@pytest.fixture(scope="module")
def static(tmp_path_factory):
    return install(tmp_path_factory.mktemp("static"), "-DLENET_TESTS=OFF")


def library_of(installed):
    (found,) = (installed / "prefix").glob("lib*/**/liblenet.so")
    return found


def page(language):
    """Give the program of that language in the guide."""
    if not PAGE.exists():
        pytest.skip("a copy without all pages")
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    return max(blocks, key=len)


def reads_digits(program, folder, **settings):
    """Run a program of the guide on some digits; what it says, and what Python reads."""
    images = datasets.digits()[1][0][:6]
    model = folder / "model.npz"
    net = LeNet5.pretrained("mnist")
    net.save(model)
    said = []
    for image in images:
        (folder / "digit.pgm").write_bytes(b"P5 28 28 255\n" + image.tobytes())
        said.append(run(program, model, folder / "digit.pgm", **settings).strip())
    # without the distance, which is not computed in C
    net.rejection = lenet_c.Rejection(penalty=net.rejection.penalty, margin=net.rejection.margin)
    classes, rejected = net.predict(images), net.read(images).rejected
    assert [text[0] for text in said] == [str(c) for c in classes]
    return said, [f"{c}{' (doubtful)' * int(r)}" for c, r in zip(classes, rejected, strict=True)]


def test_ctest_passes(shared):
    assert "100% tests passed, 0 tests failed out of 1" in run(
        "ctest", "--test-dir", shared / "build"
    )


def test_a_shared_library_exports_the_header_and_nothing_else(shared):
    assert exported(library_of(shared)) - {"_init", "_fini"} == DECLARED


def test_instruction_sets_can_be_left_out(shared):
    library = ctypes.CDLL(str(library_of(shared)))
    library.lenet_available_isa.restype = ctypes.c_char_p
    assert [library.lenet_available_isa(n) for n in (0, 1)] == [b"portable", None]
    library.lenet_version.restype = ctypes.c_char_p
    assert library.lenet_version().decode() == lenet_c.__version__
    assert library_of(shared).resolve().name == f"liblenet.so.{lenet_c.__version__}"


@pytest.mark.parametrize("kind", ["shared", "static"])
def test_pkg_config_and_the_program_in_c(kind, request, tmp_path):
    installed = request.getfixturevalue(kind)
    (file,) = (installed / "prefix").glob("lib*/**/lenet_c.pc")
    environment = {**without(), "PKG_CONFIG_PATH": str(file.parent)}
    asked = [tool("pkg-config"), "lenet_c"]
    assert run(*asked, "--modversion", env=environment).strip() == lenet_c.__version__
    flags = run(*asked, "--cflags", "--libs", env=environment).split()
    code = page("c")
    (tmp_path / "reader.c").write_text(code, encoding="utf-8")
    assert len(code.splitlines()) <= 40
    strict = ["-std=c11", "-Wall", "-Wextra", "-Werror"]
    run("cc", *strict, tmp_path / "reader.c", *flags, "-o", tmp_path / "reader")
    environment["LD_LIBRARY_PATH"] = str(file.parent.parent)
    said, wanted = reads_digits(tmp_path / "reader", tmp_path, env=environment)
    assert said == wanted
    assert {"1 (doubtful)", "2"} <= {*said}
    for arguments, code in (([], 2), ([tmp_path / "none.npz", tmp_path / "digit.pgm"], 1)):
        command = [tmp_path / "reader", *arguments]
        assert subprocess.run(command, env=environment, capture_output=True).returncode == code


@pytest.mark.parametrize("kind", ["shared", "static"])
def test_find_package_and_the_program_in_cpp(kind, request, tmp_path):
    installed = request.getfixturevalue(kind)
    tool("c++")
    (tmp_path / "CMakeLists.txt").write_text(PROJECT)
    (tmp_path / "reader.cpp").write_text(page("cpp"), encoding="utf-8")
    build(tmp_path, tmp_path / "build", f"-DCMAKE_PREFIX_PATH={installed / 'prefix'}")
    reads_digits(tmp_path / "build" / "reader", tmp_path)


def test_the_program_in_rust(shared, tmp_path):
    (tmp_path / "reader.rs").write_text(page("rust"), encoding="utf-8")
    folder = library_of(shared).parent
    run(
        *(tool("rustc"), "--edition", "2021", "-D", "warnings", tmp_path / "reader.rs"),
        *("-L", folder, "-l", "lenet", "-o", tmp_path / "reader"),
    )
    environment = {**without(), "LD_LIBRARY_PATH": str(folder)}
    reads_digits(tmp_path / "reader", tmp_path, env=environment)
