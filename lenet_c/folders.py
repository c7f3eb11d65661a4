"""Pictures of one's own with what they show: a folder a class, or a table of files.

A table gives the class of each picture's one character, or the text of a field of several.
"""

from __future__ import annotations

import csv
import errno
import io
import os
import re
import unicodedata
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from lenet_c import _core, checks, files
from lenet_c.classes import checked_names, shortened

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Images = NDArray[np.uint8]
    Labels = NDArray[np.int64]

__all__ = ["Fields", "Pictures", "folder"]

SIZE = 28
TABLE = "labels.csv"
FORMS = ("character", "raw")
ERRORS = ("skip", "raise")
_COLUMNS = ("file", "class")
_FIELD_COLUMNS = ("file", "text")
# what systems and programs leave beside pictures
_NOT_OURS = ("__macosx", "__pycache__", "thumbs.db", "desktop.ini")
_PICTURE = re.compile(  # how files of PNG, JPEG, GIF, BMP, WebP, TIFF and PGM begin
    rb"\x89PNG|\xff\xd8\xff|GIF8|BM.{4}\0{4}|RIFF.{4}WEBP|II\*\0|MM\0\*|P[1-6]\s", re.DOTALL
)
_NAMED = {"class": "class name", "text": "text"}
_DELIMITERS = ",;\t"
_NPY = b"\x93NUMPY"
_MAX_TABLE = 256 << 20  # bytes of labels.csv
_AT_ONCE = 16  # pictures handed to each thread before what they gave is put away


class Pictures(tuple[Any, Any]):
    """A pair (images, labels) that knows its class names and files: what `folder` gives.

    It goes wherever a pair does: ``x, y = pictures``, ``trainer.fit(*pictures)``,
    ``validation_data=pictures``.

    Attributes
    ----------
    images : uint8 array (N, 28, 28)
    labels : int64 array (N,)
        Places in `class_names`.
    class_names : tuple of str
    files : tuple of str
        Of each image, below the folder, with "/" between the names.
    refused : tuple of (str, str)
        What is not among the images: the file, and why.
    """

    class_names: tuple[str, ...]
    files: tuple[str, ...]
    refused: tuple[tuple[str, str], ...]

    def __new__(
        cls,
        images: Images,
        labels: Labels,
        class_names: Iterable[str],
        files: Iterable[str],
        refused: Iterable[tuple[str, str]] = (),
    ) -> Pictures:
        """Put the parts together, unchecked."""
        pictures = super().__new__(cls, (images, labels))
        pictures.class_names = tuple(class_names)
        pictures.files = tuple(files)
        pictures.refused = tuple(refused)
        return pictures

    def __getnewargs__(self) -> tuple[Any, ...]:
        return self.images, self.labels, self.class_names, self.files, self.refused

    def __repr__(self) -> str:
        refused = f", {len(self.refused)} refused" if self.refused else ""
        return (
            f"Pictures({len(self.labels)} images of {len(self.class_names)} classes: "
            f"{shortened(self.class_names)}{refused})"
        )

    @property
    def images(self) -> Images:
        """The images, uint8 (N, 28, 28)."""
        return self[0]  # type: ignore[no-any-return]

    @property
    def labels(self) -> Labels:
        """The classes, int64 (N,)."""
        return self[1]  # type: ignore[no-any-return]

    def split(self, share: float = 0.2, *, seed: int = 0) -> tuple[Pictures, Pictures]:
        """Set a share of every class aside, say as validation data.

        Parameters
        ----------
        share : float
            Between 0 and 1. Of a class with two pictures or more at least one goes to each part;
            a single one stays in the first.
        seed : int
            Of the choice.

        Returns
        -------
        rest, aside : Pictures
            Both with all class names; `refused` goes with the first.

        Notes
        -----
        Pictures by one hand are alike: where a few people wrote many, a part with people of its own
        tells more (a folder of their pictures, ``folder(path, class_names=...)``).
        """
        checks.real("share", share, 0.0, 1.0, "neither")
        # RandomState's stream never changes between numpy versions; default_rng's may.
        random = np.random.RandomState(checks.whole("seed", seed, 0, 2**32 - 1))
        aside = np.zeros(len(self.labels), bool)
        for label in range(len(self.class_names)):
            rows = np.flatnonzero(self.labels == label)
            if len(rows) >= 2:
                n = min(max(round(share * len(rows)), 1), len(rows) - 1)
                aside[random.permutation(rows)[:n]] = True
        if not aside.any():
            raise ValueError("share: no class has two pictures, want two of one class to split")
        return self._part(~aside, self.refused), self._part(aside, ())

    def _part(self, chosen: NDArray[np.bool_], refused: tuple[tuple[str, str], ...]) -> Pictures:
        names = [name for name, is_in in zip(self.files, chosen.tolist(), strict=True) if is_in]
        return Pictures(self.images[chosen], self.labels[chosen], self.class_names, names, refused)


class Fields(Sequence[tuple["Images", str]]):
    """Pictures of fields and their texts, which `folder` gives for a table with the column "text".

    A sequence of pairs (picture, text): the pictures, uint8 (H, W), are read one after another as
    they are asked for, so they may be more than memory holds.

    Attributes
    ----------
    files : tuple of str
        Of each field, below the folder, with "/" between the names.
    texts : tuple of str
    class_names : tuple of str
        The characters that texts may have.
    refused : tuple of (str, str)
        What is not among the fields: the file, and why.
    """

    def __init__(
        self,
        top: str,
        listed: Sequence[_Listed],
        class_names: Iterable[str],
        refused: Iterable[tuple[str, str]] = (),
        num_threads: int = 1,
    ) -> None:
        """Put the parts together, unchecked."""
        self._top = top
        self._listed = tuple(listed)
        self._threads = num_threads
        self.files = tuple(_slashes(one.file) for one in listed)
        self.texts = tuple(one.name for one in listed)
        self.class_names = tuple(class_names)
        self.refused = tuple(refused)

    def __len__(self) -> int:
        return len(self._listed)

    @overload
    def __getitem__(self, index: int) -> tuple[Images, str]: ...
    @overload
    def __getitem__(self, index: slice) -> Fields: ...
    def __getitem__(self, index: int | slice) -> tuple[Images, str] | Fields:
        if isinstance(index, slice):
            return self._part(self._listed[index])
        return next(iter(self._part([self._listed[index]])))

    def __iter__(self) -> Iterator[tuple[Images, str]]:
        paths = [os.path.join(self._top, one.file) for one in self._listed]
        with closing(_read_all(paths, _grey, self._threads)) as found:
            for one, path, picture in zip(self._listed, paths, found, strict=True):
                if isinstance(picture, str):
                    raise ValueError(f"{path}: {one.where}{picture}")
                yield picture, one.name

    def __repr__(self) -> str:
        refused = f", {len(self.refused)} refused" if self.refused else ""
        return f"Fields({len(self)} pictures, of {shortened(self.class_names)}{refused})"

    def split(self, share: float = 0.2, *, seed: int = 0) -> tuple[Fields, Fields]:
        """Set a share aside, say as validation data.

        Parameters
        ----------
        share : float
            Between 0 and 1. At least one field goes to each part.
        seed : int
            Of the choice.

        Returns
        -------
        rest, aside : Fields
            Both with all class names; `refused` goes with the first.
        """
        checks.real("share", share, 0.0, 1.0, "neither")
        random = np.random.RandomState(checks.whole("seed", seed, 0, 2**32 - 1))
        if len(self) < 2:
            raise ValueError(f"share: {len(self)} field(s), want two or more to split")
        n = min(max(round(share * len(self)), 1), len(self) - 1)
        aside = np.zeros(len(self), bool)
        aside[random.permutation(len(self))[:n]] = True
        parts = [
            [one for one, is_in in zip(self._listed, chosen.tolist(), strict=True) if is_in]
            for chosen in (~aside, aside)
        ]
        return self._part(parts[0], self.refused), self._part(parts[1])

    def _part(self, listed: Sequence[_Listed], refused: Iterable[tuple[str, str]] = ()) -> Fields:
        return Fields(self._top, listed, self.class_names, refused, self._threads)


@dataclass(slots=True)
class _Listed:
    """A file with its class, or text, and where that is said."""

    file: str
    name: str
    where: str = ""


def folder(
    path: str | os.PathLike[str],
    *,
    form: str = "character",
    class_names: Sequence[str] | None = None,
    errors: str = "skip",
    memmap: str | os.PathLike[str] | None = None,
    num_threads: int | None = None,
    progress: bool | None = None,
) -> Pictures | Fields:
    """Read pictures of one's own with what they show: characters' classes, or fields' texts.

    Either a folder holds a folder for each class, named as the class is, with its pictures::

        letters/A/one.png  letters/A/two.jpg  letters/B/three.png

    or it holds ``labels.csv``, UTF-8, with the columns ``file``, below the folder, and ``class``.
    With the table, classes may have names that no folder can have ("/", or "a" and "A" on Windows).
    Hidden files and ``__pycache__`` are left out, and so are empty folders, which `refused` names.
    One picture after another is opened and brought into MNIST's form, so
    that the pictures may be more than memory holds: an image takes 784 bytes.

    With the columns ``file`` and ``text`` (and no ``class``), each picture is a field of several
    characters: the result is a `Fields`, which gives pictures as they are, one after another, and
    their texts.

    Parameters
    ----------
    path : path
        The folder, or a table with another name than ``labels.csv``.
    form : str
        "character": find the one character on each picture, with `preprocess.character`. "raw": the
        pictures are 28x28 and taken as they are, grey, 0 background and 255 ink.
    class_names : sequence of str, optional
        The classes, or the characters of texts, in the order of their labels: those of the training
        set for other pictures of the same classes, of which some may be missing. By default the
        names that are there, sorted, numbers by value ("2" before "10").
    errors : {"skip", "raise"}
        What becomes of a file that is no picture, or shows no character that can be told: it is
        named in `refused`, or ends the call. Of fields, this is said of files that are not there;
        one that is no picture is an error when it is read.
    memmap : path, optional
        Keep the images in this file, a ``.npy``, instead of in memory. It takes the place of an
        older ``.npy`` once all is read; who has that one open keeps its images. Another file is not
        replaced. It has a row for each picture that was listed; those of refused ones are zeros at
        its end.
    num_threads : int, optional
        By default as many as `get_num_threads` says.
    progress : bool, optional
        Whether to show a progress bar. By default if tqdm is installed and standard error is a
        terminal.

    Returns
    -------
    Pictures
        A pair (images, labels), with class_names, files and refused.
    Fields
        For a table of texts: a sequence of pairs (picture, text), with the same.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        If there is no such folder.
    ValueError
        If there are no classes or only one, a class has no picture, the table lacks a column, gives
        one file two classes or leads out of the folder; if a text has what is not among
        class_names; with `errors="raise"` for the first file
        that would be refused; if `memmap` is a file and no ``.npy``.
    MemoryError
        If the images take more memory than `lenet_c.set_memory_limit` allows, without `memmap`.
    ImportError
        If Pillow or, for "character", SciPy is not installed.

    Examples
    --------
    ::

        pictures = lenet_c.datasets.folder("letters")
        rest, held_out = pictures.split(0.2)
        trainer.fit(*rest, epochs=20, validation_data=held_out)
    """
    from lenet_c.cpu import get_num_threads
    from lenet_c.preprocess import _pictures

    checks.one_of("form", form, FORMS)
    checks.one_of("errors", errors, ERRORS)
    names = None if class_names is None else checked_names("class_names", class_names)
    threads = checks.whole(
        "num_threads", get_num_threads() if num_threads is None else num_threads, 1
    )
    if memmap is not None:
        _check_replaceable(memmap)
    _pictures.need_extra("folder", *(() if form == "character" else ("PIL",)))

    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path: got {checks.short(path)}, want the path of a folder")
    top = os.fsdecode(path)
    table = _table_of(top)
    columns = _COLUMNS
    if os.path.isfile(table):
        top = os.path.dirname(table)
        columns, rows = _rows(table)
        listed, refused = _from_rows(table, columns[1], rows)
        source = table
    else:
        listed, refused = _from_folders(top)
        source = top
    if errors == "raise" and refused:
        raise ValueError("{}: {}".format(*refused[0]))
    if columns == _FIELD_COLUMNS:
        for name, differs in (("form", form != "character"), ("memmap", memmap is not None)):
            if differs:
                raise ValueError(
                    f"{name}: {source} has texts of fields, whose pictures are given as they are, "
                    "one after another; want it for single characters only"
                )
        return _fields(source, listed, refused, names, errors, threads)
    if names is None:
        names = tuple(sorted({one.name for one in listed}, key=_natural))
        if len(names) < 2:
            raise ValueError(
                f"{source}: "
                + (f"one class, {names[0]!r}" if names else "no classes")
                + "; want two or more (of other pictures of known classes, class_names=...)"
            )
    places = {name: label for label, name in enumerate(names)}
    unknown = sorted({one.name for one in listed} - set(places), key=_natural)
    if unknown:
        raise ValueError(
            f"{source}: has the classes {shortened(unknown)}, which are not among class_names: "
            f"{shortened(names)}"
        )
    labels = np.empty(len(listed), np.int64)
    kept: list[str] = []
    read = _raw if form == "raw" else _character
    found = _read_all([os.path.join(top, one.file) for one in listed], read, threads)

    def fill(images: Images) -> None:
        bar = _bar(len(listed), progress)
        with closing(found), nullcontext() if bar is None else bar:
            for one, image in zip(listed, found, strict=True):
                if bar is not None:
                    bar.update(1)
                if not isinstance(image, str):
                    images[len(kept)] = image
                    labels[len(kept)] = places[one.name]
                    kept.append(_slashes(one.file))
                elif errors == "raise":
                    raise ValueError(f"{os.path.join(top, one.file)}: {one.where}{image}")
                else:
                    refused.append((_slashes(one.file), f"{one.where}{image}"))
        _check_classes(
            source, names, labels[: len(kept)], listed, refused, all_wanted=class_names is None
        )

    images = _filled(fill, len(listed), memmap)[: len(kept)]
    return Pictures(images, labels[: len(kept)], names, kept, refused)


# ---- what is there ----


def has_fields(path: str) -> bool:
    """Tell whether `folder` would give fields, and not characters, without reading pictures."""
    table = _table_of(path)
    return os.path.isfile(table) and _rows(table)[0] == _FIELD_COLUMNS


def _table_of(top: str) -> str:
    return top if os.path.isfile(top) else os.path.join(top, TABLE)


def _from_folders(top: str) -> tuple[list[_Listed], list[tuple[str, str]]]:
    listed: list[_Listed] = []
    refused: list[tuple[str, str]] = []
    classes: dict[str, list[str]] = {}  # with the folders in theirs
    loose = []
    for entry in _entries(top):
        if not entry.is_dir():
            loose.append(entry.name)
            continue
        name = _class_name(entry.name, os.path.join(top, entry.name))
        inner = classes.setdefault(name, [])
        for item in _entries(entry.path):
            below = os.path.join(entry.name, item.name)
            if item.is_dir():
                inner.append(item.name)
                refused.append((_slashes(below), "a folder within a class's; it is not looked at"))
            else:
                listed.append(_Listed(below, name))
    if not classes:
        raise ValueError(
            f"{top}: no classes; want a folder for each class, or {TABLE} with the columns "
            f"{' and '.join(_COLUMNS)}; found: {shortened(loose) or 'nothing'}"
        )
    with_pictures = {one.name for one in listed}
    for name, inner in classes.items():
        if name not in with_pictures and not inner and with_pictures:
            refused.append((_slashes(name), "an empty folder; it is taken for no class"))
        elif name not in with_pictures:
            remedy = f"only folders: {shortened(inner)}; is {name} the folder to give?"
            raise ValueError(
                f"{os.path.join(top, name)}: class {name!r} has no picture"
                + (f", {remedy}" if inner else "; add some, or remove its folder")
            )
    refused += [(name, "in no class's folder") for name in loose]
    return listed, refused


def _entries(place: str) -> list[os.DirEntry[str]]:
    with os.scandir(place) as entries:
        seen = [e for e in entries if not e.name.startswith(".")]
    seen = [e for e in seen if e.name.casefold() not in _NOT_OURS]
    return sorted(seen, key=lambda entry: _natural(entry.name))


def _from_rows(
    table: str, what: str, rows: Iterator[tuple[int, str, str]]
) -> tuple[list[_Listed], list[tuple[str, str]]]:
    """List the files of a table; `what` it gives of each is "class" or "text"."""
    top = os.path.dirname(table)
    listed: list[_Listed] = []
    refused: list[tuple[str, str]] = []
    seen: dict[str, tuple[int, str]] = {}
    for line, file, given in rows:
        where = f"line {line}: "
        if not file:
            refused.append((os.path.basename(table), f"{where}no file"))
            continue
        place = _place(table, top, line, file)
        if not given:
            refused.append((_slashes(place), f"{where}no {what}"))
            continue
        name = _class_name(given, f"{table}: line {line}", what)
        first = seen.setdefault(place, (line, name))
        if first[1] != name:
            raise ValueError(
                f"{table}: {file} is {first[1]!r} in line {first[0]} and {name!r} in line {line}"
            )
        if first[0] != line:
            refused.append((_slashes(place), f"{where}already in line {first[0]}"))
            continue
        listed.append(_Listed(place, name, where))
    if not listed:
        raise ValueError(f"{table}: lists no picture with a {what}")
    return listed, refused


def _fields(
    table: str,
    listed: list[_Listed],
    refused: list[tuple[str, str]],
    names: tuple[str, ...] | None,
    errors: str,
    threads: int,
) -> Fields:
    top = os.path.dirname(table)
    kept = []
    for one in listed:
        path = os.path.join(top, one.file)
        if os.path.isfile(path):
            kept.append(one)
            continue
        why = f"{one.where}{'not a file' if os.path.lexists(path) else 'no such file'}"
        if errors == "raise":
            raise ValueError(f"{path}: {why}")
        refused.append((_slashes(one.file), why))
    if not kept:
        raise ValueError(f"{table}: no pictures; {refused[0][0]}: {refused[0][1]}")
    if names is None:
        names = tuple(sorted({character for one in kept for character in one.name}))
    for one in kept:
        unknown = sorted(set(one.name) - set(names))
        if unknown:
            raise ValueError(
                f"{table}: {one.where}the text {one.name!r} has {shortened(unknown)}, not among "
                f"class_names: {shortened(names)}"
            )
    return Fields(top, kept, names, refused, threads)


def _rows(table: str) -> tuple[tuple[str, str], Iterator[tuple[int, str, str]]]:
    """Read a table: which columns it has, and the line and those two cells of each row."""
    with open(table, "rb") as opened:
        content = files.read_all(opened, _MAX_TABLE, table)
    if len(content) > _MAX_TABLE:
        raise ValueError(f"{table}: more than {_MAX_TABLE} bytes")
    if _PICTURE.match(content):
        raise ValueError(f"{table}: a picture; want a folder of pictures, or a table (CSV) of them")
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{table}: byte {error.start} is not {encoding.removesuffix('-sig')}; save it as UTF-8 "
            "(in Excel: CSV UTF-8), or give a folder, if it is no table"
        ) from None
    del content
    if "\0" in text:
        raise ValueError(f"{table}: has null characters, want a table (CSV) in UTF-8, or a folder")
    first = text.lstrip("\r\n").partition("\n")[0]
    for delimiter in _DELIMITERS:
        header = next(csv.reader([first], delimiter=delimiter, skipinitialspace=True), [])
        there = [cell.strip().casefold() for cell in header]
        for columns in (_COLUMNS, _FIELD_COLUMNS):
            if all(there.count(column) == 1 for column in columns):
                cells = _cells(table, text, delimiter, [there.index(name) for name in columns])
                return columns, cells
    raise ValueError(
        f"{table}: its first line is {checks.short(first.strip())}, want the names of the columns, "
        f"with one {' and one '.join(_COLUMNS)} among them (or one {_FIELD_COLUMNS[1]}, of fields)"
    )


def _cells(table: str, text: str, delimiter: str, at: list[int]) -> Iterator[tuple[int, str, str]]:
    """Give the line and two cells of each row of a table's text."""
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True
    )
    is_header = True
    try:
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if is_header:
                is_header = False
                continue
            other = [mark for mark in _DELIMITERS if len(row) == 1 and mark in row[0]]
            if other:
                raise ValueError(
                    f"{table}: line {reader.line_num}: {checks.short(row[0])} has {other[0]!r} "
                    f"between its cells, and the first line {delimiter!r}; want the same in all"
                )
            cells = [row[k] if k < len(row) else "" for k in at]
            # a class may be a space, in quotes
            yield reader.line_num, cells[0].strip(), cells[1].strip() or cells[1]
    except csv.Error as error:
        raise ValueError(f"{table}: line {reader.line_num}: {error}") from None


def _place(table: str, top: str, line: int, file: str) -> str:
    """Give where a file is below the table's folder, or raise if it is not below it."""
    place = os.path.normpath(file)
    if "\\" in file and os.sep == "/" and not os.path.exists(os.path.join(top, place)):
        place = os.path.normpath(file.replace("\\", "/"))  # written on Windows
    drive = re.match(r"[A-Za-z]:[\\/]", place)
    if os.path.isabs(place) or drive or place.split(os.sep)[0] == os.pardir:
        raise ValueError(
            f"{table}: line {line}: {file} is outside of the table's folder; want files below it"
        )
    return place


def _class_name(given: str, where: str, what: str = "class") -> str:
    name = unicodedata.normalize("NFC", given)  # a Mac's file systems take accents apart
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{where}: the {_NAMED[what]} {given!r} is not text (UTF-8)") from None
    if not checks.is_plain(name):
        raise ValueError(
            f"{where}: the {_NAMED[what]} {given!r} has control characters or line ends; want "
            "another"
        )
    return name


def _natural(name: str) -> tuple[Any, ...]:
    """Sort numbers in names by value."""
    parts = re.split(r"([0-9]+)", name)
    return tuple((int(p), "") if k % 2 else (-1, p) for k, p in enumerate(parts)), name


def _check_classes(
    source: str,
    names: tuple[str, ...],
    labels: Labels,
    listed: list[_Listed],
    refused: list[tuple[str, str]],
    all_wanted: bool,
) -> None:
    """Raise if a class that is wanted, or all of them, came out without an image."""
    counts = np.bincount(labels, minlength=len(names))
    empty = [name for name, count in zip(names, counts, strict=True) if not count]
    if not empty or (len(labels) and not all_wanted):
        return
    reasons = dict(refused)
    for one in listed:
        file = _slashes(one.file)
        if one.name in empty and file in reasons:
            raise ValueError(
                f"{source}: no picture of class {one.name!r} can be used; {file}: {reasons[file]}"
            )
    raise ValueError(f"{source}: no pictures")


# ---- pictures ----


def _read_all(
    paths: Sequence[str], read: Callable[[str], Images], threads: int
) -> Generator[Images | str, None, None]:
    """Give the image of each picture, or why there is none, in order and few at a time."""

    def one(path: str) -> Images | str:
        if not os.path.isfile(path):  # a pipe would be waited for
            return "not a file" if os.path.lexists(path) else "no such file"
        try:
            return read(path)
        except (MemoryError, OSError, ValueError) as error:
            text = error.strerror if isinstance(error, OSError) else None
            why = text or str(error) or type(error).__name__
            return why.removeprefix("image: ").removeprefix(f"{path}: ")

    pool = ThreadPoolExecutor(threads)
    try:
        for first in range(0, len(paths), _AT_ONCE * threads):
            yield from pool.map(one, paths[first : first + _AT_ONCE * threads])
    finally:
        pool.shutdown(cancel_futures=True)


def _character(path: str) -> Images:
    from lenet_c import preprocess

    return preprocess.character(path)


def _raw(path: str) -> Images:
    from lenet_c import preprocess

    image = preprocess.load_image(path)
    if image.shape != (SIZE, SIZE):
        raise ValueError(
            f"{image.shape[1]}x{image.shape[0]} pixels, want {SIZE}x{SIZE} with form='raw' "
            "(form='character' finds and scales what it shows)"
        )
    return image


def _grey(path: str) -> Images:
    from lenet_c import preprocess

    return preprocess.load_image(path)


def _check_replaceable(memmap: str | os.PathLike[str]) -> None:
    """Raise unless there is no such file, or it is a .npy."""
    if not isinstance(memmap, (str, os.PathLike)):
        raise TypeError(f"memmap: got {checks.short(memmap)}, want the path of a .npy file")
    target = files.target_of(memmap)
    if os.path.exists(target):
        with open(target, "rb") as file:
            if file.read(len(_NPY)) != _NPY:
                raise ValueError(
                    f"memmap: {target} is there and is no .npy file, so it is not replaced; want a "
                    "new path"
                )


def _filled(
    fill: Callable[[Images], None], n: int, memmap: str | os.PathLike[str] | None
) -> Images:
    """Give n images that `fill` sets, in memory or in a file that replaces an older one."""
    shape = n, SIZE, SIZE
    if memmap is None:
        _core.check_memory(
            f"path: the images of {n:,} pictures", n * SIZE * SIZE, "memmap= keeps them in a file; "
        )
        images: Images = np.empty(shape, np.uint8)
        fill(images)
        return images
    with files.replacing(memmap) as file:
        mapped = np.lib.format.open_memmap(file.name, "w+", np.uint8, shape)
        if hasattr(os, "posix_fallocate"):  # a full disk is an error now, and a crash in `fill`
            try:
                os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    error.filename = os.fsdecode(memmap)
                    raise
        fill(mapped)
        mapped.flush()
        if os.name != "posix":  # a mapped file cannot be given its name there
            del mapped
    target = files.target_of(memmap)
    if os.name != "posix":
        return np.lib.format.open_memmap(target, "r+")
    mapped.filename = target
    return mapped


def _bar(total: int, progress: bool | None) -> Any:
    from lenet_c.downloads import progress_bar

    return progress_bar("reading pictures", total, progress, unit=" pictures")


def _slashes(file: str) -> str:
    return file.replace(os.sep, "/")
