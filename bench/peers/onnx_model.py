"""The network as an ONNX graph, for those that read it."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper, numpy_helper

from bench.peers.tasks import Problem

ACTIVATIONS = {"tanh": "Tanh", "relu": "Relu", "identity": "Identity"}


def model(problem: Problem, batch: int) -> bytes:
    """Build the graph from (batch, 1, side, side) to the logits."""
    arrays, form = list(problem.weights), problem.form
    side = problem.network.architecture.input_shape[0]
    arrays[4] = arrays[4].reshape(len(arrays[4]), -1)
    names = [f"{kind}{i // 2}" for i in range(0, len(arrays), 2) for kind in "wb"]
    nodes, last = [], "x"

    def add(op: str, output: str, *inputs: str, **attributes: object) -> None:
        nonlocal last
        if op != "Identity":
            nodes.append(helper.make_node(op, [last, *inputs], [output], **attributes))
            last = output

    for i in (0, 1):
        add("Conv", f"conv{i}", f"w{i}", f"b{i}", kernel_shape=[5, 5])
        add(ACTIVATIONS[form.maps], f"maps{i}")
        op = "MaxPool" if form.is_max else "AveragePool"
        add(op, f"pool{i}", kernel_shape=[2, 2], strides=[2, 2])
    add("Flatten", "flat")
    for i in range(2, len(arrays) // 2 - 1):
        add("Gemm", f"dense{i}", f"w{i}", f"b{i}", transB=1)
        add(ACTIVATIONS[form.units], f"units{i}")
    add("Gemm", "logits", *names[-2:], transB=1)
    graph = helper.make_graph(
        nodes,
        "lenet5",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 1, side, side])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, 10])],
        [numpy_helper.from_array(a, n) for n, a in zip(names, arrays, strict=True)],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made)
    return made.SerializeToString()
