"""Model files: valid ones with changed bytes, members, arrays, JSON and zip directories."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import os
import re
import struct
import zipfile
from random import Random
from typing import Any

import numpy as np

from lenet_c import (
    RBF,
    Architecture,
    AveragePool,
    Conv,
    Dense,
    LeNet5,
    MaxPool,
    ModelFileError,
    Rejection,
    Subsample,
)
from tests.fuzz import hostile
from tests.fuzz.engine import Case, Finding, expect, scratch

TINY = [
    Architecture(
        "tiny",
        (Conv("C1", 2, 3), Subsample("S2"), Dense("F3", 5), RBF("OUT", 3)),
        input_shape=(8, 8),
    ),
    Architecture(
        "trained codes",
        (Conv("C1", 2, 3), Dense("F3", 5), RBF("OUT", 3, trained=True)),
        input_shape=(6, 7),
    ),
    Architecture(
        "plain",
        (
            Conv("C1", 2, 1, activation="sigmoid"),
            AveragePool("P"),
            Conv("C2", 2, 3, ((0,), (0, 1)), activation="tanh", padding=1),
            MaxPool("M"),
            Dense("OUT", 4, activation="identity"),
        ),
        input_shape=(12, 10),
    ),
    Architecture(
        "colours",
        (
            Conv("C1", 2, 3, ((0, 2), (1,))),
            Subsample("S2", table=((1,), (0,), (1,))),
            Dense("OUT", 3, activation="identity"),
        ),
        input_shape=(3, 8, 9),
        background=(-0.5, 0.0, -1.0),
    ),
]


def networks() -> list[LeNet5]:
    """Give networks whose files are changed: small ones."""
    made = []
    for architecture in TINY:
        codes = None
        if architecture.code_length:
            codes = np.eye(architecture.classes, architecture.code_length, dtype=np.float32)
        made.append(LeNet5(architecture, codes=codes))
    made[0].notes = {"text": "é", "numbers": [1, 2.5, None, True], "nested": {"a": {"b": []}}}
    made[0].class_names = ["a", "b", "é"]
    made[0].temperature = 2.5
    made[0].rejection = Rejection(penalty=9.0, distance=3.0)
    made[0].subspaces = np.full((3, 2, 8, 8), 0.125, np.float32)
    return made


def packed(network: LeNet5) -> bytes:
    """Give the bytes of a network's file."""
    file = io.BytesIO()
    network.save(file)
    return file.getvalue()


class Partial(io.RawIOBase):
    """A file that gives less than it is asked for, as a pipe does."""

    def __init__(self, content: bytes, step: int) -> None:
        self._file, self._step = io.BytesIO(content), step

    def readable(self) -> bool:
        """Say so."""
        return True

    def readinto(self, room: Any) -> int:
        """Read a few bytes."""
        return self._file.readinto(memoryview(room)[: self._step])


def npy(name: str, shape: str, descr: str, data: bytes, random: Random) -> bytes:
    """Write a .npy of a header that need not be true."""
    header = f"{{'descr': '{descr}', 'fortran_order': {name}, 'shape': {shape}, }}"
    pad = -(10 + len(header) + 1) % 64
    if random.random() < 0.05:
        pad = random.randrange(65000)
    text = (header + " " * pad + "\n").encode("latin-1", "replace")
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text) & 0xFFFF) + text + data


class Files:
    """The fuzzer."""

    name = "files"

    def __init__(self) -> None:
        self.bases = [packed(network) for network in networks()]
        self.large = packed(LeNet5())
        folder = os.path.join(os.path.dirname(os.path.dirname(__file__)), "fixtures")
        with open(os.path.join(folder, "model-format1.npz"), "rb") as file:
            self.large_old = file.read()
        self.path = os.path.join(scratch(), "model.npz")

    def run(self, case: Case) -> None:
        """Load one changed file; what loads must read an image and be saved again."""
        random = case.random
        way = random.random()
        base = random.choice(self.bases)
        if way < 0.01:
            base = random.choice([self.large, self.large_old])
        if way < 0.3:
            content = hostile.mutated(random, base)
        elif way < 0.999:
            content = self.rebuilt(random, base)
        else:
            content = self.thirsty(random)
        if random.random() < 0.03:
            content = hostile.mutated(random, content, 1)
        case.show(content)
        self.load(case, content)

    def load(self, case: Case, content: bytes) -> None:
        """Load it by one of the ways, and hold what comes to its promises."""
        random = case.random
        way = random.randrange(20)
        if way < 3:
            with open(self.path, "wb") as file:
                file.write(content)
            net = case.call(LeNet5.load, self.path, names=[self.path])
        elif way == 3:
            file = Partial(content, random.choice([1 + len(content) // 3, 4096]))
            net = case.call(LeNet5.load, file, names=["model file"])
            whole = case.call(LeNet5.load, io.BytesIO(content), names=["model file"])
            expect(type(net) is type(whole), f"from a pipe {net!r}, from memory {whole!r}")
        else:
            net = case.call(LeNet5.load, io.BytesIO(content), names=["model file"])
        if isinstance(net, BaseException):
            expect(isinstance(net, ModelFileError), f"not a ModelFileError: {net!r}")
            return
        expect(np.isfinite(net.parameters).all(), "parameters that are not finite were loaded")
        try:
            with case.timed():
                classes = net.predict(np.zeros(net.architecture.input_shape, np.uint8))
            expect(0 <= classes[0] < net.architecture.classes, "a class out of range")
        except FloatingPointError:
            pass
        except Exception as error:
            if isinstance(error, MemoryError) and "set_memory_limit" in str(error):
                return  # it says what it wants, and how to get there
            raise Finding(
                f"what was loaded from {len(content)} bytes cannot read an image: {error!r:.200}"
            ) from error
        file = io.BytesIO()
        try:
            with case.timed():
                net.save(file)
                again = LeNet5.load(io.BytesIO(file.getvalue()))
        except Exception as error:
            raise Finding(f"what was loaded cannot be saved: {error!r:.200}") from error
        expect(np.array_equal(again.parameters, net.parameters), "other parameters after saving")
        expect(again.architecture == net.architecture, "another architecture after saving")
        expect(again.notes == net.notes, "other notes after saving")
        for name in ("class_names", "temperature", "rejection"):
            expect(getattr(again, name) == getattr(net, name), f"another {name} after saving")

    # ---- files that are rebuilt, with a right checksum mostly ----

    def rebuilt(self, random: Random, base: bytes) -> bytes:
        """Take a file apart, change members, and pack it again."""
        with zipfile.ZipFile(io.BytesIO(base)) as archive:
            members = {entry.filename: archive.read(entry) for entry in archive.infolist()}
        for _ in range(random.choice([1, 1, 1, 2, 3])):
            way = random.randrange(10)
            if way < 5:
                try:
                    about = json.loads(self._data(members.get("metadata.npy", b"")))
                except (ValueError, RecursionError):  # changed before
                    about = {"format": "lenet_c", "version": 1}
                text = self.json(random, about)
                members["metadata.npy"] = npy("False", f"({len(text)},)", "|u1", text, random)
            elif way < 8:
                name = random.choice([*members, "codes.npy", "parameters.npy"])
                members[name] = self.array(random, members.get(name, b""))
            elif way == 8:
                members.pop(random.choice(list(members)), None)
            else:
                name = random.choice(
                    [
                        "x.npy",
                        "../x.npy",
                        "a" * 300 + ".npy",
                        "x",
                        "é.npy",
                        ".npy",
                        "metadata",
                        "codes.npy",
                        "parameters.npy.npy",
                        "a\0.npy",
                    ]
                )
                members[name] = random.choice([*members.values(), b"", b"x" * 50])
            if not members:
                break
        if random.random() < 0.85:
            checksum = self.checksum(members)
            if checksum is not None:
                members["checksum.npy"] = npy("False", "(32,)", "|u1", checksum, random)
        return self.zip(random, members)

    @staticmethod
    def _data(member: bytes) -> bytes:
        start = 10 + int.from_bytes(member[8:10], "little")
        return member[start:]

    @staticmethod
    def checksum(members: dict[str, bytes]) -> bytes | None:
        """Give the checksum that the file should have, if its members can be read at all."""
        arrays = {}
        for name, content in members.items():
            if name == "checksum.npy":
                continue
            try:
                arrays[name[:-4]] = np.lib.format.read_array(io.BytesIO(content))
            except Exception:
                return None
        digest = hashlib.sha256()
        for name in sorted(arrays):
            array = arrays[name]
            shape = ",".join(map(str, array.shape))
            digest.update(f"{name}\0{array.dtype.str}\0{shape}\0".encode("utf-8", "replace"))
            digest.update(array.tobytes())
        return digest.digest()

    def array(self, random: Random, member: bytes) -> bytes:
        """Change an array: values, shape, dtype, or its header alone."""
        data = self._data(member)
        way = random.randrange(6)
        if way == 0 and len(data) >= 4:
            values = np.frombuffer(data[: len(data) // 4 * 4], "<f4").copy()
            at = random.randrange(values.size)
            values[at] = random.choice([np.nan, np.inf, 3.4e38, -3.4e38, 1e-45, 1e30, 0.0])
            if random.random() < 0.2:
                values[...] = values[at]
            data = values.tobytes()
            return npy("False", f"({values.size},)", "<f4", data, random)
        if way == 1:
            made = hostile.of_dtype(
                random, hostile.shape(random), random.choice(hostile.DTYPES[:16])
            )
            return npy("False", str(made.shape), made.dtype.str, made.tobytes(), random)
        if way == 2:
            shape = random.choice(
                [
                    "()",
                    "(0,)",
                    "(1, 0, 3)",
                    f"({len(data) // 4}, 1)",
                    "(-1,)",
                    "(99999999999, 9999999999, 9)",
                    "(" + "1, " * 40 + ")",
                    "(1e3,)",
                    f"(1, {len(data) // 4})",
                    "(²,)",
                    "( , )",
                    "(1,,2)",
                    "(3,",
                ]
            )
            return npy("False", shape, random.choice(["<f4", "|u1", "<i8"]), data, random)
        if way == 3:
            descr = random.choice(["<f8", ">f4", "|O", "<U9", "", "<f4,<f4", "|u1", "<i8"])
            return npy(
                random.choice(["False", "True", "0"]), f"({len(data) // 4},)", descr, data, random
            )
        if way == 4:
            cut = data[: random.randrange(len(data) + 1)] if data else b"1234"
            return npy("False", f"({len(cut) // 4},)", "<f4", cut[: len(cut) // 4 * 4], random)
        return hostile.mutated(random, member, 2)

    def json(self, random: Random, about: Any) -> bytes:
        """Change the metadata, as a value or as text."""
        way = random.random()
        if way < 0.6 and isinstance(about, dict):
            about = copy.deepcopy(about)
            for _ in range(random.choice([1, 1, 2, 4])):
                self._change(random, about)
            try:
                text = json.dumps(about).encode("utf-8", "replace")
            except (ValueError, TypeError, RecursionError):
                text = b"{}"
            return text
        text = json.dumps(about).encode()
        if way < 0.85:
            inside = random.choice(
                [
                    b'"notes": {"a": NaN}',
                    b'"notes": {"a": 1e999}',
                    b'"notes": {"a": -Infinity}',
                    b'"notes": {"a": ' + b"9" * random.choice([20, 400, 5000]) + b"}",
                    b'"notes": {"\\ud800": "\\udfff"}',
                    b'"notes": {"a": "\\u0000"}',
                    b'"notes": []',
                    b'"notes": {"a":' + b"[" * 300 + b"]" * 300 + b"}",
                    b'"version": 1.0',
                    b'"version": 2',
                    b'"notes": {"a":' + b"[" * 100000 + b"]" * 100000 + b"}",
                    b'"format": null',
                    b'"notes": {"a": "' + b"\xff\xfe" + b'"}',
                    b'"version": true',
                    b'"version": 1e2',
                    b'"version": ' + b"1" * 5000,
                    b'"architecture": null',
                    b'"notes": {"": {"": ""}}',
                ]
            )
            return text[:-1] + b", " + inside + b"}"
        if way < 0.852:
            # much for little: a list of empty lists
            return (
                text[:-1]
                + b', "notes": {"a": ['
                + b"[]," * (1 << random.randint(10, 22))
                + b"[]]}}"
            )
        if way < 0.9:
            return random.choice(
                [
                    b"",
                    b"{}",
                    b"[]",
                    b"null",
                    b"1",
                    b"\xff",
                    text[:-1],
                    text + text,
                    text.decode().encode("utf-16"),
                    b"\xef\xbb\xbf" + text,
                ]
            )
        return hostile.mutated(random, text, 3)

    def _change(self, random: Random, value: Any) -> None:
        places: list[tuple[Any, Any]] = []

        def walk(node: Any) -> None:
            for key in list(node) if isinstance(node, dict) else range(len(node)):
                places.append((node, key))
                if isinstance(node[key], (dict, list)):
                    walk(node[key])

        walk(value)
        if not places:
            return
        node, key = random.choice(places)
        way = random.randrange(6)
        if way == 0:
            del node[key]
        elif way == 1 and isinstance(node, dict):
            node[random.choice(["kind", "name", "x", "trained", "é", "maps", ""])] = node[key]
        elif way == 2 and isinstance(node, list):
            node.insert(key, copy.deepcopy(node[key]))
        else:
            node[key] = random.choice(
                [
                    None,
                    True,
                    False,
                    "",
                    "x",
                    "conv",
                    "relu",
                    [],
                    {},
                    [[]],
                    1.5,
                    float("nan"),
                    1e308,
                    [8, 8],
                    *random.sample(hostile.NUMBERS, 6),
                    "\ud800",
                    "x" * 70,
                    {"kind": "conv"},
                    [0, 1],
                ]
            )

    def zip(self, random: Random, members: dict[str, bytes]) -> bytes:
        """Pack members, at times with a directory that plays games."""
        file = io.BytesIO()
        game = random.randrange(12)
        with zipfile.ZipFile(file, "w") as archive:
            items = list(members.items())
            if game == 0:
                random.shuffle(items)
            if game == 1 and items:
                items.append(random.choice(items))
            if game == 2:
                items += [
                    (f"n{k}.npy", b"")
                    for k in range(
                        random.choice([2, 10, 260] if random.random() < 0.1 else [2, 10])
                    )
                ]
            for name, content in items:
                info = zipfile.ZipInfo(name.replace("\0", "_") or "_")
                if game == 3 and random.random() < 0.4:
                    info.compress_type = random.choice([8, 12, 14])
                if game == 4:
                    info.extra = bytes(random.choice([1, 4, 100]))
                if game == 5:
                    info.comment = b"c" * random.choice([1, 60000])
                archive.NameToInfo.pop(info.filename, None)  # no word about a second of that name
                try:
                    archive.writestr(info, content)
                except (UnicodeError, ValueError, struct.error):
                    continue
            if game == 6:
                archive.comment = random.choice([b"x", b"PK\5\6" + bytes(18), b"c" * 65000])
        data = bytearray(file.getvalue())
        if game in (7, 8, 9):
            # a field of an entry, of the directory or of the end record
            sign = [b"PK\3\4", b"PK\1\2", b"PK\5\6"][game - 7]
            places = [found.start() for found in re.finditer(re.escape(sign), data)]
            if places:
                at = random.choice(places) + 4 + random.randrange(42 if game == 8 else 18)
                new = random.choice(
                    [b"\0", b"\1", b"\xff", b"\xff\xff", b"\xff\xff\xff\xff", b"\x80"]
                )
                data[at : at + len(new)] = new
        if game == 10:
            data[0:0] = random.choice([b"x", b"PK\3\4" + bytes(30), bytes(100)])
        return bytes(data)

    def thirsty(self, random: Random) -> bytes:
        """Describe a network of few parameters that wants much memory or work for an image."""
        side = random.choice([64, 256, 1024])
        layers: list[Any] = []
        maps, at = 1, side
        for k in range(random.randint(1, 20)):
            if random.random() < 0.6:
                wanted = random.choice([1, 2, 8, 64, 512, 4096])
                if maps * wanted > 20000:
                    wanted = 1
                maps = wanted
                layers.append(Conv(f"C{k}", maps, 1, activation="relu"))
            elif at >= 2:
                layers.append(random.choice([AveragePool, MaxPool])(f"P{k}"))
                at //= 2
        while at >= 2 and maps * at * at > 2000:
            layers.append(AveragePool(f"Q{at}"))
            at //= 2
        layers.append(Dense("OUT", 2, activation="identity"))
        try:
            architecture = Architecture("thirsty", tuple(layers), input_shape=(side, side))
        except ValueError:
            return b"PK\3\4"
        if architecture.n_parameters > 30000:
            return b"PK\3\4"
        about = {"format": "lenet_c", "version": 1, "architecture": architecture.to_dict()}
        text = json.dumps(about).encode()
        n = architecture.n_parameters
        members = {
            "metadata.npy": npy("False", f"({len(text)},)", "|u1", text, random),
            "parameters.npy": npy("False", f"({n},)", "<f4", bytes(4 * n), random),
        }
        checksum = self.checksum(members)
        if checksum is not None:
            members["checksum.npy"] = npy("False", "(32,)", "|u1", checksum, random)
        return self.zip(random, members) if random.random() < 0.1 else self.zip(Random(11), members)
