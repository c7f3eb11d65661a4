"""The site: what its reference, its lists of pages, its notebooks and its papers must have."""

import html
import importlib
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lenet_c
from lenet_c import cli

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))
pytestmark = pytest.mark.skipif(
    not (ROOT / "SECURITY.md").exists(), reason="a copy without all pages"
)


# ---- the reference ----


def public():
    """Give what is public, by its full name: `lenet_c.__all__`, and what its modules offer."""
    found = {}
    for name in lenet_c.__all__:
        value = found[f"lenet_c.{name}"] = getattr(lenet_c, name)
        if inspect.ismodule(value):
            offered = getattr(value, "__all__", None) or [
                own
                for own, it in vars(value).items()
                if not own.startswith("_") and getattr(it, "__module__", "") == value.__name__
            ]
            found |= {f"lenet_c.{name}.{one}": getattr(value, one) for one in offered}
    return found


def value_of(name):
    """Give what a full name stands for, None where it is nothing (what only instances have)."""
    module, _, rest = name.rpartition(".")
    try:
        return importlib.import_module(name)
    except ImportError:
        return getattr(value_of(module), rest, None) if module else None


def undocumented(documented):
    """List what is public and is documented under none of its names."""
    values = [value_of(name) for name in documented]
    return [
        name
        for name, it in public().items()
        if name not in documented and not any(it is value for value in values)
    ]


BUILD = """\
import sys
from sphinx.application import Sphinx
root, out = sys.argv[1:]
settings = {
    "root_doc": "docs/api/networks",
    "include_patterns": ["docs/api/*"],
    "extensions": ["sphinx.ext." + name for name in ("autodoc", "autosummary", "napoleon")],
}
app = Sphinx(root, f"{root}/docs", out, f"{out}/.doctrees", "html", settings, None)
app.build()
print(*app.env.domains["py"].objects, sep="\\n")
"""


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The names that the built reference documents, and its folder."""
    for package in ("sphinx", "furo"):
        pytest.importorskip(package, reason='the extra "docs" is not installed')
    folder = tmp_path_factory.mktemp("reference")
    command = [sys.executable, "-c", BUILD, str(ROOT), str(folder)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return {*result.stdout.splitlines()}, folder


def test_the_reference_has_every_public_name(reference):
    documented, _ = reference
    assert {"lenet_c.LeNet5", "lenet_c.LeNet5.predict", "lenet_c.plot.filters"} <= documented
    assert not undocumented(documented), "add them to a page of docs/api"


def test_a_name_that_is_missing_is_told(reference):
    documented, _ = reference
    without = documented - {"lenet_c.LeNet5", "lenet_c.model.LeNet5", "lenet_c.plot.filters"}
    assert undocumented(without) == [
        "lenet_c.LeNet5",
        "lenet_c.plot.filters",
    ]
    assert "lenet_c.LENET5_1998" in undocumented(set())


def test_formulas_are_drawn(reference):
    _, folder = reference
    page = (folder / "docs" / "api" / "networks.html").read_text(encoding="utf-8")
    assert re.search(r"<math .*?<munder>.*?</math>", page, re.S)
    assert "<script src='http" not in page.replace('"', "'")  # nothing comes from elsewhere
    assert ".. math::" not in page


def test_every_command_is_there(reference, capsys):
    _, folder = reference
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    names = re.findall(r"^    ([a-z]+) ", capsys.readouterr().out, re.M)
    assert {"train", "read", "info"} <= {*names}
    page = html.unescape((folder / "docs" / "api" / "command.html").read_text(encoding="utf-8"))
    for name in names:
        assert f"usage: lenet-c {name} [-h]" in re.sub(r"<[^>]+>", "", page), name


# ---- the pages ----


def listed():
    """Give the pages that the index lists, from docs/."""
    index = (DOCS / "index.rst").read_text(encoding="utf-8")
    trees = re.findall(r"^\.\. toctree::\n((?: {3}.*\n|\n)+)", index, re.M)
    lines = [line.strip() for tree in trees for line in tree.splitlines()]
    return [re.sub(r".*<(.*)>", r"\1", line) for line in lines if line and line[0] != ":"]


def test_the_index_lists_every_page_once():
    pages = listed()
    assert len(pages) == len({*pages})
    there = [
        *(page.with_suffix("").relative_to(DOCS).as_posix() for page in NOTEBOOKS),
        *(page.stem for page in DOCS.glob("*.md")),
        *(f"api/{page.stem}" for page in DOCS.glob("api/*.rst")),
        *(f"../{page.stem}" for page in ROOT.glob("*.md")),
        "measured/README",
    ]
    assert sorted(pages) == sorted(there)


def pictures_there():
    return [path for kind in ("png", "gif", "svg") for path in DOCS.glob(f"**/*.{kind}")]


def test_the_gallery_has_every_picture():
    shown = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", (DOCS / "gallery.md").read_text("utf-8"))
    pictures = [path.relative_to(DOCS).as_posix() for path in pictures_there()]
    assert sorted({*shown, "lines-field.png"}) == sorted(pictures)  # that one is in the README


# ---- the notebooks ----


def test_there_are_notebooks():
    assert [notebook.stem for notebook in NOTEBOOKS] == [
        "fine_tune_and_keep",
        "train_and_look_inside",
        "your_own_pictures",
    ]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(notebook):
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    assert cells[0]["cell_type"] == "markdown"
    assert cells[0]["source"][0].startswith("# ")
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    for cell in cells:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", "".join(cell["source"])):
            assert (notebook.parent / target).exists(), target


# ---- papers ----


def test_the_citation_is_of_this_version():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.*)$", text, re.M)[1] == lenet_c.__version__
    assert re.search(r"^license: (.*)$", text, re.M)[1] == "BSD-3-Clause"
    assert "doi: 10.1109/5.726791" in text


def test_the_licences_name_all_data_that_is_shipped():
    page = (DOCS / "licences.md").read_text(encoding="utf-8")
    package = Path(lenet_c.__file__).parent
    data = [*package.glob("**/*.npz"), *package.glob("**/*.txt")]
    assert len(data) >= 4
    for path in data:
        assert f"{path.relative_to(package).as_posix()}`" in page, path
    named = re.findall(r"`(docs/[\w/*.-]+\.(?:png|gif|svg))`", page)
    for picture in pictures_there():
        path = picture.relative_to(ROOT)
        assert sum(path.match(pattern) for pattern in named) == 1, path
