"""Reading lines of characters: fields of forms, amounts, codes, meters.

`preprocess.line` brings a picture of a field into a strip, the network is swept over the strip (space
displacement network: LeCun et al. 1998, section VII), and `decoding.decode` finds the string that its
outputs spell. `LineReader` holds what belongs together: a network with a blank class, what its
classes are called, how sure it is, and what it rejects.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenet_c import _core, checks, criteria, decoding, patterns
from lenet_c.classes import DIGITS, classes_of
from lenet_c.distort import Distortion
from lenet_c.model import LeNet5
from lenet_c.optimizers import Adam, OneCycle, Optimizer
from lenet_c.rejection import Rejection
from lenet_c.trainer import Trainer

if TYPE_CHECKING:
    from lenet_c.strings import Strings

Strip = NDArray[np.uint8]
Floats = NDArray[np.float32]

MARKS = ".,-"
MARGIN = 6
"""Columns that are put beside a strip, so that its first and last characters have positions to
spare."""

OWN = Distortion(
    translation=1.0,
    scaling=0.08,
    squeezing=0.08,
    shearing=0.12,
    rotation=1.5,
    elastic=0.5,
    elastic_smoothness=6.0,
    thickness=0.7,
    blur=0.6,
    contrast=0.25,
    noise=0.06,
    chance=0.3,
)
"""How `LineReader.fit` changes the strips of one's own fields, anew each time."""


@dataclass(frozen=True, eq=False)
class LineReading:
    """What a field says, and how sure that is.

    Attributes
    ----------
    text : str
        Empty if nothing was found.
    probability : float
        Of this string among all strings.
    confidence : float64 array (characters,)
        Of each character in its place.
    boxes : float64 array (characters, 4)
        Where in the picture each was seen: x, y, width and height of an upright box, in pixels.
    rejected : bool
        Whether the reader's threshold rejects it.
    reason : str or None
        Why nothing was read, if nothing was.
    alternatives : tuple of (str, float)
        The next likeliest strings, and their probabilities.
    """

    text: str
    probability: float
    confidence: NDArray[np.float64] = field(repr=False)
    boxes: NDArray[np.float64] = field(repr=False)
    rejected: bool = False
    reason: str | None = None
    alternatives: tuple[tuple[str, float], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON has it.

        Returns
        -------
        dict
        """
        return {
            "text": self.text,
            "probability": self.probability,
            "confidence": [round(float(value), 6) for value in self.confidence],
            "boxes": [[round(float(value), 2) for value in box] for box in self.boxes],
            "doubtful": self.rejected,
            "reason": self.reason,
            "alternatives": [list(other) for other in self.alternatives],
        }


def _nothing(reason: str | None) -> LineReading:
    return LineReading("", 0.0, np.empty(0), np.empty((0, 4)), True, reason)


class LineReader:
    """Reads the line of characters that a picture of a field shows.

    Parameters
    ----------
    network : LeNet5
        With a blank class (`LENET5_STRINGS`, or `Architecture(..., blank=True)`), and class names of
        one character each where they are not the ten digits. "." "," and "-" among them are read;
        else such marks are left out.

    Attributes
    ----------
    network : LeNet5
        Its `temperature` makes probabilities a confidence, its `rejection` says what is rejected:
        `calibrate` sets both, and `save` keeps them.

    Examples
    --------
    >>> reader = lenet_c.LineReader.pretrained()                       # doctest: +SKIP
    >>> reader.read("field.png", pattern=r"\\d{5}").text               # doctest: +SKIP
    '20742'
    """

    def __init__(self, network: LeNet5) -> None:
        self.network = checks.instance("network", network, LeNet5, "a LeNet5")
        if not network.architecture.blank:
            raise ValueError(
                f"network: {network.architecture.name} has no blank class, want LENET5_STRINGS or "
                "another Architecture(..., blank=True)"
            )
        names = network.class_names
        if names is None:
            if network.architecture.characters != len(DIGITS):
                raise ValueError(
                    f"network: its {network.architecture.characters} classes have no names, want "
                    "network.class_names set"
                )
            names = DIGITS
        self._names = names
        self._keep = "".join(mark for mark in MARKS if mark in names)

    def __repr__(self) -> str:
        return f"LineReader({self.network!r}, {''.join(self._names)!r})"

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the characters are called, in the order of their classes."""
        return self._names

    # ---- files ----

    @classmethod
    def pretrained(cls, name: str = "strings") -> LineReader:
        """Give a reader of digits that came with the library, trained on MNIST's training digits.

        Parameters
        ----------
        name : str

        Returns
        -------
        LineReader
        """
        return cls(LeNet5.pretrained(name))

    @classmethod
    def load(cls, path: str | os.PathLike[str] | BinaryIO, **limits: int | None) -> LineReader:
        """Read a reader that `save` wrote.

        Parameters
        ----------
        path : str, path or binary file
        **limits
            As for `LeNet5.load`.

        Returns
        -------
        LineReader

        Raises
        ------
        lenet_c.ModelFileError
            As `LeNet5.load`.
        ValueError
            If it is a network that reads no strings.
        """
        return cls(LeNet5.load(path, **limits))

    def save(self, path: str | os.PathLike[str] | BinaryIO) -> None:
        """Write network, names, temperature and threshold to one file, as `LeNet5.save` does.

        Parameters
        ----------
        path : str, path or binary file
        """
        self.network.save(path)

    # ---- reading ----

    def read(
        self,
        pictures: Any,
        *,
        boxes: ArrayLike | None = None,
        pattern: str | None = None,
        lexicon: Iterable[str] | None = None,
        length: int | tuple[int, int] | None = None,
        automaton: patterns.Automaton | None = None,
        n_best: int = 1,
        beam: int | None = None,
        reject: Rejection | None = None,
        num_threads: int | None = None,
    ) -> LineReading | list[LineReading]:
        r"""Read the line of characters of one picture, of several, or of the fields of a form.

        Parameters
        ----------
        pictures : array, path, bytes, file or PIL image, or an iterable of such
            An array is one picture, as `preprocess.line` takes it.
        boxes : array-like (N, 4), optional
            Read these fields of one picture: x, y, width and height of each, in pixels.
        pattern : str, optional
            A regular expression that the whole text matches: ``r"\d{5}(-\d{4})?"``. See
            `lenet_c.patterns`.
        lexicon : iterable of str, optional
            All texts that there can be.
        length : int or (int, int), optional
            How many characters, or the fewest and the most.
        automaton : patterns.Automaton, optional
            In their place: `automaton` of this reader, made once for many calls.
        n_best : int
            Strings that are wanted, the best among them.
        beam : int, optional
            Beginnings that the search follows at once (`decoding.decode`).
        reject : Rejection, optional
            By default the network's own. Its `penalty` is held against minus the logarithm of the
            string's probability.
        num_threads : int, optional

        Returns
        -------
        LineReading, or list of LineReading
            One for one picture without `boxes`. In a list, a picture that shows no line is a
            reading without text that is rejected and says why.

        Raises
        ------
        ValueError
            If the one picture is none, or shows no line that can be told: what it shows; for a
            pattern that is none, or that no class can match.
        TypeError
            If an argument is not as described.
        ImportError
            If SciPy or Pillow is not installed.
        """
        from lenet_c import preprocess

        is_one = boxes is None and _is_one(pictures)
        if automaton is None and not (pattern is None and lexicon is None and length is None):
            automaton = self.automaton(pattern=pattern, lexicon=lexicon, length=length)
        elif not (pattern is None and lexicon is None and length is None):
            raise ValueError("automaton: got one beside pattern=, lexicon= or length=, want either")
        if is_one:
            found = preprocess.line(pictures, keep=self._keep, return_map=True)
            strips, maps = [found.strip], [found.to_picture]
            reasons: list[str | None] = [None]
        else:
            lines = preprocess.lines(
                pictures, boxes=boxes, keep=self._keep, num_threads=num_threads
            )
            strips, maps, reasons = lines.strips, list(lines.to_picture), lines.reasons
        readings = self.read_strips(
            strips,
            automaton=automaton,
            n_best=n_best,
            beam=beam,
            reject=reject,
            num_threads=num_threads,
        )
        done = [
            _nothing(reason) if reason is not None else _moved(reading, place)
            for reading, place, reason in zip(readings, maps, reasons, strict=True)
        ]
        return done[0] if is_one else done

    def automaton(
        self,
        *,
        pattern: str | None = None,
        lexicon: Iterable[str] | None = None,
        length: int | tuple[int, int] | None = None,
    ) -> patterns.Automaton:
        """Compile what `read` takes, for many calls.

        Parameters
        ----------
        pattern, lexicon, length : as for `read`

        Returns
        -------
        patterns.Automaton
        """
        return patterns.automaton(self._names, pattern=pattern, lexicon=lexicon, length=length)

    def read_strips(
        self,
        strips: Iterable[ArrayLike],
        *,
        automaton: patterns.Automaton | None = None,
        n_best: int = 1,
        beam: int | None = None,
        reject: Rejection | None = None,
        num_threads: int | None = None,
    ) -> list[LineReading]:
        """Read strips that are prepared already, as `preprocess.line` gives them.

        Parameters
        ----------
        strips : iterable of uint8 arrays (32, W)
        automaton, n_best, beam, reject, num_threads : as for `read`

        Returns
        -------
        list of LineReading
            Boxes are in pixels of the strip.
        """
        if reject is None:
            reject = self.network.rejection
        given = [np.asarray(strip) for strip in strips]
        readings = []
        for strip, outputs in zip(given, self.outputs(given, num_threads=num_threads), strict=True):
            found = decoding.decode(
                outputs,
                self._names,
                len(self._names),
                automaton=automaton,
                n_best=n_best,
                beam=beam,
                temperature=self.network.temperature,
                penalties=self.network.codes is not None,
            )
            if not found.found:
                readings.append(_nothing("no text that is allowed fits into the picture"))
                continue
            rejected = reject is not None and -found.log_probability > reject.penalty
            readings.append(
                LineReading(
                    found.text,
                    found.probability,
                    found.confidence,
                    _boxes(strip, found.spans, self._stride),
                    bool(rejected),
                    None,
                    tuple((other.text, other.probability) for other in found.alternatives),
                )
            )
        return readings

    @property
    def _stride(self) -> int:
        width = self.network.architecture.image_shape[2]
        columns = self.network.positions(1, width + 64)[1] - 1
        return 64 // columns

    def outputs(
        self, strips: Sequence[ArrayLike], *, num_threads: int | None = None
    ) -> list[Floats]:
        """Give the network's outputs along each strip: the columns of the paper's Fig. 25.

        Parameters
        ----------
        strips : sequence of uint8 arrays (32, W)
        num_threads : int, optional

        Returns
        -------
        list of float32 arrays (positions, classes)
            The last class is the blank. Position p has column ``stride * p + 16 - MARGIN`` of the
            strip in its middle, with a stride of 4 in LeNet-5.
        """
        if not len(strips):
            return []
        found = self.network.sweep(_padded(strips), num_threads=num_threads)
        assert isinstance(found, list)
        return found

    # ---- learning ----

    def fit(
        self,
        pictures: Iterable[Any],
        texts: Iterable[str],
        steps: int = 2000,
        *,
        synthetic: Strings | None = None,
        share: float = 0.4,
        batch_size: int = 64,
        optimizer: Optimizer | None = None,
        loss: str = "forward",
        distort: Distortion | None = OWN,
        seed: int = 0,
        freeze: Iterable[str] = (),
        on_step: Callable[[int, float], object] | None = None,
        num_threads: int | None = None,
    ) -> LineReader:
        """Learn to read one's own fields, from pictures and what they say.

        Begin with `pretrained`: it takes hundreds of fields, not tens of thousands. However it ends,
        by Ctrl-C too, the network has the weights of the last finished update.

        Parameters
        ----------
        pictures : iterable
            As for `read`; or strips, uint8 arrays (32, W), which are taken as they are. Those that
            show no line, or whose text cannot be spelt in their width, are left out.
        texts : iterable of str
            Of the reader's characters; others in them, such as "." where the reader has none, are an
            error.
        steps : int
            Updates.
        synthetic : datasets.strings stream, optional
            Strips that are mixed in, so that what was learnt from them is not forgotten.
        share : float
            Of each batch that those are, where they are given.
        batch_size : int
            Strips an update.
        optimizer : Optimizer, optional
            By default Adam(1e-3) with one cycle.
        loss : str
            "forward" or "viterbi" (`lenet_c.criteria`).
        distort : Distortion or None
            How one's own strips are changed, anew each time.
        seed : int
        freeze : iterable of str
            As for `Trainer`.
        on_step : callable, optional
            Called after each update with its number and its loss.
        num_threads : int, optional

        Returns
        -------
        LineReader
            This one.

        Raises
        ------
        ValueError
            If texts and pictures are not as many, a text has what no class is called, or nothing is
            left to learn from.
        FloatingPointError
            As `Trainer.fit`.
        """
        steps = checks.whole("steps", steps, 1)
        batch_size = checks.whole("batch_size", batch_size, 1)
        share = checks.real("share", share, 0.0, 1.0) if synthetic is not None else 0.0
        own = self._learnable(pictures, texts, num_threads)
        if optimizer is None:
            optimizer = Adam(1e-3, schedule=OneCycle())
        trainer = Trainer(
            self.network, optimizer, loss, seed=seed, freeze=freeze, num_threads=num_threads
        )
        rng = np.random.default_rng(np.random.SeedSequence(seed).spawn(1)[0])
        n_others = min(round(share * batch_size), batch_size - 1)
        order = _orders(len(own), rng)
        for step in range(steps):
            chosen = [own[next(order)] for _ in range(batch_size - n_others)]
            batch = [
                (strip if distort is None else _distorted(strip, distort, rng), label)
                for strip, label in chosen
            ]
            if synthetic is not None and n_others:
                strips, labels = synthetic.batch(n_others, num_threads=num_threads)
                batch += [(a, b.astype(np.int32)) for a, b in zip(strips, labels, strict=True)]
            loss_now = self._update(trainer, batch, step, steps)
            if on_step is not None:
                on_step(step + 1, loss_now)
        return self

    def _update(
        self, trainer: Trainer, batch: Sequence[tuple[Strip, NDArray[Any]]], step: int, steps: int
    ) -> float:
        """Make one update at the rate of the optimizer's schedule."""
        strips = _padded([strip for strip, _ in batch])
        kept = [i for i, (_, label) in enumerate(batch) if self._fits(strips[i].shape[1], label)]
        if not kept:
            return math.nan
        samples = _core.LabelledPictures(
            self.network._network, [strips[i] for i in kept], [batch[i][1] for i in kept]
        )
        rate = trainer.optimizer.rate(step, steps, 1)
        return trainer._update(samples, None, rate, trainer.num_threads)[0]

    def _fits(self, width: int, label: NDArray[Any]) -> bool:
        """Whether a text can be spelt in the positions of a padded strip."""
        return criteria.positions_needed(label) <= self.network.positions(32, width)[1]

    def _learnable(
        self, pictures: Iterable[Any], texts: Iterable[str], num_threads: int | None
    ) -> list[tuple[Strip, NDArray[np.int32]]]:
        """Give the strips of pictures that show a line which can spell its text, and its classes."""
        strips, reasons = self._strips(list(pictures), num_threads)
        labels = [
            classes_of(f"texts[{i}]", text, self._names)
            for i, text in enumerate(checks.items("texts", texts, "texts"))
        ]
        if len(strips) != len(labels):
            raise ValueError(f"texts: got {len(labels)}, want {len(strips)}, one for each picture")
        own = [
            (strip, label)
            for strip, label, reason in zip(strips, labels, reasons, strict=True)
            if reason is None and self._fits(strip.shape[1] + 2 * MARGIN, label)
        ]
        if not own:
            why = next((reason for reason in reasons if reason is not None), "texts are too long")
            raise ValueError(f"pictures: none to learn from, for the first: {why}")
        return own

    def _strips(
        self, pictures: list[Any], num_threads: int | None
    ) -> tuple[list[Strip], list[str | None]]:
        if pictures and all(_is_strip(picture) for picture in pictures):
            return pictures, [None] * len(pictures)
        from lenet_c import preprocess

        lines = preprocess.lines(pictures, keep=self._keep, num_threads=num_threads)
        return lines.strips, lines.reasons

    def calibrate(
        self,
        pictures: Iterable[Any],
        texts: Iterable[str],
        *,
        wrong: float | None = 0.01,
        num_threads: int | None = None,
    ) -> LineReader:
        """Make probabilities a confidence, and choose what is rejected, from fields with their texts.

        Sets the network's temperature, by which the right texts' mean log-probability is highest,
        and its rejection: as few are rejected as leaves the asked share of wrong ones among those
        that are read.

        Parameters
        ----------
        pictures, texts : as for `fit`
            At least 50 that the network has not learnt from.
        wrong : float or None
            The share of the texts read that may be wrong. None: leave `rejection` as it is.
        num_threads : int, optional

        Returns
        -------
        LineReader
            This one.

        Raises
        ------
        ValueError
            If there are fewer than 50, or no text is read right.
        """
        own = self._learnable(pictures, texts, num_threads)
        if len(own) < 50:
            raise ValueError(f"pictures: got {len(own)} that show a line, want at least 50")
        if wrong is not None:
            checks.real("wrong", wrong, 0.0, 1.0)
        strips, labels = [strip for strip, _ in own], [label for _, label in own]
        outputs = self.outputs(strips, num_threads=num_threads)
        self.network.temperature = _temperature(
            outputs, labels, len(self._names), self.network.codes is not None
        )
        if wrong is None:
            return self
        readings = self.read_strips(strips, reject=Rejection(), num_threads=num_threads)
        right = np.array(
            [
                reading.text == "".join(self._names[c] for c in label)
                for reading, label in zip(readings, labels, strict=True)
            ]
        )
        if not right.any():
            raise ValueError("texts: none is read right, so there is no threshold: train it first")
        penalty = np.array([-math.log(max(r.probability, 1e-300)) for r in readings])
        self.network.rejection = Rejection(penalty=_threshold(penalty, right, wrong))
        return self


# ---- strips ----


def _is_one(pictures: Any) -> bool:
    if isinstance(pictures, (str, bytes, bytearray, memoryview, os.PathLike, np.ndarray)):
        return True
    if isinstance(pictures, (list, tuple)) or isinstance(pictures, Iterator):
        return False
    # an image of PIL, a file, an array of another library
    return hasattr(pictures, "read") or hasattr(pictures, "mode") or hasattr(pictures, "shape")


def _is_strip(picture: Any) -> bool:
    return (
        isinstance(picture, np.ndarray)
        and picture.dtype == np.uint8
        and picture.ndim == 2
        and picture.shape[0] == 32
    )


def _padded(strips: Sequence[ArrayLike]) -> list[Strip]:
    padded = []
    for i, given in enumerate(strips):
        strip = np.asarray(given)
        if strip.dtype != np.uint8 or strip.ndim != 2:
            raise TypeError(
                f"strips: {i} is {strip.dtype} {strip.shape}, want uint8 (32, W), as "
                "preprocess.line gives them"
            )
        padded.append(np.pad(strip, ((0, 0), (MARGIN, MARGIN))))
    return padded


def _distorted(strip: Strip, distort: Distortion, rng: np.random.Generator) -> Strip:
    out: Strip = np.empty((1, *strip.shape), np.uint8)
    if max(strip.shape) > _core.MAX_SIDE:
        return strip
    seed = int(rng.integers(2**63))
    _core.distort(astuple(distort), seed, 0, np.ascontiguousarray(strip)[None], out)
    changed: Strip = out[0]
    return changed


def _orders(n: int, rng: np.random.Generator) -> Iterator[int]:
    while True:
        yield from rng.permutation(n).tolist()


# ---- places ----


def _boxes(strip: Strip, spans: NDArray[np.int32], stride: int) -> NDArray[np.float64]:
    """Give the ink around each character's positions: x, y, width, height in the strip."""
    if not len(spans):
        return np.empty((0, 4))
    centres = spans.mean(axis=1) * stride + 16 - MARGIN
    middles = (centres[1:] + centres[:-1]) / 2
    left = np.maximum(centres - 14, np.concatenate([[0], middles]))
    right = np.minimum(centres + 14, np.concatenate([middles, [strip.shape[1]]]))
    boxes = np.empty((len(spans), 4))
    for i, (begin, end) in enumerate(zip(left, right, strict=True)):
        first = int(np.clip(round(begin), 0, strip.shape[1] - 1))
        last = max(first + 1, int(np.clip(round(end), 0, strip.shape[1])))
        ink = strip[:, first:last] > 64
        rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
        if not len(rows):
            boxes[i] = first, 0, last - first, strip.shape[0]
            continue
        boxes[i] = (
            first + columns[0],
            rows[0],
            columns[-1] - columns[0] + 1,
            rows[-1] - rows[0] + 1,
        )
    return boxes


def _moved(reading: LineReading, to_picture: NDArray[np.float64]) -> LineReading:
    """Give a reading whose boxes are in the picture that the strip is from."""
    boxes = np.empty_like(reading.boxes)
    for i, (x, y, width, height) in enumerate(reading.boxes):
        corners = np.array([[x, x + width, x, x + width], [y, y, y + height, y + height], [1] * 4])
        places = to_picture @ corners
        low, high = places.min(axis=1), places.max(axis=1)
        boxes[i] = *low, *(high - low)
    return LineReading(
        reading.text,
        reading.probability,
        reading.confidence,
        boxes,
        reading.rejected,
        reading.reason,
        reading.alternatives,
    )


# ---- calibration ----


def _temperature(
    outputs: Sequence[Floats], labels: Sequence[NDArray[np.int32]], blank: int, penalties: bool
) -> float:
    """Find the temperature by which the right strings are likeliest, by golden section."""

    def loss(log_temperature: float) -> float:
        found = criteria.forward_loss(
            outputs,
            labels,
            blank=blank,
            temperature=math.exp(log_temperature),
            penalties=penalties,
            gradient=False,
        )
        return float(found.losses.mean())

    golden = (math.sqrt(5) - 1) / 2
    low, high = math.log(0.05), math.log(20.0 if not penalties else 2000.0)
    inner, outer = high - golden * (high - low), low + golden * (high - low)
    at_inner, at_outer = loss(inner), loss(outer)
    while high - low > 0.01:
        if at_inner < at_outer:
            high, outer, at_outer = outer, inner, at_inner
            inner = high - golden * (high - low)
            at_inner = loss(inner)
        else:
            low, inner, at_inner = inner, outer, at_outer
            outer = low + golden * (high - low)
            at_outer = loss(outer)
    return math.exp((low + high) / 2)


def _threshold(penalty: NDArray[np.float64], right: NDArray[np.bool_], wrong: float) -> float:
    """Give the highest penalty up to which no more than this share of the answers is wrong."""
    order = np.argsort(penalty, kind="stable")
    shares = np.cumsum(~right[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero(shares <= wrong)
    if not len(good):
        return float(penalty[order[0]]) / 2  # nothing is sure enough
    last = good[-1]
    if last == len(order) - 1:
        return math.inf
    return float((penalty[order[last]] + penalty[order[last + 1]]) / 2)
