"""Trains the network that reads printed characters: `lenet-c train --printed`.

The 95 printable ASCII characters, drawn in the files of `fonts.tsv`, and shown as pictures of a
character are: of many sizes, bolder or slanted, blurred, pale or noisy. Most are cut from a line
whose height is known, some are not. No family of the fonts that test it, or calibrate it, is one
of those that it learns from.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenet_c import checks, codes, preprocess
from lenet_c.distort import Distortion
from lenet_c.model import LeNet5
from lenet_c.networks import LENET5_1998
from lenet_c.optimizers import Adam
from lenet_c.recipes.recipe import Recipe, round_weights
from lenet_c.rejection import Rejection

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

PARTS = ("train", "validation", "test")

# ---- the fonts ----

FOLDERS = ("/usr/share/fonts", "/usr/share/texmf/fonts", "/usr/local/share/fonts", "~/.fonts")
_MATPLOTLIB = "matplotlib"  # a package of PyPI, all others are Debian's


@dataclass(frozen=True)
class Font:
    """A file of `fonts.tsv`.

    Attributes
    ----------
    part : str
        "train", "validation" or "test".
    family : str
        A design, with all that are copied from it: the Helvetica of several foundries is one.
    package : str
        The Debian package that has it, or "matplotlib".
    file : str
        Its name, without folders.
    sha256 : str
        Of its content.
    """

    part: str
    family: str
    package: str
    file: str
    sha256: str


def fonts(part: str | None = None) -> list[Font]:
    """List the fonts of a part, or all.

    Parameters
    ----------
    part : str, optional
        "train", "validation" or "test".

    Returns
    -------
    list of Font
    """
    from importlib import resources  # slow to import, and needed here alone

    if part is not None:
        checks.one_of("part", part, PARTS)
    table = (resources.files("lenet_c") / "recipes" / "fonts.tsv").read_text(encoding="ascii")
    rows = (Font(*line.split("\t")) for line in table.splitlines()[1:])
    return [font for font in rows if part in (None, font.part)]


def find(wanted: Sequence[Font], folder: str | None = None) -> list[str]:
    """Find the files of some fonts, each with the content that it is to have.

    Parameters
    ----------
    wanted : sequence of Font
    folder : str, optional
        Where they lie, at any depth; by default matplotlib's own and those of the system.

    Returns
    -------
    list of str
        A path for each.

    Raises
    ------
    FileNotFoundError
        If some are missing: which packages have them.
    """
    names = {font.file for font in wanted}
    places: dict[str, list[str]] = {}
    for top in _folders() if folder is None else (folder,):
        for inside, _, files in os.walk(os.path.expanduser(top)):
            for file in sorted(names.intersection(files)):
                places.setdefault(file, []).append(os.path.join(inside, file))
    paths = []
    missing = []
    for font in wanted:
        found = [p for p in places.get(font.file, ()) if _sha256(p) == font.sha256]
        paths += found[:1]
        if not found:
            missing.append(font)
    if missing:
        packages = sorted({font.package for font in missing} - {_MATPLOTLIB})
        other = [font.file for font in missing if font.file in places]
        raise FileNotFoundError(
            f"fonts: {len(missing)} of {len(wanted)} files are missing, {missing[0].file} of "
            f"{missing[0].package} among them"
            + (f" ({len(other)} are here with another content, as {other[0]})" if other else "")
            + (f"; Debian 12 has them: apt-get install {' '.join(packages)}" if packages else "")
        )
    return paths


def _folders() -> Iterator[str]:
    try:
        from matplotlib import get_data_path
    except ImportError:
        pass
    else:
        yield os.path.join(get_data_path(), "fonts", "ttf")
    yield from FOLDERS


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


# ---- the pictures ----

LARGE = 40  # rows of a capital letter as it is drawn, at least; smaller ones are made of it
ON_LINE = 0.8  # of the pictures: these are cut from a line that is known
ALONE = "".join(c for c in codes.CHARACTERS if c.isalnum() or c in "!#$%&()*+/<=>?@[\\]{}")
"""Characters that are told without the line, but for their size: no dots, strokes or dashes."""


class Drawn(NamedTuple):
    """A picture of a character, and where the line's capitals begin and stand in it."""

    picture: NDArray[np.uint8]
    line: tuple[float, float]


@functools.cache
def _opened(path: str, size: int) -> FreeTypeFont:
    from PIL import ImageFont

    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


@functools.cache
def _capital(path: str) -> float:
    """Return the height of capital letters, of a font of size 1."""
    return -float(_opened(path, 1000).getbbox("H", anchor="ls")[1]) / 1000


def draw(path: str, character: str, rng: np.random.Generator, *, plain: bool = False) -> Drawn:
    """Draw a character as it may be found on a page.

    Parameters
    ----------
    path : str
        A font's file.
    character : str
    rng : numpy.random.Generator
    plain : bool
        Black on white, capital letters 32 pixels high, cut to measure: nothing is random.

    Returns
    -------
    Drawn
    """
    height = 32.0 if plain else float(np.exp(rng.uniform(np.log(10), np.log(44))))
    times = 1 if plain else max(1, -(-LARGE // int(height)))
    font = _opened(path, max(4, round(height * times / _capital(path))))
    capital = _capital(path) * font.size  # rows, as drawn
    margins = np.full(4, 0.2) if plain else rng.uniform(0.04, 0.5, 4)
    ink, (top, baseline) = _large(font, character, capital, margins)
    if plain:
        return Drawn(np.rint(255 * (1 - ink)).astype(np.uint8), (top, baseline))
    ink = _warped(ink, capital, baseline, rng)
    small, line = _smaller(ink, times, (top, baseline))
    shift = rng.normal(0, 0.02 * capital / times, 2)
    shifted = line[0] + shift[0], line[1] + shift[1]
    return Drawn(_photographed(small, capital / times, rng), shifted)


def _large(
    font: FreeTypeFont, character: str, capital: float, margins: NDArray[Any]
) -> tuple[NDArray[np.float32], tuple[float, float]]:
    """Draw black ink as 1 on 0, with margins in heights of a capital letter."""
    from PIL import Image, ImageDraw

    left, top, right, bottom = font.getbbox(character, anchor="ls")
    if character == " ":
        left, top, right, bottom = 0, -round(capital), round(0.5 * capital), 0
    room = np.maximum(np.rint(margins * capital), 1).astype(int)
    size = right - left + room[0] + room[1], bottom - top + room[2] + room[3]
    sheet = Image.new("L", (int(size[0]), int(size[1])))
    baseline = int(room[2]) - top
    ImageDraw.Draw(sheet).text((int(room[0]) - left, baseline), character, 255, font, anchor="ls")
    ink: NDArray[np.float32] = np.asarray(sheet, np.float32) / np.float32(255)
    return ink, (baseline - capital, float(baseline))


def _warped(
    ink: NDArray[np.float32], capital: float, baseline: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Slant, turn and widen it a little, and make its strokes bolder or thinner."""
    from PIL import Image

    if rng.random() < 0.6:
        shear, turn = rng.normal(0, 0.06), np.deg2rad(rng.normal(0, 1.2))
        wide, high = np.exp(rng.normal(0, [0.07, 0.015]))
        forward = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        forward = forward @ np.array([[wide, -shear], [0, high]])
        back = np.linalg.inv(forward)
        middle = np.array([ink.shape[1] / 2, baseline])
        x, y = middle - back @ middle
        ways = (back[0, 0], back[0, 1], x, back[1, 0], back[1, 1], y)
        sheet = Image.fromarray(ink).transform(
            ink.shape[::-1], Image.Transform.AFFINE, ways, Image.Resampling.BILINEAR
        )
        ink = np.asarray(sheet, np.float32)
    kind = rng.random()
    if kind < 0.4:
        by = max(1, round(rng.uniform(0, 0.05) * capital))
        extreme = np.maximum if kind < 0.25 else np.minimum
        thinner = ink
        for axis in (0, 1):
            rolled = [np.roll(thinner, k, axis) for k in range(-(by // 2), by - by // 2)]
            thinner = functools.reduce(extreme, rolled)
        if thinner.max() > 0.5:  # hairlines stay as they are
            ink = thinner
    return ink


def _smaller(
    ink: NDArray[np.float32], times: int, line: tuple[float, float]
) -> tuple[NDArray[np.float32], tuple[float, float]]:
    """Make it so many times smaller, by whole pixels."""
    height, width = (-(-side // times) * times for side in ink.shape)
    even = np.zeros((height, width), np.float32)
    even[: ink.shape[0], : ink.shape[1]] = ink
    small = even.reshape(height // times, times, width // times, times).mean(axis=(1, 3))
    return small, (line[0] / times, line[1] / times)


def _photographed(
    ink: NDArray[np.floating[Any]], capital: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Blur it, print it in grey on grey and add noise."""
    from PIL import Image, ImageFilter

    if rng.random() < 0.5:
        blur = ImageFilter.GaussianBlur(float(rng.uniform(0, 0.06)) * capital)
        sheet = Image.fromarray(np.rint(255 * ink).astype(np.uint8)).filter(blur)
        ink = np.asarray(sheet) / 255
    black, white = (0, 255) if rng.random() < 0.3 else (rng.uniform(0, 90), rng.uniform(170, 255))
    if rng.random() < 0.1:
        black, white = white, black
    grey = white + (black - white) * ink
    if rng.random() < 0.4:
        grey = grey + rng.normal(0, rng.uniform(0, 0.1) * abs(white - black), ink.shape)
    picture: NDArray[np.uint8] = np.rint(np.clip(grey, 0, 255)).astype(np.uint8)
    return picture


def pictures(
    paths: Iterable[str],
    times: int | Sequence[int] = 1,
    *,
    on_line: float = ON_LINE,
    plain: bool = False,
    seed: int = 0,
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.bool_]]:
    """Draw all characters in each of some fonts, and find them as the network is to see them.

    Parameters
    ----------
    paths : iterable of str
        The fonts' files.
    times : int or sequence of int
        How often each character, in all files or in each.
    on_line : float
        The share of pictures whose line is known.
    plain : bool
        As of `draw`.
    seed : int

    Returns
    -------
    images : uint8 array (N, 28, 28)
        What `preprocess.character` makes of the pictures. Those that it refuses are left out,
        which happens where no line is known; then there are only those of `ALONE`.
    labels : int64 array (N,)
        Places in `codes.CHARACTERS`.
    known : bool array (N,)
        Whether the line was known.
    """
    found, labels, known = [], [], []
    paths = list(paths)
    for k, path in enumerate(paths):
        rng = np.random.default_rng((seed, k))
        for _ in range(times if isinstance(times, int) else times[k]):
            for label, character in enumerate(codes.CHARACTERS):
                drawn = draw(path, character, rng, plain=plain)
                is_known = rng.random() < on_line or (on_line > 0 and character not in ALONE)
                if not is_known and character not in ALONE:
                    continue
                try:
                    image = preprocess.character(
                        drawn.picture, line=drawn.line if is_known else None
                    )
                except ValueError:
                    continue
                found.append(image)
                labels.append(label)
                known.append(is_known)
    images = np.array(found, np.uint8).reshape(len(found), 28, 28)
    return images, np.array(labels, np.int64), np.array(known, bool)


# ---- the network ----

SAME = ("cC", "oO0", "sS", "vV", "wW", "xX", "zZ", "1lI|")
"""Characters that are one in the second figure: they differ in size alone, or are drawn alike."""

PICTURES = 12  # of each character, in each family
CALIBRATED_ON = 4  # pictures of each character, in each file
TESTED_ON = 2
REJECTED = 0.01  # of the pictures to calibrate with
CALIBRATION_SEED, TEST_SEED = 1, 2

RECIPE = Recipe(
    LENET5_1998.with_classes(len(codes.CHARACTERS)),
    loss="map",
    optimizers={"adam": Adam(0.01, schedule="one_cycle", weight_decay=0.01)},
    batch_size=128,
    epochs=40,
    distortion=Distortion(translation=0.4, scaling=0.02, squeezing=0.04, shearing=0.06, rotation=1),
    j=8.0,
    temperature=10.0,
)
"""Its settings were chosen on the fonts to validate with."""


def training_pictures(
    paths: Sequence[str], families: Sequence[str], *, times: int | None = None, seed: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draw what the network learns from: of each family as much, however many files it has.

    Parameters
    ----------
    paths, families : sequence of str
        Of each font its file and its family.
    times : int, optional
        How often each character, in each family; `PICTURES` by default.
    seed : int

    Returns
    -------
    images : uint8 array (N, 28, 28)
    labels : int64 array (N,)
    """
    wanted = PICTURES if times is None else times
    each = [-(-wanted // families.count(family)) for family in families]
    images, labels, _ = pictures(paths, each, seed=seed)
    return images, labels


def train(
    images: ArrayLike,
    labels: ArrayLike,
    *,
    recipe: Recipe = RECIPE,
    epochs: int | None = None,
    seed: int = 0,
    num_threads: int | None = None,
    verbose: int = 0,
) -> LeNet5:
    """Train a network on pictures of printed characters, from the start.

    Parameters
    ----------
    images : uint8 array (N, 28, 28)
    labels : integer array (N,)
        Places in `codes.CHARACTERS`.
    recipe : Recipe
    epochs : int, optional
        The recipe's by default.
    seed : int
        Of the first weights, the order and the distortions.
    num_threads : int, optional
        The weights are the same bits for any number.
    verbose : int
        As of `Trainer.fit`.

    Returns
    -------
    LeNet5
        Not calibrated.
    """
    network = LeNet5(recipe.architecture, seed=seed, codes=codes.ASCII)
    trainer = recipe.trainer(network, seed=seed, num_threads=num_threads)
    trainer.fit(images, labels, epochs or recipe.epochs, verbose=verbose)
    network.class_names = tuple(codes.CHARACTERS)
    return network


def finish(
    network: LeNet5, images: ArrayLike, labels: ArrayLike, *, num_threads: int | None = None
) -> None:
    """Round a network's weights as what is shipped, and calibrate it by pictures in other families.

    Parameters
    ----------
    network : LeNet5
    images, labels
        As of `train`.
    num_threads : int, optional
    """
    round_weights(network)
    network.calibrate(images, labels, reject=None, num_threads=num_threads)
    penalty = network.forward(images, num_threads=num_threads).min(axis=1)
    network.rejection = Rejection(penalty=float(np.quantile(penalty, 1 - REJECTED)))


def merged(labels: ArrayLike) -> NDArray[np.int64]:
    """Give classes, those that are one of `SAME` by the first of them.

    Parameters
    ----------
    labels : integer array (N,)
        Places in `codes.CHARACTERS`.

    Returns
    -------
    int64 array (N,)
    """
    first = np.arange(len(codes.CHARACTERS))
    for group in SAME:
        places = [codes.CHARACTERS.index(character) for character in group]
        first[places] = places[0]
    one: NDArray[np.int64] = first[np.asarray(labels)]
    return one


def calibration_pictures(paths: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draw what `finish` calibrates with.

    Parameters
    ----------
    paths : sequence of str
        Files of the fonts to validate with.

    Returns
    -------
    images : uint8 array (N, 28, 28)
    labels : int64 array (N,)
    """
    images, labels, _ = pictures(paths, CALIBRATED_ON, seed=CALIBRATION_SEED)
    return images, labels


class Result(NamedTuple):
    """What a network makes of printed characters.

    Attributes
    ----------
    pictures : int
    right : float
        Share of the pictures whose character is read.
    right_merged : float
        That where the characters of each group of `SAME` count as one.
    confusion : int64 array (95, 95)
        Pictures by the character that they show and the one that is read.
    """

    pictures: int
    right: float
    right_merged: float
    confusion: NDArray[np.int64]


def evaluate(
    network: LeNet5,
    paths: Sequence[str],
    *,
    times: int = TESTED_ON,
    on_line: float = 1.0,
    plain: bool = False,
    seed: int = TEST_SEED,
    num_threads: int | None = None,
) -> Result:
    """Read pictures drawn in some fonts.

    Parameters
    ----------
    network : LeNet5
    paths, times, on_line, plain, seed
        As of `pictures`.
    num_threads : int, optional

    Returns
    -------
    Result
    """
    images, labels, _ = pictures(paths, times, on_line=on_line, plain=plain, seed=seed)
    return result(network.predict(images, num_threads=num_threads), labels)


def result(answers: ArrayLike, labels: ArrayLike) -> Result:
    """Count what is read right.

    Parameters
    ----------
    answers, labels : integer array (N,)
        Places in `codes.CHARACTERS`.

    Returns
    -------
    Result
    """
    answers, labels = np.asarray(answers), np.asarray(labels)
    confusion = np.zeros((len(codes.CHARACTERS),) * 2, np.int64)
    np.add.at(confusion, (labels, answers), 1)
    return Result(
        len(labels),
        float((answers == labels).mean()),
        float((merged(answers) == merged(labels)).mean()),
        confusion,
    )


def drawn_by() -> str:
    """Name what draws the pictures: another version may draw other pixels.

    Returns
    -------
    str
    """
    import PIL
    from PIL import features

    return f"Pillow {PIL.__version__}, FreeType {features.version('freetype2')}"
