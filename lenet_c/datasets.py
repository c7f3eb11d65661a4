"""MNIST from a folder, the cache or the network, scikit-learn's small digits, and one's own.

An IDX file is two zero bytes, a type byte, the number of dimensions, each dimension as a
big-endian 32-bit integer, then the values. Files are not trusted: what the header claims is
checked before memory is taken for it.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy as np

from lenet_c import files, preprocess
from lenet_c.folders import Fields, Pictures, folder
from lenet_c.strings import Strings, strings

if TYPE_CHECKING:
    import numpy.typing as npt

    Arrays: TypeAlias = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]

__all__ = [
    "DownloadError",
    "Fields",
    "Pictures",
    "Strings",
    "cache_folder",
    "digits",
    "folder",
    "mnist",
    "read_idx",
    "strings",
]

_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
# SHA-256 of the unpacked content: packed files differ between mirrors and tools.
_FILES = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
_SUBFOLDERS = ("", "mnist", os.path.join("MNIST", "raw"))

_MAX_DOWNLOAD = 64 << 20  # bytes, packed and unpacked; the largest file unpacks to 47 MB
_CONNECTION_TIMEOUT = 20.0  # seconds until there is an answer, and without a byte
_FILE_TIMEOUT = 600.0  # seconds for one file
_CHUNK = 1 << 16
_MAX_DEFLATE_RATIO = 1032  # what one byte of a gzip file can unpack to
_MAX_GZIP_RATIO = 2  # bytes of a gzip file for one of content, beside
_MAX_GZIP_EXTRA = 1 << 20  # these: more is not content but headers, or nothing
_MAX_GZIP_MEMBERS = 10_000  # gzip files one after the other, as some tools make for each 64 kB


class DownloadError(OSError):
    """No mirror gave the file; the message lists each address and what went wrong there."""


def mnist(
    folder: str | os.PathLike[str] | None = None,
    download: bool = True,
    *,
    progress: bool | None = None,
) -> tuple[Arrays, Arrays]:
    """Return MNIST's training and test sets.

    The four IDX files, gzipped or not, are looked for in a folder itself, in ``mnist`` and in
    ``MNIST/raw`` (torchvision's layout) below it.

    Parameters
    ----------
    folder : path, optional
        The only folder to look in. By default the one that the environment variable
        ``LENET_C_DATA`` names; where that is not set, or empty, the cache folder.
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
        false; with what was found instead.
    ValueError
        If a file is damaged or does not hold 28x28 images or labels from 0 to 9.
    DownloadError
        If no mirror gave a file.
    """
    environment = os.environ.get("LENET_C_DATA")
    if folder is not None or environment:
        given = os.fsdecode(environment if folder is None else folder)  # type: ignore[arg-type]
        paths = _find(given)
        if paths is None:
            named = f"LENET_C_DATA={given}" if folder is None else given
            raise FileNotFoundError(
                f"MNIST is not in {named}, want there, in mnist or in MNIST/raw, gzipped or not: "
                f"{', '.join(_FILES)}; found: {_found_in(given)}"
            )
        return _load_pair(*map(_load, paths[:2])), _load_pair(*map(_load, paths[2:]))
    return _from_cache(cache_folder(), download, progress)


def _from_cache(cache: str, download: bool, progress: bool | None) -> tuple[Arrays, Arrays]:
    paths = _find(cache)
    if paths is None:
        if not download:
            raise FileNotFoundError(
                f"MNIST is not in {cache}; wanted, gzipped or not: {', '.join(_FILES)}"
            )
        paths = _download(os.path.join(cache, "mnist"), progress)
    loaded = []
    for path, (name, sha256) in zip(paths, _FILES.items(), strict=True):
        try:
            loaded.append(_load(path, sha256))
        except ValueError as damage:
            if not download:
                raise
            fresh = os.path.join(os.path.dirname(path), f"{name}.gz")
            try:
                _download_file(f"{name}.gz", fresh, sha256, progress)
            except DownloadError as error:
                raise DownloadError(f"{damage}\n{error}") from None
            if fresh != path:  # it would be found first
                os.unlink(path)
            loaded.append(_load(fresh, sha256))
    return _load_pair(*loaded[:2]), _load_pair(*loaded[2:])


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


def read_idx(
    path: str | os.PathLike[str],
    *,
    ndim: int | None = None,
    item_shape: tuple[int, ...] | None = None,
    max_bytes: int = 1 << 30,
) -> npt.NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, gzipped or not.

    Parameters
    ----------
    path : path
        The file. Whether it is gzipped is told from its content.
    ndim : int, optional
        The number of dimensions it must have. By default any from 1 to 4.
    item_shape : tuple of int, optional
        The shape that must follow the first dimension.
    max_bytes : int
        The most content to accept. Of a gzipped file at most twice as many bytes are read as it
        unpacks to, and 1 MiB: one that is all headers is refused there.

    Returns
    -------
    ndarray of uint8
        The values, in the shape that the file states.

    Raises
    ------
    ValueError
        If the file is not such a file, or its size does not match its header.
    """
    return _read_idx_file(os.fsdecode(path), ndim, item_shape, max_bytes)


def _read_idx_file(
    name: str,
    ndim: int | None = None,
    item_shape: tuple[int, ...] | None = None,
    max_bytes: int = 1 << 30,
    digest: Any = None,
) -> npt.NDArray[np.uint8]:
    """Read an IDX file; `digest`, if given, is updated with its unpacked content."""
    with open(name, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not packed:
            return _read_idx(name, file, ndim, item_shape, max_bytes, size, True, digest)
        content = _Gunzip(file)
        limit = size * _MAX_DEFLATE_RATIO
        try:
            return _read_idx(name, content, ndim, item_shape, max_bytes, limit, False, digest)
        except _DamagedGzip as error:
            raise ValueError(f"{name}: damaged gzip file ({error})") from error


class _DamagedGzip(ValueError):
    pass


class _Gunzip:
    """Unpacks a gzip file as gzip.GzipFile does, but in bounded memory, input and time.

    gzip.GzipFile reads a header byte by byte, however long it is, and any number of empty members.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._begin()
        self._packed = b""
        self._taken = self._given = self._members = 0

    def _begin(self) -> None:
        import zlib

        self._unpack = zlib.decompressobj(wbits=31)
        self._error = zlib.error

    def readinto(self, room: memoryview) -> int:
        """Fill some of `room`, in bytes; 0 at the end."""
        while True:
            if self._unpack.eof and not self._next_member():
                return 0
            if not self._packed:
                self._take()
            try:
                part = self._unpack.decompress(self._packed, len(room))
            except self._error as error:
                raise _DamagedGzip(str(error)) from None
            self._packed = self._unpack.unconsumed_tail or self._unpack.unused_data
            if part:
                room[: len(part)] = part
                self._given += len(part)
                return len(part)

    def read(self, count: int) -> bytes:
        """Give `count` bytes, or what is left of them."""
        room = bytearray(count)
        done = 0
        while done < count and (got := self.readinto(memoryview(room)[done:])):
            done += got
        return bytes(room[:done])

    def _take(self) -> None:
        self._packed = self._file.read(_CHUNK)
        self._taken += len(self._packed)
        if not self._packed:
            raise _DamagedGzip("it is truncated")
        if self._taken > _MAX_GZIP_EXTRA + _MAX_GZIP_RATIO * self._given:
            raise _DamagedGzip(f"{self._taken} bytes unpack to {self._given} only")

    def _next_member(self) -> bool:
        """Whether another gzip file follows, behind zeros."""
        self._packed = self._packed.lstrip(b"\0")
        while not self._packed:
            self._packed = self._file.read(_CHUNK)
            if not self._packed:
                return False
            self._taken += len(self._packed)
            if self._taken > _MAX_GZIP_EXTRA + _MAX_GZIP_RATIO * self._given:
                raise _DamagedGzip("it ends in zeros")
            self._packed = self._packed.lstrip(b"\0")
        self._members += 1
        if self._members >= _MAX_GZIP_MEMBERS:
            raise _DamagedGzip(f"it has more than {_MAX_GZIP_MEMBERS} members")
        self._begin()
        return True


def cache_folder() -> str:
    """Return the folder that downloads are kept in; it need not exist.

    Returns
    -------
    str
        The user's cache folder on this platform, with ``lenet_c`` below it.
    """
    home = os.path.expanduser("~")
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA") or os.path.join(home, "AppData", "Local")
        return os.path.join(local, "lenet_c", "Cache")
    if sys.platform == "darwin":
        return os.path.join(home, "Library", "Caches", "lenet_c")
    return os.path.join(os.environ.get("XDG_CACHE_HOME") or f"{home}/.cache", "lenet_c")


def _read_idx(
    name: str,
    file: Any,
    ndim: int | None,
    item_shape: tuple[int, ...] | None,
    max_bytes: int,
    available: int,
    exact: bool,
    digest: Any,
) -> npt.NDArray[np.uint8]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise ValueError(
            f"{name}: not an IDX file (it begins with {magic!r}, want two zero bytes, "
            "the type and the number of dimensions)"
        )
    if magic[2] != 0x08:
        raise ValueError(f"{name}: values of type 0x{magic[2]:02x}, want 0x08, unsigned bytes")
    wanted = range(1, 5) if ndim is None else (ndim,)
    if magic[3] not in wanted:
        raise ValueError(
            f"{name}: {magic[3]} dimensions, want {'1 to 4' if ndim is None else ndim}"
        )
    header = file.read(4 * magic[3])
    if len(header) < 4 * magic[3]:
        raise ValueError(f"{name}: truncated in its header")
    shape = tuple(int.from_bytes(header[i : i + 4], "big") for i in range(0, len(header), 4))
    if item_shape is not None and shape[1:] != item_shape:
        raise ValueError(f"{name}: items of {shape[1:]}, want {item_shape}")
    count = 1
    for size in shape:
        count *= size
    if count == 0:
        raise ValueError(f"{name}: its header says {shape}, which is empty")
    if count > max_bytes:
        raise ValueError(f"{name}: its header says {shape}, want at most {max_bytes} bytes")
    available -= len(magic) + len(header)
    if count > available or (exact and count != available):
        raise ValueError(
            f"{name}: its header says {shape}, {count} bytes; the file "
            + (f"has {available}" if exact else f"can unpack to {available} at most")
        )

    values = np.empty(count, np.uint8)
    view = values.data
    done = 0
    while done < count:
        got = file.readinto(view[done : done + _CHUNK])
        if not got:
            raise ValueError(f"{name}: its header says {shape}, {count} bytes; it has {done}")
        done += got
    if file.read(1):
        raise ValueError(f"{name}: its header says {shape}, {count} bytes; it has more")
    if digest is not None:
        digest.update(magic + header)
        digest.update(values)
    return values.reshape(shape)


def _load(path: str, sha256: str | None = None) -> tuple[str, npt.NDArray[np.uint8]]:
    """Read one of the four files, of which `sha256` is the digest; its path and content."""
    import hashlib

    images = "images" in os.path.basename(path)
    shape: dict[str, Any] = {"ndim": 3, "item_shape": (28, 28)} if images else {"ndim": 1}
    digest = None if sha256 is None else hashlib.sha256()
    values = _read_idx_file(path, **shape, digest=digest)
    if digest is not None and digest.hexdigest() != sha256:
        raise ValueError(
            f"{path}: SHA-256 of its content is {digest.hexdigest()}, want {sha256}; "
            "remove it, and it is downloaded again"
        )
    return path, values


def _load_pair(
    images: tuple[str, npt.NDArray[np.uint8]], labels: tuple[str, npt.NDArray[np.uint8]]
) -> Arrays:
    if len(images[1]) != len(labels[1]):
        raise ValueError(
            f"{images[0]} has {len(images[1])} images but {labels[0]} {len(labels[1])} labels"
        )
    if labels[1].max() > 9:
        raise ValueError(f"{labels[0]}: label {labels[1].max()}, want 0 to 9")
    return images[1], labels[1]


def _found_in(folder: str) -> str:
    """Tell what a folder has instead of MNIST."""
    if not os.path.isdir(folder):
        return "a file" if os.path.exists(folder) else "no such folder"
    some = [
        path
        for subfolder in _SUBFOLDERS
        for name in _FILES
        if (path := _find_file(os.path.join(folder, subfolder), name)) is not None
    ]
    try:
        names = some or sorted(os.listdir(folder))
    except OSError as error:
        return str(error.strerror)
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more if names else "an empty folder"


def has_mnist(folder: str) -> bool:
    """Whether a folder has some of MNIST's files, in a place where `mnist` looks for them."""
    return any(
        _find_file(os.path.join(folder, subfolder), name) is not None
        for subfolder in _SUBFOLDERS
        for name in _FILES
    )


def _find(folder: str) -> list[str] | None:
    """Return the paths of the four files if one place in `folder` has them all."""
    for subfolder in _SUBFOLDERS:
        place = os.path.join(folder, subfolder)
        found = [_find_file(place, name) for name in _FILES]
        paths = [path for path in found if path is not None]
        if len(paths) == len(_FILES):
            return paths
    return None


def _find_file(place: str, name: str) -> str | None:
    dotted = name.replace("-idx", ".idx")
    for spelling in (name, f"{name}.gz", dotted, f"{dotted}.gz"):
        path = os.path.join(place, spelling)
        if os.path.isfile(path):
            return path
    return None


def _download(folder: str, progress: bool | None) -> list[str]:
    """Download what `folder` lacks of the four files and return their paths."""
    os.makedirs(folder, exist_ok=True)
    paths = []
    for name, sha256 in _FILES.items():
        path = _find_file(folder, name)
        if path is None:
            path = os.path.join(folder, f"{name}.gz")
            _download_file(f"{name}.gz", path, sha256, progress)
        paths.append(path)
    return paths


def _download_file(name: str, path: str, sha256: str, progress: bool | None) -> None:
    import http.client

    failures = []
    for mirror in _MIRRORS:
        try:
            with files.replacing(path) as file:
                _fetch(mirror + name, file, progress)
                _check(file, sha256)
            return
        except (OSError, RuntimeError, ValueError, http.client.HTTPException) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            failures.append(f"  {mirror}{name}: {reason}")
    raise DownloadError(
        f"could not download {name} to {os.path.dirname(path)}:\n" + "\n".join(failures) + "\n"
        "Get the four MNIST files elsewhere and set LENET_C_DATA to their folder."
    )


def _fetch(url: str, file: BinaryIO, progress: bool | None) -> None:
    import time

    deadline = time.monotonic() + _FILE_TIMEOUT
    with _open(url) as response:
        length = response.headers.get("Content-Length", "")
        expected = int(length) if length.isdecimal() else None
        bar = progress_bar(os.path.basename(url), expected, progress)
        received = 0
        try:
            # read1 returns after one packet, so that a dripping server meets the deadline.
            while chunk := response.read1(_CHUNK):
                received += len(chunk)
                if received > _MAX_DOWNLOAD:
                    raise ValueError(f"more than {_MAX_DOWNLOAD} bytes")
                if time.monotonic() > deadline:
                    raise TimeoutError(f"not done after {_FILE_TIMEOUT:g} s")
                files.write_all(file, chunk, file.name)
                if bar is not None:
                    bar.update(len(chunk))
        finally:
            if bar is not None:
                bar.close()
    if expected is not None and received != expected:
        raise ValueError(f"the connection ended after {received} of {expected} bytes")


def _open(url: str) -> Any:
    """Open an address; all that its name leads to, one after the other, within the time limit.

    In a thread, because neither looking up a name nor trying several addresses has a limit.
    """
    import threading
    from urllib.request import Request, urlopen

    request = Request(url, headers={"User-Agent": "lenet_c"})
    answers: list[Any] = []

    def ask() -> None:
        try:
            answers.append(urlopen(request, timeout=_CONNECTION_TIMEOUT))
        except Exception as error:
            answers.append(error.with_traceback(None))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_CONNECTION_TIMEOUT)
    if not answers:
        raise TimeoutError(f"no answer after {_CONNECTION_TIMEOUT:g} s")
    answer = answers.pop()
    try:
        if isinstance(answer, Exception):
            raise answer
        return answer
    finally:
        del answer  # or the error would hold this frame, and be held by it


def progress_bar(name: str, total: int | None, progress: bool | None, *, unit: str = "B") -> Any:
    """Make a bar of tqdm's, or None if it is not wanted."""
    if progress is None:
        progress_wanted = sys.stderr is not None and sys.stderr.isatty()
    else:
        progress_wanted = progress
    if not progress_wanted:
        return None
    try:
        from tqdm import tqdm
    except ImportError as error:
        if progress is None:
            return None
        raise ImportError('progress=True needs tqdm: pip install "lenet_c[cli]"') from error
    return tqdm(desc=name, total=total, unit=unit, unit_scale=True)


def _check(file: BinaryIO, sha256: str) -> None:
    """Hold the unpacked content of a file just written against its SHA-256."""
    import hashlib

    digest = hashlib.sha256()
    unpacked = 0
    with open(file.name, "rb") as packed:
        content = _Gunzip(packed)
        try:
            while chunk := content.read(_CHUNK):
                unpacked += len(chunk)
                if unpacked > _MAX_DOWNLOAD:
                    raise ValueError(f"unpacks to more than {_MAX_DOWNLOAD} bytes")
                digest.update(chunk)
        except _DamagedGzip as error:
            raise ValueError(f"damaged gzip file ({error})") from None
    if digest.hexdigest() != sha256:
        raise ValueError(f"SHA-256 of the content is {digest.hexdigest()}, want {sha256}")


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
