"""The tutorials' LeNets, small, as other libraries write them: python tests/exporters.py FOLDER.

Writes tests/fixtures/onnx-*.onnx, and images and outputs to onnx-outputs.npz. Needs PyTorch with
onnxscript, and Keras with TensorFlow and tf2onnx.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np


def torch_networks() -> dict[str, tuple[Any, tuple[int, int, int]]]:
    """Give PyTorch's modules by name, and the shapes of their images."""
    import torch
    from torch import nn
    from torch.nn import functional as f

    torch.manual_seed(0)

    class View(nn.Module):  # as PyTorch's own tutorials write it
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(3, 4, 5)
            self.pool = nn.MaxPool2d(2, 2)
            self.conv2 = nn.Conv2d(4, 6, 5)
            self.fc1 = nn.Linear(6 * 4 * 4, 12)
            self.drop = nn.Dropout()
            self.fc2 = nn.Linear(12, 10)

        def forward(self, x: Any) -> Any:
            x = self.pool(f.relu(self.conv1(x)))
            x = f.relu(self.pool(self.conv2(x)))
            x = x.view(x.size(0), -1)
            x = self.drop(f.relu(self.fc1(x)))
            return f.log_softmax(self.fc2(x), dim=1)

    padded = nn.Sequential(
        *(nn.Conv2d(1, 4, 5, padding=2), nn.Sigmoid(), nn.AvgPool2d(2, stride=2)),
        *(nn.Conv2d(4, 6, 5), nn.AvgPool2d(2, stride=2), nn.Sigmoid(), nn.Flatten()),
        *(nn.Linear(6 * 25, 12), nn.Sigmoid(), nn.Linear(12, 10)),
    )
    return {"view": (View().eval(), (3, 28, 28)), "padded": (padded.eval(), (1, 28, 28))}


def export_torch(module: Any, shape: tuple[int, int, int], path: Path, new: bool) -> None:
    """Write a module with PyTorch's older or newer exporter."""
    import torch

    image = torch.zeros(2, *shape)
    settings: dict[str, Any] = (
        {"dynamic_shapes": ({0: torch.export.Dim("n")},), "external_data": False}
        if new
        else {"dynamic_axes": {"x": {0: "n"}}}
    )
    torch.onnx.export(module, (image,), path, dynamo=new, input_names=["x"], **settings)


def keras_networks() -> dict[str, Any]:
    """Give Keras's models by name."""
    import keras
    from keras import layers as k

    keras.utils.set_random_seed(0)
    grey = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            k.Conv2D(4, 5, padding="same", activation="tanh"),
            k.AveragePooling2D(2),
            k.Conv2D(6, 5, activation="tanh"),
            k.AveragePooling2D(2),
            k.Flatten(),
            k.Dense(12, activation="tanh"),
            k.Dense(10, activation="softmax"),
        ]
    )
    colours = keras.Sequential(
        [
            keras.Input((28, 28, 3)),
            k.Rescaling(1 / 255),
            k.Conv2D(4, 5, activation="relu"),
            k.MaxPooling2D(2),
            k.Conv2D(6, 3, activation="relu"),
            k.MaxPooling2D(2),
            k.Dropout(0.5),
            k.Flatten(),
            k.Dense(12, activation="relu"),
            k.Dense(10),
        ]
    )
    return {"keras": grey, "keras-colours": colours}


def clean(path: Path) -> None:
    """Leave out what a file says of the folders of this machine."""
    import onnx

    model = onnx.load(path)
    for each in (*model.graph.node, *model.graph.value_info, *model.graph.input, model.graph):
        del each.metadata_props[:]
        each.doc_string = ""
    del model.metadata_props[:]
    del model.functions[:]
    onnx.save(model, path)


def main() -> None:
    """Write the fixtures."""
    folder = Path(sys.argv[1])
    rng = np.random.default_rng(0)
    arrays = {}
    for name, (module, shape) in torch_networks().items():
        for new in (False, True):
            export_torch(module, shape, folder / f"onnx-torch-{name}-{int(new)}.onnx", new)
        import torch

        images = rng.integers(-8, 8, (2, *shape)).astype(np.float32) / 4
        with torch.no_grad():
            outputs = module(torch.from_numpy(images)).numpy()
        for new in (False, True):
            arrays[f"torch-{name}-{int(new)}.images"] = images
            arrays[f"torch-{name}-{int(new)}.outputs"] = outputs
    for name, model in keras_networks().items():
        images = rng.integers(0, 16, (2, *model.input_shape[1:])).astype(np.float32)
        images *= 17 if "colours" in name else 1 / 16
        arrays[f"{name}.images"] = np.moveaxis(images, -1, 1)
        arrays[f"{name}.outputs"] = np.asarray(model(images))
        model.export(folder / f"onnx-{name}.onnx", format="onnx", verbose=False)
    for path in folder.glob("onnx-*.onnx"):
        clean(path)
    np.savez_compressed(folder / "onnx-outputs.npz", **arrays)


if __name__ == "__main__":
    main()
