"""Files of networks: what is in them, and those that come with the library."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray

from lenet_c import checks, serialization
from lenet_c.architecture import Architecture
from lenet_c.classes import checked_codes
from lenet_c.inputs import Appearance
from lenet_c.network import Calibrated, Network
from lenet_c.rejection import Rejection

AnyNetwork = TypeVar("AnyNetwork", bound=Network)


def save(network: Network, path: str | os.PathLike[str] | BinaryIO, half: bool) -> None:
    """Write a network to a file: see `LeNet5.save`."""
    serialization.write(path, *parts(network, half))


def parts(network: Network, half: bool) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Give what a file has of a network: metadata, and arrays by their names."""
    parameters = network._snapshot()
    if not np.isfinite(parameters).all():
        raise ValueError("parameters: some are NaN or infinite, which load would refuse")
    arrays: dict[str, NDArray[Any]] = {"parameters": _halved(parameters) if half else parameters}
    codes = network._codes_of(parameters)
    if codes is not None:
        arrays["codes"] = codes
    if network._subspaces is not None:
        arrays["subspaces"] = network._subspaces
    return _metadata(network), arrays


def _halved(parameters: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Give parameters as float16, (2, n): the high bytes, which compress well, and the low ones."""
    with np.errstate(over="ignore"):
        values = parameters.astype("<f2")
    if not np.isfinite(values).all():
        raise ValueError("parameters: some are beyond float16's range, want half=False")
    return np.ascontiguousarray(values.view(np.uint8).reshape(-1, 2).T[::-1])


def _whole(parameters: NDArray[Any]) -> NDArray[Any]:
    """Undo `_halved`; what is something else stays as it is."""
    if parameters.dtype != np.uint8 or parameters.ndim != 2 or len(parameters) != 2:
        return parameters
    pairs = np.ascontiguousarray(parameters[::-1].T)
    return pairs.view("<f2").reshape(-1).astype(np.float32)


def _metadata(network: Network) -> dict[str, Any]:
    """Give what a file says of a network."""
    metadata: dict[str, Any] = {"architecture": network.architecture.to_dict()}
    told = noted(network.notes)
    if network.learnt_from is not None:
        told["learnt_from"] = network.learnt_from._asdict()
    return metadata | told | calibration_of(network)


def noted(notes: object) -> dict[str, Any]:
    """Give what a file says of notes, if there are some."""
    checks.instance("notes", notes, dict, "a dict")
    return {"notes": notes} if notes else {}


def calibration_of(of: Calibrated) -> dict[str, Any]:
    """Give what a file says of names and a calibration; what is as in a new network is left out."""
    metadata: dict[str, Any] = {}
    if of._class_names is not None:
        metadata["class_names"] = of._class_names
    if of._temperature != 1.0:
        metadata["temperature"] = of._temperature
    if of._rejection is not None:
        metadata["rejection"] = of._rejection.to_dict()
    return metadata


def limits_of(max_bytes: int | None, max_metadata: int | None) -> serialization.Limits:
    """Check what a caller accepts of a file, and give that as limits."""
    limits = serialization.LIMITS
    if max_bytes is not None:
        limits = dataclasses.replace(limits, file=checks.whole("max_bytes", max_bytes, 1))
    if max_metadata is not None:
        limits = dataclasses.replace(limits, metadata=checks.whole("max_metadata", max_metadata, 1))
    return limits


def load(
    kind: type[AnyNetwork],
    path: str | os.PathLike[str] | BinaryIO,
    max_bytes: int | None,
    max_metadata: int | None,
) -> AnyNetwork:
    """Read a network: see `LeNet5.load`."""
    limits = limits_of(max_bytes, max_metadata)
    metadata, arrays = serialization.read(path, limits)
    name = serialization.name_of(path)
    if metadata.get("kind") == "training":
        raise serialization.ModelFileError(
            f"{name}: a training under way, Trainer.load(path).network is its network"
        )
    if metadata.get("kind") == "committee":
        raise serialization.ModelFileError(f"{name}: a committee, Ensemble.load(path) reads it")
    try:
        network = made(kind, metadata, arrays)
    except KeyError as error:
        raise serialization.ModelFileError(f"{name}: it has no {error}") from None
    except (TypeError, ValueError) as error:
        raise serialization.ModelFileError(f"{name}: {error}") from None
    if limits.metadata <= serialization.LIMITS.metadata:
        try:
            serialization.encode(_metadata(network))  # what was loaded can be saved
        except ValueError as error:
            raise serialization.ModelFileError(f"{name}: as it would be saved, {error}") from None
    return network


def made(
    kind: type[AnyNetwork], metadata: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> AnyNetwork:
    """Make a network of what a file has; KeyError, TypeError or ValueError for what is wrong."""
    architecture = Architecture.from_dict(metadata["architecture"])
    parameters = _whole(arrays["parameters"])
    if parameters.shape != (architecture.n_parameters,) or parameters.dtype != np.float32:
        raise ValueError(
            f"parameters: {parameters.dtype} {parameters.shape}, want float32 "
            f"({architecture.n_parameters},)"
        )
    if not np.isfinite(parameters).all():
        raise ValueError("parameters: some are NaN or infinite, want finite values")
    # codes that are wanted have to be there
    given = arrays["codes"] if architecture.code_length else arrays.get("codes")
    network = kind.__new__(kind)
    network._open(architecture, checked_codes(architecture, given))
    if "learnt_from" in metadata:
        network._network.learnt_from = Appearance.from_dict(metadata["learnt_from"])
    take_over(network, metadata, arrays.get("subspaces"))
    network.parameters = parameters
    notes = metadata.get("notes")
    network.notes = notes if isinstance(notes, dict) else {}
    return network


def take_over(to: Calibrated, metadata: Mapping[str, Any], subspaces: NDArray[Any] | None) -> None:
    """Set what a file says of calibration and names, if it says anything, checked."""
    if "class_names" in metadata:
        to.class_names = metadata["class_names"]
    if "temperature" in metadata:
        to.temperature = metadata["temperature"]
    if "rejection" in metadata:
        to.rejection = Rejection.from_dict(metadata["rejection"])
    to.subspaces = subspaces


def pretrained_files() -> dict[str, Any]:
    """Give the files of the networks that come with the library, by name."""
    from importlib import resources  # slow to import, and needed here alone

    files = (resources.files("lenet_c") / "pretrained").iterdir()
    weights = {f.name.removesuffix(".npz"): f for f in files if f.name.endswith(".npz")}
    return dict(sorted(weights.items()))
