"""JAX: jitted, buffers donated, both layouts."""

from __future__ import annotations

import os
from functools import partial
from itertools import cycle
from typing import Any

import numpy as np

from bench.peers.peer import PIECE, Call, Pass, Peer, Settings
from bench.peers.tasks import RATE, Form, Problem, Task, Weights

jax: Any = None  # imported once the process is limited to its processors
jnp: Any = None


class Jax(Peer):
    """JAX on the CPU. XLA has a thread for each processor it sees, so it is shown so many."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
        if threads == 1:
            os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
        global jax, jnp
        import jax
        from jax import numpy as jnp

    def inference(self, problem: Problem, task: Task) -> Settings:
        """See `Peer`."""
        settings = {}
        for layout in LAYOUTS:
            weights = to_layout(problem.weights, layout)
            run = jax.jit(
                partial(logits, problem.form, layout, weights)
            )  # the weights are constants
            x = jnp.asarray(add_channel(problem.normalised(task.batch), layout))
            settings[layout] = partial(_ready, run, x)
            if task.batch > PIECE:
                parts = [x[i : i + PIECE] for i in range(0, len(x), PIECE)]
                settings[f"{layout}, {PIECE} at a time"] = partial(_all_ready, run, parts)
        return settings

    def training(self, problem: Problem, task: Task) -> Settings:
        """See `Peer`."""
        settings = {}
        for layout in LAYOUTS:
            step = jax.jit(partial(train, problem.form, layout, task.sgd), donate_argnums=0)
            batches = [
                (jnp.asarray(add_channel(x, layout)), jnp.asarray(y, jnp.int32))
                for x, y in problem.batches(task.batch)
            ]
            settings[layout] = _steps(step, start(problem.weights, layout), batches)
        return settings

    def epoch(self, problem: Problem, task: Task) -> dict[str, Pass]:
        """See `Peer`."""
        layout = "NHWC"
        x = jnp.asarray(add_channel(problem.normalised(), layout))
        y = jnp.asarray(problem.labels, jnp.int32)
        # one call for the whole pass, a lax.scan, took seven times as long in a trial
        run = step_by_step(problem.form, layout, task.batch)
        return {"one call a step": _pass(run, start(problem.weights, layout), x, y)}


LAYOUTS = ("NHWC", "NCHW")


def add_channel(x: Any, layout: str) -> Any:
    """Add the axis of the one input map."""
    return x[..., None] if layout == "NHWC" else x[:, None]


def to_layout(weights: Weights, layout: str) -> list[Any]:
    """Put lenet_c's weights into a layout; dense layers as (inputs, outputs)."""
    c1w, c1b, c3w, c3b, d5w, *dense = weights
    if layout == "NHWC":
        c1w, c3w = (w.transpose(2, 3, 1, 0) for w in (c1w, c3w))
        d5w = d5w.transpose(0, 2, 3, 1)
    d5w = d5w.reshape(len(d5w), -1)
    arrays = [c1w, c1b, c3w, c3b, *(a.T for a in (d5w, *dense))]
    return [jnp.array(np.ascontiguousarray(a)) for a in arrays]


def from_nhwc(weights: list[Any]) -> Weights:
    """Undo `to_layout`."""
    c1w, c1b, c3w, c3b, d5w, d5b, d6w, d6b, ow, ob = map(np.asarray, weights)
    c1w, c3w = (w.transpose(3, 2, 0, 1) for w in (c1w, c3w))
    maps = len(c3w)
    side = round((len(d5w) / maps) ** 0.5)
    d5w = d5w.T.reshape(-1, side, side, maps).transpose(0, 3, 1, 2)
    return [c1w, c1b, c3w, c3b, d5w, d5b, d6w.T, d6b, ow.T, ob]


def logits(form: Form, layout: str, weights: list[Any], x: Any) -> Any:
    """Run the network."""
    c1w, c1b, c3w, c3b, *dense = weights
    maps, units = (
        {"tanh": jnp.tanh, "relu": jax.nn.relu, "identity": lambda x: x}[kind]
        for kind in (form.maps, form.units)
    )
    last = layout == "NHWC"
    numbers = ("NHWC", "HWIO", "NHWC") if last else ("NCHW", "OIHW", "NCHW")
    window = (1, 2, 2, 1) if last else (1, 1, 2, 2)

    def squashed(x: Any, w: Any, b: Any) -> Any:
        y = jax.lax.conv_general_dilated(x, w, (1, 1), "VALID", dimension_numbers=numbers)
        y = maps(y + (b if last else b[:, None, None]))
        if form.is_max:
            return jax.lax.reduce_window(y, -jnp.inf, jax.lax.max, window, window, "VALID")
        return 0.25 * jax.lax.reduce_window(y, 0.0, jax.lax.add, window, window, "VALID")

    x = squashed(squashed(x, c1w, c1b), c3w, c3b).reshape(len(x), -1)
    for w, b in zip(dense[:-2:2], dense[1:-2:2], strict=True):
        x = units(x @ w + b)
    return x @ dense[-2] + dense[-1]


def start(weights: Weights, layout: str) -> dict[str, Any]:
    """Make the state of training: weights, both moments, the number of updates."""
    w = to_layout(weights, layout)
    m, v = ([jnp.zeros_like(a) for a in w] for _ in range(2))
    return {"w": w, "m": m, "v": v, "n": jnp.zeros((), jnp.float32)}


def train(
    form: Form, layout: str, sgd: bool, state: dict[str, Any], x: Any, y: Any
) -> tuple[Any, Any]:
    """Take a step; give the new state and the loss before."""

    def loss_of(weights: list[Any]) -> Any:
        chances = jax.nn.log_softmax(logits(form, layout, weights, x))
        return -jnp.take_along_axis(chances, y[:, None], 1).mean()

    loss, slopes = jax.value_and_grad(loss_of)(state["w"])
    each = jax.tree.map
    if sgd:
        return {**state, "w": each(lambda w, g: w - RATE * g, state["w"], slopes)}, loss
    n = state["n"] + 1
    m = each(lambda m, g: 0.9 * m + 0.1 * g, state["m"], slopes)
    v = each(lambda v, g: 0.999 * v + 0.001 * g * g, state["v"], slopes)
    first_part, second_part = 1 - 0.9**n, 1 - 0.999**n

    def update(w: Any, m: Any, v: Any) -> Any:
        return w - RATE * (m / first_part) / (jnp.sqrt(v / second_part) + 1e-8)

    return {"w": each(update, state["w"], m, v), "m": m, "v": v, "n": n}, loss


def step_by_step(form: Form, layout: str, batch: int) -> Call:
    """Make a pass of one call an update."""

    @partial(jax.jit, donate_argnums=0)
    def step(state: Any, x: Any, y: Any, part: Any) -> Any:
        return train(form, layout, False, state, x[part], y[part])[0]

    def run(state: Any, x: Any, y: Any, order: Any) -> Any:
        for i in range(0, len(order), batch):
            state = step(state, x, y, order[i : i + batch])
        return state

    return run


def _pass(run: Call, state: Any, x: Any, y: Any) -> Pass:
    rng = np.random.default_rng(0)
    kept = {"state": state}

    def once() -> None:
        order = rng.permutation(len(x)).astype(np.int32)
        kept["state"] = jax.block_until_ready(run(kept["state"], x, y, order))

    return Pass(once, lambda: from_nhwc(kept["state"]["w"]))


def _steps(step: Call, state: Any, batches: list[Any]) -> Call:
    kept, rounds = {"state": state}, cycle(batches)

    def call() -> Any:
        kept["state"], loss = step(kept["state"], *next(rounds))
        return loss

    return call


def _ready(run: Call, x: Any) -> Any:
    return run(x).block_until_ready()


def _all_ready(run: Call, parts: list[Any]) -> Any:
    return jax.block_until_ready([run(part) for part in parts])
