"""The network as an ONNX graph, for those that read it."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper, numpy_helper

from bench.peers.tasks import Weights


def model(weights: Weights, batch: int, side: int) -> bytes:
    """Build the graph from (batch, 1, side, side) to the logits."""
    arrays = list(weights)
    arrays[4] = arrays[4].reshape(len(arrays[4]), -1)
    names = ["c1w", "c1b", "c3w", "c3b", "d5w", "d5b", "d6w", "d6b", "ow", "ob"]
    pool = {"kernel_shape": [2, 2], "strides": [2, 2]}
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "c1w", "c1b"], ["c1"], kernel_shape=[5, 5]),
        node("Tanh", ["c1"], ["t1"]),
        node("AveragePool", ["t1"], ["s2"], **pool),
        node("Conv", ["s2", "c3w", "c3b"], ["c3"], kernel_shape=[5, 5]),
        node("Tanh", ["c3"], ["t3"]),
        node("AveragePool", ["t3"], ["s4"], **pool),
        node("Flatten", ["s4"], ["flat"]),
        node("Gemm", ["flat", "d5w", "d5b"], ["d5"], transB=1),
        node("Tanh", ["d5"], ["t5"]),
        node("Gemm", ["t5", "d6w", "d6b"], ["d6"], transB=1),
        node("Tanh", ["d6"], ["t6"]),
        node("Gemm", ["t6", "ow", "ob"], ["logits"], transB=1),
    ]
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
