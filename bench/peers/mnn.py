"""MNN, by sessions, in float32."""

from __future__ import annotations

import tempfile
from pathlib import Path

import _tools  # of MNN's package: `MNN.tools.mnnconvert` is this, and reports what was converted
import MNN
import numpy as np

from bench.peers.onnx_model import model
from bench.peers.peer import PIECE, Call, Peer, Settings
from bench.peers.tasks import Floats, Problem, Task


class Mnn(Peer):
    """MNN on the CPU; its converter reads the ONNX graph."""

    def inference(self, problem: Problem, task: Task) -> Settings:
        """See `Peer`."""
        x = problem.normalised(task.batch)[:, None]
        settings = {"session": self._session(problem, [x])}
        if task.batch > PIECE:
            parts = [x[i : i + PIECE].copy() for i in range(0, len(x), PIECE)]
            settings[f"session, {PIECE} at a time"] = self._session(problem, parts)
        return settings

    def _session(self, problem: Problem, parts: list[Floats]) -> Call:
        with tempfile.TemporaryDirectory() as folder:
            graph, file = Path(folder, "net.onnx"), Path(folder, "net.mnn")
            graph.write_bytes(model(problem, len(parts[0])))
            _tools.mnnconvert(
                ["mnnconvert", "-f", "ONNX", "--modelFile", str(graph), "--MNNModel", str(file),
                 "--bizCode", "lenet5"]
            )  # fmt: skip
            interpreter = MNN.Interpreter(str(file))
        how = {"backend": "CPU", "numThread": self.threads, "precision": "high"}
        session = interpreter.createSession(how)
        place, logits = interpreter.getSessionInput(session), interpreter.getSessionOutput(session)
        inputs = [_tensor(part) for part in parts]
        output = _tensor(np.zeros((len(parts[0]), 10), np.float32))

        def run() -> Floats:
            interpreter.runSession(session)
            logits.copyToHostTensor(output)
            return output.getNumpyData()

        def several() -> list[Floats]:
            found = []
            for part in inputs:
                place.copyFrom(part)
                found.append(run().copy())
            return found

        place.copyFrom(inputs[0])
        return run if len(inputs) == 1 else several


def _tensor(array: Floats) -> MNN.Tensor:
    kind, layout = MNN.Halide_Type_Float, MNN.Tensor_DimensionType_Caffe
    return MNN.Tensor(array.shape, kind, array, layout)
