"""Networks for other runtimes: ONNX graphs, out and in, and C files.

`lenet_c.weights` has weights alone, from and to PyTorch, Keras and safetensors.
"""

from __future__ import annotations

import os
from typing import BinaryIO

from numpy.typing import ArrayLike

from lenet_c import checks, files
from lenet_c.ensemble import Ensemble
from lenet_c.lines import LineReader
from lenet_c.model import LeNet5

__all__ = ["c", "load_onnx", "onnx"]

INPUTS = ("uint8", "float32")


def c(
    network: LeNet5 | LineReader | Ensemble,
    path: str | os.PathLike[str] | BinaryIO,
    *,
    prefix: str | None = None,
    precision: str = "float32",
    images: ArrayLike | None = None,
    size: tuple[int, int] | None = None,
) -> None:
    """Write a network as one C99 file that needs no library and allocates nothing.

    Of "digit.c" the function is ``int digit_read(const uint8_t *image, float *outputs, float
    *scratch)``: it gives the class and, to `outputs`, what `LeNet5.forward` gives. Sizes are
    macros, ``DIGIT_SCRATCH`` floats for one; all that is kept is in `scratch`, so that several
    threads may call it at once. A network for strings has ``int digit_read(strip, width,
    characters, columns, capacity, scratch)``, which reads by the best path
    (`lenet_c.decoding.best_path`), and ``digit_start`` and ``digit_next``, which take a strip's
    columns as they come. A committee's file has its networks, each with functions of its own,
    ``digit_0_read`` and so on, whose outputs ``digit_read`` adds. The file compiles without
    warnings as C and C++.

    Parameters
    ----------
    network : LeNet5, LineReader or Ensemble
    path : str, path or binary file
        A file is replaced only once the new one is complete and on disk.
    prefix : str, optional
        What the functions' names begin with, and the macros' in capitals; by default the file's
        name without its end, or "lenet" for open files.
    precision : str
        "float32", or "int8": weights and values of 8 bits, a quarter of the memory, with a scale
        for each map.
    images : uint8 array (N, H, W) or (N, channels, H, W), or a sequence of strips, optional
        Images as it will be given: whole numbers are scaled so that these fit, and must have
        them. Some hundred will do. The first one becomes the file's self-test; else a pattern.
    size : (int, int), optional
        Height and width of the images, as for `onnx`. Not for strings.

    Raises
    ------
    TypeError, ValueError
        For another prefix, precision or size, images that do not fit or are none, parameters that
        are not finite, more than 4 million of them, or layers whose whole numbers do not fit.
    OSError
        If the file cannot be written.

    Notes
    -----
    Temperature, thresholds of `rejection` and `class_names` are in the file, as macros and
    ``digit_name``; nothing is rejected by itself.

    Examples
    --------
    ::

        lenet_c.export.c(net, "digit.c")
        lenet_c.export.c(net, "digit8.c", precision="int8", images=train_images[:1000])
    """
    from lenet_c.plain_c import asked

    if isinstance(network, LineReader):
        network = network.network
    if not isinstance(network, Ensemble):
        checks.instance("network", network, LeNet5, "a LeNet5, a LineReader or an Ensemble")
    files.put(path, asked.content(network, path, prefix, precision, images, size))


def onnx(
    network: LeNet5 | LineReader | Ensemble,
    path: str | os.PathLike[str] | BinaryIO,
    *,
    input: str = "uint8",
    size: tuple[int, int] | None = None,
) -> None:
    """Write a network as an ONNX graph (opset 17) that any runtime reads.

    The graph takes ``images`` as `LeNet5.forward` does, any number of them: grey ones are
    (N, height, width), others (N, channels, height, width). With uint8 images padding and scaling
    are part of the graph, so that it takes grey levels as they come. It gives ``penalties``, of
    which the smallest wins, or ``logits``, float32 (N, classes), as `forward` does: raw, before any
    temperature. A network for strings is swept: its images are strips of any width, what is
    beyond them background, and it gives (N, positions, classes), as `LeNet5.sweep` does.
    A committee is one graph of all its networks.

    Parameters
    ----------
    network : LeNet5, LineReader or Ensemble
    path : str, path or binary file
        A file is replaced only once the new one is complete and on disk.
    input : str
        "uint8": raw grey, 0 for background and 255 for ink. "float32": already normalised, of the
        network's own size.
    size : (int, int), optional
        Height and width of the uint8 images, the network's own or up to 8 pixels less, by an even
        number. By default 28x28 for networks of 32x32, as MNIST's images are, and else the
        network's own. Not for strings: a strip is as high as the network's input.

    Raises
    ------
    TypeError, ValueError
        For another input or size, parameters that are not finite, or metadata or a file that would
        be larger than `LeNet5.save` writes.
    ImportError
        If onnx is not there.
    OSError
        If the file cannot be written.

    Notes
    -----
    The model's metadata has, each as JSON: ``class_names``, ``temperature`` (what outputs are
    divided by for a probability), ``rejection`` (the thresholds on penalty and margin; `distance`
    and `subspaces` are left out), ``blank`` (the blank's class), and for `load_onnx`
    ``architecture``, ``notes``, ``learnt_from`` and ``lenet_c``. Table I's missing connections are
    weights of 0.

    Examples
    --------
    ::

        lenet_c.export.onnx(net, "digits.onnx")
        session = onnxruntime.InferenceSession("digits.onnx")
        (penalties,) = session.run(None, {"images": images})  # uint8 (N, 28, 28)
    """
    from lenet_c import onnx_writer

    if isinstance(network, LineReader):
        network = network.network
    if not isinstance(network, Ensemble):
        checks.instance("network", network, LeNet5, "a LeNet5, a LineReader or an Ensemble")
    checks.one_of("input", input, INPUTS)
    content = onnx_writer.model(network, input, size).SerializeToString()
    files.put(path, content)


def load_onnx(
    path: str | os.PathLike[str] | BinaryIO,
    *,
    mean: float | tuple[float, ...] | None = None,
    std: float | tuple[float, ...] | None = None,
    max_bytes: int | None = None,
) -> LeNet5:
    """Read a network from an ONNX graph: one that `onnx` wrote, or a LeNet of another library.

    Graphs that PyTorch and tf2onnx make of the tutorials' LeNets are such networks: convolutions
    with stride 1, pooling over 2x2, dense layers, one after another, and the activations that
    `lenet_c` has. What they flatten with channels last, as Keras does, is put in this library's
    order. Softmax at the end is left out: `forward` gives logits. Dropout is left out. A mean over
    2x2 that an activation follows becomes a `Subsample`, and an activation behind a `MaxPool` goes
    before it, where it gives the same.

    Parameters
    ----------
    path : str, path or binary file
    mean, std : float, or tuple of one for each channel, optional
        How the graph's float images are made of grey levels, so that the network can take uint8
        images: ``(level / 255 - mean) / std``, as for `Architecture.with_normalization`; 0 and 1 by
        default. Must be given where the graph itself scales float images; Keras's
        ``Rescaling(1 / 255)`` takes 0 to 255, which is ``std=1 / 255``. The network's own float
        images are as behind that scaling. What this library wrote says all this itself.
    max_bytes : int, optional
        The largest file to accept; 256 MiB by default.

    Returns
    -------
    LeNet5
        With the names, temperature and thresholds of the metadata, where there are any. A file
        that `onnx` wrote gives the same architecture and, bit for bit, the same weights.

    Raises
    ------
    lenet_c.ModelFileError
        If the file is no ONNX model, or its graph is no such network: naming the node, and what is
        wrong with it.
    TypeError, ValueError
        For a mean or a deviation that is none.
    ImportError
        If onnx is not there.
    OSError
        If the file cannot be read.
    """
    from lenet_c import onnx_reader

    return onnx_reader.load(path, mean, std, max_bytes)
