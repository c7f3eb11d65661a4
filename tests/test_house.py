"""The core's house: calls run downward; a kind of layer that lacks something does not compile."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

CSRC = Path(__file__).parent.parent / "csrc"
CC = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")

# From the ground up: a file includes files of its own room and of those before it.
ROOMS = ["sys", "strings", "kernels", "layers", "plan", "run", "files"]
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)
# what a list says when an editor opens it by itself; those that include it define KERNEL
ALONE = re.compile(r"^#ifndef KERNEL\b.*?^#endif", re.MULTILINE | re.DOTALL)


def includes(core):
    """Map each file of the core, by its path from csrc, to those that it includes."""
    files = sorted([*core.rglob("*.c"), *core.rglob("*.h")])
    return {
        file.relative_to(core).as_posix(): INCLUDE.findall(
            ALONE.sub("", file.read_text(encoding="utf-8"))
        )
        for file in files
    }


def upward(found):
    """List the includes that lead to a higher room, or to a file that there is not."""
    bad = []
    for file, names in found.items():
        for name in names:
            room, wanted = file.partition("/")[0], name.partition("/")[0]
            if name not in found:
                bad.append(f"{file} includes {name}, which is not a path from csrc")
            elif name == "lenet.h":
                continue
            elif room == "lenet.h" or ROOMS.index(wanted) > ROOMS.index(room):
                bad.append(f"{file} includes {name}, which is above it")
    return bad


def circle(found):
    """Find files, a .c and its .h as one, that include each other in a circle."""
    graph = {}
    for file, names in found.items():
        module = file.rpartition(".")[0]
        graph.setdefault(module, set()).update(name.rpartition(".")[0] for name in names)
        graph[module].discard(module)
    done = set()

    def visit(module, path):
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        for other in sorted(graph[module]):
            found = visit(other, [*path, module])
            if found:
                return found
        done.add(module)
        return []

    for module in sorted(graph):
        found_circle = visit(module, [])
        if found_circle:
            return found_circle
    return []


def test_calls_run_downward():
    found = includes(CSRC)
    assert {file.partition("/")[0] for file in found} == {*ROOMS, "lenet.h"}
    assert len(found) > 30
    assert upward(found) == []
    assert circle(found) == []


def test_an_upward_include_is_seen():
    assert upward({"run/loss.h": [], "kernels/kernels.h": ["run/loss.h"]})
    assert upward({"lenet.h": ["sys/loop.h"], "sys/loop.h": []})
    assert upward({"run/loss.c": ["loss.h"]})
    assert not upward({"run/loss.h": ["sys/loop.h", "lenet.h"], "sys/loop.h": [], "lenet.h": []})


def test_a_circle_is_seen():
    files = {"run/a.h": [], "run/b.h": [], "run/a.c": ["run/a.h", "run/b.h"], "run/b.c": []}
    assert circle(files) == []
    assert circle({**files, "run/b.c": ["run/b.h", "run/a.h"]}) == ["run/a", "run/b", "run/a"]


def test_functions_are_defined_in_the_file_of_their_header():
    """What run/x.h, plan/x.h or layers/x.h declares is defined in a file of the same room."""
    for header in [*CSRC.glob("run/*.h"), *CSRC.glob("plan/*.h")]:
        text = header.read_text(encoding="utf-8")
        sources = "".join(c.read_text(encoding="utf-8") for c in header.parent.glob("*.c"))
        for name in re.findall(
            r"^(?!static)\w[\w *]*?\b(lenet_\w+)\([^;{]*\);", text, re.MULTILINE
        ):
            assert re.search(rf"^\w[\w *]*\b{name}\([^;]*?\)\s*{{", sources, re.MULTILINE), name


def test_headers_say_what_they_are():
    for header in CSRC.rglob("*.h"):
        assert header.read_text(encoding="utf-8").startswith("/* "), header


def test_nothing_outside_layers_asks_for_a_kind():
    kinds = re.findall(r"KIND\((LENET_\w+), \w+\)", (CSRC / "layers/layer.h").read_text("utf-8"))
    assert len(kinds) >= 5
    for file in CSRC.rglob("*.[ch]"):
        # the last of them gives the kinds that a file names their numbers
        if file.parent.name == "layers" or file.name in ("lenet.h", "network_file.c"):
            continue
        text = file.read_text(encoding="utf-8")
        assert not re.search(rf"\b({'|'.join(kinds)})\b", text), file
        assert not re.search(r"lenet_kind_(?!of\b)\w", text), file


# ---- what does not compile -----------------------------------------------------------------------


@pytest.fixture
def core(tmp_path):
    """A copy of the core, to be changed."""
    if CC is None:
        pytest.skip("no C compiler here")
    shutil.copytree(CSRC, tmp_path / "csrc")
    return tmp_path / "csrc"


def change(file, old, new):
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, old
    file.write_text(text.replace(old, new), encoding="utf-8")


def compile_errors(core, name):
    """Compile a file of the core with ordinary flags; what the compiler says if it will not."""
    command = [*CC.split(), "-std=c11", "-fsyntax-only", f"-I{core}", str(core / name)]
    run = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
    return run.stderr if run.returncode else ""


def test_the_kinds_compile(core):
    for file in core.glob("layers/*.c"):
        assert not compile_errors(core, f"layers/{file.name}")


def test_a_kind_without_an_entry_does_not_compile(core):
    change(core / "lenet.h", "    LENET_LAYER_KINDS", "    LENET_FAKE,\n    LENET_LAYER_KINDS")
    assert "LAYER_KINDS lacks a kind" in compile_errors(core, "layers/kinds.c")
    # one in another's place, as long as the list is
    change(
        core / "layers/layer.h",
        "KIND(LENET_RBF, rbf)",
        "KIND(LENET_RBF, rbf) KIND(LENET_RBF, fake)",
    )
    assert compile_errors(core, "layers/kinds.c")


def test_kinds_in_another_order_do_not_compile(core):
    change(core / "lenet.h", "    LENET_LAYER_KINDS", "    LENET_FAKE,\n    LENET_LAYER_KINDS")
    fake = "KIND(LENET_FAKE, fake) KIND(LENET_RBF, rbf)"
    change(core / "layers/layer.h", "KIND(LENET_RBF, rbf)", fake)
    assert "order" in compile_errors(core, "layers/kinds.c")


def members():
    text = (CSRC / "layers/layer.h").read_text(encoding="utf-8")
    body = text[text.index("struct layer_kind {") : text.index("#define LAYER_KINDS(KIND)")]
    return re.findall(r"\(\*(\w+)\)\(", body)


@pytest.mark.parametrize("member", members())
def test_a_kind_without_a_function_does_not_compile(core, member):
    file = core / "layers/rbf.c"
    text = file.read_text(encoding="utf-8")
    entry = re.search(rf" *\.{member} = \w+(,\n|\);)", text)
    assert entry
    without = text.replace(entry[0], "" if entry[1] != ");" else ");")
    file.write_text(without, encoding="utf-8")
    assert compile_errors(core, "layers/rbf.c")
    file.write_text(without.replace(",\n);", ");"), encoding="utf-8")  # nor without the comma
    assert compile_errors(core, "layers/rbf.c")
    # nor with another member twice
    other = ".make" if member != "make" else ".forward"
    twice = re.search(rf"{other} = \w+", text)
    assert twice
    file.write_text(text.replace(f".{member} =", f"{other} ="), encoding="utf-8")
    assert compile_errors(core, "layers/rbf.c")
