"""The network in plain float64 NumPy: slow, obvious, and what everything else is held against.

Nothing here touches the C core. Shapes: images and maps are (N, C, H, W), flat layers (N, K).
An architecture is anything with the attributes of `lenet_c.Architecture`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Table = tuple[tuple[int, ...], ...]

A, S = 1.7159, 2 / 3


def squash(a: Array) -> Array:
    """f(a) = A tanh(S a)."""
    return A * np.tanh(S * a)


def squash_derivative(a: Array) -> Array:
    """f'(a) = A S (1 - tanh(S a)^2)."""
    return A * S * (1 - np.tanh(S * a) ** 2)


def sigmoid(a: Array) -> Array:
    """1 / (1 + e^-a), where that is very small too."""
    return np.exp(-np.logaddexp(0, -a))


def activate(kind: str, a: Array) -> Array:
    """The named activation of a."""
    if kind == "scaled_tanh":
        return squash(a)
    if kind == "tanh":
        return np.tanh(a)
    if kind == "relu":
        return np.maximum(a, 0)
    if kind == "sigmoid":
        return sigmoid(a)
    if kind == "identity":
        return a
    raise ValueError(f"unknown activation {kind!r}")


def activate_derivative(kind: str, a: Array) -> Array:
    """The derivative of the named activation at a; of relu at 0 it is 0."""
    if kind == "scaled_tanh":
        return squash_derivative(a)
    if kind == "tanh":
        return 1 - np.tanh(a) ** 2
    if kind == "sigmoid":
        return sigmoid(a) * sigmoid(-a)
    if kind == "relu":
        return (a > 0).astype(np.float64)
    if kind == "identity":
        return np.ones_like(a)
    raise ValueError(f"unknown activation {kind!r}")


def _pairs(table: Table) -> tuple[list[int], list[int]]:
    """Output map and input map of each connected pair, in the order of the weights."""
    pairs = [(o, i) for o, inputs in enumerate(table) for i in inputs]
    return [o for o, _ in pairs], [i for _, i in pairs]


def _full_weights(w: Array, in_maps: int, table: Table | None) -> Array:
    """Weights as (maps, in_maps, k, k), zero where the table has no connection."""
    if table is None:
        return w
    full = np.zeros((len(table), in_maps, *w.shape[1:]))
    full[_pairs(table)] = w
    return full


def _pad(x: Array, padding: int) -> Array:
    """So many rows and columns of zeros around each map."""
    return np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))


def conv(x: Array, w: Array, b: Array, table: Table | None = None, padding: int = 0) -> Array:
    """Convolution (N, C, H, W) -> (N, maps, H+2p-k+1, W+2p-k+1), before the activation.

    w is (maps, C, k, k), or with a table (connected pairs, k, k).
    """
    w = _full_weights(w, x.shape[1], table)
    x = _pad(x, padding)
    n, _, height, width = x.shape
    maps, _, k, _ = w.shape
    height, width = height - k + 1, width - k + 1
    out = np.zeros((n, maps, height, width)) + b[:, None, None]
    for i in range(k):
        for j in range(k):
            window = x[:, :, i : i + height, j : j + width]
            out += np.einsum("nchw,oc->nohw", window, w[:, :, i, j])
    return out


def conv_backward(
    x: Array, w: Array, dout: Array, table: Table | None = None, padding: int = 0
) -> tuple[Array, Array, Array]:
    """Gradients (dx, dw, db) of `conv`, each with the shape of what it is for."""
    full = _full_weights(w, x.shape[1], table)
    rows, columns = x.shape[2:]
    x = _pad(x, padding)
    dx, dfull = np.zeros(x.shape), np.zeros(full.shape)
    k = full.shape[2]
    height, width = dout.shape[2:]
    for i in range(k):
        for j in range(k):
            window = x[:, :, i : i + height, j : j + width]
            dfull[:, :, i, j] = np.einsum("nohw,nchw->oc", dout, window)
            dx[:, :, i : i + height, j : j + width] += np.einsum(
                "nohw,oc->nchw", dout, full[:, :, i, j]
            )
    dw = dfull if table is None else dfull[_pairs(table)]
    dx = dx[:, :, padding : padding + rows, padding : padding + columns]
    return dx, dw, dout.sum(axis=(0, 2, 3))


def _block_sums(x: Array) -> Array:
    height, width = x.shape[2] // 2 * 2, x.shape[3] // 2 * 2
    x = x[:, :, :height, :width]
    return x[:, :, 0::2, 0::2] + x[:, :, 0::2, 1::2] + x[:, :, 1::2, 0::2] + x[:, :, 1::2, 1::2]


def _spread(dout: Array, shape: tuple[int, ...]) -> Array:
    """The reverse of `_block_sums`: each value goes to its block's four places."""
    dx = np.zeros(shape)
    height, width = 2 * dout.shape[2], 2 * dout.shape[3]
    for i in range(2):
        for j in range(2):
            dx[:, :, i:height:2, j:width:2] = dout
    return dx


def subsample(x: Array, coefficient: Array, bias: Array, table: Table | None = None) -> Array:
    """Sum of each 2x2 block * coefficient + bias, before the activation; odd edges ignored.

    With a table each map reads the one that it says.
    """
    if table is not None:
        x = np.stack([x[:, i] for (i,) in table], axis=1)
    return _block_sums(x) * coefficient[:, None, None] + bias[:, None, None]


def subsample_backward(
    x: Array, coefficient: Array, dout: Array, table: Table | None = None
) -> tuple[Array, Array, Array]:
    """Gradients (dx, dcoefficient, dbias) of `subsample`."""
    if table is not None:
        read = np.stack([x[:, i] for (i,) in table], axis=1)
        each, dc, db = subsample_backward(read, coefficient, dout)
        dx = np.zeros(x.shape)
        for o, (i,) in enumerate(table):
            dx[:, i] += each[:, o]
        return dx, dc, db
    dx = _spread(dout * coefficient[:, None, None], x.shape)
    return dx, (dout * _block_sums(x)).sum(axis=(0, 2, 3)), dout.sum(axis=(0, 2, 3))


def average_pool(x: Array) -> Array:
    """Mean of each 2x2 block; odd edges ignored."""
    return _block_sums(x) / 4


def average_pool_backward(x: Array, dout: Array) -> Array:
    """Gradient dx of `average_pool`."""
    return _spread(dout / 4, x.shape)


def _first_largest(x: Array) -> Array:
    """1 at the largest of each 2x2 block, of equal ones the first in reading order; else 0."""
    n, maps, height, width = x.shape
    chosen = np.zeros(x.shape)
    for block in np.ndindex(n, maps, height // 2, width // 2):
        y, k = block[:2], (2 * block[2], 2 * block[3])
        places = [(*y, k[0] + i, k[1] + j) for i in range(2) for j in range(2)]
        chosen[max(places, key=lambda place: x[place])] = 1
    return chosen


def max_pool(x: Array) -> Array:
    """Largest of each 2x2 block; odd edges ignored."""
    return _block_sums(np.where(_first_largest(x) == 1, x, 0))


def max_pool_backward(x: Array, dout: Array) -> Array:
    """Gradient dx of `max_pool`."""
    return _first_largest(x) * _spread(dout, x.shape)


def dense(x: Array, w: Array, b: Array) -> Array:
    """(N, K) -> (N, units) with w (units, K), before the activation."""
    return x @ w.T + b


def dense_backward(x: Array, w: Array, dout: Array) -> tuple[Array, Array, Array]:
    """Gradients (dx, dw, db) of `dense`."""
    return dout @ w, dout.T @ x, dout.sum(axis=0)


def rbf(x: Array, w: Array) -> Array:
    """y_i = sum_j (x_j - w_ij)^2: (N, K) -> (N, classes) with w (classes, K)."""
    y: Array = ((x[:, None, :] - w) ** 2).sum(axis=2)
    return y


def rbf_backward(x: Array, w: Array, dout: Array) -> tuple[Array, Array]:
    """Gradients (dx, dw) of `rbf`."""
    each = 2 * dout[:, :, None] * (x[:, None, :] - w)
    return each.sum(axis=1), -each.sum(axis=0)


def unflatten(architecture: Any, vector: NDArray[Any]) -> dict[str, Array]:
    """The named parameters of a flat vector, in float64."""
    vector = np.asarray(vector, dtype=np.float64)
    shapes = architecture.parameter_shapes
    sizes = [math.prod(shape) for shape in shapes.values()]
    if vector.shape != (sum(sizes),):
        raise ValueError(f"vector has shape {vector.shape}, want ({sum(sizes)},)")
    pieces = np.split(vector, np.cumsum(sizes)[:-1])
    return {
        name: piece.reshape(shape)
        for (name, shape), piece in zip(shapes.items(), pieces, strict=True)
    }


def _rbf_weights(layer: Any, params: Mapping[str, Array], codes: NDArray[Any] | None) -> Array:
    if layer.trained:
        return params[f"{layer.name}.weight"]
    if codes is None:
        raise ValueError("codes is None, want the codes of an RBF layer that is not trained")
    return np.asarray(codes, dtype=np.float64)


def _run(
    architecture: Any, params: Mapping[str, Array], x: NDArray[Any], codes: NDArray[Any] | None
) -> list[tuple[Array, Array, Array]]:
    """Of each layer its input, its sum before the activation, and its output."""
    x = np.asarray(x, dtype=np.float64)
    if x.shape[1:] != tuple(architecture.input_shape):
        raise ValueError(f"x has shape {x.shape}, want (N, *{architecture.input_shape})")
    if x.ndim == 3:
        x = x[:, None]
    steps = []
    for layer in architecture.layers:
        p = {k.split(".")[1]: v for k, v in params.items() if k.split(".")[0] == layer.name}
        if layer.kind in ("dense", "rbf"):
            x = x.reshape(len(x), -1)
        if layer.kind == "conv":
            a = conv(x, p["weight"], p["bias"], layer.table, layer.padding)
        elif layer.kind == "subsample":
            a = subsample(x, p["coefficient"], p["bias"], getattr(layer, "table", None))
        elif layer.kind == "average_pool":
            a = average_pool(x)
        elif layer.kind == "max_pool":
            a = max_pool(x)
        elif layer.kind == "dense":
            a = dense(x, p["weight"], p["bias"])
        elif layer.kind == "rbf":
            a = rbf(x, _rbf_weights(layer, params, codes))
        else:
            raise ValueError(f"unknown layer kind {layer.kind!r}")
        out = activate(getattr(layer, "activation", "identity"), a)
        steps.append((x, a, out))
        x = out
    return steps


def forward(
    architecture: Any,
    params: Mapping[str, Array] | NDArray[Any],
    x: NDArray[Any],
    codes: NDArray[Any] | None = None,
) -> dict[str, Array]:
    """Every layer's output by name, for normalised images x (N, H, W) or (N, C, H, W).

    Convolution and pooling layers give (N, maps, h, w), dense and RBF layers (N, K).
    codes, (classes, K), are the weights of an RBF layer that is not trained.
    """
    if not isinstance(params, Mapping):
        params = unflatten(architecture, params)
    steps = _run(architecture, params, x, codes)
    return {layer.name: out for layer, (_, _, out) in zip(architecture.layers, steps, strict=True)}


def _log_sum_exp(v: Array) -> Array:
    top: Array = v.max(axis=1)
    total: Array = np.exp(v - top[:, None]).sum(axis=1)
    return top + np.log(total)


def loss(
    outputs: NDArray[Any],
    labels: NDArray[Any],
    kind: str,
    j: float = 0.1,
    is_rbf: bool = True,
    temperature: float = 1.0,
) -> float:
    """Mean loss over the images of outputs (N, classes): RBF penalties, or logits.

    "mse" is eq. (8) on penalties; on logits the squared distance to +1 for the right class and
    -1 for the others. "map" is eq. (9), "cross_entropy" that of the softmax, both of outputs
    divided by a temperature; a logit is a negated penalty. Labels may be probabilities of the
    classes (N, classes), by which the losses of single labels are weighed (and those targets).
    """
    outputs = np.asarray(outputs, dtype=np.float64)
    if kind != "mse":
        outputs = outputs / temperature
    n = len(outputs)
    t = targets(labels, outputs.shape[1])
    if kind == "mse" and not is_rbf:
        return float(((outputs - (2 * t - 1)) ** 2).sum() / n)
    y = outputs if is_rbf else -outputs
    right = (t * y).sum(axis=1)
    if kind == "mse":
        return float(right.mean())
    if kind == "map":
        return float((right + _log_sum_exp(_with_rubbish(y, j))).mean())
    if kind == "cross_entropy":
        return float((right + _log_sum_exp(-y)).mean())
    raise ValueError(f"unknown loss {kind!r}")


def loss_derivative(
    outputs: NDArray[Any],
    labels: NDArray[Any],
    kind: str,
    j: float = 0.1,
    is_rbf: bool = True,
    temperature: float = 1.0,
) -> Array:
    """The derivative of `loss` by the outputs, (N, classes)."""
    outputs = np.asarray(outputs, dtype=np.float64)
    if temperature != 1.0 and kind != "mse":
        return loss_derivative(outputs / temperature, labels, kind, j, is_rbf) / temperature
    n = len(outputs)
    t = targets(labels, outputs.shape[1])
    if kind == "mse" and not is_rbf:
        return 2 * (outputs - (2 * t - 1)) / n
    y = outputs if is_rbf else -outputs
    dy = t.copy()
    if kind == "map":
        dy -= np.exp(-y - _log_sum_exp(_with_rubbish(y, j))[:, None])
    elif kind == "cross_entropy":
        dy -= np.exp(-y - _log_sum_exp(-y)[:, None])
    elif kind != "mse":
        raise ValueError(f"unknown loss {kind!r}")
    return (dy if is_rbf else -dy) / n


def targets(labels: NDArray[Any], classes: int) -> Array:
    """Each class's probability (N, classes): as it is, or 1 of the label's."""
    labels = np.asarray(labels)
    return labels if labels.ndim == 2 else np.eye(classes)[labels]


def _with_rubbish(y: Array, j: float) -> Array:
    """The exponents of eq. (9): -y_i of every class, then -j of the rubbish class."""
    return np.concatenate([-y, np.full((len(y), 1), -j)], axis=1)


def loss_and_gradient(
    architecture: Any,
    vector: NDArray[Any],
    x: NDArray[Any],
    labels: NDArray[Any],
    loss: str = "map",
    j: float = 0.1,
    codes: NDArray[Any] | None = None,
    temperature: float = 1.0,
) -> tuple[float, Array]:
    """The mean loss of images x (N, H, W), and its gradient by the flat parameter vector."""
    params = unflatten(architecture, vector)
    steps = _run(architecture, params, x, codes)
    is_rbf = architecture.layers[-1].kind == "rbf"
    outputs = steps[-1][2]
    value = _mean_loss(outputs, labels, loss, j, is_rbf, temperature)
    dy = loss_derivative(outputs, labels, loss, j, is_rbf, temperature)
    return value, _backward(architecture, params, steps, dy, codes)


def gradient_of(
    architecture: Any,
    vector: NDArray[Any],
    x: NDArray[Any],
    derivative: Callable[[Array], tuple[float, Array]],
    codes: NDArray[Any] | None = None,
) -> tuple[float, Array]:
    """Any loss of the outputs of all images, and its gradient by the flat parameter vector.

    derivative: gives the loss of outputs (N, classes) and its derivative by them.
    """
    params = unflatten(architecture, vector)
    steps = _run(architecture, params, x, codes)
    value, dy = derivative(steps[-1][2])
    return value, _backward(architecture, params, steps, dy, codes)


def _backward(
    architecture: Any,
    params: Mapping[str, Array],
    steps: list[tuple[Array, Array, Array]],
    dy: Array,
    codes: NDArray[Any] | None,
) -> Array:
    """The gradient by the flat parameter vector, from that by the outputs."""
    dx = dy
    grads: dict[str, Array] = {}
    for layer, (xin, a, out) in zip(reversed(architecture.layers), reversed(steps), strict=True):
        name = layer.name
        da = dx.reshape(out.shape) * activate_derivative(
            getattr(layer, "activation", "identity"), a
        )
        if layer.kind == "conv":
            w = params[f"{name}.weight"]
            dx, dw, db = conv_backward(xin, w, da, layer.table, layer.padding)
            grads[f"{name}.weight"], grads[f"{name}.bias"] = dw, db
        elif layer.kind == "subsample":
            table = getattr(layer, "table", None)
            dx, dc, db = subsample_backward(xin, params[f"{name}.coefficient"], da, table)
            grads[f"{name}.coefficient"], grads[f"{name}.bias"] = dc, db
        elif layer.kind == "average_pool":
            dx = average_pool_backward(xin, da)
        elif layer.kind == "max_pool":
            dx = max_pool_backward(xin, da)
        elif layer.kind == "dense":
            dx, dw, db = dense_backward(xin, params[f"{name}.weight"], da)
            grads[f"{name}.weight"], grads[f"{name}.bias"] = dw, db
        else:
            dx, dw = rbf_backward(xin, _rbf_weights(layer, params, codes), da)
            if layer.trained:
                grads[f"{name}.weight"] = dw
    return np.concatenate([grads[name].ravel() for name in params])


# `loss_and_gradient` has an argument called loss.
_mean_loss = loss


def _shares(outputs: Array, kind: str, j: float, is_rbf: bool) -> Array:
    """What each class has in the sum of "map" or "cross_entropy"; of "mse" on penalties nothing."""
    y = outputs if is_rbf else -outputs
    if kind == "mse":
        return np.zeros(y.shape)
    exponents = _with_rubbish(y, j) if kind == "map" else -y
    return np.exp(-y - _log_sum_exp(exponents)[:, None])


def logits_curvature(
    outputs: NDArray[Any], kind: str, j: float = 0.1, temperature: float = 1.0
) -> Array:
    """Second derivatives of each image's loss by its logits, the diagonal (N, classes)."""
    outputs = np.asarray(outputs, dtype=np.float64)
    if kind == "mse":
        return np.full(outputs.shape, 2.0)
    p = _shares(outputs / temperature, kind, j, False)
    return p * (1 - p) / temperature**2


def rbf_curvature(
    x: Array,
    w: Array,
    labels: NDArray[Any],
    kind: str,
    j: float = 0.1,
    temperature: float = 1.0,
) -> tuple[Array, Array]:
    """Second derivatives of each image's loss by the inputs x and by the codes w of RBF units.

    The diagonals, (N, K) and (N, classes, K). With E = y_D + log(e^-j + sum_i e^-y_i), shares p_i
    and slopes g_i = dy_i/dx: d2E/dx2 = 2 + sum p g^2 - (sum p g)^2 - 2 sum p. By w_i it is
    p_i (1 - p_i) g_i^2 + 2 (t_i - p_i), t_i being 1 of the label's class and 0 of others, or the
    class's probability; where that last term is negative it is left out. With a temperature T,
    penalties are y_i = |x - w_i|^2 / T, slopes g_i are divided by T, and so are the 2, which are
    second derivatives of y_i.
    """
    t = 1.0 if kind == "mse" else temperature
    p = _shares(rbf(x, w) / t, kind, j, True)[:, :, None]
    g = 2 * (x[:, None, :] - w) / t
    by_x = 2 / t * (1 - p.sum(axis=1)) + (p * g**2).sum(axis=1) - (p * g).sum(axis=1) ** 2
    wanted = targets(labels, len(w))[:, :, None]
    return by_x, p * (1 - p) * g**2 + np.maximum(wanted - p, 0) * 2 / t


def curvature(
    architecture: Any,
    vector: NDArray[Any],
    x: NDArray[Any],
    labels: NDArray[Any],
    loss: str = "map",
    j: float = 0.1,
    codes: NDArray[Any] | None = None,
    temperature: float = 1.0,
) -> Array:
    """The mean over images x (N, H, W) of h_kk, for the flat parameter vector (appendix C).

    h_kk is the sum of d2E/du_ij^2 over the connections u_ij that share parameter k. Those, and the
    derivatives of a layer's inputs, are what the gradient's sums give for squared inputs and
    squared weights.
    """
    params = unflatten(architecture, vector)
    steps = _run(architecture, params, x, codes)
    h: dict[str, Array] = {}
    d2 = logits_curvature(steps[-1][2], loss, j, temperature)
    for layer, (xin, a, out) in zip(reversed(architecture.layers), reversed(steps), strict=True):
        name = layer.name
        if layer.kind == "rbf":
            w = _rbf_weights(layer, params, codes)
            d2, by_codes = rbf_curvature(xin, w, labels, loss, j, temperature)
            if layer.trained:
                h[f"{name}.weight"] = by_codes.sum(axis=0)
            continue
        slope = activate_derivative(getattr(layer, "activation", "identity"), a)
        d2 = d2.reshape(out.shape) * slope**2
        if layer.kind == "conv":
            w2 = params[f"{name}.weight"] ** 2
            d2, dw, db = conv_backward(xin**2, w2, d2, layer.table, layer.padding)
            h[f"{name}.weight"], h[f"{name}.bias"] = dw, db
        elif layer.kind == "subsample":
            squares, table = params[f"{name}.coefficient"] ** 2, getattr(layer, "table", None)
            d2, dc, db = subsample_backward(xin**2, squares, d2, table)
            h[f"{name}.coefficient"], h[f"{name}.bias"] = dc, db
        elif layer.kind == "average_pool":
            d2 = average_pool_backward(xin, d2) / 4
        elif layer.kind == "max_pool":
            d2 = max_pool_backward(xin, d2)
        else:
            d2, dw, db = dense_backward(xin**2, params[f"{name}.weight"] ** 2, d2)
            h[f"{name}.weight"], h[f"{name}.bias"] = dw, db
    return np.concatenate([h[name].ravel() for name in params]) / len(x)


def sgd_step(
    p: Array, g: Array, v: Array, lr: float, momentum: float = 0.0, weight_decay: float = 0.0
) -> tuple[Array, Array]:
    """One step of gradient descent with momentum and decoupled weight decay: new (p, v)."""
    v = momentum * v + g
    return p - lr * v - lr * weight_decay * p, v


def adam_step(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    step: int,
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> tuple[Array, Array, Array]:
    """One step of Adam with decoupled weight decay: new (p, m, v). The first step is number 1."""
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    mhat = m / (1 - beta1**step)
    vhat = v / (1 - beta2**step)
    return p - lr * (mhat / (np.sqrt(vhat) + eps) + weight_decay * p), m, v


def sdlm_step(p: Array, g: Array, h: Array, eta: float, mu: float) -> Array:
    """One step of stochastic diagonal Levenberg-Marquardt (appendix C)."""
    return p - eta / (mu + h) * g


def four_point_gradient(
    f: Callable[[Array], float], vector: NDArray[Any], indices: Iterable[int], h: float = 1e-3
) -> Array:
    """Fourth-order central differences of f at vector, along the components in indices."""
    slopes = []
    for index in indices:
        at = []
        for k in (-2, -1, 1, 2):
            moved = np.array(vector, dtype=np.float64)
            moved[index] += k * h
            at.append(f(moved))
        slopes.append((at[0] - 8 * at[1] + 8 * at[2] - at[3]) / (12 * h))
    return np.array(slopes)


def four_point_curvature(
    f: Callable[[Array], float], vector: NDArray[Any], indices: Iterable[int], h: float = 1e-2
) -> Array:
    """Second derivatives of f at vector along each of the components in indices."""
    curvatures = []
    for index in indices:
        at = []
        for k in (-2, -1, 0, 1, 2):
            moved = np.array(vector, dtype=np.float64)
            moved[index] += k * h
            at.append(f(moved))
        curvatures.append((-at[0] + 16 * at[1] - 30 * at[2] + 16 * at[3] - at[4]) / (12 * h * h))
    return np.array(curvatures)


# ---- distortions ----


def _splitmix(z: int) -> int:
    """The output function of SplitMix64 on 64-bit integers."""
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def _sequence(key: int, index: int) -> int:
    """Number `index` of the SplitMix64 generator whose state begins at `key`."""
    return _splitmix((key + (index + 1) * 0x9E3779B97F4A7C15) % 2**64)


def distortion_number(seed: int, image: int, index: int) -> float:
    """Random number `index` of an image of a sequence, in [-1, 1)."""
    key = _sequence(_splitmix(seed), image)
    return (_sequence(key, index) >> 40) / 2**23 - 1


def cubic_spline(t: Array) -> Array:
    """The uniform cubic B-spline around 0: positive on (-2, 2), integral 1."""
    t = np.abs(t)
    inner = 2 / 3 - t**2 + t**3 / 2
    outer = (2 - t) ** 3 / 6
    return np.where(t < 1, inner, np.where(t < 2, outer, 0.0))


def elastic_field(
    height: int, width: int, elastic: float, smoothness: float, seed: int, image: int
) -> Array:
    """Displacements (2, height, width), in x and in y, of every pixel.

    Random values on a grid of cubic B-splines whose standard deviation is `smoothness`.
    """
    spacing = smoothness * math.sqrt(3)
    rows, columns = int((height - 1) / spacing) + 4, int((width - 1) / spacing) + 4
    numbers = [distortion_number(seed, image, 6 + i) for i in range(2 * rows * columns)]
    grid = np.reshape(numbers, (2, rows, columns))
    # spline i is centred on i - 1 spacings
    down = cubic_spline(np.arange(height)[:, None] / spacing - (np.arange(rows) - 1))
    along = cubic_spline(np.arange(width)[:, None] / spacing - (np.arange(columns) - 1))
    # the variance of a uniform number, twice the integral of the squared spline
    return elastic * math.sqrt(3) / (151 / 315) * (down @ grid @ along.T)


def transform_image(
    image: NDArray[np.uint8],
    dx: float = 0.0,
    dy: float = 0.0,
    scale: float = 1.0,
    squeeze: float = 1.0,
    shear: float = 0.0,
    rotation: float = 0.0,
    field: Array | None = None,
) -> Array:
    """The image (height, width) after an affine map and displacements; grey levels unrounded."""
    height, width = image.shape
    angle = math.radians(rotation)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    slide = np.array([[1, shear], [0, 1]])
    inverse = np.linalg.inv(turn @ slide @ np.diag([scale * squeeze, scale / squeeze]))
    middle = np.array([width - 1, height - 1]) / 2
    out = np.zeros(image.shape)
    for y in range(height):
        for x in range(width):
            source = inverse @ (np.array([x - dx, y - dy]) - middle) + middle
            if field is not None:
                source = source + field[:, y, x]
            out[y, x] = _bilinear(image, source[0], source[1])
    return out


def _bilinear(image: NDArray[np.uint8], x: float, y: float) -> float:
    left, top = math.floor(x), math.floor(y)
    value = 0.0
    for row, part_y in ((top, 1 - (y - top)), (top + 1, y - top)):
        for column, part_x in ((left, 1 - (x - left)), (left + 1, x - left)):
            if 0 <= row < image.shape[0] and 0 <= column < image.shape[1]:
                value += part_y * part_x * int(image[row, column])
    return value


def distort_image(image: NDArray[np.uint8], distortion: Any, seed: int, number: int) -> Array:
    """Image `number` of a sequence, distorted at random; grey levels unrounded."""
    u = [distortion_number(seed, number, index) for index in range(6)]
    field = None
    if distortion.elastic:
        field = elastic_field(
            *image.shape, distortion.elastic, distortion.elastic_smoothness, seed, number
        )
    return transform_image(
        image,
        dx=distortion.translation * u[0],
        dy=distortion.translation * u[1],
        scale=1 + distortion.scaling * u[2],
        squeeze=1 + distortion.squeezing * u[3],
        shear=distortion.shearing * u[4],
        rotation=distortion.rotation * u[5],
        field=field,
    )


# ---- corruptions ----


def corrupt_image(image: NDArray[Any], distortion: Any, seed: int, number: int) -> Array:
    """Image `number` of a sequence, corrupted at random; grey levels unrounded."""
    key = _splitmix(_sequence(_splitmix(seed), number) ^ 0xD1B54A32D192ED03)

    def share(index: int) -> float:
        return (_sequence(key, index) >> 40) / 2**24

    most = [getattr(distortion, kind) for kind in CORRUPTIONS]
    grey = np.array(image, np.float64)
    for k, (kind, strength) in enumerate(zip(CORRUPTIONS, most, strict=True)):
        if strength == 0 or share(k) >= distortion.chance:
            continue
        u = share(6 + k)
        if kind == "thickness":
            grey = thicken(grey, strength * (2 * u - 1))
        elif kind == "lines":
            for i in range(1 + int(u * strength)):
                grey = draw_line(grey, [share(14 + 8 * i + m) for m in range(8)])
        elif kind == "blur" and u * strength > 0.2:
            grey = gaussian_blur(grey, u * strength)
        elif kind == "contrast":
            paper = 255 * u * strength * share(12)
            grey = paper + grey * (1 - u * strength)
        elif kind == "noise":
            grey = np.clip(grey + u * strength * 255 * _noise(key, grey.shape), 0, 255)
        elif kind == "impulses":
            for i in range(round(u * strength * grey.size)):
                bits = _sequence(key, 14 + 1024 + 2**20 + i)
                grey.flat[(bits >> 32) * grey.size >> 32] = 255 * (bits & 1)
    return grey


CORRUPTIONS = ("thickness", "lines", "blur", "contrast", "noise", "impulses")


def thicken(grey: Array, pixels: float) -> Array:
    """Strokes so many pixels thicker, or thinner, by extremes of 2x2 to alternate sides."""
    extreme = np.maximum if pixels > 0 else np.minimum
    left, side = abs(pixels), 1
    while left > 0:
        beside = np.pad(grey, 1, mode="edge")
        for axis in (0, 1):
            beside = extreme(beside, np.roll(beside, -side, axis))
        part = min(left, 1)
        grey = grey + part * (beside[1:-1, 1:-1] - grey)
        left, side = left - 1, -side
    return grey


def draw_line(grey: Array, u: list[float]) -> Array:
    """A line through any place in any direction, from its eight numbers in [0, 1)."""
    height, width = grey.shape
    normal = np.array([u[2] - 0.5, u[3] - 0.5]) / math.hypot(u[2] - 0.5, u[3] - 0.5)
    out = grey.copy()
    for y in range(height):
        for x in range(width):
            place = np.array([x - u[0] * width, y - u[1] * height])
            across = abs(normal @ place)
            along = abs(normal[0] * place[1] - normal[1] * place[0])
            cover = min(0.75 + 0.75 * u[4] - across, u[5] ** 2 * (width + height) + 0.5 - along)
            cover = min(max(cover, 0), 1)
            if u[7] < 0.25:
                out[y, x] *= 1 - cover
            else:
                out[y, x] = max(grey[y, x], cover * (63 + 192 * u[6]))
    return out


def gaussian_blur(grey: Array, deviation: float) -> Array:
    """A Gaussian cut off behind three deviations, background beyond the image."""
    reach = int(3 * deviation) + 1
    at = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (at / deviation) ** 2)
    weights /= weights.sum()

    def matrix(n: int) -> Array:
        steps = np.arange(n)[:, None] - np.arange(n)
        return np.where(abs(steps) <= reach, weights[np.clip(steps + reach, 0, 2 * reach)], 0)

    return matrix(grey.shape[0]) @ grey @ matrix(grey.shape[1])


def _noise(key: int, shape: tuple[int, ...]) -> Array:
    """Numbers of mean 0 and deviation 1: sums of four bytes."""
    height, width = shape
    noise = np.empty(shape)
    for y in range(height):
        for x in range(width):
            # two pixels share a number; rows begin with one of their own
            bits = _sequence(key, 14 + 1024 + y * width + x - x % 2) >> 32 * (x % 2)
            noise[y, x] = sum(bits >> 8 * k & 255 for k in range(4)) - 510
    return noise / 147.8
