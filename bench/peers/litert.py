"""LiteRT with XNNPACK, which its interpreter takes by itself."""

from __future__ import annotations

import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from bench.peers import keras_tf
from bench.peers.peer import PIECE, Call, Peer, Settings
from bench.peers.tasks import Floats, Problem, Task


class LiteRT(Peer):
    """LiteRT on the CPU; TensorFlow makes its file of Keras's model."""

    def inference(self, problem: Problem, task: Task) -> Settings:
        """See `Peer`."""
        x = problem.normalised(task.batch)[..., None]
        settings = {"invoke": self._invoke(problem, x)}
        if task.batch > PIECE:
            settings[f"invoke, {PIECE} at a time"] = self._pieces(problem, x)
        return settings

    def _interpreter(self, problem: Problem, shape: tuple[int, ...]) -> Interpreter:
        network = keras_tf.network(problem)
        forward = tf.function(lambda x: network(x, training=False))
        graph = forward.get_concrete_function(tf.TensorSpec(shape, tf.float32))
        frozen = convert_variables_to_constants_v2(graph)
        content = tf.lite.TFLiteConverter.from_concrete_functions([frozen]).convert()
        interpreter = Interpreter(model_content=content, num_threads=self.threads)
        interpreter.allocate_tensors()
        return interpreter

    def _invoke(self, problem: Problem, x: Floats) -> Call:
        interpreter = self._interpreter(problem, x.shape)
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
        logits = interpreter.get_output_details()[0]["index"]

        def call() -> Floats:
            interpreter.invoke()
            return interpreter.get_tensor(logits)

        return call

    def _pieces(self, problem: Problem, x: Floats) -> Call:
        interpreter = self._interpreter(problem, (PIECE, *x.shape[1:]))
        place = interpreter.get_input_details()[0]["index"]
        logits = interpreter.get_output_details()[0]["index"]
        parts = [x[i : i + PIECE] for i in range(0, len(x), PIECE)]

        def call() -> list[Floats]:
            found = []
            for part in parts:
                interpreter.set_tensor(place, part)
                interpreter.invoke()
                found.append(interpreter.get_tensor(logits))
            return found

        return call
