"""Data sets: MNIST and its relatives, scikit-learn's small digits, and one's own.

Each is read from a folder, from Debian's packages, or from the cache, which a checked download
fills.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from lenet_c import checks, downloads, preprocess
from lenet_c.catalogue import EMNIST, QMNIST, SETS, DataSet
from lenet_c.classes import DIGITS
from lenet_c.downloads import DownloadError, Wanted, cache_folder
from lenet_c.folders import Fields, Pictures, folder
from lenet_c.idx import read_idx, read_open
from lenet_c.image_tables import read_csv, read_npz
from lenet_c.strings import Strings, strings

if TYPE_CHECKING:
    import numpy.typing as npt

    Arrays: TypeAlias = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]

__all__ = [
    "NAMES",
    "DownloadError",
    "Fields",
    "Origins",
    "Pictures",
    "Strings",
    "cache_folder",
    "class_names",
    "digits",
    "emnist",
    "fashion_mnist",
    "folder",
    "kmnist",
    "load",
    "mnist",
    "qmnist",
    "read_csv",
    "read_idx",
    "read_npz",
    "strings",
]

NAMES = tuple(SETS)
"""What `load` takes."""

_SYSTEM = "/usr/share/datasets"  # of Debian's packages dataset-...
_TURNED_AT_ONCE = 4096  # images


# ---- the sets ----


def mnist(
    folder: str | os.PathLike[str] | None = None,
    download: bool = True,
    *,
    progress: bool | None = None,
) -> tuple[Arrays, Arrays]:
    """Return MNIST's training and test sets (LeCun, Cortes, Burges).

    The four IDX files, gzipped or not, Keras's ``mnist.npz``, or Kaggle's ``mnist_train.csv`` and
    ``mnist_test.csv`` are looked for in a folder itself, in ``mnist`` and in ``MNIST/raw``
    (torchvision's layout) below it.

    Parameters
    ----------
    folder : path, optional
        The only folder to look in, or Keras's file itself. By default the one that the environment
        variable ``LENET_C_DATA`` names; where that is not set, or empty, ``/usr/share/datasets``,
        where Debian's packages put them, and then the cache folder.
    download : bool
        Whether to download the files to the cache folder if it is looked in and lacks them, or
        has damaged ones. Their content is checked by SHA-256 when it comes, and each time that
        it is read from the cache.
    progress : bool, optional
        Whether to show a progress bar while downloading. By default if tqdm is installed and
        standard error is a terminal.

    Returns
    -------
    (x, y), (xt, yt) : tuples of uint8 arrays
        60,000 training images (60000, 28, 28) with labels (60000,), and 10,000 for testing.

    Raises
    ------
    FileNotFoundError
        If the files are not in `folder` or ``LENET_C_DATA``, or not in the cache and `download` is
        false; with what was found instead, and what is missing.
    ValueError
        If a file is damaged, does not hold 28x28 images or labels of these classes, or belongs to
        another data set, whose files have the same names.
    DownloadError
        If no mirror gave a file.
    """
    return load("mnist", folder, download, progress=progress)


def fashion_mnist(
    folder: str | os.PathLike[str] | None = None,
    download: bool = True,
    *,
    progress: bool | None = None,
) -> tuple[Arrays, Arrays]:
    """Return Fashion-MNIST's training and test sets (Zalando; MIT licence).

    Ten kinds of clothes in MNIST's form: `class_names` ``("fashion-mnist")`` says which. The files
    are looked for in ``fashion-mnist`` and ``FashionMNIST/raw`` below a folder, and in it itself if
    it is given; Kaggle's are ``fashion-mnist_train.csv`` and ``fashion-mnist_test.csv``.

    Parameters
    ----------
    folder, download, progress : as for `mnist`

    Returns
    -------
    (x, y), (xt, yt) : tuples of uint8 arrays
        60,000 training images (60000, 28, 28) with labels (60000,), and 10,000 for testing.

    Raises
    ------
    FileNotFoundError, ValueError, DownloadError
        As `mnist`.
    """
    return load("fashion-mnist", folder, download, progress=progress)


def kmnist(
    folder: str | os.PathLike[str] | None = None,
    download: bool = True,
    *,
    progress: bool | None = None,
) -> tuple[Arrays, Arrays]:
    """Return Kuzushiji-MNIST's training and test sets (ROIS-CODH; CC BY-SA 4.0).

    Ten hiragana in cursive hand, in MNIST's form. The files are looked for in ``kmnist`` and
    ``KMNIST/raw`` below a folder, and in it itself if it is given.

    Parameters
    ----------
    folder, download, progress : as for `mnist`

    Returns
    -------
    (x, y), (xt, yt) : tuples of uint8 arrays
        60,000 training images (60000, 28, 28) with labels (60000,), and 10,000 for testing.

    Raises
    ------
    FileNotFoundError, ValueError, DownloadError
        As `mnist`.
    """
    return load("kmnist", folder, download, progress=progress)


def emnist(
    split: str,
    folder: str | os.PathLike[str] | None = None,
    download: bool = True,
    *,
    progress: bool | None = None,
) -> tuple[Arrays, Arrays]:
    """Return a split of EMNIST: letters and digits (Cohen, Afshar, Tapson, van Schaik; NIST).

    The files have rows and columns exchanged; the images that are returned are upright. Labels
    count from 0 in every split: `class_names` ``("emnist-letters")`` says what they mean.

    The split's files, or ``gzip.zip``, which has those of all splits, are looked for in ``emnist``
    and ``EMNIST/raw`` below a folder, in ``gzip`` below those, and in the folder itself; Kaggle's
    are ``emnist-letters-train.csv`` and so on. A download is of ``gzip.zip``, 562 MB, which stays
    in the cache.

    Parameters
    ----------
    split : str
        "byclass": digits, capital and small letters, 62 classes as frequent as they came;
        "bymerge": the same, but letters that look alike in both cases are one class, 47 in all;
        "balanced": as many of each of those; "letters": 26, both cases in one; "digits"; "mnist":
        digits chosen as MNIST's are.
    folder, download, progress : as for `mnist`

    Returns
    -------
    (x, y), (xt, yt) : tuples of uint8 arrays
        Images (N, 28, 28) and labels (N,). Of "letters" 124,800 to train and 20,800 to test with.

    Raises
    ------
    FileNotFoundError, ValueError, DownloadError
        As `mnist`; if there is no such split.
    """
    which = EMNIST[checks.one_of("split", split, EMNIST)]
    return load(which.name, folder, download, progress=progress)


def load(
    name: str,
    folder: str | os.PathLike[str] | None = None,
    download: bool = True,
    *,
    progress: bool | None = None,
) -> tuple[Arrays, Arrays]:
    """Return the data set of a name.

    Parameters
    ----------
    name : str
        One of `NAMES`: "mnist", "fashion-mnist", "kmnist", or "emnist-" and a split.
    folder, download, progress : as for `mnist`

    Returns
    -------
    (x, y), (xt, yt) : tuples of uint8 arrays
        Images (N, 28, 28) and labels (N,), to train and to test with.

    Raises
    ------
    FileNotFoundError, ValueError, DownloadError
        As `mnist`.
    """
    which = SETS[checks.one_of("name", name, SETS)]
    images, labels, test_images, test_labels = _arrays(which, folder, download, progress)
    return _pair(which, images, labels), _pair(which, test_images, test_labels)


def class_names(name: str) -> tuple[str, ...]:
    """Return what the classes of a data set are called, in the order of its labels.

    Parameters
    ----------
    name : str
        One of `NAMES`, or "digits".

    Returns
    -------
    tuple of str
        As `LeNet5.class_names` takes them. Letters of which both cases are one class are capitals.
    """
    if name == "digits":
        return DIGITS
    return SETS[checks.one_of("name", name, (*SETS, "digits"))].class_names


@dataclass(frozen=True, eq=False)  # arrays have no one answer
class Origins:
    """Where the images of MNIST come from in NIST's Special Database 19: what `qmnist` gives.

    Each is an array with a value for each image; a slice or a mask takes some of them.

    Attributes
    ----------
    labels : uint8 array (N,)
        The digits.
    series : int32 array (N,)
        The collection: 0 or 1, of NIST's employees, or 4, of students.
    writers : int32 array (N,)
        Who wrote it: 0 to 610 the employees, 2100 to 2599 the students.
    places : int32 array (N,)
        Which of the writer's digits it is.
    numbers : int32 array (N,)
        Which of all digits of the database.
    """

    labels: npt.NDArray[np.uint8]
    series: npt.NDArray[np.int32]
    writers: npt.NDArray[np.int32]
    places: npt.NDArray[np.int32]
    numbers: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"Origins({len(self):,} images of {len(np.unique(self.writers)):,} writers)"

    def __getitem__(self, chosen: Any) -> Origins:
        values = (np.atleast_1d(value[chosen]) for value in vars(self).values())
        return Origins(*values)


def qmnist(
    folder: str | os.PathLike[str] | None = None,
    download: bool = True,
    *,
    progress: bool | None = None,
) -> tuple[Origins, Origins]:
    """Return who wrote each of MNIST's images (Yadav and Bottou 2019; BSD-style licence).

    QMNIST found MNIST's images again in NIST's database, and the 50,000 test images that MNIST had
    left out. Its labels are here, without images of its own: they lie in the order of `mnist`'s.
    With them a validation set can be of writers that are not in the training set.

    Parameters
    ----------
    folder, download, progress : as for `mnist`
        The files ``qmnist-train-labels-idx2-int`` and ``qmnist-test-labels-idx2-int`` are looked
        for in ``qmnist`` and ``QMNIST/raw`` below a folder, and in it itself.

    Returns
    -------
    train : Origins
        Of MNIST's 60,000 training images.
    test : Origins
        60,000: ``test[:10000]`` are of MNIST's test images, the others of those left out.

    Raises
    ------
    FileNotFoundError, ValueError, DownloadError
        As `mnist`.
    """
    train, test = (_origins(*one) for one in _arrays(QMNIST, folder, download, progress))
    return train, test


def digits() -> tuple[Arrays, Arrays]:
    """Return scikit-learn's 1,797 handwritten digits in MNIST's form.

    The 8x8 pictures are scaled up to 20x20 and centred in 28x28 by their centre of mass. A
    fixed fifth of every class is the test set. Needs scikit-learn but no network.

    Returns
    -------
    (x, y), (xt, yt) : tuples of uint8 arrays
        1,437 training images (1437, 28, 28) with labels (1437,), and 360 for testing.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError('digits() needs scikit-learn: pip install "lenet_c[sklearn]"') from error

    bunch = load_digits()
    labels = np.asarray(bunch.target).astype(np.uint8)
    small = np.asarray(bunch.images, np.float64) / 16
    images = np.stack([preprocess.centre(preprocess.resize(image, 20, 20)) for image in small])
    test = _stratified(labels, 360)
    return (images[~test], labels[~test]), (images[test], labels[test])


# ---- from files to pairs ----


class _Named(NamedTuple):
    """An array, and what errors call the file that it is from."""

    source: str
    values: npt.NDArray[Any]


def _pair(which: DataSet, images: _Named, labels: _Named) -> Arrays:
    if len(images.values) != len(labels.values):
        raise ValueError(
            f"{images.source} has {len(images.values)} images but {labels.source} "
            f"{len(labels.values)} labels"
        )
    first, last = which.first_label, which.first_label + len(which.class_names) - 1
    for label in (labels.values.min(), labels.values.max()):
        if not first <= label <= last:
            raise ValueError(f"{labels.source}: label {label}, want {first} to {last}")
    if which.is_turned:
        for start in range(0, len(images.values), _TURNED_AT_ONCE):
            block = images.values[start : start + _TURNED_AT_ONCE]
            block[...] = block.swapaxes(1, 2).copy()
    if first:
        labels.values[...] -= first
    return images.values, labels.values


def _origins(source: str, values: npt.NDArray[np.int32]) -> Origins:
    labels, series, writers, places, _, numbers = np.ascontiguousarray(values[:, :6].T)
    if labels.min() < 0 or labels.max() > 9:
        raise ValueError(f"{source}: has a label that is no digit, want 0 to 9")
    return Origins(labels.astype(np.uint8), series, writers, places, numbers)


# ---- where the files are ----


@dataclass(frozen=True)
class _File:
    """A file that there is: by itself, or in a zip file."""

    path: str
    member: str | None = None

    def __str__(self) -> str:
        return self.path if self.member is None else f"{self.path}: {self.member}"


def _arrays(
    which: DataSet,
    folder: str | os.PathLike[str] | None,
    download: bool,
    progress: bool | None,
) -> list[_Named]:
    """Read the arrays of a set's files, in their order."""
    environment = os.environ.get("LENET_C_DATA")
    if folder is not None or environment:
        given = checks.path("folder", environment if folder is None else folder)
        places = _places(which, folder is not None)
        read = _reader(which, given, places)
        if read is None:
            named = f"LENET_C_DATA={given}" if folder is None else given
            raise FileNotFoundError(
                f"{which.title} is not in {named}, want {_where(places)}{_list(which)}; "
                f"{_found_in(which, given, places)}"
            )
        return read()
    places = _places(which, False)
    read = _reader(which, _SYSTEM, places)
    return read() if read is not None else _from_cache(which, cache_folder(), download, progress)


def _places(which: DataSet, is_given: bool) -> tuple[str, ...]:
    """Where to look below a folder: in it itself, if no other set's files can be meant there."""
    below = tuple(os.path.normpath(place) for place in which.folders)
    return ("", *below) if which.at_top else (*below, "") if is_given else below


def _where(places: tuple[str, ...]) -> str:
    names = [place for place in places if place]
    listed = " or in ".join((", in ".join(names[:-1]), names[-1]))
    return f"there, in {listed}" if "" in places else f"in {listed} there"


def _list(which: DataSet) -> str:
    names = ", ".join(_plain(wanted) for wanted in which.wanted)
    others = [which.archive.name] if which.archive is not None else []
    others += [] if which.npz is None else [which.npz]
    others += [] if which.tables is None else [" and ".join(which.tables)]
    return f", gzipped or not: {names}" + "".join(f"; or {other}" for other in others)


def _plain(wanted: Wanted) -> str:
    return wanted.name.removesuffix(".gz")


def _reader(
    which: DataSet, folder: str, places: tuple[str, ...]
) -> Callable[[], list[_Named]] | None:
    """Give what reads a set from the first place in a folder that has all of it."""
    if which.npz is not None and folder.endswith(".npz") and os.path.isfile(folder):
        return partial(_read_npz, folder)
    for place in places:
        at = os.path.join(folder, place)
        files = _files(which, at)
        if files is not None:
            return partial(_read_files, which, files)
        if which.npz is not None and os.path.isfile(path := os.path.join(at, which.npz)):
            return partial(_read_npz, path)
        if which.tables is not None:
            tables = [os.path.join(at, name) for name in which.tables]
            if all(map(os.path.isfile, tables)):
                return partial(_read_tables, tables)
    return None


def _files(which: DataSet, place: str) -> list[_File] | None:
    """Give a set's files if a place has them all."""
    paths = [_find_file(place, wanted) for wanted in which.wanted]
    found = [_File(path) for path in paths if path is not None]
    if len(found) == len(paths):
        return found
    if which.archive is not None:
        path = os.path.join(place, which.archive.name)
        if os.path.isfile(path):
            return [_File(path, f"gzip/{wanted.name}") for wanted in which.wanted]
    return None


def _find_file(place: str, wanted: Wanted) -> str | None:
    name = _plain(wanted)
    dotted = name.replace("-idx", ".idx")
    for spelling in (name, f"{name}.gz", dotted, f"{dotted}.gz"):
        path = os.path.join(place, spelling)
        if os.path.isfile(path):
            return path
    return None


def has_mnist(folder: str) -> bool:
    """Whether a folder has some of MNIST's files, in a place where `mnist` looks for them."""
    which = SETS["mnist"]
    places = _places(which, True)
    return _reader(which, folder, places) is not None or bool(_some(which, folder, places))


def _some(which: DataSet, folder: str, places: tuple[str, ...]) -> list[str]:
    """List the files of a set that are there."""
    single = [*(which.tables or ()), *([] if which.npz is None else [which.npz])]
    found = []
    for place in places:
        at = os.path.join(folder, place)
        found += [p for one in which.wanted if (p := _find_file(at, one)) is not None]
        found += [p for name in single if os.path.isfile(p := os.path.join(at, name))]
    return found


def _found_in(which: DataSet, folder: str, places: tuple[str, ...]) -> str:
    """Tell what a folder has instead of a set, and what of the set it lacks."""
    if not os.path.isdir(folder):
        return "found: " + ("a file" if os.path.exists(folder) else "no such folder")
    some = _some(which, folder, places)
    try:
        names = some or sorted(os.listdir(folder))
    except OSError as error:
        return f"found: {error.strerror}"
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    found = "found: " + (", ".join(names[:5]) + more if names else "an empty folder")
    for place in places if some else ():
        at = os.path.join(folder, place)
        missing = [_plain(one) for one in which.wanted if _find_file(at, one) is None]
        tables = [n for n in which.tables or () if not os.path.isfile(os.path.join(at, n))]
        for lacks, of in ((missing, which.wanted), (tables, which.tables or ())):
            if 0 < len(lacks) < len(of):
                found += f"; missing in {at}: {', '.join(lacks)}"
    return found


# ---- reading ----


def _read_files(which: DataSet, files: list[_File]) -> list[_Named]:
    """Read IDX files of somebody's own, which need not be those that are published."""
    arrays = []
    for file, wanted in zip(files, which.wanted, strict=True):
        # the labels tell what a set is, and are read twice in no time
        values, digests = _read(file, wanted, "labels" in wanted.name)
        other = _OF.get(digests[0]) or _OF.get(digests[1])
        if other is not None and other != which.title:
            raise ValueError(f"{file}: is of {other}, want {which.title}")
        arrays.append(_Named(str(file), values))
    return arrays


_OF = {
    digest: which.title
    for which in SETS.values()
    for wanted in which.wanted
    for digest in (wanted.content, wanted.packed)
    if digest is not None
}
"""Which set a digest is of: several have files of the same names."""


def _read(
    file: _File, wanted: Wanted, is_digested: bool
) -> tuple[npt.NDArray[Any], tuple[str, str]]:
    """Read an IDX file; give its array and, if wanted, SHA-256 of its content and of itself."""
    import hashlib
    import zlib
    from zipfile import BadZipFile, ZipFile

    kind: dict[str, Any] = {"ndim": 3, "item_shape": (28, 28)}
    if "labels" in wanted.name:
        is_long = "idx2-int" in wanted.name
        kind = {"ndim": 2, "item_shape": (8,), "dtype": "int32"} if is_long else {"ndim": 1}
    digest = hashlib.sha256() if is_digested else None

    def both(opened: Any, size: int) -> tuple[npt.NDArray[Any], tuple[str, str]]:
        packed = "" if digest is None else downloads.sha256_of(opened)
        opened.seek(0)
        values = read_open(str(file), opened, size, **kind, digest=digest)
        return values, ("" if digest is None else digest.hexdigest(), packed)

    with open(file.path, "rb") as opened:
        if file.member is None:
            return both(opened, os.fstat(opened.fileno()).st_size)
        try:
            with ZipFile(opened) as archive:
                info = archive.getinfo(file.member)
                with archive.open(info) as member:
                    return both(member, info.file_size)
        except KeyError:
            raise ValueError(f"{file.path}: has no {file.member}") from None
        except (BadZipFile, EOFError, RuntimeError, zlib.error) as error:
            raise ValueError(f"{file}: damaged zip file ({error})") from error


def _read_npz(path: str) -> list[_Named]:
    (images, labels), (test_images, test_labels) = read_npz(path)
    return [_Named(path, values) for values in (images, labels, test_images, test_labels)]


def _read_tables(paths: list[str]) -> list[_Named]:
    arrays = []
    for path in paths:
        images, labels = read_csv(path)
        if labels is None:
            raise ValueError(f"{path}: has no column of labels, want label and 784 pixels")
        arrays += [_Named(path, images), _Named(path, labels)]
    return arrays


# ---- the cache ----


def _from_cache(
    which: DataSet, cache: str, is_download: bool, progress: bool | None
) -> list[_Named]:
    """Read what is in the cache, once it is there, and is what was published."""
    places = _places(which, False)
    found = (_files(which, os.path.join(cache, place)) for place in places)
    files = next((each for each in found if each is not None), None)
    if files is None:
        if not is_download:
            lacks = _found_in(which, cache, places).partition("; missing")
            raise FileNotFoundError(
                f"{which.title} is not in {cache}; wanted{_list(which)}" + "".join(lacks[1:])
            )
        at = os.path.join(cache, which.name if which.archive is None else which.folders[0])
        os.makedirs(at, exist_ok=True)
        files = [_fetched(which, wanted, at, progress) for wanted in which.wanted]
    arrays = []
    for file, wanted in zip(files, which.wanted, strict=True):
        try:
            values = _read_checked(file, wanted)
        except ValueError as damage:
            if not is_download:
                raise
            at = os.path.dirname(file.path)
            try:
                fresh = _fetched(which, wanted, at, progress, anew=True)
            except DownloadError as error:
                raise DownloadError(f"{damage}\n{error}") from None
            if fresh.path != file.path:  # it would be found first
                os.unlink(file.path)
            file, values = fresh, _read_checked(fresh, wanted)
        arrays.append(_Named(str(file), values))
    return arrays


def _read_checked(file: _File, wanted: Wanted) -> npt.NDArray[Any]:
    values, digests = _read(file, wanted, True)
    ours, found, of = wanted.content, digests[0], "its content"
    if ours is None:
        ours, found, of = wanted.packed, digests[1], "the file"
    if found != ours:
        raise ValueError(
            f"{file}: SHA-256 of {of} is {found}, want {ours}; remove it, and it is downloaded "
            "again"
        )
    return values


def _fetched(
    which: DataSet, wanted: Wanted, at: str, progress: bool | None, *, anew: bool = False
) -> _File:
    """Give a file of a set in a folder of the cache, once it is downloaded."""
    path = _find_file(at, wanted)
    if path is not None and not anew:
        return _File(path)
    member = None
    source = wanted
    if which.archive is not None:
        source, member = which.archive, f"gzip/{wanted.name}"
    path = os.path.join(at, source.name)
    if anew or not os.path.isfile(path):
        advice = (
            f"Get {', '.join(_plain(one) for one in which.wanted)} elsewhere and set LENET_C_DATA "
            f"to a folder with {which.folders[0]} in it."
        )
        downloads.download(source, path, which.mirrors, progress, advice)
    return _File(path, member)


def _stratified(labels: npt.NDArray[np.uint8], count: int) -> npt.NDArray[np.bool_]:
    """Mark `count` samples, of each class its share."""
    sizes = np.bincount(labels)
    shares = sizes * count / len(labels)
    quotas = np.floor(shares).astype(int)
    largest = np.argsort(quotas - shares, kind="stable")
    quotas[largest[: count - quotas.sum()]] += 1
    # RandomState's stream never changes between numpy versions; default_rng's may.
    random = np.random.RandomState(1998)
    chosen = np.zeros(len(labels), bool)
    for label, quota in enumerate(quotas):
        chosen[random.permutation(np.flatnonzero(labels == label))[:quota]] = True
    return chosen
