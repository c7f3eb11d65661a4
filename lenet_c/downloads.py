"""Files from the network: from the first of several mirrors that gives what is wanted."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from lenet_c import files
from lenet_c.idx import CHUNK, DamagedGzip, Gunzip

__all__ = ["DownloadError", "Wanted", "cache_folder", "download", "progress_bar", "sha256_of"]

_MAX_DOWNLOAD = 64 << 20  # bytes, packed and unpacked, of files without a size of their own
_CONNECTION_TIMEOUT = 20.0  # seconds until there is an answer, and without a byte
_FILE_TIMEOUT = 600.0  # seconds for one file
_SLOWEST = 128 << 10  # bytes a second: a large file has the time for them


class DownloadError(OSError):
    """No mirror gave the file; the message lists each address and what went wrong there."""


@dataclass(frozen=True)
class Wanted:
    """A file as it is published, and how it is known again.

    Attributes
    ----------
    name : str
        As on the mirrors.
    content : str, optional
        SHA-256 of what it unpacks to; then mirrors and tools may pack it as they like.
    packed : str, optional
        SHA-256 of the file itself, where that alone is published.
    size : int, optional
        The file's bytes, if `packed` is given.
    """

    name: str
    content: str | None = None
    packed: str | None = None
    size: int | None = None

    @property
    def limit(self) -> int:
        """Bytes beyond which it is something else."""
        return _MAX_DOWNLOAD if self.size is None else self.size

    @property
    def seconds(self) -> float:
        """Time that it may take."""
        return max(_FILE_TIMEOUT, 0 if self.size is None else self.size / _SLOWEST)


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


def download(
    wanted: Wanted, path: str, mirrors: Sequence[str], progress: bool | None, advice: str
) -> None:
    """Download a file to `path`, which it gets only once it is complete and known to be right.

    Parameters
    ----------
    wanted : Wanted
    path : str
    mirrors : sequence of str
        Addresses that its name is added to, the first to try first.
    progress : bool or None
        As for `progress_bar`.
    advice : str
        What to do if there is none, for the error.

    Raises
    ------
    DownloadError
        If no mirror gave it.
    """
    import http.client

    failures = []
    for mirror in mirrors:
        try:
            with files.replacing(path) as file:
                _fetch(mirror + wanted.name, file, wanted, progress)
                _check(file, wanted)
            return
        except (OSError, RuntimeError, ValueError, http.client.HTTPException) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            failures.append(f"  {mirror}{wanted.name}: {reason}")
    raise DownloadError(
        f"could not download {wanted.name} to {os.path.dirname(path)}:\n"
        + "\n".join(failures)
        + f"\n{advice}"
    )


def _fetch(url: str, file: BinaryIO, wanted: Wanted, progress: bool | None) -> None:
    import time

    deadline = time.monotonic() + wanted.seconds
    with _open(url) as response:
        length = response.headers.get("Content-Length", "")
        expected = int(length) if length.isdecimal() else None
        bar = progress_bar(os.path.basename(url), expected, progress)
        received = 0
        try:
            # read1 returns after one packet, so that a dripping server meets the deadline.
            while chunk := response.read1(CHUNK):
                received += len(chunk)
                if received > wanted.limit:
                    raise ValueError(f"more than {wanted.limit} bytes")
                if time.monotonic() > deadline:
                    raise TimeoutError(f"not done after {wanted.seconds:g} s")
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


def sha256_of(file: BinaryIO) -> str:
    """Give the SHA-256 of what is left of a file."""
    import hashlib

    digest = hashlib.sha256()
    while chunk := file.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def _check(file: BinaryIO, wanted: Wanted) -> None:
    """Hold a file just written against its SHA-256, or the content that it unpacks to."""
    import hashlib

    with open(file.name, "rb") as packed:
        if wanted.content is None:
            _compare("", sha256_of(packed), wanted.packed)
            return
        digest = hashlib.sha256()
        unpacked = 0
        content = Gunzip(packed)
        try:
            while chunk := content.read(CHUNK):
                unpacked += len(chunk)
                if unpacked > _MAX_DOWNLOAD:
                    raise ValueError(f"unpacks to more than {_MAX_DOWNLOAD} bytes")
                digest.update(chunk)
        except DamagedGzip as error:
            raise ValueError(f"damaged gzip file ({error})") from None
    _compare(" of the content", digest.hexdigest(), wanted.content)


def _compare(what: str, found: str, wanted: str | None) -> None:
    if found != wanted:
        raise ValueError(f"SHA-256{what} is {found}, want {wanted}")
