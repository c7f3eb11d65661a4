"""Reading lines of characters: fields of forms, amounts, codes, meters.

`preprocess.line` brings a picture of a field into a strip, the network is swept over the strip
(space displacement network: LeCun et al. 1998, section VII), and `decoding.decode` finds the string
that its outputs spell. `LineReader` holds what belongs together: a network with a blank class, what
its classes are called, how sure it is, and what it rejects.
"""

from __future__ import annotations

import functools
import itertools
import math
import os
from collections.abc import Callable, Iterable, Sequence, Sized
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenet_c import (
    _core,
    checks,
    criteria,
    decoding,
    line_calibration,
    line_training,
    patterns,
    progress,
    splits,
)
from lenet_c.classes import classes_of, names_or_digits
from lenet_c.distort import DISTORTIONS, Distortion
from lenet_c.inputs import InputWarning
from lenet_c.losses import STRING_LOSSES
from lenet_c.model import LeNet5
from lenet_c.optimizers import Adam, OneCycle, Optimizer
from lenet_c.rejection import Rejection, checked
from lenet_c.strips import (
    MARKS,
    STRIDE,
    VIEWS,
    Strip,
    boxes_of,
    checked_strips,
    cut,
    is_strip,
    padded,
)
from lenet_c.trainer import Trainer

if TYPE_CHECKING:
    from lenet_c.datasets import Fields
    from lenet_c.strings import Strings

    Texts: TypeAlias = "tuple[Iterable[Any], Iterable[str]] | Fields"

Floats = NDArray[np.float32]
Label = NDArray[np.int32]

IN_EACH_VIEW = 5  # strings that each of several views gives
TOLD = 10  # fields that are left out and told
AT_ONCE = 256  # pictures that are in memory at a time, while they are brought into strips


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
        Whether it is doubtful: the reader's threshold rejects it, or nothing was read.
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

    def _repr_html_(self) -> str:
        from lenet_c import markup

        doubt = "doubtful" if self.rejected else ""
        if self.reason is not None:
            doubt += f": {self.reason}"
        return markup.of_line(
            self.text, self.probability, self.confidence.tolist(), doubt, self.alternatives
        )


def _nothing(reason: str | None) -> LineReading:
    return LineReading("", 0.0, np.empty(0), np.empty((0, 4)), True, reason)


@dataclass(frozen=True)
class LineEvaluation:
    """How well fields were read whose texts are known.

    Attributes
    ----------
    n : int
        Fields.
    wrong : int
        Those whose text is not read to the last character; what shows no line is one of them.
    rejected : int
        Those that the reader doubts.
    accepted_wrong : int
        Those that it reads wrong and does not doubt.
    characters : int
        In the texts.
    character_errors : int
        Characters to change, put in or leave out, to get from what is read to the texts.
    """

    n: int
    wrong: int
    rejected: int
    accepted_wrong: int
    characters: int
    character_errors: int

    @property
    def error_rate(self) -> float:
        """Share of the fields that are not read right."""
        return self.wrong / self.n

    @property
    def character_error_rate(self) -> float:
        """Errors for each character of the texts."""
        return self.character_errors / max(1, self.characters)


class LineReader:
    r"""Reads the line of characters that a picture of a field shows.

    Parameters
    ----------
    network : LeNet5
        With a blank class (`LENET5_STRINGS`, or `Architecture(..., blank=True)`) that reads grey
        pictures 32 pixels high, and with class names where they are not the ten digits. "." "," and
        "-" among them are read; else such marks are left out.

    Attributes
    ----------
    network : LeNet5
        Its `temperature` makes probabilities a confidence, its `rejection` says what is rejected:
        `calibrate` sets both, and `save` keeps them.
    history : list of dict
        Of the last `fit`: after each look at the validation data, "step", "loss" (the mean since
        the last look), "val_loss" and "val_error_rate" (the share of texts read wrong).

    Raises
    ------
    TypeError, ValueError
        If the network is none of strips: without a blank class, of several channels, not 32 pixels
        high, with positions that are not 4 columns apart, or without class names.

    Examples
    --------
    >>> reader = lenet_c.LineReader.pretrained()                       # doctest: +SKIP
    >>> reader.read("field.png", pattern=r"\d{5}").text                #  doctest: +SKIP
    '20742'

    Fields of one's own, the last fifth of which tells how well it learns:

    >>> reader.fit(pictures, texts, validation_split=0.2, verbose=True)  # doctest: +SKIP
    >>> reader.calibrate(others, their_texts).save("own.npz")          # doctest: +SKIP
    """

    def __init__(self, network: LeNet5) -> None:
        self.network = checks.instance("network", network, LeNet5, "a LeNet5")
        if not network.architecture.blank:
            raise ValueError(
                f"network: {network.architecture.name} has no blank class, want LENET5_STRINGS or "
                "another Architecture(..., blank=True)"
            )
        channels, height, width = network.architecture.image_shape
        if channels != 1 or height != 32:
            raise ValueError(
                f"network: reads pictures of {channels} x {height} x {width}, want strips of one "
                "channel, 32 high"
            )
        self.history: list[dict[str, float]] = []
        self.class_names  # noqa: B018 - raises where there are none
        if network.positions(height, width + STRIDE) != (1, 2):
            raise ValueError(f"network: its positions are not {STRIDE} columns apart, as LeNet-5's")
        self._width = width

    def __repr__(self) -> str:
        return f"LineReader({self.network!r}, {''.join(self.class_names)!r})"

    def _repr_html_(self) -> str:
        return self.network._repr_html_()

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the characters are called, in the order of their classes."""
        characters = self.network.architecture.characters
        names = names_or_digits(self.network.class_names, characters)
        if names is None:
            raise ValueError(
                f"network: its {characters} classes have no names, want network.class_names set"
            )
        return names

    @property
    def _keep(self) -> str:
        """The marks that `preprocess.line` leaves, since they are classes."""
        return "".join(mark for mark in MARKS if mark in self.class_names)

    def with_classes(self, class_names: Iterable[str], *, seed: int = 0) -> LineReader:
        """Give a new reader of other characters, which begins with what this one has learnt.

        Parameters
        ----------
        class_names : iterable of str
            A text stands for its characters: ``"0123456789.-"``. Those that this reader has keep
            their weights; others begin anew, and `fit` teaches them.
        seed : int
            Of the weights that begin anew.

        Returns
        -------
        LineReader
            Not calibrated.

        Raises
        ------
        TypeError, ValueError
            For names that are no names, or of which two are the same.
        """
        network = self.network
        if network.class_names is None:
            network = network.with_classes(self.class_names)
        return LineReader(network.with_classes(class_names, seed=seed))

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

        Raises
        ------
        TypeError, ValueError
            For another name, or that of a network that reads no strings.
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
        from lenet_c import serialization

        network = LeNet5.load(path, **limits)
        try:
            return cls(network)
        except ValueError as error:
            raise ValueError(f"{serialization.name_of(path)}: {error}") from None

    def save(self, path: str | os.PathLike[str] | BinaryIO, *, half: bool = False) -> None:
        """Write network, names, temperature and threshold to one file, as `LeNet5.save` does.

        Parameters
        ----------
        path : str, path or binary file
        half : bool
            Whether parameters are rounded to float16, which takes half the space.

        Raises
        ------
        TypeError, ValueError, OSError
            As `LeNet5.save`.
        """
        self.network.save(path, half=half)

    # ---- reading ----

    @overload
    def read(
        self,
        pictures: str | bytes | os.PathLike[str] | NDArray[Any],
        *,
        boxes: None = ...,
        pattern: str | None = ...,
        lexicon: Iterable[str] | None = ...,
        length: int | tuple[int, int] | None = ...,
        automaton: patterns.Automaton | None = ...,
        n_best: int = ...,
        views: int = ...,
        beam: int | None = ...,
        reject: Rejection | None = ...,
        num_threads: int | None = ...,
    ) -> LineReading: ...
    @overload
    def read(
        self,
        pictures: list[Any] | tuple[Any, ...],
        *,
        boxes: None = ...,
        pattern: str | None = ...,
        lexicon: Iterable[str] | None = ...,
        length: int | tuple[int, int] | None = ...,
        automaton: patterns.Automaton | None = ...,
        n_best: int = ...,
        views: int = ...,
        beam: int | None = ...,
        reject: Rejection | None = ...,
        num_threads: int | None = ...,
    ) -> list[LineReading]: ...
    @overload
    def read(
        self,
        pictures: Any,
        *,
        boxes: ArrayLike | None = ...,
        pattern: str | None = ...,
        lexicon: Iterable[str] | None = ...,
        length: int | tuple[int, int] | None = ...,
        automaton: patterns.Automaton | None = ...,
        n_best: int = ...,
        views: int = ...,
        beam: int | None = ...,
        reject: Rejection | None = ...,
        num_threads: int | None = ...,
    ) -> LineReading | list[LineReading]: ...
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
        views: int = 1,
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
        views : int
            Up to 5: how often each line is looked at, once as it is, then slightly narrower or
            wider, lower or higher, and slanting. A string's probability is the mean of what it has
            in each. Handwriting is read better so, in as many times the time of the network.
        beam : int, optional
            Beginnings that the search follows at once (`decoding.decode`).
        reject : Rejection, optional
            By default the network's own. Its `penalty` is held against minus the logarithm of the
            string's probability; it may have no margin and no distance. ``Rejection()`` rejects
            none.
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
        if not (pattern is None and lexicon is None and length is None):
            if automaton is not None:
                raise ValueError(
                    "automaton: got one beside pattern=, lexicon= or length=, want either"
                )
            automaton = self.automaton(pattern=pattern, lexicon=lexicon, length=length)
        how = automaton, n_best, views, beam, reject, num_threads
        if is_one:
            found = preprocess.line(pictures, keep=self._keep, return_map=True)
            return self._read([found.strip], [found.to_picture], [None], *how)[0]
        if boxes is None:
            pictures = checks.items("pictures", pictures, "pictures, or one")
        elif isinstance(pictures, (list, tuple)) and any(map(_is_whole, pictures)):
            raise TypeError(f"boxes: got some for a list of {len(pictures)}, want one picture")
        lines = preprocess.lines(pictures, boxes=boxes, keep=self._keep, num_threads=num_threads)
        return self._read(lines.strips, lines.to_picture, lines.reasons, *how)

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

        Raises
        ------
        TypeError, ValueError
            For a pattern that is none, or what no text of these characters can match.
        """
        if lexicon is None and isinstance(pattern, str) and isinstance(length, (int, type(None))):
            return _compiled(self.class_names, pattern, length)
        return patterns.automaton(self.class_names, pattern=pattern, lexicon=lexicon, length=length)

    def read_strips(
        self,
        strips: Iterable[ArrayLike],
        *,
        automaton: patterns.Automaton | None = None,
        n_best: int = 1,
        views: int = 1,
        beam: int | None = None,
        reject: Rejection | None = None,
        num_threads: int | None = None,
    ) -> list[LineReading]:
        """Read strips that are prepared already, as `preprocess.line` gives them.

        Parameters
        ----------
        strips : iterable of uint8 arrays (32, W)
        automaton, n_best, views, beam, reject, num_threads : as for `read`

        Returns
        -------
        list of LineReading
            Boxes are in pixels of the strip.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described.
        """
        given = checked_strips(strips)
        unmoved = itertools.repeat(np.eye(2, 3), len(given))
        none = itertools.repeat(None, len(given))
        how = automaton, n_best, views, beam, reject, num_threads
        return self._read(given, unmoved, none, *how)

    def _read(
        self,
        strips: Sequence[Strip],
        maps: Iterable[NDArray[np.float64]],
        reasons: Iterable[str | None],
        automaton: patterns.Automaton | None,
        n_best: int,
        views: int,
        beam: int | None,
        reject: Rejection | None,
        num_threads: int | None,
    ) -> list[LineReading]:
        """Read strips that come with where each lies in its picture, and why there is none."""
        if reject is None:
            reject = self.network.rejection or Rejection()
        elif checked("reject", reject).margin > 0 or reject.distance < math.inf:
            raise ValueError(f"reject: got {reject}, want a penalty alone for strings")
        n_best = checks.whole("n_best", n_best, 1, _core.MAX_BEAM)
        seen = VIEWS[: checks.whole("views", views, 1, len(VIEWS))]
        swept = [
            self.outputs([view.of(strip) for strip in strips], num_threads=num_threads)
            for view in seen
        ]
        readings = []
        for strip, to_picture, reason, *outputs in zip(strips, maps, reasons, *swept, strict=True):
            if reason is not None:
                readings.append(_nothing(reason))
                continue
            decoded = [
                decoding.decode(
                    one,
                    self.class_names,
                    len(self.class_names),
                    automaton=automaton,
                    n_best=n_best if len(seen) == 1 else max(n_best, IN_EACH_VIEW),
                    beam=beam,
                    temperature=self.network.temperature,
                    penalties=self.network.codes is not None,
                )
                for one in outputs
            ]
            answers = decoding.together(decoded)[:n_best]
            if not answers:
                readings.append(_nothing("no text that is allowed fits into the picture"))
                continue
            best = answers[0]
            spans = seen[best.view].in_strip(strip, best.spans, self._width)
            reason = None if best.text else "the network sees no character in it"
            readings.append(
                LineReading(
                    best.text,
                    best.probability,
                    best.confidence,
                    boxes_of(strip, spans, self._width, to_picture),
                    reason is not None or -best.log_probability > reject.penalty,
                    reason,
                    tuple((other.text, other.probability) for other in answers[1:]),
                )
            )
        return readings

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
            The last class is the blank. Position p has in its middle the column
            ``4 * p + 16 - lenet_c.strips.MARGIN`` of the strip, by LeNet-5's stride of 4.

        Raises
        ------
        TypeError, ValueError
            For what is no strip.
        MemoryError
            If it would take more memory than `lenet_c.set_memory_limit` allows.
        """
        if not len(strips):
            return []
        found = self.network.sweep(padded(checked_strips(strips)), num_threads=num_threads)
        assert isinstance(found, list)
        return found

    # ---- learning ----

    def fit(
        self,
        pictures: Iterable[Any],
        texts: Iterable[str] | None = None,
        steps: int = 2000,
        *,
        validation_data: Texts | None = None,
        validation_split: float = 0.0,
        validate_every: int | None = None,
        synthetic: Strings | None = None,
        share: float = 0.4,
        batch_size: int = 64,
        optimizer: Optimizer | str | None = None,
        loss: str = "forward",
        distort: Distortion | str | None = line_training.OWN,
        seed: int = 0,
        freeze: Iterable[str] = (),
        on_step: Callable[[int, float], object] | None = None,
        verbose: bool | int = False,
        num_threads: int | None = None,
    ) -> LineReader:
        """Learn to read one's own fields, from pictures and what they say.

        Begin with `pretrained`: it takes hundreds of fields, not tens of thousands. However it
        ends, by Ctrl-C too, the network has the weights of the last finished update or, with
        validation data, those that were best on them, which may be the first.

        Parameters
        ----------
        pictures : iterable
            As for `read`; or strips, uint8 arrays (32, W), which are taken as they are; or what
            `datasets.folder` gives for fields, with their texts. Those that show no line, or whose
            text cannot be spelt in their width, are left out: a `lenet_c.InputWarning` tells how
            many, and why of the first ten.
        texts : iterable of str
            Of the reader's characters; others in them, such as "." where the reader has none, are
            an error: `with_classes` gives a reader that has them.
        steps : int
            Updates.
        validation_data : (pictures, texts), or fields of `datasets.folder`, optional
            Fields that are not learnt from: the weights with the lowest loss on them are kept.
        validation_split : float
            In its place: the last share of the fields, as they are given, of those that show a line
            and can be learnt from. At least 0 and below 1; 0: none.
        validate_every : int, optional
            How many updates there are between two looks at them; a twentieth of all by default.
        synthetic : datasets.strings stream, optional
            Strips that are mixed in, so that what was learnt from them is not forgotten. Their
            labels are this reader's classes.
        share : float
            Of each batch that those are, where they are given; at least one strip is one's own.
        batch_size : int
            Strips an update.
        optimizer : Optimizer or str, optional
            Or its name, as for `Trainer`. By default Adam(1e-3) with one cycle.
        loss : str
            "forward" or "viterbi" (`lenet_c.criteria`); "discriminative", without a grammar, is
            "forward".
        distort : Distortion, str or None
            How one's own strips are changed, anew each time; or a name, as for `Trainer`.
        seed : int
        freeze : iterable of str
            As for `Trainer`.
        on_step : callable, optional
            Called after each update with its number and its loss.
        verbose : bool or int
            Whether to show how it goes on; by default nothing is printed. True or 1: some twenty
            lines and, on a terminal or in a notebook, a bar, if tqdm is installed; 2: the lines
            alone.
        num_threads : int, optional
            The weights are the same bits for any number.

        Returns
        -------
        LineReader
            This one.

        Raises
        ------
        TypeError, ValueError, OSError
            If texts and pictures are not as many, a text has what no class is called, a picture
            cannot be read, or nothing is left to learn from, or to validate with.
        FloatingPointError
            As `Trainer.fit`.
        """
        steps = checks.whole("steps", steps, 1)
        every = max(1, steps // 20)
        if validate_every is not None:
            every = checks.whole("validate_every", validate_every, 1)
        batch_size = checks.whole("batch_size", batch_size, 1)
        share = checks.real("share", share, 0.0, 1.0, "both")
        validation_split = splits.share_of(validation_split, validation_data)
        n_others = 0
        if synthetic is not None:
            from lenet_c.strings import Strings

            checks.instance("synthetic", synthetic, Strings, "a stream of datasets.strings")
            n_others = min(round(share * batch_size), batch_size - 1)
            most, classes = int(synthetic._labels.max()), len(self.class_names)
            if most >= classes:
                raise ValueError(
                    f"synthetic: has the label {most}, want classes of the reader, 0 to "
                    f"{classes - 1}"
                )
        if distort is not None:
            distort = checks.named(
                "distort", distort, DISTORTIONS, Distortion, "a Distortion, None"
            )
        checks.one_of("loss", loss, STRING_LOSSES)
        if on_step is not None and not callable(on_step):
            raise TypeError(f"on_step: got {checks.short(on_step)}, want a callable")
        if optimizer is None:
            optimizer = Adam(1e-3, schedule=OneCycle())
        trainer = Trainer(
            self.network, optimizer, loss, seed=seed, freeze=freeze, num_threads=num_threads
        )
        shown = progress.steps_shown(verbose, steps, batch_size)
        own = self._learnable("pictures", pictures, texts, num_threads)
        held_out = None
        if validation_split:
            first = splits.first_held_out(len(own), validation_split, "fields")
            own, held_out = own[:first], own[first:]
        elif validation_data is not None:
            given = _pair_of("validation_data", validation_data)
            with checks.named_in("validation_data"):
                held_out = self._learnable("validation_data", *given, num_threads)
        rng = np.random.default_rng(np.random.SeedSequence(seed).spawn(1)[0])
        n_own = batch_size - n_others
        batches = line_training.batches(own, n_own, distort, synthetic, n_others, rng, num_threads)
        self.history = []
        best = line_training.Best(self.network)
        if held_out is not None:
            best.look(self._validate(held_out, num_threads)["val_loss"])
        try:
            losses = []
            with shown as lines:
                for step, batch in zip(range(steps), batches, strict=False):
                    loss_now = line_training.update(trainer, batch, step, steps)
                    losses.append(loss_now)
                    wrong = None
                    if held_out is not None and ((step + 1) % every == 0 or step + 1 == steps):
                        record = {"step": step + 1, "loss": float(np.mean(losses))}
                        losses = []
                        record |= self._validate(held_out, num_threads)
                        best.look(record["val_loss"])
                        self.history.append(record)
                        wrong = record["val_error_rate"]
                    if lines is not None:
                        lines.step(step + 1, loss_now, wrong)
                    if on_step is not None:
                        on_step(step + 1, loss_now)
        finally:
            best.put_back()
        return self

    def characters(
        self,
        pictures: Iterable[Any],
        texts: Iterable[str] | None = None,
        *,
        num_threads: int | None = None,
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Cut fields whose texts are known into single characters.

        The likeliest path that spells the text says where each character stands. They are what
        `datasets.strings` makes strips of: with them in `synthetic`, `fit` learns one's own hands
        in endless new strings, beside the fields themselves.

        Parameters
        ----------
        pictures, texts : as for `fit`
        num_threads : int, optional

        Returns
        -------
        images : uint8 array (N, 28, 28)
            As large as they stand in the strips. Those that touch their neighbours, and those
            larger than the images, are left out.
        labels : int64 array (N,)
            Their classes.

        Raises
        ------
        TypeError, ValueError, OSError
            As for `fit`; if no character stands by itself.
        ImportError
            If SciPy is not installed; or Pillow, for pictures that are no strips.
        """
        own = self._learnable("pictures", pictures, texts, num_threads)
        images, labels = [], []
        outputs = self.outputs([strip for strip, _ in own], num_threads=num_threads)
        names, is_rbf = self.class_names, self.network.codes is not None
        for (strip, label), one in zip(own, outputs, strict=True):
            if not len(label):
                continue
            text = tuple(names[c] for c in label)
            known = decoding.decode(
                one, names, len(names), lexicon=[text], penalties=is_rbf, total=False
            )
            for image, c in zip(cut(strip, known.spans, self._width), label.tolist(), strict=True):
                if image is not None:
                    images.append(image)
                    labels.append(c)
        if not images:
            raise ValueError("pictures: no character stands by itself, clear of its neighbours")
        return np.stack(images), np.array(labels, np.int64)

    def _validate(
        self, held_out: Sequence[tuple[Strip, Label]], num_threads: int | None
    ) -> dict[str, float]:
        """Give the mean loss of held-out strips, and how many of their texts are read wrong."""
        strips, labels = [strip for strip, _ in held_out], [label for _, label in held_out]
        outputs = self.outputs(strips, num_threads=num_threads)
        blank, penalties = len(self.class_names), self.network.codes is not None
        loss = criteria.forward_loss(
            outputs, labels, blank=blank, penalties=penalties, gradient=False
        )
        paths = (
            decoding.best_path(one, self.class_names, blank, penalties=penalties) for one in outputs
        )
        wrong = sum(path.classes != tuple(b) for path, b in zip(paths, labels, strict=True))
        return {"val_loss": float(loss.losses.mean()), "val_error_rate": wrong / len(labels)}

    # ---- fields whose texts are known ----

    def _labelled(
        self, name: str, pictures: Iterable[Any], texts: Iterable[str], num_threads: int | None
    ) -> tuple[list[Strip], list[Label], list[str | None]]:
        """Give strips, the classes of their texts, and why there is no strip."""
        names = self.class_names
        labels = [
            classes_of(f"texts[{i}]", text, names)
            for i, text in enumerate(checks.items("texts", texts, "texts"))
        ]
        if isinstance(pictures, Sized):  # known before any picture is looked at
            _check_as_many(labels, len(pictures))
        strips, reasons = self._strips(pictures, num_threads)
        _check_as_many(labels, len(strips))
        if not strips:
            raise ValueError(f"{name}: got none")
        return strips, labels, reasons

    def _spelt(self, label: Label) -> str:
        return "".join(self.class_names[c] for c in label)

    def _learnable(
        self,
        name: str,
        pictures: Iterable[Any],
        texts: Iterable[str] | None,
        num_threads: int | None,
    ) -> list[tuple[Strip, Label]]:
        """Give strips that show a line which can spell its text, and the text's classes.

        A warning tells what is left out.
        """
        from lenet_c.folders import Fields

        files = pictures.files if isinstance(pictures, Fields) else None
        strips, labels, reasons = self._labelled(name, *_pair(pictures, texts), num_threads)
        own, left_out = [], []
        for i, (strip, label, why) in enumerate(zip(strips, labels, reasons, strict=True)):
            if why is None and not line_training.fits(self.network, strip, label):
                why = f"the text {checks.short(self._spelt(label))} is too long for its width"
            if why is None:
                own.append((strip, label))
            else:
                left_out.append(f"{files[i] if files else f'{name}[{i}]'}: {why}")
        if not own:
            raise ValueError(f"{name}: none to learn from; {left_out[0]}")
        if left_out:
            some = "; ".join(left_out[:TOLD]) + ("; ..." if len(left_out) > TOLD else "")
            checks.warn(
                f"{name}: {len(left_out)} of {len(strips)} are left out; {some}", InputWarning
            )
        return own

    def _strips(
        self, pictures: Iterable[Any], num_threads: int | None
    ) -> tuple[list[Strip], list[str | None]]:
        from lenet_c.preprocess._fields import readable_lines

        strips: list[Strip] = []
        reasons: list[str | None] = []
        left = checks.items("pictures", pictures, "pictures")
        while some := list(itertools.islice(left, AT_ONCE)):
            if all(map(is_strip, some)):
                strips += some
                reasons += [None] * len(some)
            else:
                lines = readable_lines(some, len(strips), self._keep, num_threads)
                strips += lines.strips
                reasons += lines.reasons
        return strips, reasons

    def evaluate(
        self,
        pictures: Iterable[Any],
        texts: Iterable[str] | None = None,
        *,
        automaton: patterns.Automaton | None = None,
        views: int = 1,
        reject: Rejection | None = None,
        num_threads: int | None = None,
    ) -> LineEvaluation:
        """Read fields whose texts are known, and count what is wrong.

        Parameters
        ----------
        pictures, texts : as for `fit`
        automaton, views, reject, num_threads : as for `read`

        Returns
        -------
        LineEvaluation

        Raises
        ------
        TypeError, ValueError, OSError
            If texts and pictures are not as many, there are none, a text has what no class is
            called, or a picture cannot be read. One that shows no line counts as read wrong.
        """
        given = self._labelled("pictures", *_pair(pictures, texts), num_threads)
        strips, labels, reasons = given
        maps = itertools.repeat(np.eye(2, 3), len(strips))
        how = automaton, 1, views, None, reject, num_threads
        readings = self._read(strips, maps, reasons, *how)
        wanted = list(map(self._spelt, labels))
        wrong = np.array([r.text != text for r, text in zip(readings, wanted, strict=True)])
        rejected = np.array([r.rejected for r in readings])
        return LineEvaluation(
            len(strips),
            int(wrong.sum()),
            int(rejected.sum()),
            int((wrong & ~rejected).sum()),
            sum(map(len, wanted)),
            sum(_distance(r.text, text) for r, text in zip(readings, wanted, strict=True)),
        )

    def calibrate(
        self,
        pictures: Iterable[Any],
        texts: Iterable[str] | None = None,
        *,
        wrong: float | None = 0.01,
        views: int = 1,
        num_threads: int | None = None,
    ) -> LineReader:
        """Make probabilities a confidence, and choose what is rejected, from fields with texts.

        Sets the network's temperature, by which the right texts' mean log-probability is highest,
        and its rejection: as few are rejected as leaves the asked share of wrong ones among those
        that are read. After an error, both are as before.

        Parameters
        ----------
        pictures, texts : as for `fit`
            At least 50 that the network has not learnt from.
        wrong : float or None
            The share of the texts read that may be wrong. None: leave `rejection` as it is.
        views : int
            As many as `read` will be given: what is rejected depends on them.
        num_threads : int, optional

        Returns
        -------
        LineReader
            This one.

        Raises
        ------
        TypeError, ValueError, OSError
            If there are fewer than 50, a picture cannot be read, or no text is read right.
        """
        if wrong is not None:
            checks.real("wrong", wrong, 0.0, 1.0, "both")
        given = self._labelled("pictures", *_pair(pictures, texts), num_threads)
        seen = [(a, b) for a, b, reason in zip(*given, strict=True) if reason is None]
        if len(seen) < line_calibration.FEWEST:
            raise ValueError(
                f"pictures: got {len(seen)} that show a line, want at least "
                f"{line_calibration.FEWEST} that the network has not learnt from"
            )
        strips, labels = [strip for strip, _ in seen], [label for _, label in seen]
        outputs = self.outputs(strips, num_threads=num_threads)
        # texts that are too long for their pictures are not likely by any temperature
        spelt = [
            (one, label)
            for one, label in zip(outputs, labels, strict=True)
            if criteria.positions_needed(label) <= len(one)
        ]
        is_rbf, before = self.network.codes is not None, self.network.temperature
        if not spelt:
            raise ValueError("texts: all are too long for their pictures")
        self.network.temperature = line_calibration.temperature(
            [one for one, _ in spelt], [label for _, label in spelt], len(self.class_names), is_rbf
        )
        if wrong is None:
            return self
        try:
            readings = self.read_strips(
                strips, views=views, reject=Rejection(), num_threads=num_threads
            )
            # where nothing is read, any threshold rejects it
            answers = [
                (-math.log(max(reading.probability, 1e-300)), reading.text == text)
                for reading, text in zip(readings, map(self._spelt, labels), strict=True)
                if not reading.rejected
            ]
            if not any(right for _, right in answers):
                raise ValueError(
                    "texts: none is read right, so there is no threshold: train it first"
                )
        except BaseException:  # Ctrl-C too
            self.network.temperature = before
            raise
        penalty, right = map(np.array, zip(*answers, strict=True))
        self.network.rejection = Rejection(
            penalty=line_calibration.threshold(penalty, right, wrong)
        )
        return self


# ---- fields and their texts ----


def _pair(
    pictures: Iterable[Any], texts: Iterable[str] | None
) -> tuple[Iterable[Any], Iterable[str]]:
    """Give pictures and texts, of which fields have both."""
    from lenet_c.folders import Fields

    if isinstance(pictures, Fields):
        if texts is not None:
            raise TypeError("texts: got some beside fields, which have theirs; want None")
        return (picture for picture, _ in pictures), pictures.texts
    if texts is None:
        raise TypeError("texts: got None, want what each picture says")
    return pictures, texts


def _pair_of(name: str, given: Any) -> tuple[Iterable[Any], Iterable[str] | None]:
    from lenet_c.folders import Fields

    if isinstance(given, Fields):
        return given, None
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        raise TypeError(f"{name}: want a pair (pictures, texts), or fields of datasets.folder")
    return given[0], given[1]


def _check_as_many(texts: Sequence[object], pictures: int) -> None:
    if len(texts) != pictures:
        raise ValueError(f"texts: got {len(texts)}, want {pictures}, one for each picture")


def _distance(one: str, other: str) -> int:
    """Count the characters to change, put in or leave out to get from one text to the other."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


@functools.lru_cache(maxsize=64, typed=True)
def _compiled(names: tuple[str, ...], pattern: str, length: int | None) -> patterns.Automaton:
    """Compile a pattern once, however often `read` is called with it."""
    return patterns.automaton(names, pattern=pattern, length=length)


def _is_whole(picture: Any) -> bool:
    """Tell whether something in a list is a picture, not a row of one."""
    return _is_one(picture) and getattr(picture, "ndim", 2) > 1


def _is_one(pictures: Any) -> bool:
    if isinstance(pictures, (str, bytes, bytearray, memoryview, os.PathLike, np.ndarray)):
        return True
    # an image of PIL, an open file (which is an iterator too), an array of another library
    return any(hasattr(pictures, name) for name in ("read", "mode", "shape"))
