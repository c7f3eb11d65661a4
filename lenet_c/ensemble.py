"""Committees: several networks that read together, their outputs added."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from typing import Any, BinaryIO

from numpy.typing import ArrayLike

from lenet_c import _core, checks
from lenet_c.architecture import Architecture
from lenet_c.compiled import CompiledLeNet5
from lenet_c.inputs import Appearance
from lenet_c.model import LeNet5
from lenet_c.network import Calibrated
from lenet_c.reader import Answers

__all__ = ["Ensemble"]

MOST = 64
"""Networks of a committee."""


class Ensemble(Calibrated, Answers):
    """Several networks that read together: their outputs are added.

    It has the calls by which a `LeNet5` reads single images: `forward`, `predict`, `predict_proba`,
    `read`, `best_two`, `evaluate` and `rejection_curve`, with the same arguments and messages.

    Parameters
    ----------
    networks : iterable of LeNet5 or CompiledLeNet5
        1 to 64, for the same images, of the same levels, and the same classes. They are copied:
        what becomes of them later, their weights or temperatures, does not reach the committee.

    Attributes
    ----------
    networks : tuple of CompiledLeNet5
    class_names : tuple of str or None
        At first those of the first network that has some.
    temperature : float
        What `predict_proba` and `read` divide the committee's own outputs by; 1.0 until `calibrate`
        sets it.
    rejection : Rejection or None
    subspaces : float32 array (classes, 1 + directions, height, width) or None
        As those of a `LeNet5`; None until `calibrate` sets them.
    notes : dict
        Anything that JSON can hold, saved with the committee; empty at first.

    Raises
    ------
    TypeError, ValueError
        If one of the networks is none, or reads other images or classes than the first.

    Notes
    -----
    A network's outputs count divided by its own `temperature`, so that networks that are too sure
    do not outvote the others; where none is calibrated they are added as they are, as LeCun et al.
    1998 (section III.C) add the outputs of a boosted LeNet-4. The sum is divided by the number of
    networks, which changes no answer. Penalties give penalties; where some networks give logits, so
    does the committee, and penalties count as negated logits.

    Examples
    --------
    >>> committee = Ensemble([LeNet5.pretrained("mnist"), LeNet5.pretrained("mnist-modern")])
    >>> committee
    Ensemble(2 networks, 121,706 parameters)
    """

    def __init__(self, networks: Iterable[LeNet5 | CompiledLeNet5]) -> None:
        self._open(_packed(networks))

    def _open(self, networks: tuple[CompiledLeNet5, ...]) -> None:
        for k, network in enumerate(networks):
            _check_alike(k, network, networks[0])
        self._networks = networks
        is_rbf = all(network._network.is_rbf for network in networks)
        scales = [1.0 / (network.temperature * len(networks)) for network in networks]
        for k, network in enumerate(networks):
            if network._network.is_rbf and not is_rbf:
                scales[k] = -scales[k]
        self._scales = tuple(scales)
        self._network = _core.Committee([network._network for network in networks], scales)
        self._architecture = networks[0].architecture
        names = (network.class_names for network in networks)
        self._class_names = next((found for found in names if found is not None), None)
        self._temperature = 1.0
        self._rejection = None
        self._subspaces = None
        self.notes: dict[str, Any] = {}

    @property
    def networks(self) -> tuple[CompiledLeNet5, ...]:
        """The networks, as they were when the committee was made; they never change."""
        return self._networks

    @property
    def n_parameters(self) -> int:
        """Parameters of all networks together."""
        return sum(network.architecture.n_parameters for network in self._networks)

    @property
    def n_connections(self) -> int:
        """Connections of all networks together."""
        return sum(network.architecture.n_connections for network in self._networks)

    @property
    def learnt_from(self) -> Appearance | None:
        """What the images that the networks learnt from looked like; None: unknown."""
        return self._networks[0].learnt_from

    def __len__(self) -> int:
        return len(self._networks)

    def __repr__(self) -> str:
        n = len(self)
        return f"Ensemble({n} network{'s' * (n != 1)}, {self.n_parameters:,} parameters)"

    def summary(self) -> str:
        """Give a table of the networks: parameters, connections, temperature.

        Returns
        -------
        str
        """
        lines = [("network", "parameters", "connections", "temperature")]
        for network in self._networks:
            it = network.architecture
            numbers = f"{it.n_parameters:,}", f"{it.n_connections:,}", f"{network.temperature:.3g}"
            lines.append((it.name, *numbers))
        lines.append(("total", f"{self.n_parameters:,}", f"{self.n_connections:,}", ""))
        widths = [max(len(line[i]) for line in lines) for i in range(4)]
        text = [
            "  ".join(
                [line[0].ljust(widths[0]), *(line[i].rjust(widths[i]) for i in range(1, 4))]
            ).rstrip()
            for line in lines
        ]
        rule = "-" * max(map(len, text))
        text.insert(1, rule)
        text.insert(-1, rule)
        sides = " x ".join(map(str, self._architecture.input_shape))
        return "\n".join([f"committee, input {sides}", *text])

    def calibrate(
        self,
        images: ArrayLike,
        labels: ArrayLike,
        *,
        reject: float | None = 0.01,
        num_threads: int | None = None,
    ) -> Ensemble:
        """Make probabilities a confidence, and tell what is doubtful: see `LeNet5.calibrate`.

        That is the committee's own temperature, which divides the added outputs; those of its
        networks stay as they are.

        Parameters
        ----------
        images, labels, reject, num_threads : as for `LeNet5.calibrate`

        Returns
        -------
        Ensemble
            This committee.

        Raises
        ------
        ValueError, FloatingPointError
            As `LeNet5.calibrate`.
        """
        from lenet_c import calibration

        calibration.calibrate(self, images, labels, reject, num_threads)
        return self

    def save(self, path: str | os.PathLike[str] | BinaryIO, *, half: bool = False) -> None:
        """Write the committee to a file (.npz, no pickle, versioned, checksummed, atomic).

        Parameters
        ----------
        path : str, path or binary file
            As for `LeNet5.save`.
        half : bool
            Whether parameters are rounded to float16, which takes half the space.

        Raises
        ------
        TypeError, ValueError, OSError
            As `LeNet5.save`; also for parameters beyond float16's range, 65,504.
        """
        from lenet_c import ensemble_file

        ensemble_file.save(self, path, checks.truth("half", half))

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str] | BinaryIO,
        *,
        max_bytes: int | None = None,
        max_metadata: int | None = None,
    ) -> Ensemble:
        """Read a committee that `save` wrote.

        Parameters
        ----------
        path, max_bytes, max_metadata : as for `LeNet5.load`

        Returns
        -------
        Ensemble

        Raises
        ------
        lenet_c.ModelFileError
            If the file is damaged, is no committee's, is too large, or comes from a newer version.
        OSError
            If it cannot be read; it is named.
        """
        from lenet_c import ensemble_file

        return ensemble_file.load(cls, path, max_bytes, max_metadata)

    @classmethod
    def pretrained(cls, name: str = "committee") -> Ensemble:
        """Give a committee that was trained on MNIST; its weights came with the library.

        Parameters
        ----------
        name : str
            "committee": ``LeNet5.pretrained("mnist")`` and further 1998 networks, from other first
            weights or with other distortions. `lenet_c.recipes.committee` trained them; `notes` has
            the error rate on the test images.

        Returns
        -------
        Ensemble

        Raises
        ------
        TypeError, ValueError
            For another name.

        Examples
        --------
        >>> len(Ensemble.pretrained("committee")) <= 5
        True
        """
        from lenet_c import ensemble_file

        known = ensemble_file.pretrained_files()
        checks.one_of("name", name, known, " (LeNet5.pretrained has single networks)")
        others = cls.load(io.BytesIO(known[name].read_bytes()))
        # what both have is there once
        first = LeNet5.pretrained("mnist")
        committee = cls([first, *others.networks])
        committee.class_names = first.class_names
        committee.subspaces = first.subspaces
        committee.temperature = others.temperature
        committee.rejection = others.rejection
        committee.notes = others.notes
        return committee

    def members(self) -> list[LeNet5]:
        """Give the networks as such, copies: to train them, or to export one."""
        found = []
        for packed in self._networks:
            network = LeNet5.__new__(LeNet5)
            network.__setstate__(packed.__getstate__())
            found.append(network)
        return found

    def __getstate__(self) -> dict[str, Any]:
        return {
            "networks": self._networks,
            "class_names": self._class_names,
            "temperature": self._temperature,
            "rejection": self._rejection,
            "subspaces": None if self._subspaces is None else self._subspaces.copy(),
            "notes": dict(self.notes) if isinstance(self.notes, dict) else self.notes,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._open(state["networks"])
        for name in ("class_names", "temperature", "rejection", "subspaces", "notes"):
            setattr(self, name, state[name])


def _packed(networks: object) -> tuple[CompiledLeNet5, ...]:
    """Check what is to be a committee's networks, and give what each is now."""
    given = list(checks.items("networks", networks, "networks"))
    if not 1 <= len(given) <= MOST:
        raise ValueError(f"networks: got {len(given)}, want 1 to {MOST}")
    for k, network in enumerate(given):
        if not isinstance(network, (LeNet5, CompiledLeNet5)):
            raise TypeError(f"networks: {k} is {checks.short(network)}, want a LeNet5")
    return tuple(network.compile() if isinstance(network, LeNet5) else network for network in given)


def _check_alike(k: int, network: CompiledLeNet5, first: CompiledLeNet5) -> None:
    """Raise ValueError unless network number k reads what the first one reads."""
    own, other = network.architecture, first.architecture
    for what, mine, others in (
        ("takes images of", _sides(own), _sides(other)),
        ("takes images of the levels", own.levels, other.levels),
        ("has classes:", own.classes, other.classes),
        ("reads", network.class_names, first.class_names),
    ):
        if mine != others and None not in (mine, others):
            raise ValueError(
                f"networks: {k} {what} {checks.short(mine)}, the first {checks.short(others)}; "
                "want networks that read the same"
            )
    if own.blank:
        raise ValueError(
            "networks: one reads strings, want networks that read single images, without a blank"
        )


def _sides(architecture: Architecture) -> str:
    return "x".join(map(str, architecture.input_shape))
