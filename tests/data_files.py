"""Data sets for tests: their files, made up, and servers that give them."""

from __future__ import annotations

import dataclasses
import gzip
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lenet_c import catalogue, datasets

MNIST = catalogue.SETS["mnist"]
NAMES = [wanted.name.removesuffix(".gz") for wanted in MNIST.wanted]


def idx(array, shape=None, dtype=0x08):
    shape = array.shape if shape is None else shape
    return struct.pack(f">HBB{len(shape)}I", 0, dtype, len(shape), *shape) + array.tobytes()


def put(folder, arrays, packed=False, names=NAMES):
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in zip(names, arrays, strict=True):
        content = idx(array)
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)


def published(monkeypatch, name, **changes):
    """Let a data set be published in another way."""
    changed = dataclasses.replace(catalogue.SETS[name], **changes)
    monkeypatch.setitem(catalogue.SETS, name, changed)
    return changed


def empty_cache(tmp_path, monkeypatch):
    """Let there be an empty cache, no LENET_C_DATA, nothing of the system's, and no network."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(datasets, "cache_folder", lambda: str(folder))
    monkeypatch.setattr(datasets, "_SYSTEM", str(tmp_path / "system"))
    for name in catalogue.SETS:
        published(monkeypatch, name, mirrors=())
    qmnist = dataclasses.replace(datasets.QMNIST, mirrors=())
    monkeypatch.setattr(datasets, "QMNIST", qmnist)
    monkeypatch.delenv("LENET_C_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    return folder


class Mirror:
    """A server on this machine whose answer to each path a test sets."""

    def __init__(self):
        self.answers = {}
        self.asked = []
        self.stop = threading.Event()
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                mirror.asked.append(self.path)
                answer = mirror.answers.get(self.path.rpartition("/")[2])
                if answer is None:
                    self.send_error(404)
                else:
                    answer(self)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self.stop.set()
        self.server.shutdown()
        self.server.server_close()

    def serve(self, packed):
        self.packed = packed
        self.answers = {f"{name}.gz": body(data) for name, data in packed.items()}

    def cut(self, declared):
        content = self.packed[NAMES[0]]
        return body(content[:-50], len(content) if declared else len(content) - 50)

    def drip(self, handler):
        """Send a byte now and then, never enough."""
        handler.send_response(200)
        handler.end_headers()
        try:
            for _ in range(160):
                if self.stop.wait(0.05):
                    return
                handler.wfile.write(b"\x1f")
        except OSError:
            pass

    def hang(self, handler):
        self.stop.wait(20)


def body(content, length=None):
    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content) if length is None else length))
        handler.end_headers()
        handler.wfile.write(content)

    return answer
