"""The 1998, the modern and other networks against PyTorch: same weights, losses, gradients."""

from __future__ import annotations

import numpy as np
import pytest
from closeness import assert_close

from lenet_c import (
    LENET4,
    LENET5_1998,
    LENET5_MODERN,
    LENET_CIFAR,
    Architecture,
    AveragePool,
    Conv,
    Dense,
    LeNet5,
    MaxPool,
    Subsample,
    weights,
)
from lenet_c.networks import C3_TABLE
from lenet_c.recipes import CIFAR

torch = pytest.importorskip("torch")
F = torch.nn.functional

PADDED = Architecture(
    "padded",
    (
        Conv("C1", maps=6, kernel=5, activation="tanh", padding=2),  # 32x32
        Subsample("S2"),
        Conv("C3", maps=16, kernel=5, table=C3_TABLE, padding=1),  # 14x14
        AveragePool("S4"),
        Conv("C5", maps=12, kernel=3, activation="tanh", padding=2),  # 9x9
        Dense("output", units=10, activation="identity"),
    ),
)

TOLERANCE = 1e-5  # of the largest entry
J = 0.6


def scaled_tanh(a):
    return 1.7159 * torch.tanh(2 / 3 * a)


def block_sums(x):
    """Sums of 2x2 blocks, as a convolution of each map by itself."""
    maps = x.shape[1]
    return F.conv2d(x, torch.ones(maps, 1, 2, 2, dtype=x.dtype), stride=2, groups=maps)


def subsample(x, coefficient, bias):
    maps = x.shape[1]
    return block_sums(x) * coefficient.view(1, maps, 1, 1) + bias.view(1, maps, 1, 1)


def by_table(w, table, in_maps):
    """A table's kernels in a full (maps, in_maps, 5, 5) tensor that is 0 elsewhere."""
    full = torch.zeros(len(table), in_maps, 5, 5, dtype=w.dtype)
    places = [(o, i) for o, sources in enumerate(table) for i in sources]
    maps, sources = zip(*places, strict=True)
    return full.index_put((torch.tensor(maps), torch.tensor(sources)), w)


def run_1998(p, codes, x):
    c1 = scaled_tanh(F.conv2d(x, p["C1.weight"], p["C1.bias"]))
    s2 = scaled_tanh(subsample(c1, p["S2.coefficient"], p["S2.bias"]))
    c3 = scaled_tanh(F.conv2d(s2, by_table(p["C3.weight"], C3_TABLE, 6), p["C3.bias"]))
    s4 = scaled_tanh(subsample(c3, p["S4.coefficient"], p["S4.bias"]))
    c5 = scaled_tanh(F.conv2d(s4, p["C5.weight"], p["C5.bias"]))
    f6 = scaled_tanh(F.linear(c5.flatten(1), p["F6.weight"], p["F6.bias"]))
    codes = torch.tensor(codes, dtype=x.dtype)
    return ((f6[:, None] - codes) ** 2).sum(2)


def run_modern(p, codes, x):
    x = F.avg_pool2d(torch.tanh(F.conv2d(x, p["C1.weight"], p["C1.bias"])), 2)
    x = F.avg_pool2d(torch.tanh(F.conv2d(x, p["C3.weight"], p["C3.bias"])), 2)
    x = torch.tanh(F.conv2d(x, p["C5.weight"], p["C5.bias"])).flatten(1)
    x = torch.tanh(F.linear(x, p["F6.weight"], p["F6.bias"]))
    return F.linear(x, p["output.weight"], p["output.bias"])


def run_padded(p, codes, x):
    x = torch.tanh(F.conv2d(x, p["C1.weight"], p["C1.bias"], padding=2))
    x = scaled_tanh(subsample(x, p["S2.coefficient"], p["S2.bias"]))
    x = scaled_tanh(F.conv2d(x, by_table(p["C3.weight"], C3_TABLE, 6), p["C3.bias"], padding=1))
    x = F.avg_pool2d(x, 2)
    x = torch.tanh(F.conv2d(x, p["C5.weight"], p["C5.bias"], padding=2)).flatten(1)
    return F.linear(x, p["output.weight"], p["output.bias"])


MAX_POOLED = Architecture(
    "max pooling",
    (
        Conv("C1", maps=6, kernel=5, activation="relu"),
        MaxPool("S2"),
        Conv("C3", maps=16, kernel=5, activation="relu"),
        MaxPool("S4"),
        Conv("C5", maps=120, kernel=5, activation="tanh"),
        Dense("output", units=10, activation="identity"),
    ),
)


def run_max_pooled(p, codes, x):
    x = F.max_pool2d(torch.relu(F.conv2d(x, p["C1.weight"], p["C1.bias"])), 2)
    x = F.max_pool2d(torch.relu(F.conv2d(x, p["C3.weight"], p["C3.bias"])), 2)
    x = torch.tanh(F.conv2d(x, p["C5.weight"], p["C5.bias"])).flatten(1)
    return F.linear(x, p["output.weight"], p["output.bias"])


SIGMOIDS = Architecture(
    "sigmoids",
    (
        Conv("C1", maps=6, kernel=5, activation="sigmoid"),
        AveragePool("S2"),
        Conv("C3", maps=16, kernel=5, activation="sigmoid"),
        MaxPool("S4"),
        Dense("F5", units=120, activation="sigmoid"),
        Dense("output", units=10, activation="identity"),
    ),
)


def run_sigmoids(p, codes, x):
    x = F.avg_pool2d(torch.sigmoid(F.conv2d(x, p["C1.weight"], p["C1.bias"])), 2)
    x = F.max_pool2d(torch.sigmoid(F.conv2d(x, p["C3.weight"], p["C3.bias"])), 2)
    x = torch.sigmoid(F.linear(x.flatten(1), p["F5.weight"], p["F5.bias"]))
    return F.linear(x, p["output.weight"], p["output.bias"])


def run_lenet_4(p, codes, x):
    x = scaled_tanh(F.conv2d(x, p["C1.weight"], p["C1.bias"])).repeat_interleave(2, dim=1)
    x = scaled_tanh(subsample(x, p["S2.coefficient"], p["S2.bias"]))
    x = scaled_tanh(F.conv2d(x, p["C3.weight"], p["C3.bias"]))
    x = scaled_tanh(subsample(x, p["S4.coefficient"], p["S4.bias"]))
    x = scaled_tanh(F.conv2d(x, p["C5.weight"], p["C5.bias"])).flatten(1)
    return F.linear(x, p["output.weight"], p["output.bias"])


def criterion(outputs, labels, loss, is_rbf):
    penalties = outputs if is_rbf else -outputs
    right = penalties.gather(1, labels[:, None])[:, 0]
    if loss == "cross_entropy":
        return F.cross_entropy(-penalties, labels)
    if loss == "map":
        rubbish = torch.full((len(labels), 1), -J, dtype=outputs.dtype)
        return (right + torch.logsumexp(torch.cat([-penalties, rubbish], 1), 1)).mean()
    if is_rbf:
        return right.mean()
    targets = 2.0 * F.one_hot(labels, 10) - 1.0
    return ((outputs - targets) ** 2).sum(1).mean()


NETWORKS = pytest.mark.parametrize(
    ("architecture", "run"),
    [
        (LENET5_1998, run_1998),
        (LENET5_MODERN, run_modern),
        (PADDED, run_padded),
        (MAX_POOLED, run_max_pooled),
        (SIGMOIDS, run_sigmoids),
        (LENET4, run_lenet_4),
    ],
    ids=["1998", "modern", "padded", "max pooling", "sigmoids", "lenet-4"],
)


def both(architecture, rng, n=70):
    net = LeNet5(architecture, seed=11)
    small = rng.integers(0, 256, (n, 7, 7))
    images = np.kron(small, np.ones((1, 4, 4), int)).astype(np.uint8)
    levels = torch.nn.functional.pad(torch.as_tensor(images, dtype=torch.float64) / 255, (2,) * 4)
    x = architecture.background + levels * (architecture.foreground - architecture.background)
    parameters = {
        name: torch.tensor(net[name].astype(np.float64), requires_grad=True) for name in net
    }
    return net, images, x[:, None], parameters


@NETWORKS
def test_outputs(rng, architecture, run):
    net, images, x, parameters = both(architecture, rng)
    outputs = run(parameters, net.codes, x)
    off = assert_close(net.forward(images), outputs.detach().numpy(), TOLERANCE)
    print(f"{architecture.name}: outputs {off:.1e}")


@NETWORKS
@pytest.mark.parametrize("loss", ["mse", "map", "cross_entropy"])
def test_losses_and_gradients(rng, architecture, run, loss):
    net, images, x, parameters = both(architecture, rng)
    labels = rng.integers(0, 10, len(images))
    want = criterion(
        run(parameters, net.codes, x), torch.as_tensor(labels), loss, net.codes is not None
    )
    want.backward()
    value, gradient = net.loss_and_gradient(images, labels, loss, j=J)
    assert value == pytest.approx(want.item(), rel=TOLERANCE)
    start, worst = 0, 0.0
    for tensor in parameters.values():
        part = gradient[start : start + tensor.numel()].reshape(tuple(tensor.shape))
        worst = max(worst, assert_close(part, tensor.grad.numpy(), TOLERANCE))
        start += tensor.numel()
    assert start == net.n_parameters
    print(f"{architecture.name}, {loss}: gradients {worst:.1e}")


MEAN, STD = (0.491, 0.482, 0.447), (0.247, 0.243, 0.262)
RGB = ((0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2))
COLOURS = Architecture(
    "colours",
    (
        Conv("C1", 6, 5, table=RGB, activation="tanh"),
        AveragePool("S2"),
        Conv("C3", 16, 5, activation="tanh"),
        AveragePool("S4"),
        Dense("F5", 40, activation="tanh"),
        Dense("output", 10, activation="identity"),
    ),
    (3, 32, 32),
).with_normalization(MEAN, STD)


def run_colours(p, x):
    c1 = by_table(p["C1.weight"], RGB, 3)
    x = F.avg_pool2d(torch.tanh(F.conv2d(x, c1, p["C1.bias"])), 2)
    x = F.avg_pool2d(torch.tanh(F.conv2d(x, p["C3.weight"], p["C3.bias"])), 2)
    x = torch.tanh(F.linear(x.flatten(1), p["F5.weight"], p["F5.bias"]))
    return F.linear(x, p["output.weight"], p["output.bias"])


@pytest.mark.parametrize("n", [1, 5, 70])
def test_three_channels(rng, n):
    """As torchvision's Normalize(mean, std) has them, of batches and of one image."""
    net = LeNet5(COLOURS, seed=11)
    images = rng.integers(0, 256, (n, 3, 32, 32), np.uint8)
    labels = rng.integers(0, 10, n)
    mean, std = (torch.tensor(each, dtype=torch.float64).view(3, 1, 1) for each in (MEAN, STD))
    x = (torch.as_tensor(images, dtype=torch.float64) / 255 - mean) / std
    parameters = {
        name: torch.tensor(net[name].astype(np.float64), requires_grad=True) for name in net
    }
    outputs = run_colours(parameters, x)
    off = assert_close(net.forward(images), outputs.detach().numpy(), TOLERANCE)
    assert_close(net.forward(images[0]), outputs[:1].detach().numpy(), TOLERANCE)
    want = F.cross_entropy(outputs, torch.as_tensor(labels))
    want.backward()
    value, gradient = net.loss_and_gradient(images, labels, "cross_entropy")
    assert value == pytest.approx(want.item(), rel=TOLERANCE)
    slopes = torch.cat([each.grad.flatten() for each in parameters.values()]).numpy()
    slope = assert_close(gradient, slopes, TOLERANCE)
    print(f"colours, {n}: outputs {off:.1e}, gradients {slope:.1e}")


# ---- PyTorch's tutorial, "Training a classifier" ----


class Net(torch.nn.Module):
    """As the tutorial has it."""

    def __init__(self):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(3, 6, 5)
        self.pool = torch.nn.MaxPool2d(2, 2)
        self.conv2 = torch.nn.Conv2d(6, 16, 5)
        self.fc1 = torch.nn.Linear(16 * 5 * 5, 120)
        self.fc2 = torch.nn.Linear(120, 84)
        self.fc3 = torch.nn.Linear(84, 10)

    def forward(self, x):
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = torch.flatten(x, 1)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return self.fc3(x)


def drawn(n, rng):
    """Pictures of ten classes: a disc or a bar in one of five colours, on a noisy ground."""
    colours = np.array(
        [[220, 30, 30], [30, 200, 40], [40, 60, 220], [220, 210, 40], [200, 50, 200]]
    )
    labels = rng.integers(0, 10, n)
    y, x = np.mgrid[:32, :32]
    middle, size = rng.uniform(11, 21, (n, 2, 1, 1)), rng.uniform(5, 9, (n, 1, 1))
    across, down = abs(x - middle[:, 0]), abs(y - middle[:, 1])
    disc, bar = np.hypot(across, down) < size, (across < 2.5) & (down < size + 2)
    shape = np.where((labels < 5)[:, None, None], disc, bar)
    ground = rng.integers(60, 150, (n, 3, 1, 1)) + rng.integers(-40, 41, (n, 3, 32, 32))
    colour = colours[labels % 5][:, :, None, None]
    return np.where(shape[:, None], colour, ground).astype(np.uint8), labels


@pytest.mark.parametrize("kind", ["random", "drawn"])
def test_the_tutorials_network(rng, kind):
    """By the tutorial's own settings: step by step the same losses, then the same weights."""
    images, labels = drawn(200, rng)
    if kind == "random":
        images = rng.integers(0, 256, images.shape, np.uint8)
    torch.manual_seed(3)
    theirs = Net()
    ours = weights.from_torch(LeNet5(LENET_CIFAR), theirs)
    theirs = theirs.double()
    x = (torch.as_tensor(images, dtype=torch.float64) / 255 - 0.5) / 0.5
    y = torch.as_tensor(labels)
    assert_close(ours.forward(images), theirs(x).detach().numpy(), TOLERANCE)
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.001, momentum=0.9)
    trainer = CIFAR.trainer(ours)
    for i in range(0, len(images), 4):
        optimizer.zero_grad()
        loss = F.cross_entropy(theirs(x[i : i + 4]), y[i : i + 4])
        loss.backward()
        optimizer.step()
        assert trainer.step(images[i : i + 4], labels[i : i + 4]) == pytest.approx(
            loss.item(), rel=1e-4
        )
    for name, other in zip(ours, theirs.parameters(), strict=True):
        wanted = other.detach().numpy().reshape(ours[name].shape)
        assert_close(ours[name], wanted, 1e-4)


def test_the_tutorials_network_learns_drawn_pictures(rng):
    ours = LeNet5(LENET_CIFAR, seed=2)
    CIFAR.trainer(ours, seed=2).fit(*drawn(6000, rng), 4)
    assert ours.evaluate(*drawn(1000, rng)).accuracy > 0.9
