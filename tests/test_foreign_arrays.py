"""Arrays of other libraries, and of other machines: taken wherever there are some, or refused."""

from __future__ import annotations

import re

import numpy as np
import pytest

from lenet_c import (
    LENET5_28,
    LENET5_STRINGS,
    SGD,
    LeNet5,
    Trainer,
    checks,
    criteria,
    distort,
    kernels,
    preprocess,
)
from lenet_c.run import digest_of

pytestmark = pytest.mark.filterwarnings("ignore::lenet_c.InputWarning")  # of random images


class Tensor:
    """What tensors have that numpy takes, and nothing else: PyTorch's with a gradient."""

    dtype, device = "float32", "cpu"

    def __init__(self, values, requires_grad=False):
        self._values, self.requires_grad = np.asarray(values), requires_grad
        self.shape = self._values.shape

    def __dlpack__(self, **how):
        return self._values.__dlpack__(**how)

    def __dlpack_device__(self):
        return self._values.__dlpack_device__()

    def __array__(self, dtype=None, copy=None):
        if self.requires_grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
        return self._values

    def __len__(self):
        return len(self._values)

    def __getitem__(self, i):
        return Tensor(self._values[i], self.requires_grad)

    def detach(self):
        return Tensor(self._values)


class OnlyDLPack:
    def __init__(self, values):
        self._values = np.asarray(values)
        self.shape = self._values.shape

    def __dlpack__(self, **how):
        return self._values.__dlpack__(**how)

    def __dlpack_device__(self):
        return self._values.__dlpack_device__()


class OnlyArray:
    def __init__(self, values):
        self._values = np.asarray(values)

    def __array__(self, dtype=None, copy=None):
        return self._values


class Elsewhere(Tensor):
    """A tensor on a graphics card, as CuPy's and PyTorch's refuse to leave it."""

    device = "cuda:0"

    def __array__(self, dtype=None, copy=None):
        raise TypeError("can't convert cuda:0 device type tensor to numpy.\nUse Tensor.cpu()")


class FarDLPack(OnlyDLPack):
    device = "cuda:0"

    def __dlpack_device__(self):
        return 2, 0

    def __dlpack__(self, **how):
        raise BufferError("Cannot export to a CPU")


def swapped(values):
    values = np.asarray(values)
    return values.astype(values.dtype.newbyteorder())


def strided(values):
    return np.repeat(values, 2, axis=0)[::2]


def with_gradient(values):
    return Tensor(values, requires_grad=True)


KINDS = [Tensor, with_gradient, OnlyDLPack, OnlyArray, swapped, strided, np.ma.asarray]
KIND = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (6, 28, 28), np.uint8)


LABELS = np.arange(6, dtype=np.int32)


@KIND
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_images_and_labels(kind, dtype, images):
    given = images if dtype == np.uint8 else images.astype(np.float32) / 255
    network = LeNet5(LENET5_28)
    assert (network.forward(kind(given)) == network.forward(given)).all()
    assert (network.predict(kind(given[0])) == network.predict(given[:1])).all()
    several = list(given) if kind is swapped else [kind(each) for each in given]
    assert (network.forward(several) == network.forward(given)).all()
    value = network.evaluate(kind(given), kind(LABELS)).loss
    assert value == network.evaluate(given, LABELS).loss
    twins = LeNet5(LENET5_28), LeNet5(LENET5_28)
    Trainer(twins[0], SGD(0.1)).fit(kind(given), kind(LABELS), 2, validation_data=(given, LABELS))
    Trainer(twins[1], SGD(0.1)).fit(given, LABELS, 2)
    assert (twins[0].parameters == twins[1].parameters).all()


@KIND
def test_a_training_that_is_resumed_knows_them_again(kind, images, tmp_path):
    trainer = Trainer(LeNet5(LENET5_28), SGD(0.1))
    trainer.fit(images, LABELS, 2, checkpoint=tmp_path / "training.npz")
    again = Trainer.load(tmp_path / "training.npz")
    again.resume(kind(images), kind(LABELS))
    with pytest.raises(ValueError, match=r"images: these, .* are not those"):
        Trainer.load(tmp_path / "training.npz").resume(kind(255 - images), kind(LABELS))


def test_strips_of_unlike_widths_are_known_again(images):
    strips = [images[0], images[1, :, :20]]
    given = [[OnlyDLPack(strip) for strip in strips], ["1", "2"]]
    assert digest_of(given) == digest_of([strips, ["1", "2"]])
    assert digest_of(given) != digest_of([strips[::-1], ["1", "2"]])


@KIND
def test_weights(kind):
    network, other = LeNet5(LENET5_28), LeNet5(LENET5_28, seed=1)
    network.parameters = kind(other.parameters)
    assert (network.parameters == other.parameters).all()
    network["C1.weight"] = kind(2 * other["C1.weight"].astype(np.float64))
    assert (network["C1.weight"] == 2 * other["C1.weight"]).all()
    codes = np.eye(3, 4) * 2 - 1
    assert (LeNet5(codes=kind(codes)).codes == codes).all()


@KIND
def test_the_rest(kind, images):
    network = LeNet5(LENET5_STRINGS)
    strip = np.zeros((32, 40), np.uint8)
    strip[4:-4, 6:34] = images[0][:24]
    assert (network.sweep(kind(strip)) == network.sweep(strip)).all()
    assert (network.sweep([kind(strip)])[0] == network.sweep(strip[None])[0]).all()
    maps, weight = images[:, None] / np.float32(255), np.ones((2, 1, 3, 3), np.float32)
    bias = np.zeros(2, np.float32)
    found = kernels.conv(kind(maps), kind(weight), kind(bias))
    assert (found == kernels.conv(maps, weight, bias)).all()
    assert (preprocess.images(kind(images), invert=False) == images).all()
    moved = distort.transform(kind(images), shear=0.2)
    assert (moved == distort.transform(images, shear=0.2)).all()
    outputs = np.random.default_rng(0).normal(size=(2, 8, 4)).astype(np.float32)
    strings = [np.array([0, 1]), np.array([2])]
    found = criteria.forward_loss(kind(outputs), [kind(each) for each in strings], blank=3)
    assert (found.losses == criteria.forward_loss(outputs, strings, blank=3).losses).all()


@pytest.mark.parametrize("kind", [Elsewhere, FarDLPack])
def test_what_cannot_be_seen_is_refused(kind, images):
    network = LeNet5(LENET5_28)
    what = rf"got a test_foreign_arrays {kind.__name__}.* on cuda:0, which numpy cannot take, want"
    for call, name in (
        (lambda: network.predict(kind(images)), "images"),
        (lambda: network.predict([kind(each) for each in images]), "images: 0"),
        (lambda: network.evaluate(images, kind(LABELS)), "labels"),
        (lambda: setattr(network, "parameters", kind(network.parameters)), "parameters"),
        (lambda: LeNet5(LENET5_STRINGS).sweep(kind(images)), "pictures"),
        (lambda: kernels.conv(images[:, None], images[:, None], kind(LABELS)), "b"),
    ):
        with pytest.raises(TypeError, match=rf"^{re.escape(name)}: {what}") as error:
            call()
        assert "\n" not in str(error.value)


def test_masked_values_are_refused(images):
    masked = np.ma.masked_greater(images, 200)
    n = int((images > 200).sum())
    with pytest.raises(ValueError, match=rf"images: {n} masked values, want .*images\.filled\(0\)"):
        LeNet5(LENET5_28).predict(masked)


def test_other_bytes_of_the_wrong_kind_are_told_as_before(images):
    with pytest.raises(TypeError, match="images: dtype float64, want uint8"):
        LeNet5(LENET5_28).predict(images.astype(">f8"))
    assert checks.array("x", np.arange(3, dtype=">i4")).dtype == np.int32


def test_pytorchs_tensors(images):
    torch = pytest.importorskip("torch")
    network = LeNet5(LENET5_28)
    grey, floats = torch.from_numpy(images), torch.from_numpy(images / np.float32(255))
    wanted = network.forward(images)
    assert (network.forward(grey) == wanted).all()
    assert (network.forward(list(grey)) == wanted).all()
    np.testing.assert_allclose(network.forward(floats.requires_grad_()), wanted, atol=1e-5)
    with pytest.raises(TypeError, match=r"images: got a torch Tensor of torch.bfloat16 on cpu, wh"):
        network.predict(floats.detach().bfloat16())
    with pytest.raises(TypeError, match=r"images: got a torch Tensor .* on meta, which numpy"):
        network.predict(floats.detach().to("meta"))
    parameter = torch.nn.Parameter(torch.zeros(len(network.parameters)))
    network.parameters = parameter
    assert not network.parameters.any()
    assert network.evaluate(grey, torch.arange(6)).confusion.sum() == 6


def test_jaxs_and_tensorflows_arrays(images):
    jax = pytest.importorskip("jax.numpy")
    tensorflow = pytest.importorskip("tensorflow")
    network = LeNet5(LENET5_28)
    wanted = network.forward(images)
    for given in (jax.asarray(images), tensorflow.constant(images), tensorflow.Variable(images)):
        assert (network.forward(given) == wanted).all()
    assert network.evaluate(images, tensorflow.constant(LABELS)).confusion.sum() == 6
    assert network.evaluate(images, jax.asarray(LABELS)).confusion.sum() == 6
