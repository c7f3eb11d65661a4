"""ONNX Runtime: all graph optimisations, with and without IO binding."""

from __future__ import annotations

from functools import partial

import numpy as np
import onnxruntime as ort

from bench.peers.onnx_model import model
from bench.peers.peer import PIECE, Call, Peer, Settings
from bench.peers.tasks import Floats, Problem, Task


class OnnxRuntime(Peer):
    """ONNX Runtime on the CPU."""

    def inference(self, problem: Problem, task: Task) -> Settings:
        """See `Peer`."""
        x = problem.normalised(task.batch)[:, None]
        session = self._session(problem, task.batch)
        settings = {
            "run": lambda: session.run(["logits"], {"x": x})[0],
            "IO binding": _bound(session, x),
        }
        if task.batch > PIECE:
            small = self._session(problem, PIECE)
            parts = [_bound(small, x[i : i + PIECE].copy()) for i in range(0, len(x), PIECE)]
            settings[f"IO binding, {PIECE} at a time"] = lambda: [part() for part in parts]
        return settings

    def _session(self, problem: Problem, batch: int) -> ort.InferenceSession:
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
        options.log_severity_level = 3
        graph = model(problem, batch)
        return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _bound(session: ort.InferenceSession, x: Floats) -> Call:
    logits = np.empty((len(x), 10), np.float32)
    binding = session.io_binding()
    place = {"device_type": "cpu", "device_id": 0, "element_type": np.float32}
    binding.bind_input("x", shape=x.shape, buffer_ptr=x.ctypes.data, **place)
    binding.bind_output("logits", shape=logits.shape, buffer_ptr=logits.ctypes.data, **place)

    def call(run: Call, x: Floats) -> Floats:  # holds x, which the binding does not
        run()
        return logits

    return partial(call, partial(session.run_with_iobinding, binding), x)
