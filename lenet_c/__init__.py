"""LeNet-5 of 1998 on a CPU, with a hand-optimised C core."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from lenet_c import codes, distort
from lenet_c.architectures import (
    LENET5_28,
    LENET5_1998,
    LENET5_MODERN,
    LENET_3X3,
    RBF,
    Architecture,
    AveragePool,
    Conv,
    Dense,
    Subsample,
)
from lenet_c.cpu import (
    cpu_info,
    get_num_threads,
    get_threading,
    set_num_threads,
    set_threading,
)
from lenet_c.distort import Distortion
from lenet_c.model import Evaluation, LeNet5
from lenet_c.optimizers import SDLM, SGD, Adam, Constant, OneCycle, PaperSteps
from lenet_c.trainer import BestWeights, Callback, EarlyStopping, History, Trainer

if TYPE_CHECKING:
    from lenet_c import datasets, kernels, plot, preprocess
    from lenet_c.rejection import Rejection, RejectionCurve
    from lenet_c.serialization import ModelFileError

__version__ = "0.1.0"

__all__ = [
    "LENET5_28",
    "LENET5_1998",
    "LENET5_MODERN",
    "LENET_3X3",
    "RBF",
    "SDLM",
    "SGD",
    "Adam",
    "Architecture",
    "AveragePool",
    "BestWeights",
    "Callback",
    "Constant",
    "Conv",
    "Dense",
    "Distortion",
    "EarlyStopping",
    "Evaluation",
    "History",
    "LeNet5",
    "ModelFileError",
    "OneCycle",
    "PaperSteps",
    "Rejection",
    "RejectionCurve",
    "Subsample",
    "Trainer",
    "codes",
    "cpu_info",
    "datasets",
    "distort",
    "get_num_threads",
    "get_threading",
    "kernels",
    "plot",
    "preprocess",
    "set_num_threads",
    "set_threading",
]


# Training and reading need none of these: they are imported, each from its module, when first asked
# for, so that importing is quick.
_LATE = {
    "ModelFileError": "serialization",
    "Rejection": "rejection",
    "RejectionCurve": "rejection",
    "datasets": "datasets",
    "kernels": "kernels",
    "plot": "plot",
    "preprocess": "preprocess",
    "rejection": "rejection",
    "serialization": "serialization",
}

if not TYPE_CHECKING:  # a checker would take any name for one of these

    def __getattr__(name: str) -> Any:
        if name not in _LATE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = importlib.import_module(f"{__name__}.{_LATE[name]}")
        return module if name == _LATE[name] else getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATE})
