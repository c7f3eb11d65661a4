"""LeNet-5 of 1998 on a CPU, with a hand-optimised C core."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lenet_c import (
        codes,
        committee,
        criteria,
        datasets,
        decoding,
        distort,
        export,
        graphs,
        kernels,
        lines,
        patterns,
        plot,
        preprocess,
        weights,
    )
    from lenet_c.architecture import Architecture
    from lenet_c.callbacks import BestWeights, Callback, EarlyStopping
    from lenet_c.compiled import CompiledLeNet5
    from lenet_c.cpu import (
        cpu_info,
        get_num_threads,
        get_threading,
        set_num_threads,
        set_threading,
    )
    from lenet_c.distort import Distortion
    from lenet_c.ensemble import Ensemble
    from lenet_c.estimator import LeNetClassifier as LeNetClassifier
    from lenet_c.evaluation import Evaluation
    from lenet_c.headers import get_include
    from lenet_c.history import History
    from lenet_c.inputs import InputWarning
    from lenet_c.layers import RBF, AveragePool, Conv, Dense, MaxPool, Subsample
    from lenet_c.lines import LineReader, LineReading
    from lenet_c.memory import get_memory_limit, set_memory_limit
    from lenet_c.model import LeNet5
    from lenet_c.networks import (
        LENET1,
        LENET4,
        LENET5_28,
        LENET5_1998,
        LENET5_MAX,
        LENET5_MODERN,
        LENET5_STRINGS,
        LENET_3X3,
        LENET_CAFFE,
        LENET_CIFAR,
        LENET_D2L,
    )
    from lenet_c.optimizers import SDLM, SGD, Adam, Constant, OneCycle, PaperSteps
    from lenet_c.progress import ProgressBar
    from lenet_c.reading import Reading
    from lenet_c.rejection import Rejection, RejectionCurve
    from lenet_c.serialization import ModelFileError
    from lenet_c.trainer import Trainer

__version__ = "0.1.0"

__all__ = [
    "LENET1",
    "LENET4",
    "LENET5_28",
    "LENET5_1998",
    "LENET5_MAX",
    "LENET5_MODERN",
    "LENET5_STRINGS",
    "LENET_3X3",
    "LENET_CAFFE",
    "LENET_CIFAR",
    "LENET_D2L",
    "RBF",
    "SDLM",
    "SGD",
    "Adam",
    "Architecture",
    "AveragePool",
    "BestWeights",
    "Callback",
    "CompiledLeNet5",
    "Constant",
    "Conv",
    "Dense",
    "Distortion",
    "EarlyStopping",
    "Ensemble",
    "Evaluation",
    "History",
    "InputWarning",
    "LeNet5",
    "LineReader",
    "LineReading",
    "MaxPool",
    "ModelFileError",
    "OneCycle",
    "PaperSteps",
    "ProgressBar",
    "Reading",
    "Rejection",
    "RejectionCurve",
    "Subsample",
    "Trainer",
    "codes",
    "committee",
    "cpu_info",
    "criteria",
    "datasets",
    "decoding",
    "distort",
    "export",
    "get_include",
    "get_memory_limit",
    "get_num_threads",
    "get_threading",
    "graphs",
    "kernels",
    "lines",
    "patterns",
    "plot",
    "preprocess",
    "set_memory_limit",
    "set_num_threads",
    "set_threading",
    "weights",
]


# Everything is imported, each from its module, when it is first asked for: importing is quick, and
# the command hears Ctrl-C before it has numpy.
_LATE = {
    "Architecture": "architecture",
    **dict.fromkeys(
        ("cpu_info", "get_num_threads", "get_threading", "set_num_threads", "set_threading"),
        "cpu",
    ),
    **dict.fromkeys(("BestWeights", "Callback", "EarlyStopping"), "callbacks"),
    "CompiledLeNet5": "compiled",
    "Distortion": "distort",
    "Ensemble": "ensemble",
    "History": "history",
    "get_include": "headers",
    "InputWarning": "inputs",
    **dict.fromkeys(("RBF", "AveragePool", "Conv", "Dense", "MaxPool", "Subsample"), "layers"),
    **dict.fromkeys(("get_memory_limit", "set_memory_limit"), "memory"),
    "Evaluation": "evaluation",
    "LeNetClassifier": "estimator",
    "LeNet5": "model",
    **dict.fromkeys(("LineReader", "LineReading"), "lines"),
    **dict.fromkeys(
        (
            *("LENET1", "LENET4", "LENET5_1998", "LENET5_28", "LENET5_MAX", "LENET5_MODERN"),
            *("LENET5_STRINGS", "LENET_3X3", "LENET_CAFFE", "LENET_CIFAR", "LENET_D2L"),
        ),
        "networks",
    ),
    **dict.fromkeys(("SDLM", "SGD", "Adam", "Constant", "OneCycle", "PaperSteps"), "optimizers"),
    "ProgressBar": "progress",
    "Reading": "reading",
    **dict.fromkeys(("Rejection", "RejectionCurve"), "rejection"),
    "ModelFileError": "serialization",
    "Trainer": "trainer",
}
_MODULES = (
    *("architecture", "architectures", "callbacks", "codes", "committee"),
    *("compiled", "cpu", "criteria"),
    *(
        "datasets",
        "decoding",
        "distort",
        "ensemble",
        "estimator",
        "export",
        "graphs",
        "headers",
        "history",
    ),
    *("inputs", "kernels", "layers", "lines", "losses", "memory", "model", "networks"),
    *("optimizers", "patterns", "plot", "preprocess", "recipes", "rejection", "serialization"),
    *("tables", "trainer", "weights"),
)


def _built_core() -> Any:
    try:
        return importlib.import_module(f"{__name__}._core")
    except ModuleNotFoundError as error:
        if error.name != f"{__name__}._core":
            raise
        raise ImportError(
            "lenet_c._core, the C core, is not built for this Python; where setup.py is, "
            "pip install -e . builds it"
        ) from None


if not TYPE_CHECKING:  # a checker would take any name for one of these

    def __getattr__(name: str) -> Any:
        if name == "_core":
            return _built_core()
        if name in _MODULES:
            return importlib.import_module(f"{__name__}.{name}")
        if name not in _LATE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{__name__}.{_LATE[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    import importlib.util

    names = {*globals(), *_LATE, *_MODULES}
    if importlib.util.find_spec("sklearn") is None:  # help() asks for all that is listed
        names -= {"LeNetClassifier", "estimator"}
    return sorted(names)
