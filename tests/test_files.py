"""files: partial reads and writes, what replacing keeps, who is refused, what is left behind."""

from __future__ import annotations

import errno
import io
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from lenet_c import LeNet5, files

posix = pytest.mark.skipif(os.name != "posix", reason="permissions, links and signals of POSIX")
NOBODY = 65534


@pytest.fixture(scope="module")
def saved() -> bytes:
    file = io.BytesIO()
    LeNet5().save(file)
    return file.getvalue()


def python(code: str, *arguments: object, nobody: bool = False) -> str:
    """Run code in a process of its own, as a user without rights if wanted; its output."""
    # imported first: another user may not be able to read Python's own files
    become = (
        "import fcntl, hashlib, json, os, zipfile\n"
        "import numpy.lib.format, numpy.random\n"
        "import lenet_c.files, lenet_c.model, lenet_c.serialization\n"
        "lenet_c.LeNet5()\n"
        f"if os.geteuid() == 0: os.setgroups([]); os.setegid({NOBODY}); os.seteuid({NOBODY})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", (become if nobody else "") + code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(Path(files.__file__).parents[1])},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def everybody(folder: Path) -> Path:
    """A folder that a user without rights reaches and may write to."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)
    if os.geteuid() == 0:
        for parent in folder.parents:
            if stat.S_IMODE(parent.stat().st_mode) & 0o001:
                break
            parent.chmod(0o755)
    return folder


# ---- partial reads and writes ----


class Slow(io.RawIOBase):
    """Takes and gives little at a time, as pipes, sockets and full disks do."""

    def __init__(self, content: bytes = b"", most: int = 7_001) -> None:
        self.content = bytearray(content)
        self.most = most

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def readinto(self, room: Any) -> int:
        part = self.content[: min(len(room), self.most)]
        del self.content[: len(part)]
        room[: len(part)] = part
        return len(part)

    def write(self, content: Any) -> int:
        self.content += content[: self.most]
        return min(len(content), self.most)


def test_files_that_take_and_give_little_at_a_time(saved: bytes) -> None:
    file = Slow()
    LeNet5().save(file)  # type: ignore[arg-type]
    assert file.content == saved
    loaded = LeNet5.load(file)  # type: ignore[arg-type]
    assert (loaded.parameters == LeNet5().parameters).all()


@posix
def test_an_unbuffered_pipe(saved: bytes) -> None:
    reading, writing = os.pipe()
    with open(reading, "rb", buffering=0) as source, open(writing, "wb", buffering=0) as file:

        def send() -> None:
            with file:
                LeNet5().save(file)

        thread = threading.Thread(target=send)
        thread.start()
        try:
            loaded = LeNet5.load(source)
        finally:
            thread.join()
    assert (loaded.parameters == LeNet5().parameters).all()


@posix
def test_a_pipe_that_does_not_block(saved: bytes) -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    with open(reading, "rb", 0) as source, open(writing, "wb", 0) as file:
        with pytest.raises(BlockingIOError, match="nothing to read yet after 0 bytes: make it b"):
            LeNet5.load(source)
        with pytest.raises(BlockingIOError, match=r"takes no more now, after \d+ of \d+ bytes"):
            LeNet5().save(file)
        with pytest.raises(BlockingIOError, match="nothing to read yet after"):
            LeNet5.load(source)


class Odd:
    name = "odd"

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.content = b""

    def read(self, count: int) -> Any:
        return self.answer(count)

    def write(self, content: bytes) -> Any:
        self.content += content
        return self.answer(content)


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (lambda count: None, BlockingIOError, "has nothing to read yet after 0 bytes.*odd"),
        (lambda count: "PK\x03\x04", TypeError, "odd reads str, want a path or a binary file"),
        (lambda count: b"PK\x03\x04" * count, OSError, r"read\(4\) gave 16 bytes: 'odd'"),
        (lambda count: 4, TypeError, "odd reads int"),
    ],
)
def test_odd_reads(answer: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        LeNet5.load(Odd(answer))  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [0, -1, 1 << 30, "5", 5.0, True])
def test_odd_writes(given: Any) -> None:
    with pytest.raises(OSError, match=r"write of \d+ bytes gave .*, after 0 of \d+ bytes: 'odd'"):
        LeNet5().save(Odd(lambda content: given))  # type: ignore[arg-type]


def test_a_writer_that_answers_nothing_took_everything(saved: bytes) -> None:
    file = Odd(lambda content: None)
    LeNet5().save(file)  # type: ignore[arg-type]
    assert file.content == saved


def test_text_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="want a path or a binary file"):
        LeNet5().save(io.StringIO())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="reads str, want a path or a binary file"):
        LeNet5.load(io.StringIO("PK"))  # type: ignore[arg-type]


def test_a_stream_is_not_read_beyond_the_limit(saved: bytes) -> None:
    limit = len(saved) - 1
    endless = Slow(saved + bytes(1 << 20))
    before = len(endless.content)
    with pytest.raises(ValueError, match=f"more than {limit} bytes"):
        LeNet5.load(endless, max_bytes=limit)  # type: ignore[arg-type]
    assert before - len(endless.content) == limit + 1
    assert LeNet5.load(io.BytesIO(saved), max_bytes=limit + 1).n_parameters == 60_000


FULL = """
import resource, signal, sys
from lenet_c import LeNet5
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
net = LeNet5()
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    if sys.argv[2] == "path":
        net.save(sys.argv[1])
    else:
        with open(sys.argv[1], "wb", buffering=0) as file:
            net.save(file)
except OSError as error:
    print(error.errno, error.filename)
"""


@posix
@pytest.mark.parametrize("how", ["path", "file"])
def test_a_full_disk_is_told(tmp_path: Path, how: str) -> None:
    path = tmp_path / "model.npz"
    assert python(FULL, path, how) == f"{errno.EFBIG} {path}\n"
    assert os.listdir(tmp_path) == ([] if how == "path" else ["model.npz"])


# ---- replacing ----


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o604, 0o666, 0o400])
def test_the_mode_is_kept_and_never_wider(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"old")
    path.chmod(mode)
    seen = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    if mode == 0o400 and os.geteuid() != 0:
        with pytest.raises(PermissionError, match="read-only and is not replaced"):
            files.replace(path, b"new")
        return
    files.replace(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert seen[0] == 0o600


@posix
def test_owner_and_group_are_kept(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    path = tmp_path / "model"
    path.write_bytes(b"old")
    os.chown(path, NOBODY, NOBODY)
    path.chmod(0o640)
    files.replace(path, b"new")
    about = path.stat()
    assert (about.st_uid, about.st_gid) == (NOBODY, NOBODY)
    assert stat.S_IMODE(about.st_mode) == 0o640


@posix
def test_a_group_that_cannot_be_kept_gets_no_more_than_all(tmp_path: Path) -> None:
    """Another group would read what it could not read before."""
    if os.geteuid() != 0:
        pytest.skip("a file of a group that this user is not in")
    folder = everybody(tmp_path / "shared")
    path = folder / "model"
    path.write_bytes(b"old")
    path.chmod(0o666)
    os.chown(path, NOBODY, 12345)
    path.chmod(0o660)
    code = "import sys; from lenet_c import files; files.replace(sys.argv[1], b'new')"
    python(code, path, nobody=True)
    assert path.read_bytes() == b"new"
    assert path.stat().st_gid != 12345
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@posix
def test_a_read_only_file_is_not_replaced(tmp_path: Path) -> None:
    folder = everybody(tmp_path / "shared")
    path = folder / "model"
    path.write_bytes(b"old")
    path.chmod(0o444)
    code = """
import sys
from lenet_c import LeNet5
try:
    LeNet5().save(sys.argv[1])
except PermissionError as error:
    print(error)
"""
    out = python(code, path, nobody=True)
    assert out == f"[Errno 13] the file is read-only and is not replaced: {str(path)!r}\n"
    assert path.read_bytes() == b"old"
    assert os.listdir(folder) == ["model"]


LINKED = """
import sys
from lenet_c import files
try:
    files.replace(sys.argv[1], b"new")
    print("written")
except PermissionError as error:
    print(error.strerror, error.filename)
"""


@posix
@pytest.mark.parametrize("where", ["file", "folder"])
def test_links_of_others_in_sticky_folders_are_not_followed(tmp_path: Path, where: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs a link of another user")
    folder = everybody(tmp_path / "shared")
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "model").write_bytes(b"old")
    link = folder / "link"
    link.symlink_to(victim / "model" if where == "file" else victim)
    os.chown(link, NOBODY, NOBODY, follow_symlinks=False)
    path = link if where == "file" else link / "model"
    folder.chmod(0o1777)
    message = "another user's link, where all may write, is not followed"
    assert python(LINKED, path) == f"{message} {link}\n"
    assert (victim / "model").read_bytes() == b"old"
    # followed: in a folder that is not sticky, or not everybody's; one's own; the folder owner's
    folder.chmod(0o777)
    assert python(LINKED, path) == "written\n"
    folder.chmod(0o1755)
    assert python(LINKED, path) == "written\n"
    folder.chmod(0o1777)
    os.chown(link, 0, 0, follow_symlinks=False)
    assert python(LINKED, path) == "written\n"
    os.chown(link, NOBODY, NOBODY, follow_symlinks=False)
    os.chown(folder, NOBODY, NOBODY)
    assert python(LINKED, path) == "written\n"


@posix
def test_links_lead_where_realpath_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "to-b").symlink_to("a/b")
    (deep / "up").symlink_to("../../a")
    (deep / "again").symlink_to(tmp_path / "to-b" / "up")
    (tmp_path / "dangling").symlink_to("a/none")
    monkeypatch.chdir(deep)
    for path in (
        *("x", "./x", "../x", "up/x", "up/b/../x", "again/b/x", "../../to-b/../x"),
        *(f"{tmp_path}//to-b/./x", f"{tmp_path}/dangling", "none/x", "none/../x", "again/"),
    ):
        assert files._followed(path) == os.path.realpath(path), path
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError) as caught:
        files.target_of(tmp_path / "loop")
    assert caught.value.errno == errno.ELOOP


@pytest.mark.parametrize("name", ["", "no/folder/model", "x" * 300, "file/model"])
def test_errors_name_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_bytes(b"")
    with pytest.raises(OSError) as caught:
        LeNet5().save(name)
    assert caught.value.filename == (os.path.join(os.getcwd(), name) if name else "")
    assert caught.value.filename2 is None
    assert str(caught.value).endswith(repr(caught.value.filename))
    assert os.listdir() == ["file"]
    with pytest.raises(ValueError, match="null characters"):
        LeNet5().save("a\0b")


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    name = "x" * 255
    files.replace(tmp_path / name, b"new")
    assert os.listdir(tmp_path) == [name]


def test_errors_on_the_way_name_the_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model"

    def fail(*arguments: object) -> None:
        raise OSError(errno.EIO, "Input/output error", *arguments[:1])

    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, fail if name == "replace" else lambda _: fail())
            with pytest.raises(OSError) as caught:
                files.replace(path, b"new")
        assert caught.value.filename == str(path)
    assert os.listdir(tmp_path) == []


def test_an_interrupt_while_the_file_is_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def interrupted(*arguments: Any) -> int:
        os.close(real(*arguments))
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "open", interrupted)
    with pytest.raises(KeyboardInterrupt):
        files.replace(tmp_path / "model", b"new")
    monkeypatch.undo()
    assert os.listdir(tmp_path) == []


KILLED = """
import os, sys
from lenet_c import files
with files.replacing(sys.argv[1]) as file:
    file.write(b"half")
    print("writing", flush=True)
    sys.stdin.readline()
"""


@posix
def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    target, other = tmp_path / "model", tmp_path / "other"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(files.__file__).parents[1])},
        )
        for path in (target, target, other)
    ]
    try:
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "writing\n"
        dead, alive, elsewhere = started
        for process in (dead, elsewhere):
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert len(os.listdir(tmp_path)) == 3
        files.replace(target, b"new")
        # what is being written stays, and so does what belongs to another target
        assert len(os.listdir(tmp_path)) == 3
        alive.communicate("\n", timeout=60)
        assert target.read_bytes() == b"half"
        files.replace(other, b"new")
        assert sorted(os.listdir(tmp_path)) == ["model", "other"]
    finally:
        for process in started:
            process.kill()
            process.communicate()


@posix
def test_a_file_taken_for_forgotten_before_it_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may look between the making of the file and its lock."""
    lock, attempts = files._lock, []

    def late(descriptor: int, name: str) -> bool:
        attempts.append(name)
        if len(attempts) == 1:
            files._remove_stale(str(tmp_path), files._temporary_name(str(tmp_path / "model")))
        return lock(descriptor, name)

    monkeypatch.setattr(files, "_lock", late)
    files.replace(tmp_path / "model", b"new")
    assert len(attempts) == 2
    assert os.listdir(tmp_path) == ["model"]


def test_without_locks_age_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform != "win32":
        import fcntl

        def refuse(*_: object) -> None:
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(fcntl, "flock", refuse)
    beginning = files._temporary_name(str(tmp_path / "model"))
    old, new = tmp_path / f"{beginning}1.tmp", tmp_path / f"{beginning}2.tmp"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    files.replace(tmp_path / "model", b"new")
    assert sorted(os.listdir(tmp_path)) == sorted([new.name, "model"])


def test_many_threads_write_one_target(tmp_path: Path) -> None:
    path = tmp_path / "model"
    contents = [bytes([k]) * 100_000 for k in range(4)]
    failed: list[BaseException] = []

    def write(content: bytes) -> None:
        try:
            for _ in range(10):
                files.replace(path, content)
                assert path.read_bytes() in contents
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert os.listdir(tmp_path) == ["model"]
