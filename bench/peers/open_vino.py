"""OpenVINO: tuned for latency or for throughput, exact float32."""

from __future__ import annotations

import openvino as ov
from openvino import properties
from openvino.properties import hint

from bench.peers.onnx_model import model
from bench.peers.peer import PIECE, Call, Peer, Settings
from bench.peers.tasks import Floats, Problem, Task


class OpenVino(Peer):
    """OpenVINO on the CPU; for throughput the batch is shared out over its streams."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        self.core = ov.Core()

    def inference(self, problem: Problem, task: Task) -> Settings:
        """See `Peer`."""
        x = problem.normalised(task.batch)[:, None]
        settings = {"LATENCY": self._requests(problem, x, task.batch, "LATENCY")}
        if task.batch > 1:
            pieces = {task.batch, task.batch // self.threads, min(PIECE, task.batch)}
            for piece in sorted(pieces):
                name = f"THROUGHPUT, {piece} at a time"
                settings[name] = self._requests(problem, x, piece, "THROUGHPUT")
        return settings

    def _requests(self, problem: Problem, x: Floats, piece: int, mode: str) -> Call:
        graph = model(problem, piece)
        config = {
            hint.performance_mode: getattr(hint.PerformanceMode, mode),
            hint.inference_precision: ov.Type.f32,
            hint.execution_mode: hint.ExecutionMode.ACCURACY,
            properties.inference_num_threads: self.threads,
        }
        compiled = self.core.compile_model(self.core.read_model(graph), "CPU", config)
        parts = [x[i : i + piece].copy() for i in range(0, len(x), piece)]
        requests = [compiled.create_infer_request() for _ in parts]
        for request, part in zip(requests, parts, strict=True):
            request.set_input_tensor(ov.Tensor(part, shared_memory=True))
        outputs = [request.get_output_tensor().data for request in requests]

        def one() -> list[Floats]:
            requests[0].infer()
            return outputs

        def several() -> list[Floats]:
            for request in requests:
                request.start_async()
            for request in requests:
                request.wait()
            return outputs

        one.parts = several.parts = parts  # the tensors do not hold them
        return one if len(parts) == 1 else several
