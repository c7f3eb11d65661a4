"""PyTorch: eager, channels-last, and compiled as far as it goes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import cycle
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from bench.peers.peer import PIECE, Call, Pass, Peer, Settings
from bench.peers.tasks import RATE, Form, Problem, Task, Weights

ACTIVATIONS = {"tanh": torch.tanh, "relu": torch.relu, "identity": lambda x: x}
Step = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def logits(form: Form, x: torch.Tensor, *weights: torch.Tensor) -> torch.Tensor:
    """Run the network on (N, 1, H, W)."""
    maps, units = ACTIVATIONS[form.maps], ACTIVATIONS[form.units]
    pool = functional.max_pool2d if form.is_max else functional.avg_pool2d
    for i in (0, 2):
        x = pool(maps(functional.conv2d(x, weights[i], weights[i + 1])), 2)
    x = x.flatten(1)
    for i in range(4, len(weights) - 2, 2):
        x = units(functional.linear(x, weights[i], weights[i + 1]))
    return functional.linear(x, weights[-2], weights[-1])


class Network(nn.Module):
    """The network as a module, its parameters in lenet_c's order."""

    def __init__(self, form: Form, weights: Weights, layout: torch.memory_format) -> None:
        super().__init__()
        self.form = form
        tensors = []
        for i, array in enumerate(weights):
            tensor = torch.tensor(array)
            if i == 4:
                tensor = tensor.flatten(1)
            elif tensor.ndim == 4:
                tensor = tensor.to(memory_format=layout)
            tensors.append(nn.Parameter(tensor))
        self.weights = nn.ParameterList(tensors)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give the logits."""
        return logits(self.form, x, *self.weights)


def whole_step(
    form: Form, sgd: bool, state: dict[str, Any], x: torch.Tensor, y: torch.Tensor
) -> torch.Tensor:
    """Take a step, loss, gradient and update in one function that compiles to one graph."""
    weights = state["weights"]
    gradient = torch.func.grad_and_value(lambda w: functional.cross_entropy(logits(form, x, *w), y))
    slopes, loss = gradient(weights)
    if sgd:
        for w, g in zip(weights, slopes, strict=True):
            w.sub_(RATE * g)
        return loss
    state["n"].add_(1)
    first_part, second_part = 1 - 0.9 ** state["n"], 1 - 0.999 ** state["n"]
    for w, g, m, v in zip(weights, slopes, state["m"], state["v"], strict=True):
        m.mul_(0.9).add_(g, alpha=0.1)
        v.mul_(0.999).addcmul_(g, g, value=0.001)
        w.sub_(RATE * (m / first_part) / ((v / second_part).sqrt() + 1e-8))
    return loss


class Eager(Peer):
    """PyTorch as it comes, without gradients in inference, denormals flushed."""

    layout = torch.contiguous_format
    steppers = ("foreach", "fused", "for-loop")

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        torch.set_num_threads(threads)
        torch.set_num_interop_threads(1)
        torch.set_flush_denormal(True)
        warnings.simplefilter("ignore")

    def inference(self, problem: Problem, task: Task) -> Settings:
        """See `Peer`."""
        network = Network(problem.form, problem.weights, self.layout).eval()
        x = self._images(problem.normalised(task.batch))
        settings = {}
        for name, model in self._models(network, x).items():
            settings[name] = _whole(model, x)
            if task.batch > PIECE:
                part = x[:PIECE]
                pieced = self._models(network, part)[name]
                settings[f"{name}, {PIECE} at a time"] = _in_pieces(pieced, x)
        return settings

    def training(self, problem: Problem, task: Task) -> Settings:
        """See `Peer`."""
        settings = {}
        for name in self.steppers:
            step, _ = self._stepper(name, problem, task)
            settings[name] = self._round_and_round(step, problem, task)
        return settings

    def epoch(self, problem: Problem, task: Task) -> dict[str, Pass]:
        """See `Peer`."""
        x, y = self._images(problem.normalised()), torch.tensor(problem.labels)
        return {
            name: _pass(*self._stepper(name, problem, task), x, y, task.batch)
            for name in self.steppers
        }

    def _images(self, array: Any) -> torch.Tensor:
        return torch.tensor(array)[:, None].contiguous(memory_format=self.layout)

    def _models(self, network: Network, x: torch.Tensor) -> dict[str, Call]:
        return {"inference_mode": network}

    def _round_and_round(self, step: Step, problem: Problem, task: Task) -> Call:
        batches = cycle(
            [(self._images(x), torch.tensor(y)) for x, y in problem.batches(task.batch)]
        )
        return lambda: step(*next(batches)).detach()

    def _stepper(self, name: str, problem: Problem, task: Task) -> tuple[Step, list[Any]]:
        network = Network(problem.form, problem.weights, self.layout)
        how = {"foreach": {"foreach": True}, "fused": {"fused": True}}.get(name, {"foreach": False})
        kind = torch.optim.SGD if task.sgd else torch.optim.Adam
        optimizer = kind(network.parameters(), RATE, **how)

        def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            optimizer.zero_grad(set_to_none=True)
            loss = functional.cross_entropy(network(x), y)
            loss.backward()
            optimizer.step()
            return loss

        return step, list(network.parameters())


class ChannelsLast(Eager):
    """The same with colours last in memory."""

    layout = torch.channels_last


class Compiled(ChannelsLast):
    """torch.compile, of a whole step for training; and TorchScript's frozen graph.

    Channels-last: in trials both layouts were compiled, and this one was never the slower.
    """

    steppers = ("whole step", "whole step, C++ wrapper")

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        # one function is compiled for many sizes and settings; beyond the limit it would run eager
        torch._dynamo.config.recompile_limit = 64
        torch._dynamo.config.fail_on_recompile_limit_hit = True

    def _models(self, network: Network, x: torch.Tensor) -> dict[str, Call]:
        best = {"max_autotune": True, "freezing": True, "cpp_wrapper": True}
        with torch.inference_mode():
            script = torch.jit.optimize_for_inference(torch.jit.trace(network, x))
        return {
            "reduce-overhead": torch.compile(network, dynamic=False, mode="reduce-overhead"),
            "max-autotune, freezing, C++ wrapper": torch.compile(
                network, dynamic=False, options=best
            ),
            "TorchScript": script,
        }

    def _stepper(self, name: str, problem: Problem, task: Task) -> tuple[Step, list[Any]]:
        form, network = problem.form, Network(problem.form, problem.weights, self.layout)
        start = tuple(p.detach().clone() for p in network.parameters())
        state = {
            "weights": start,
            "m": [torch.zeros_like(w) for w in start],
            "v": [torch.zeros_like(w) for w in start],
            "n": torch.zeros(()),
        }
        options = {"cpp_wrapper": "C++" in name}
        compiled = torch.compile(whole_step, fullgraph=True, dynamic=False, options=options)

        def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                return compiled(form, task.sgd, state, x, y)

        return step, list(start)


def _pass(step: Step, parameters: list[Any], x: torch.Tensor, y: torch.Tensor, size: int) -> Pass:
    def run() -> None:
        for batch in torch.randperm(len(x)).split(size):
            step(x[batch], y[batch])

    return Pass(run, lambda: [p.detach().numpy().copy() for p in parameters])


def _whole(model: Call, x: torch.Tensor) -> Call:
    def call() -> torch.Tensor:
        with torch.inference_mode():
            return model(x)

    return call


def _in_pieces(model: Call, x: torch.Tensor) -> Call:
    def call() -> list[torch.Tensor]:
        with torch.inference_mode():
            return [model(part) for part in x.split(PIECE)]

    return call
