"""ncnn, which takes one image at a time."""

from __future__ import annotations

import tempfile
from pathlib import Path

import ncnn
import numpy as np

from bench.peers.peer import Peer, Settings
from bench.peers.tasks import Floats, Form, Problem, Task, Weights

POOLS = "0=1 1=2 2=2 5=1", "0=0 1=2 2=2 5=1"  # the mean of 2x2, the largest
ACTIVATIONS = {"tanh": "TanH", "relu": "ReLU", "identity": ""}


class Ncnn(Peer):
    """ncnn on the CPU, in float32."""

    def inference(self, problem: Problem, task: Task) -> Settings:
        """See `Peer`."""
        images = [ncnn.Mat(x[None]).clone() for x in problem.normalised(task.batch)]
        net = self._net(problem.form, problem.weights)

        def one(image: ncnn.Mat) -> Floats:
            extractor = net.create_extractor()
            extractor.input("x", image)
            return np.array(extractor.extract("logits")[1])[None]

        return {"an image at a time": lambda: [one(image) for image in images]}

    def _net(self, form: Form, weights: Weights) -> ncnn.Net:
        net = ncnn.Net()
        net.opt.num_threads = self.threads
        for name in ("use_vulkan_compute", "use_fp16_packed", "use_fp16_storage",
                     "use_fp16_arithmetic", "use_bf16_storage"):  # fmt: skip
            setattr(net.opt, name, False)
        with tempfile.TemporaryDirectory() as folder:
            graph, values = Path(folder, "net.param"), Path(folder, "net.bin")
            graph.write_text(_graph(form, weights))
            # in front of each layer's weights stands what they are coded in: 0 is float32
            values.write_bytes(
                b"".join(bytes(4) + w.tobytes() + b.tobytes()
                         for w, b in zip(weights[::2], weights[1::2], strict=True))
            )  # fmt: skip
            if net.load_param(str(graph)) or net.load_model(str(values)):
                raise RuntimeError("ncnn does not take its own format")
        return net


def _graph(form: Form, weights: Weights) -> str:
    """Give the network in ncnn's form: a layer a line, its settings by number."""
    layers, last = ["Input x 0 1 x"], "x"

    def add(kind: str, name: str, settings: str = "") -> None:
        nonlocal last
        layers.append(f"{kind} {name} 1 1 {last} {name} {settings}")
        last = name

    for i, name in enumerate(("C1", "C3")):
        w = weights[2 * i]
        add("Convolution", name, f"0={len(w)} 1={w.shape[-1]} 5=1 6={w.size}")
        if ACTIVATIONS[form.maps]:
            add(ACTIVATIONS[form.maps], f"{name}_squashed")
        add("Pooling", f"{name}_pool", POOLS[form.is_max])
    hidden = [f"F{i}" for i in range(2, len(weights) // 2 - 1)]
    for i, name in enumerate((*hidden, "logits"), start=2):
        w = weights[2 * i]
        add("InnerProduct", name, f"0={len(w)} 1=1 2={w.size}")
        if name != "logits":
            add(ACTIVATIONS[form.units], f"{name}_squashed")
    return "\n".join(["7767517", f"{len(layers)} {len(layers)}", *layers, ""])
