"""Committees that are trained together, and one network that learns what a committee knows.

`boost` trains three networks as LeCun et al. 1998 train the boosted LeNet-4 (section III.C, after
Drucker, Schapire and Simard 1993): the second learns from patterns of which the first gets half
wrong, the third from those on which the two disagree, and the outputs of the three are added.
Distortions supply the patterns, since a good network gets few images wrong. `distil` trains one
network on the probabilities that a committee gives (Hinton, Vinyals and Dean 2015).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenet_c import calibration, checks, distort
from lenet_c.compiled import CompiledLeNet5
from lenet_c.distort import Distortion
from lenet_c.ensemble import Ensemble
from lenet_c.model import LeNet5
from lenet_c.recipes import DISTORTED, Recipe
from lenet_c.trainer import LOOKS_OF_FIT

__all__ = ["boost", "disagreements", "distil", "half_wrong"]

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]

DRAWS = 1000
"""How often all images are distorted anew, at most, to find patterns."""


def half_wrong(
    first: LeNet5 | CompiledLeNet5 | Ensemble,
    images: ArrayLike,
    labels: ArrayLike,
    n: int,
    distortion: Distortion | str = distort.AFFINE,
    *,
    seed: int = 0,
    num_threads: int | None = None,
) -> tuple[Images, Labels]:
    """Draw patterns of which a network reads half wrong: what the second of a boosted three learns.

    Parameters
    ----------
    first : LeNet5, CompiledLeNet5 or Ensemble
    images : uint8 array (N, height, width)
        Distorted anew as often as it takes, up to a thousand times each.
    labels : integer array (N,)
    n : int
        Patterns, 2 or more.
    distortion : Distortion or str
        Or the name of one: "affine", "slight" or "world".
    seed : int
    num_threads : int, optional
        The patterns are the same for any number.

    Returns
    -------
    uint8 array (n, height, width), int64 array (n,)
        In a random order; of an odd number one more is read right.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as said; if too few patterns are read wrong, or none right.
    """
    classes = _classes("first", first)
    wanted = {"wrong": checks.whole("n", n, 2) // 2, "right": n - n // 2}
    picked: dict[str, list[tuple[Images, Labels]]] = {"wrong": [], "right": []}
    for patterns, answers, rng in _drawn(images, labels, classes, distortion, seed):
        is_wrong = first.predict(patterns, num_threads=num_threads) != answers
        for name, where in (("wrong", is_wrong), ("right", ~is_wrong)):
            found = rng.permutation(np.flatnonzero(where))[: wanted[name]]
            picked[name].append((patterns[found], answers[found]))
            wanted[name] -= len(found)
        if not any(wanted.values()):
            break
    for name, missing in wanted.items():
        if missing:
            raise ValueError(
                f"n: of {n} patterns {missing} that are read {name} are missing after {DRAWS} "
                "distortions of each image; want a smaller n, or a stronger distortion"
            )
    return _mixed(picked["wrong"] + picked["right"], seed)


def disagreements(
    first: LeNet5 | CompiledLeNet5 | Ensemble,
    second: LeNet5 | CompiledLeNet5 | Ensemble,
    images: ArrayLike,
    labels: ArrayLike,
    n: int,
    distortion: Distortion | str = distort.AFFINE,
    *,
    seed: int = 0,
    num_threads: int | None = None,
) -> tuple[Images, Labels]:
    """Draw patterns that two networks read differently: what the third of a boosted three learns.

    Parameters
    ----------
    first, second : LeNet5, CompiledLeNet5 or Ensemble
    images, labels, n, distortion, seed, num_threads : as for `half_wrong`

    Returns
    -------
    uint8 array (n, height, width), int64 array (n,)
        In a random order.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as said, or the two disagree on too few patterns.
    """
    classes = _classes("first", first)
    _classes("second", second)
    missing = checks.whole("n", n, 1)
    picked = []
    for patterns, answers, rng in _drawn(images, labels, classes, distortion, seed):
        one, other = (
            network.predict(patterns, num_threads=num_threads) for network in (first, second)
        )
        found = rng.permutation(np.flatnonzero(one != other))[:missing]
        picked.append((patterns[found], answers[found]))
        missing -= len(found)
        if not missing:
            return _mixed(picked, seed)
    raise ValueError(
        f"n: of {n} patterns {missing} on which the two disagree are missing after {DRAWS} "
        "distortions of each image; want a smaller n, or a stronger distortion"
    )


def _classes(name: str, reader: object) -> int:
    """Give how many classes a network or a committee tells apart; others are refused."""
    if not isinstance(reader, (LeNet5, CompiledLeNet5, Ensemble)):
        raise TypeError(f"{name}: got {checks.short(reader)}, want an Ensemble or a LeNet5")
    return reader._architecture.characters


def _paired(
    images: ArrayLike, labels: ArrayLike, classes: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Give images and labels as arrays that belong together."""
    answers = checks.numbers("labels", labels, "iu")
    grey = checks.array("images", images)
    if grey.ndim < 3 or answers.shape != grey.shape[:1]:
        raise ValueError(
            f"labels: shape {answers.shape} for images {grey.shape}, want (N,) for "
            "(N, height, width)"
        )
    if len(answers) and not 0 <= answers.min() <= answers.max() < classes:
        raise ValueError(
            f"labels: from {answers.min()} to {answers.max()}, want 0 to {classes - 1}"
        )
    return grey, answers


def _drawn(
    images: ArrayLike, labels: ArrayLike, classes: int, distortion: Distortion | str, seed: int
) -> Iterator[tuple[Images, Labels, np.random.Generator]]:
    """Give all images distorted anew, with their labels, again and again."""
    checks.whole("seed", seed, 0)
    grey, known = _paired(images, labels, classes)
    for seeds in np.random.SeedSequence(seed).spawn(DRAWS):
        number = int(seeds.generate_state(1, np.uint64)[0])
        patterns = distort.preview(grey, distortion, n=1, seed=number)[:, 0]
        yield patterns, known.astype(np.int64), np.random.default_rng(seeds)


def _mixed(picked: list[tuple[Images, Labels]], seed: int) -> tuple[Images, Labels]:
    patterns, answers = (np.concatenate(parts) for parts in zip(*picked, strict=True))
    order = np.random.default_rng(seed).permutation(len(patterns))
    return patterns[order], answers[order]


def boost(
    images: ArrayLike,
    labels: ArrayLike,
    recipe: Recipe | str = "lenet5-1998",
    *,
    n: int | None = None,
    epochs: int | None = None,
    validation_data: tuple[ArrayLike, ArrayLike] | None = None,
    seed: int = 0,
    verbose: bool | int = False,
    num_threads: int | None = None,
) -> Ensemble:
    """Train three networks, each on what those before it find hard, and make a committee of them.

    Parameters
    ----------
    images : uint8 array (N, height, width)
    labels : integer array (N,)
    recipe : Recipe or str
        How each is trained; or the name of an architecture, for the recipe of ``lenet-c train
        --distort``. The first network learns from the images, distorted anew in each pass; the
        recipe's distortion, `distort.AFFINE` if it has none, also makes the patterns for the other
        two (`half_wrong`, `disagreements`), which these learn as they are.
    n : int, optional
        Patterns that the second and the third learn from; by default as many as there are images.
    epochs : int, optional
        Passes of each network; by default the recipe's.
    validation_data : (images, labels), optional
        Which nobody learns from: each network is calibrated with them before the outputs are added,
        and then the committee. By default outputs are added as they are, as in the paper.
    seed : int
        Of the first weights, the orders and the distortions; the networks have seeds of their own.
    verbose : bool or int
        As for `Trainer.fit`.
    num_threads : int, optional
        The weights are the same bits for any number.

    Returns
    -------
    Ensemble
        Of three.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as said, or the networks are too good to find as many patterns: a
        smaller n or a stronger distortion helps.
    FloatingPointError
        As `Trainer.fit`.

    Examples
    --------
    >>> import lenet_c
    >>> (x, y), test = lenet_c.datasets.digits()
    >>> three = boost(x[:500], y[:500], "lenet5-1998", n=200, epochs=2)
    >>> len(three)
    3
    """
    recipe = checks.named("recipe", recipe, DISTORTED, Recipe, "a lenet_c.recipes.Recipe")
    epochs = recipe.epochs if epochs is None else checks.whole("epochs", epochs, 1)
    seed = checks.whole("seed", seed, 0)
    distortion = distort.AFFINE if recipe.distortion is None else recipe.distortion
    plain = dataclasses.replace(recipe, distortion=None)
    networks: list[LeNet5] = []
    if validation_data is not None:
        if not isinstance(validation_data, (tuple, list)) or len(validation_data) != 2:
            raise TypeError("validation_data: want a pair (images, labels)")
        try:
            _paired(*validation_data, recipe.architecture.characters)
        except (TypeError, ValueError) as error:
            raise type(error)(f"validation_data: {error}") from None

    def train(with_recipe: Recipe, patterns: ArrayLike, answers: ArrayLike) -> None:
        own = seed + len(networks)
        network = LeNet5(with_recipe.architecture, seed=own)
        trainer = with_recipe.trainer(network, seed=own, num_threads=num_threads)
        trainer.fit(patterns, answers, epochs, verbose=verbose)
        if validation_data is not None:
            network.calibrate(*validation_data, reject=None, num_threads=num_threads)
        networks.append(network)

    n = len(checks.array("labels", labels)) if n is None else checks.whole("n", n, 2)
    train(recipe, images, labels)
    how = (images, labels, n, distortion)
    hard = half_wrong(networks[0], *how, seed=seed, num_threads=num_threads)
    train(plain, *hard)
    between = disagreements(networks[0], networks[1], *how, seed=seed, num_threads=num_threads)
    train(plain, *between)
    committee = Ensemble(networks)
    if validation_data is not None:
        committee.calibrate(*validation_data, num_threads=num_threads)
    return committee


def distil(
    teacher: Ensemble | LeNet5,
    images: ArrayLike,
    labels: ArrayLike | None = None,
    recipe: Recipe | str = "lenet5-1998",
    *,
    share: float = 1.0,
    temperature: float = 1.0,
    epochs: int | None = None,
    seed: int = 0,
    on_epoch: Callable[[int, float, LeNet5], object] | None = None,
    num_threads: int | None = None,
) -> LeNet5:
    """Train one network to answer as another one does, or a committee.

    Each pass distorts the images anew, the teacher reads them, and the network learns the
    probabilities that it gives (`LeNet5.loss_and_gradient` with probabilities for labels).

    Parameters
    ----------
    teacher : Ensemble or LeNet5
    images : uint8 array (N, height, width)
        That both take.
    labels : integer array (N,), optional
        Only where `share` is below 1.
    recipe : Recipe or str
        How the network is trained, with its architecture and distortion; or the name of an
        architecture, for the recipe of ``lenet-c train --distort``. It has the teacher's classes.
    share : float
        What the teacher's probabilities count, above 0 and at most 1; the rest is the labels'.
    temperature : float
        What the teacher's outputs are divided by, besides its own `temperature`: above 1 it says
        more of the classes that come next.
    epochs : int, optional
        Passes; by default the recipe's.
    seed : int
        Of the first weights, the order and the distortions.
    on_epoch : callable, optional
        Called after each pass with its number, its mean loss and the network.
    num_threads : int, optional
        The weights are the same bits for any number.

    Returns
    -------
    LeNet5
        With the teacher's names of the classes; not calibrated.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as said, or the recipe's network has not as many classes.
    FloatingPointError
        As `Trainer.fit`.
    """
    if not isinstance(teacher, (Ensemble, LeNet5)):
        raise TypeError(f"teacher: got {checks.short(teacher)}, want an Ensemble or a LeNet5")
    recipe = checks.named("recipe", recipe, DISTORTED, Recipe, "a lenet_c.recipes.Recipe")
    epochs = recipe.epochs if epochs is None else checks.whole("epochs", epochs, 1)
    checks.real("share", share, 0.0, 1.0, "both")
    checks.real("temperature", temperature, 0.0, closed="neither")
    if not share or (share < 1.0) != (labels is not None):
        raise ValueError(
            f"share: got {share:g} {'without' if labels is None else 'with'} labels, want a share "
            "above 0: 1 without labels, less with them"
        )
    classes = teacher._architecture.characters
    if recipe.architecture.characters != classes:
        raise ValueError(
            f"recipe: {recipe.architecture.name} has {recipe.architecture.characters} classes, the "
            f"teacher {classes}: want as many, architecture.with_classes({classes})"
        )
    grey = checks.array("images", images)
    if grey.ndim < 3:
        raise ValueError(f"images: shape {grey.shape}, want (N, height, width)")
    if on_epoch is not None and not callable(on_epoch):
        raise TypeError(f"on_epoch: got {checks.short(on_epoch)}, want a function, None")
    known = None if labels is None else _certain(labels, len(grey), classes)
    network = LeNet5(recipe.architecture, seed=checks.whole("seed", seed, 0))
    network.class_names = teacher.class_names
    trainer = recipe.trainer(network, seed=seed, num_threads=num_threads)
    trainer.distort = None  # the teacher sees the same patterns
    size = trainer.batch_size
    updates = -(-len(grey) // size)
    seeds = np.random.SeedSequence(seed).spawn(epochs)
    rng = np.random.default_rng(seed)
    for epoch in range(epochs):
        patterns = grey
        if recipe.distortion is not None:
            number = int(seeds[epoch].generate_state(1, np.uint64)[0])
            patterns = distort.preview(grey, recipe.distortion, n=1, seed=number)[:, 0]
        targets = _told(teacher, patterns, temperature, num_threads)
        if known is not None:
            targets = share * targets + (1.0 - share) * known
        samples = trainer._samples(patterns, targets, 0 if epoch else LOOKS_OF_FIT, None)
        trainer._prepare(samples, num_threads, rng)
        order = rng.permutation(len(patterns))
        total = 0.0
        for k in range(updates):
            batch = order[k * size : (k + 1) * size]
            rate = trainer._rate(epoch * updates + k, epochs * updates, epoch + 1)
            total += len(batch) * trainer._update(samples, batch, rate, num_threads)[0]
        if on_epoch is not None:
            on_epoch(epoch + 1, total / len(patterns), network)
    return network


def _certain(labels: ArrayLike, n: int, classes: int) -> NDArray[np.float64]:
    """Give labels as probabilities."""
    given = checks.numbers("labels", labels, "iu")
    if given.shape != (n,) or (n and not 0 <= given.min() <= given.max() < classes):
        raise ValueError(f"labels: want ({n},), integers from 0 to {classes - 1}")
    certain: NDArray[np.float64] = np.eye(classes)[given]
    return certain


def _told(
    teacher: Ensemble | LeNet5, patterns: Images, temperature: float, num_threads: int | None
) -> NDArray[np.float64]:
    """Give the probabilities that a teacher tells, (N, classes)."""
    outputs = teacher._outputs(patterns, num_threads)
    evidence = calibration.evidence(outputs, teacher._network.is_rbf)
    shares: NDArray[np.float64] = np.exp(evidence / (teacher.temperature * temperature))
    shares /= shares.sum(axis=1, keepdims=True)
    return shares
