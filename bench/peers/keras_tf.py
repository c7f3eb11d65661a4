"""Keras on TensorFlow: its own loops, and the model in functions of TensorFlow."""

from __future__ import annotations

from functools import partial
from itertools import cycle
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from bench.peers.peer import PIECE, Call, Pass, Peer, Settings
from bench.peers.tasks import RATE, Problem, Task, Weights


class Keras(Peer):
    """Keras with TensorFlow, compiled by XLA or run by TensorFlow's kernels."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)

    def inference(self, problem: Problem, task: Task) -> Settings:
        """See `Peer`."""
        model = network(problem)
        array = problem.normalised(task.batch)[..., None]
        x = tf.constant(array)
        forward = partial(model, training=False)
        settings = {"predict_on_batch": partial(model.predict_on_batch, array)}
        for name, xla in COMPILERS.items():
            run = tf.function(forward, jit_compile=xla)
            settings[name] = lambda run=run: run(x).numpy()
            if task.batch > PIECE:
                parts = tf.split(x, task.batch // PIECE)
                settings[f"{name}, {PIECE} at a time"] = lambda run=run, parts=parts: [
                    run(part).numpy() for part in parts
                ]
        return settings

    def training(self, problem: Problem, task: Task) -> Settings:
        """See `Peer`."""
        arrays = [(x[..., None], y.astype(np.int32)) for x, y in problem.batches(task.batch)]
        tensors = [(tf.constant(x), tf.constant(y)) for x, y in arrays]
        settings = {}
        for name, xla in COMPILERS.items():
            model = compiled(problem, task, jit_compile=xla)
            settings[f"train_on_batch, {name}"] = _round_and_round(model.train_on_batch, arrays)
            step = _stepper(network(problem), task, xla)
            settings[f"step in a {name}"] = _round_and_round(step, tensors)
        return settings

    def epoch(self, problem: Problem, task: Task) -> dict[str, Pass]:
        """See `Peer`."""
        x, y = problem.normalised()[..., None], problem.labels.astype(np.int32)
        model = compiled(problem, task, jit_compile=False, steps_per_execution=32)
        fit = partial(model.fit, x, y, batch_size=task.batch, verbose=0)
        loop_model = network(problem)
        loop = _loop(_stepper(loop_model, task, False), tf.constant(x), tf.constant(y), task.batch)
        return {
            "fit, 32 steps at a time": Pass(fit, partial(_weights, model, problem)),
            "tf.function, loop inside": Pass(loop, partial(_weights, loop_model, problem)),
        }


COMPILERS = {"tf.function": False, "tf.function by XLA": True}


def network(problem: Problem) -> keras.Model:
    """Make the model, with lenet_c's weights."""
    side = problem.network.architecture.input_shape[0]
    arrays, form = problem.weights, problem.form
    maps = None if form.maps == "identity" else form.maps
    pool = layers.MaxPooling2D if form.is_max else layers.AveragePooling2D
    model = keras.Sequential(
        [
            layers.Input((side, side, 1)),
            layers.Conv2D(len(arrays[0]), 5, activation=maps),
            pool(2),
            layers.Conv2D(len(arrays[2]), 5, activation=maps),
            pool(2),
            layers.Flatten(),
            *(layers.Dense(len(w), activation=form.units) for w in arrays[4:-2:2]),
            layers.Dense(10),
        ]
    )
    for i in (0, 2):
        arrays[i] = arrays[i].transpose(2, 3, 1, 0)
    arrays[4] = arrays[4].transpose(2, 3, 1, 0).reshape(-1, len(arrays[4]))
    for i in range(6, len(arrays), 2):
        arrays[i] = arrays[i].T
    model.set_weights(arrays)
    return model


def _weights(model: keras.Model, problem: Problem) -> Weights:
    arrays = model.get_weights()
    for i in (0, 2):
        arrays[i] = arrays[i].transpose(3, 2, 0, 1)
    maps = arrays[2].shape[0]
    arrays[4] = arrays[4].reshape(problem.side, problem.side, maps, -1).transpose(3, 2, 0, 1)
    for i in (6, 8):
        arrays[i] = arrays[i].T
    return arrays


def _optimizer(task: Task) -> keras.Optimizer:
    if task.sgd:
        return keras.optimizers.SGD(RATE)
    return keras.optimizers.Adam(RATE, epsilon=1e-8)


def _criterion() -> Any:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def compiled(problem: Problem, task: Task, **how: Any) -> keras.Model:
    """Make a model that Keras trains."""
    model = network(problem)
    model.compile(_optimizer(task), _criterion(), run_eagerly=False, **how)
    return model


def _stepper(model: keras.Model, task: Task, xla: bool) -> Call:
    optimizer = _optimizer(task)
    variables = model.trainable_variables
    optimizer.build(variables)

    @tf.function(jit_compile=xla)
    def step(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, model(x, training=True))
            loss = tf.reduce_mean(losses)
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    return step


def _loop(step: Call, x: Any, y: Any, batch: int) -> Call:
    @tf.function
    def run() -> None:
        order = tf.random.shuffle(tf.range(len(x)))
        for first in tf.range(0, len(x), batch):
            part = order[first : first + batch]
            step(tf.gather(x, part), tf.gather(y, part))

    return run


def _round_and_round(step: Call, batches: list[Any]) -> Call:
    rounds = cycle(batches)
    return lambda: step(*next(rounds))
