"""What is built, its metadata, and what it says where it cannot be built."""

import email
import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
import types
import zipfile
from pathlib import Path

import pytest

import lenet_c

ROOT = Path(__file__).parent.parent
ADDRESS = "https://forge.example/people/lenet_c"
LINK = re.compile(r"!?\[[^]]*\]\(([^)\s]+)\)")


@pytest.fixture(scope="module")
def setup():
    """setup.py as a module: its functions, nothing built."""
    pytest.importorskip("Cython")
    pytest.importorskip("setuptools")
    if not (ROOT / "setup.py").exists():
        pytest.skip("no setup.py here")
    spec = importlib.util.spec_from_file_location("setup_of_lenet_c", ROOT / "setup.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def project():
    tomllib = pytest.importorskip("tomllib")
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def run_setup(*arguments, **settings):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LENET_C_", "LD_PRELOAD"))}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=kept | settings,
        capture_output=True,
        text=True,
    )


# ---- the wheel's name ----------------------------------------------------------------------------

ASK_TAG = """
from distutils.core import run_setup
command = run_setup("setup.py", stop_after="config").get_command_obj("bdist_wheel")
command.ensure_finalized()
print(command.get_tag()[:2], command.distribution.ext_modules[0].py_limited_api)
"""


@pytest.mark.parametrize("limited", ["", "0"])
def test_one_wheel_serves_all_later_pythons(setup, limited):
    done = run_setup("-c", "import setuptools" + ASK_TAG, LENET_C_LIMITED_API=limited)
    own = "cp{}{}".format(*sys.version_info[:2])
    wanted = f"{('cp311', 'abi3')} True" if setup.can_be_limited and not limited else None
    assert done.stdout.splitlines()[-1:] == [wanted or f"{(own, own + sys.abiflags)} False"]


@pytest.mark.parametrize("in_place", [True, False])
def test_a_core_is_not_hidden_by_an_older_one(in_place, setup, tmp_path, monkeypatch):
    from setuptools.command.build_ext import build_ext
    from setuptools.dist import Distribution

    monkeypatch.setattr(setup, "ROOT", tmp_path)
    monkeypatch.setattr(build_ext, "copy_extensions_to_source", lambda self: None)
    extension = setup.Extension("lenet_c._core", [], py_limited_api=setup.can_be_limited)
    command = setup.BuildCore(Distribution({"name": "x", "ext_modules": [extension]}))
    command.ensure_finalized()
    own = sysconfig.get_config_var("EXT_SUFFIX")
    files = [tmp_path / "lenet_c" / f"_core{suffix}" for suffix in (own, ".abi3.so", ".so")]
    files[0].parent.mkdir()
    for file in files:
        file.touch()
    if in_place:
        command.copy_extensions_to_source()
    else:
        monkeypatch.setattr(build_ext, "build_extensions", lambda self: None)
        monkeypatch.setattr(command, "compile_side_by_side", lambda: None)
        monkeypatch.setattr(setup, "openmp", False)
        command.compiler = types.SimpleNamespace(compiler_type="unix", compiler_so=None)
        command.build_lib = str(tmp_path)
        command.build_extensions()
    assert [file.exists() for file in files] == [not setup.can_be_limited, True, True]


# ---- no compiler ---------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="MSVC's own class says so")
def test_without_a_compiler_the_build_says_what_to_install(setup, tmp_path):
    where = ["--build-temp", str(tmp_path / "temp"), "--build-lib", str(tmp_path / "lib")]
    done = run_setup(
        "setup.py", "-q", "build_ext", *where, PATH=str(tmp_path), CC="gcc -pthread", CXX="g++"
    )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    said = done.stderr.splitlines()[-1]
    assert said.startswith("error: no C compiler: gcc is not on the PATH; install one: ")
    for remedy in ("apt-get install gcc python3-dev", "xcode-select --install", "variable CC"):
        assert remedy in said


@pytest.mark.skipif(os.name != "posix", reason="the compiler is a script")
def test_without_pythons_headers_the_build_says_what_to_install(setup, tmp_path, monkeypatch):
    from setuptools.command.build_ext import build_ext

    def fail(self):
        raise OSError("Python.h: No such file or directory")

    monkeypatch.setattr(build_ext, "build_extensions", fail)
    monkeypatch.setattr(setup.BuildCore, "compile_side_by_side", lambda self: None)
    monkeypatch.setattr(setup, "openmp", False)
    command = setup.BuildCore.__new__(setup.BuildCore)
    command.compiler = types.SimpleNamespace(compiler_type="unix", compiler_so=["sh"])
    command.extensions = [setup.Extension("lenet_c._core", [])]
    there, nowhere = tmp_path / "there", tmp_path / "nowhere"
    there.mkdir()
    (there / "Python.h").touch()
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(nowhere))
    with pytest.raises(SystemExit, match=r"there is no .*Python\.h: install Python's headers"):
        command.build_extensions()
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(there))
    with pytest.raises(OSError, match="No such file"):
        command.build_extensions()


# ---- metadata ------------------------------------------------------------------------------------


def test_links_of_the_readme_work_elsewhere(setup):
    plain = setup.long_description(None)
    text = setup.long_description(ADDRESS)
    assert plain == (ROOT / "README.md").read_text(encoding="utf-8")
    before, after = LINK.findall(plain), LINK.findall(text)
    assert len(before) == len(after) > 20
    tag = f"v{lenet_c.__version__}"
    for old, new in zip(before, after, strict=True):
        if old.startswith(("https:", "#")):
            assert new == old
            continue
        assert (ROOT / old.partition("#")[0]).exists()
        kind = "raw" if f"]({old})" in plain and old.endswith(".png") else "blob"
        assert new == f"{ADDRESS}/{kind}/{tag}/{old}"


def test_the_address_is_given_or_the_sdists(setup, tmp_path, monkeypatch):
    monkeypatch.setattr(setup, "ROOT", tmp_path)
    monkeypatch.delenv("LENET_C_REPOSITORY", raising=False)
    assert setup.repository() is None
    assert setup.urls(None) == {}
    (tmp_path / "PKG-INFO").write_text(f"Name: lenet_c\nProject-URL: Repository, {ADDRESS}\n\n")
    assert setup.repository() == ADDRESS
    monkeypatch.setenv("LENET_C_REPOSITORY", "https://other.example/a/b/")
    assert setup.repository() == "https://other.example/a/b"
    monkeypatch.setenv("LENET_C_REPOSITORY", "git@other.example:a/b")
    with pytest.raises(SystemExit, match="want https://HOST/OWNER/NAME"):
        setup.repository()


def test_metadata(setup, project, tmp_path):
    done = run_setup(
        *("setup.py", "-q", "egg_info", "--egg-base", str(tmp_path)), LENET_C_REPOSITORY=ADDRESS
    )
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("*.egg-info/PKG-INFO")
    said = email.message_from_string(path.read_text(encoding="utf-8"))
    assert said["Author"]
    assert said["License-Expression"] == "BSD-3-Clause"
    assert "Typing :: Typed" in said.get_all("Classifier")
    found = dict(line.split(", ", 1) for line in said.get_all("Project-URL"))
    assert found["Repository"] == ADDRESS
    assert all(link.startswith(ADDRESS) for link in found.values())
    assert said["Description-Content-Type"] == "text/markdown"
    assert f"{ADDRESS}/blob/v{lenet_c.__version__}/docs/lines.md" in said.get_payload()


def test_the_readme_names_every_extra(project):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = text[text.index("Optional extras:") :].partition("\n\n")[0]
    named = re.findall(r"(?:: |, )`(\w+)`(?= \(|[,.])", " ".join(listed.split()))
    assert named == list(dict.fromkeys(named))
    assert sorted(named) == sorted(project["project"]["optional-dependencies"])


def test_dependency_groups_are_the_extras(project):
    groups, extras = project["dependency-groups"], project["project"]["optional-dependencies"]

    def flat(name):
        for entry in groups[name]:
            yield from flat(entry["include-group"]) if isinstance(entry, dict) else [entry]

    for name in ("dev", "peers"):
        assert sorted(flat(name)) == sorted(e for e in extras[name] if not e.startswith("lenet_c"))


def test_packages_are_listed(project):
    folders = {path.parent for path in (ROOT / "lenet_c").rglob("__init__.py")}
    names = sorted(folder.relative_to(ROOT).as_posix().replace("/", ".") for folder in folders)
    assert sorted(project["tool"]["setuptools"]["packages"]) == names


# ---- types, PyInstaller, archives ----------------------------------------------------------------


def test_an_editable_install_is_a_path(project):
    """Type checkers follow no import hook, which setuptools makes of other layouts."""
    assert project["tool"]["setuptools"]["package-dir"] == {"": "."}
    assert (Path(lenet_c.__file__).parent / "py.typed").exists()
    assert (Path(lenet_c.__file__).parent / "_core.pyi").exists()


def test_pyinstaller_finds_the_hook(project, monkeypatch):
    from lenet_c import __pyinstaller

    points = project["project"]["entry-points"]["pyinstaller40"]
    assert points == {"hook-dirs": "lenet_c.__pyinstaller:get_hook_dirs"}
    (folder,) = __pyinstaller.get_hook_dirs()
    asked = []
    hooks = types.ModuleType("PyInstaller.utils.hooks")
    hooks.collect_data_files = lambda name, **_: asked.append(name) or ["ascii.txt"]
    hooks.collect_submodules = lambda name, **_: asked.append(name) or ["lenet_c.model"]
    for name in ("PyInstaller", "PyInstaller.utils"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "PyInstaller.utils.hooks", hooks)
    hook: dict = {}
    exec((Path(folder) / "hook-lenet_c.py").read_text(encoding="utf-8"), hook)
    assert asked == ["lenet_c", "lenet_c"]
    assert (hook["datas"], hook["hiddenimports"]) == (["ascii.txt"], ["lenet_c.model"])


def test_codes_are_read_from_an_archive_too(tmp_path):
    """And not before somebody asks."""
    package = Path(lenet_c.__file__).parent
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        for name in ("__init__.py", "checks.py", "codes.py", "ascii.txt"):
            archive.write(package / name, f"lenet_c/{name}")
    code = (
        "import sys\n"
        f"sys.path.insert(0, {str(tmp_path / 'archive.zip')!r})\n"
        "from lenet_c import codes\n"
        "print('archive.zip' in codes.__file__, 'importlib.resources' in sys.modules)\n"
        "print(codes.ASCII is codes.ASCII, (codes.of('7') == codes.DIGITS[7]).all())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True False\nTrue True\n"


# ---- the workflow --------------------------------------------------------------------------------


def test_the_workflow(project):
    yaml = pytest.importorskip("yaml")
    path = ROOT / ".github" / "workflows" / "wheels.yml"
    if not path.exists():
        pytest.skip("no workflow in this folder")
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    assert set(jobs["release"]["needs"]) == {*jobs} - {"release"}
    assert jobs["release"]["if"] == "startsWith(github.ref, 'refs/tags/v')"
    settings = project["tool"]["cibuildwheel"]
    assert {*settings["build"]} >= {"cp310-*", "cp311-*"}
    assert settings["test-groups"] == ["test"]
    for command in settings["test-command"]:
        for name in re.findall(r"tests/\w+\.py", command):
            assert (ROOT / name).exists(), name
