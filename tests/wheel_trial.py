"""Tries an installed lenet_c with numpy alone: trains, saves, loads, names what it ships."""

import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import numpy as np

import lenet_c

checkout = Path(__file__).parent.parent / "lenet_c"
assert Path(lenet_c.__file__).parent != checkout, f"{checkout}: want the installed one"

if sysconfig.get_config_var("Py_GIL_DISABLED"):
    assert not sys._is_gil_enabled(), "the import of lenet_c has turned the GIL on"

command = Path(sysconfig.get_path("scripts"), "lenet-c")
for name in ("info", "summary"):
    subprocess.run([command, name], check=True)

rng = np.random.default_rng(0)
images = rng.integers(0, 64, (256, 28, 28), np.uint8)
labels = rng.integers(0, 10, 256)
for image, label in zip(images, labels, strict=True):
    image[2 * label : 2 * label + 6] += 128  # a band whose height tells the class
net = lenet_c.LeNet5()
history = lenet_c.Trainer(net, lenet_c.Adam(3e-3), batch_size=32).fit(images, labels, epochs=30)
first, last = history.epochs[0]["error_rate"], history.epochs[-1]["error_rate"]
assert last < 0.05 < first, (first, last)
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, "model.npz")
    net.save(path)
    assert (lenet_c.LeNet5.load(path).predict(images) == net.predict(images)).all()
print(f"trained and saved: error {first:.1%} -> {last:.1%}")
for name in ("mnist", "mnist-modern", "printed", "strings"):
    print(lenet_c.LeNet5.pretrained(name), lenet_c.LeNet5.pretrained(name).notes)
print(f"Python {sys.version.split()[0]}, numpy {np.__version__}, {lenet_c.get_threading()}: passed")
