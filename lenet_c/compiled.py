"""A network that only reads, packed once: what `LeNet5.compile` gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from lenet_c import _core, checks
from lenet_c.architecture import Architecture
from lenet_c.inputs import Appearance
from lenet_c.model import LeNet5
from lenet_c.reader import Reader

if TYPE_CHECKING:
    from lenet_c.rejection import Rejection

__all__ = ["CompiledLeNet5"]

Floats = NDArray[np.float32]


def _fixed(array: Floats | None) -> Floats | None:
    """Give a copy that nobody can make writable."""
    if array is None:
        return None
    return np.frombuffer(array.tobytes(), np.float32).reshape(array.shape)


class CompiledLeNet5(Reader):
    """A copy of a network that reads and never changes, its weights packed for the kernels.

    `LeNet5.compile` makes it. It has all calls by which a `LeNet5` reads: `forward`, `predict`,
    `predict_proba`, `read`, `best_two`, `activations`, `evaluate` and `rejection_curve`, with the
    same arguments, messages and bits. What becomes of the network later, its weights, calibration
    or names, does not reach it: then compile anew. ``docs/compiled.md`` has what it gains.

    Parameters
    ----------
    network : LeNet5

    Attributes
    ----------
    architecture : Architecture
    codes : float32 array (classes, code length) or None
    class_names : tuple of str or None
    temperature : float
    rejection : Rejection or None
    subspaces : float32 array (classes, 1 + directions, height, width) or None
    learnt_from : lenet_c.inputs.Appearance or None
        Those of the network when it was compiled, read-only.

    Raises
    ------
    TypeError
        If `network` is not a LeNet5.
    MemoryError
        If it would take more memory than `lenet_c.set_memory_limit` allows.

    Notes
    -----
    Many Python threads may use it at once. A copy, also a deep one, is the object itself. A pickle
    holds the network's parameters, not what was packed of them, and may go to another machine.
    `notes` are not kept.

    Examples
    --------
    >>> import numpy as np
    >>> net = LeNet5.pretrained("mnist")
    >>> compiled = net.compile()
    >>> compiled
    CompiledLeNet5('lenet5-1998', 60,000 parameters)
    >>> images = np.zeros((3, 28, 28), np.uint8)
    >>> np.array_equal(compiled.predict(images), net.predict(images))
    True
    """

    _codes: Floats | None
    _network: _core.Model

    def __init__(self, network: LeNet5) -> None:
        checks.instance("network", network, LeNet5, "a LeNet5")
        self._pack(network)

    def _pack(self, network: LeNet5) -> None:
        state = network.__getstate__()  # a snapshot
        self.__dict__.update(
            _architecture=state["architecture"],
            _network=_core.Model(network._network, state["parameters"]),
            _codes=_fixed(state["codes"]),
            _class_names=state["class_names"],
            _temperature=state["temperature"],
            _rejection=state["rejection"],
            _subspaces=_fixed(state["subspaces"]),
        )

    @property
    def architecture(self) -> Architecture:
        """The description that the network was made from."""
        return self._architecture

    @property
    def codes(self) -> Floats | None:
        """Codes of the classes; None: no RBF output."""
        return self._codes

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """What the classes are called; None: they have no names."""
        return self._class_names

    @property
    def temperature(self) -> float:
        """What penalties or logits are divided by for a probability."""
        return self._temperature

    @property
    def rejection(self) -> Rejection | None:
        """Which answers `read` rejects, unless it is told; None: none."""
        return self._rejection

    @property
    def subspaces(self) -> Floats | None:
        """What images of each class look like; None: unknown."""
        return self._subspaces

    @property
    def learnt_from(self) -> Appearance | None:
        """What the images that the network learnt from looked like; None: unknown."""
        found = self._network.learnt_from
        return None if found is None else Appearance(*found)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(
            f"{name}: a compiled network never changes: set it on the LeNet5 and compile that anew"
        )

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{name}: a compiled network never changes")

    def __repr__(self) -> str:
        n = self._network.n_parameters
        return f"CompiledLeNet5({self._architecture.name!r}, {n:,} parameters)"

    def __copy__(self) -> CompiledLeNet5:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> CompiledLeNet5:
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Give what `LeNet5` puts into a pickle, but for notes."""
        return {
            "architecture": self._architecture,
            "parameters": self._network.parameters,
            "codes": self._codes,
            "learnt_from": self._network.learnt_from,
            "assumed": self._network.assumed,
            "class_names": self._class_names,
            "temperature": self._temperature,
            "rejection": self._rejection,
            "subspaces": self._subspaces,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        network = LeNet5.__new__(LeNet5)
        network.__setstate__(state)
        self._pack(network)
