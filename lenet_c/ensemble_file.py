"""Files of committees: those of their networks in one, and those that come with the library."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray

from lenet_c import model_file, serialization
from lenet_c.ensemble import MOST, Ensemble
from lenet_c.model import LeNet5
from lenet_c.serialization import ModelFileError

AnyEnsemble = TypeVar("AnyEnsemble", bound=Ensemble)

KIND = "committee"


def save(committee: Ensemble, path: str | os.PathLike[str] | BinaryIO, half: bool) -> None:
    """Write a committee to a file: see `Ensemble.save`."""
    networks: list[dict[str, Any]] = []
    arrays: dict[str, NDArray[Any]] = {}
    for k, network in enumerate(committee.members()):
        about, parts = model_file.parts(network)
        if half:
            parts["parameters"] = halved(f"network {k}", parts["parameters"])
        networks.append(about)
        arrays |= {f"{k}.{name}": array for name, array in parts.items()}
    if committee._subspaces is not None:
        arrays["subspaces"] = committee._subspaces
    metadata = {"kind": KIND, "networks": networks, **model_file.noted(committee.notes)}
    serialization.write(path, metadata | model_file.calibration_of(committee), arrays)


def halved(name: str, parameters: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Give parameters as float16, (2, n): the high bytes, which compress well, and the low ones."""
    with np.errstate(over="ignore"):
        values = parameters.astype("<f2")
    if not np.isfinite(values).all():
        raise ValueError(f"{name}: a parameter is beyond float16's range, want half=False")
    return np.ascontiguousarray(values.view(np.uint8).reshape(-1, 2).T[::-1])


def _whole(parameters: NDArray[Any]) -> NDArray[Any]:
    """Undo `halved`; what is something else, `model_file.made` looks at."""
    if parameters.dtype != np.uint8 or parameters.ndim != 2 or len(parameters) != 2:
        return parameters
    pairs = np.ascontiguousarray(parameters[::-1].T)
    return pairs.view("<f2").reshape(-1).astype(np.float32)


def load(
    kind: type[AnyEnsemble],
    path: str | os.PathLike[str] | BinaryIO,
    max_bytes: int | None,
    max_metadata: int | None,
) -> AnyEnsemble:
    """Read a committee: see `Ensemble.load`."""
    limits = model_file.limits_of(max_bytes, max_metadata)
    metadata, arrays = serialization.read(path, limits)
    name = serialization.name_of(path)
    if metadata.get("kind") != KIND:
        is_one = "kind" not in metadata
        remedy = "a single network, LeNet5.load(path) reads it" if is_one else "no committee's file"
        raise ModelFileError(f"{name}: {remedy}")
    try:
        committee = kind(_networks(metadata, arrays))
        model_file.take_over(committee, metadata, arrays.get("subspaces"))
    except KeyError as error:
        raise ModelFileError(f"{name}: it has no {error}") from None
    except (TypeError, ValueError) as error:
        raise ModelFileError(f"{name}: {error}") from None
    notes = metadata.get("notes")
    committee.notes = notes if isinstance(notes, dict) else {}
    return committee


def is_committee(path: str | os.PathLike[str]) -> bool:
    """Tell whether a file is a committee's; what cannot be read is none."""
    try:
        return serialization.read(path)[0].get("kind") == KIND
    except (OSError, ModelFileError):
        return False


def _networks(metadata: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> list[LeNet5]:
    given = metadata["networks"]
    if not isinstance(given, list) or not 1 <= len(given) <= MOST:
        raise ValueError(f"networks: want a list of 1 to {MOST}")
    found = []
    for k, about in enumerate(given):
        if not isinstance(about, dict):
            raise TypeError(f"networks: {k} is no dict")
        own = f"{k}."
        parts = {n.removeprefix(own): array for n, array in arrays.items() if n.startswith(own)}
        if "parameters" in parts:
            parts["parameters"] = _whole(parts["parameters"])
        found.append(model_file.made(LeNet5, about, parts))
    return found


def pretrained_files() -> dict[str, Any]:
    """Give the files of the committees that come with the library, by name."""
    from importlib import resources  # slow to import, and needed here alone

    files = (resources.files("lenet_c") / "pretrained" / "committees").iterdir()
    found = {f.name.removesuffix(".npz"): f for f in files if f.name.endswith(".npz")}
    return dict(sorted(found.items()))
