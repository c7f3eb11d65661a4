"""Files: read to the end and written whole, or an error that names them; replaced in one step."""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

from lenet_c import checks

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    *("check", "get", "name_of", "put", "read_all", "replace", "replacing", "target_of"),
    "write_all",
]

_CHUNK = 1 << 20
_STALE = 3600.0  # seconds; where files cannot be locked, an older temporary file has no writer
_MAX_LINKS = 40


# ---- paths or open files ----


def check(file: object, method: str) -> None:
    """Raise TypeError unless what was given for a path is an open file with this method."""
    if not hasattr(file, method):
        raise TypeError(f"path: got {checks.short(file)}, want a path or a binary file")


def put(path: str | os.PathLike[str] | BinaryIO, content: bytes) -> None:
    """Write a file whole: in the place of a path, or to an open file."""
    if isinstance(path, (str, os.PathLike)):
        replace(path, content)
    else:
        check(path, "write")
        write_all(path, content, name_of(path))


def get(path: str | os.PathLike[str] | BinaryIO, limit: int) -> bytes:
    """Read a file, or an open one to its end; a ModelFileError if it is larger than the limit."""
    from lenet_c.serialization import ModelFileError

    name = name_of(path)
    if isinstance(path, (str, os.PathLike)):
        with open(name, "rb", buffering=0) as file:
            content = read_all(file, limit, name)
    else:
        check(path, "read")
        content = read_all(path, limit, name)
    if len(content) > limit:
        raise ModelFileError(f"{name}: more than {limit} bytes, want at most so many (max_bytes)")
    return content


# ---- open files ----


def name_of(path: str | os.PathLike[str] | BinaryIO) -> str:
    """Give what an error calls a file: its path, or its name if it is open and has one."""
    if isinstance(path, (str, os.PathLike)):
        return os.fsdecode(path)
    return str(getattr(path, "name", "model file"))


def read_all(file: BinaryIO, limit: int, name: str) -> bytes:
    """Read a binary file from where it stands to its end, however little each read gives.

    Parameters
    ----------
    file : binary file
        Buffered or not, also of a class of its own that has ``read``.
    limit : int
        Nothing is read beyond this many bytes and one more.
    name : str
        What errors call the file.

    Returns
    -------
    bytes
        More than `limit` if there is more.

    Raises
    ------
    BlockingIOError
        If the file does not block, and has nothing yet.
    OSError
        If it cannot be read, or gives more than it was asked for.
    TypeError
        If it does not give bytes.
    """
    parts = []
    size = 0
    while size <= limit:
        wanted = min(_CHUNK, limit + 1 - size)
        with _named(name):
            part = file.read(wanted)
        if part is None:
            raise BlockingIOError(
                errno.EAGAIN, f"has nothing to read yet after {size} bytes: make it block", name
            )
        if not isinstance(part, (bytes, bytearray, memoryview)):
            raise TypeError(
                f"path: {name} reads {type(part).__name__}, want a path or a binary file"
            )
        part = bytes(part)
        if len(part) > wanted:
            raise OSError(errno.EIO, f"read({wanted}) gave {len(part)} bytes", name)
        if not part:
            break
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def write_all(file: BinaryIO, content: bytes, name: str) -> None:
    """Write all of `content` to a binary file, however little each write takes.

    Parameters
    ----------
    file : binary file
        Buffered or not, also of a class of its own that has ``write``; there None, as what it
        gives back, stands for everything.
    content : bytes
    name : str
        What errors call the file.

    Raises
    ------
    BlockingIOError
        If the file does not block, and takes nothing now.
    OSError
        If it cannot be written to, or does not say how much it took.
    TypeError
        If it is a text file.
    """
    if isinstance(file, io.TextIOBase):
        raise TypeError(f"path: got {checks.short(file)}, want a path or a binary file")
    done = 0
    while done < len(content):
        part = content[done : done + _CHUNK]
        with _named(name):
            taken = file.write(part)
        if taken is None:
            if isinstance(file, io.RawIOBase):
                raise BlockingIOError(
                    errno.EAGAIN,
                    f"takes no more now, after {done} of {len(content)} bytes: make it block",
                    name,
                )
            taken = len(part)
        if isinstance(taken, bool) or not isinstance(taken, int) or not 0 < taken <= len(part):
            raise OSError(
                errno.EIO,
                f"write of {len(part)} bytes gave {checks.short(taken)}, "
                f"after {done} of {len(content)} bytes",
                name,
            )
        done += taken


@contextmanager
def _named(name: str, other: str | None = None) -> Iterator[None]:
    """Let an error of the system name the file: one without a name, or that names `other`."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename in (None, other):
            error.filename = name
            if error.filename2 is not None:  # set to None it would be told as ' -> None'
                del error.filename2
        raise


# ---- files in place of others ----


def target_of(path: str | os.PathLike[str]) -> str:
    """Give the file to write for `path`: a link to a model stays a link.

    Raises
    ------
    ValueError
        If something else than a file is there, or `path` cannot be a path.
    OSError
        If `path` is empty; PermissionError if the file is not this user's to write, or the path
        leads over somebody else's link in a folder that all may write to and that is sticky, as
        /tmp is: what the kernel refuses to follow (protected_symlinks) is not followed here.
    """
    name = os.fsdecode(path)
    if not name:
        raise FileNotFoundError(errno.ENOENT, "the path is empty", name)
    if "\0" in name:
        raise ValueError(f"path: got {checks.short(name)}, want one without null characters")
    with _named(name):
        target = _followed(name) if os.name == "posix" else os.path.realpath(name)
    if os.path.exists(target):
        if not os.path.isfile(target):
            raise ValueError(f"{target}: not a regular file; nothing is written in its place")
        effective = os.access in os.supports_effective_ids
        if not os.access(target, os.W_OK, effective_ids=effective):
            raise PermissionError(errno.EACCES, "the file is read-only and is not replaced", target)
    return target


def _followed(path: str) -> str:
    """Give os.path.realpath, but refuse the links that the kernel would not follow."""
    place = os.getcwd() if not os.path.isabs(path) else "/"
    rest = path.split("/")[::-1]
    links = 0
    while rest:
        part = rest.pop()
        if part in ("", "."):
            continue
        if part == "..":
            place = os.path.dirname(place)  # of what has no links in it any more
            continue
        step = os.path.join(place, part)
        try:
            link = os.lstat(step)
        except OSError:  # what is missing has no links; whoever opens it says what is wrong
            place = step
            continue
        if not stat.S_ISLNK(link.st_mode):
            place = step
            continue
        links += 1
        if links > _MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        folder = os.stat(place)
        shared = stat.S_ISVTX | stat.S_IWOTH
        mine = link.st_uid in (os.geteuid(), folder.st_uid)
        if folder.st_mode & shared == shared and not mine:
            raise PermissionError(
                errno.EACCES, "another user's link, where all may write, is not followed", step
            )
        destination = os.readlink(step)
        if os.path.isabs(destination):
            place = "/"
        rest += destination.split("/")[::-1]
    return place


def replace(path: str | os.PathLike[str], content: bytes) -> None:
    """Put a file with this content in the place of `path`: see `replacing`."""
    with replacing(path) as file:
        write_all(file, content, target_of(path))


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file that takes the place of `path` only once it is complete and on disk.

    The mode of what it replaces is kept, and where this user may set them its owner and group
    (a group that cannot be kept: the new one may do what all may). Access control lists, extended
    attributes and hard links are not: another name of the old file keeps the old content. A new
    file has the permissions that the umask leaves. Errors of the system name `path`.

    Parameters
    ----------
    path : path
        The target. Until the block ends without an exception it stays as it is.

    Yields
    ------
    binary file object
        A temporary file in the target's folder, not buffered (`write_all` writes to it), and
        removed if the block fails. One that a killed process left is removed by the next that
        writes the same target.

    Raises
    ------
    OSError, ValueError
        As `target_of`; if the folder is missing or may not be written to, or the disk is full.
    """
    target = target_of(path)
    folder = os.path.dirname(target)
    beginning = _temporary_name(target)
    with _named(target):
        try:
            old = os.stat(target)
        except FileNotFoundError:
            old = None
    # Until it has its place it is never more readable than the old file.
    mode = 0o666 if old is None else 0o600
    _remove_stale(folder, beginning)
    for attempt in range(10):
        temporary = os.path.join(folder, f"{beginning}{os.urandom(6).hex()}.tmp")
        try:
            # The name is known before there is a file: an interrupt leaves none behind.
            with _named(target, temporary):
                file = open(  # noqa: SIM115
                    temporary, "xb", 0, opener=lambda name, flags: os.open(name, flags, mode)
                )
            with file:
                if not _lock(file.fileno(), temporary) and attempt < 9:
                    continue  # just taken for forgotten, by another process that writes here
                yield file
                with _named(target, temporary):
                    os.fsync(file.fileno())
                    if old is not None:
                        _take_over(file.fileno(), old)
                    if os.name == "posix":  # while it is locked, or it might be taken for forgotten
                        os.replace(temporary, target)
            if os.name != "posix":
                with _named(target, temporary):
                    os.replace(temporary, target)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
        break
    _sync_folder(folder)


def _temporary_name(target: str) -> str:
    """Give how temporary files of this target begin; short, whatever the target's name is."""
    from hashlib import sha256  # slow to import

    return f".lenet_c-{sha256(os.fsencode(os.path.basename(target))).hexdigest()[:16]}-"


def _take_over(descriptor: int, old: os.stat_result) -> None:
    """Give a file the owner, the group and the mode of another, as far as this user may."""
    if not hasattr(os, "fchmod"):
        return
    for owner, group in ((-1, old.st_gid), (old.st_uid, -1)):
        with suppress(OSError):
            os.fchown(descriptor, owner, group)
    new = os.fstat(descriptor)
    mode = stat.S_IMODE(old.st_mode)
    if new.st_gid != old.st_gid:
        mode &= ~stat.S_IRWXG | (mode & stat.S_IRWXO) << 3
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        mode &= ~(stat.S_ISUID | stat.S_ISGID)
    if mode != stat.S_IMODE(new.st_mode):
        os.fchmod(descriptor, mode)


def _lock(descriptor: int, name: str) -> bool:
    """Lock a new temporary file while it is open: the sign that it has a writer.

    False if it was removed before it was locked, or is about to be.
    """
    if sys.platform != "win32":
        import fcntl

        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # some network file systems have no locks
            return True
    return os.path.exists(name)


def _remove_stale(folder: str, beginning: str) -> None:
    """Remove what killed processes left of a target: files without a lock, or old ones."""
    with suppress(OSError):
        for name in os.listdir(folder):
            if name.startswith(beginning) and name.endswith(".tmp"):
                with suppress(OSError):
                    _remove_if_stale(os.path.join(folder, name))


def _remove_if_stale(temporary: str) -> None:
    if sys.platform == "win32":
        if time.time() - os.stat(temporary).st_mtime > _STALE:
            os.unlink(temporary)
        return
    import fcntl

    descriptor = os.open(temporary, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # somebody writes it
        except OSError:  # no locks here
            if time.time() - os.fstat(descriptor).st_mtime <= _STALE:
                return
        os.unlink(temporary)
    finally:
        os.close(descriptor)


def _sync_folder(folder: str) -> None:
    # Windows cannot open a folder, and some network file systems cannot sync one.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
