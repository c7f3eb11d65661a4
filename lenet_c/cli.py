"""The command `lenet-c`: train, evaluate, predict, read, export, plot, summary, info.

Results go to standard output; the progress bar, warnings and errors, one line each, to standard
error. Exit codes: 0; 2 for an error; 130 for Ctrl-C; 141 when nobody reads the output any more.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import lenet_c
from lenet_c import checks, losses
from lenet_c._moved import getter
from lenet_c.commands import arguments as arguments_
from lenet_c.commands import draw, export, results, strings, train
from lenet_c.commands.data import test_data
from lenet_c.commands.errors import drop, fail, one_line
from lenet_c.commands.files import (
    character,
    check_plots,
    grey_reader_of,
    reader_of,
    save_plots,
)
from lenet_c.cpu import cpu_info, set_num_threads
from lenet_c.inputs import InputWarning
from lenet_c.model import LeNet5
from lenet_c.networks import LENET5_1998, NETWORKS

__all__ = ["fail", "main"]

__getattr__ = getter(__name__, dict.fromkeys(("DISTORTED", "RECIPES", "Recipe"), "lenet_c.recipes"))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; by default those of the process.

    Returns
    -------
    int
        The exit code.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Lines appear as they happen, and odd file names can be printed, also into a pipe.
        sys.stdout.reconfigure(errors="backslashreplace", line_buffering=True)
    plain = warnings.formatwarning
    warnings.formatwarning = _as_errors(plain)
    try:
        try:
            arguments = _parser().parse_args(argv)
            if arguments.threads is not None:
                set_num_threads(arguments.threads)
            return arguments.run(arguments) or 0
        finally:
            warnings.formatwarning = plain
            if sys.stdout is not None:
                sys.stdout.flush()
    except KeyboardInterrupt:
        return fail("interrupted", 130)
    except BrokenPipeError:
        drop(sys.stdout)
        return 141
    except (ArithmeticError, ImportError, MemoryError, OSError, RuntimeError, ValueError) as error:
        return fail(f"error: {one_line(error)}", 2)


def _as_errors(plain: Callable[..., str]) -> Callable[..., str]:
    """Give what says the library's own warnings as errors are said, and others as `plain` does."""

    def said(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> str:
        if category is not InputWarning:
            return plain(message, category, *where, **more)
        return f"lenet-c: warning: {checks.escaped(str(message))}\n"

    return said


def _parser() -> argparse.ArgumentParser:
    return arguments_.parser(
        {
            "train": train.run,
            "evaluate": _evaluate,
            "predict": _predict,
            "read": strings.read,
            "export": export.run,
            "plot": draw.run,
            "summary": _summary,
            "info": _info,
        }
    )


# ---- commands ----


def _evaluate(arguments: argparse.Namespace) -> None:
    check_plots(arguments.plot)
    network = grey_reader_of(arguments.model)
    is_told = isinstance(network, LeNet5) and (
        network.architecture.blank and strings.evaluate(network, arguments)
    )
    if is_told:
        return
    name, test = test_data(network, arguments)
    by = network.architecture.name if isinstance(network, LeNet5) else repr(network)
    print(f"reading the test images of {name} with {by}")
    is_rbf = network._network.is_rbf
    results.report(network, test, losses.checked(None, losses.DEFAULT_J, 1.0, is_rbf))
    if arguments.plot is not None:
        save_plots(arguments.plot, results.plots(network, test))


def _predict(arguments: argparse.Namespace) -> int:
    network = grey_reader_of(arguments.model)
    code = 0
    answers: list[dict[str, Any]] = []
    for path in arguments.images:
        try:
            image = character(path, arguments.line)
        except (MemoryError, OSError, ValueError) as error:
            # the other pictures are read all the same
            code = 2
            if arguments.json:
                answers.append({"file": path, "error": one_line(error)})
            else:
                fail(f"error: {one_line(error)}", code)
            continue
        answer = network.read(image, reject=arguments.reject)[0]
        doubtful = answer.pop("rejected")
        answers.append({"file": path, **answer, "doubtful": doubtful})
        if not arguments.json:
            mark = "\tdoubtful" if doubtful else ""
            print(f"{checks.escaped(path)}\t{answer['label']}\t{answer['probability']:.4f}{mark}")
    if arguments.json:
        print(json.dumps(answers, indent=2, allow_nan=False))
    return code


def _summary(arguments: argparse.Namespace) -> None:
    if arguments.model is not None:
        print(reader_of(arguments.model).summary())
    else:
        print(LeNet5(NETWORKS[arguments.architecture or LENET5_1998.name]).summary())


def _info(arguments: argparse.Namespace) -> None:
    cpu: dict[str, Any] = cpu_info()
    rows = {
        "lenet_c": lenet_c.__version__,
        "processor": cpu["processor"],
        "instruction set": f"{cpu['isa']} ({cpu['lanes']} images at once)",
        "available": ", ".join(cpu["available"]),
        "threads": cpu["threads"],
        "threading": f"{cpu['threading']} (of {', '.join(cpu['available_threading'])})",
        "compiler": cpu["compiler"],
        "numpy": np.__version__,
    }
    for key, value in rows.items():
        print(f"{key:<15}  {value}")
