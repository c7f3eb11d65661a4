"""The error rate against the share rejected, on MNIST.

python -m bench.rejection [MODEL] reads a model that `lenet-c train` saved and prints what has to be
rejected of the test images for some error rates. Then it trains the same recipe on the first 50,000
training images, finds thresholds on the other 10,000, and prints what they do on the test images.
"""

from __future__ import annotations

from bench.common import Images, by_recipe, hold_out, load, mnist, parser
from lenet_c import LENET5_1998, LeNet5
from lenet_c.recipes import RECIPES

WANTED = (0.005, 0.0025, 0.001)
EPOCHS = 16


def shares(net: LeNet5, test: Images) -> None:
    """Print what has to be rejected of the test images."""
    curves = [net.rejection_curve(*test, by) for by in ("margin", "penalty")]
    print("| error rate of what is left | rejected by margin | by penalty |\n| --- | --- | --- |")
    for wanted in (float(curves[0].error_rate[0]), *WANTED):
        cells = [f"{curve.reaching(wanted).rejected:.2%}" for curve in curves]
        print(f"| {wanted:.2%} | {' | '.join(cells)} |")


def thresholds(validation: Images, test: Images, net: LeNet5) -> None:
    """Print what thresholds that were found on one set do on another."""
    print("| wanted | threshold | rejected | error rate of what is left |")
    print("| --- | --- | --- | --- |")
    images, labels = test
    for by in ("margin", "penalty"):
        curve = net.rejection_curve(*validation, by)
        for wanted in WANTED:
            rejection = curve.reaching(wanted).rejection
            answers = net.predict(images, reject=rejection)
            left = answers >= 0
            error_rate = (answers != labels)[left].mean()
            threshold = f"{by} {getattr(rejection, by):.1f}"
            print(f"| {wanted:.2%} | {threshold} | {1 - left.mean():.2%} | {error_rate:.2%} |")


def main() -> None:
    """Print both tables."""
    command = parser("rejection", __doc__)
    command.add_argument("model", nargs="?", default="model.npz")
    net = load(command.parse_args().model)
    everything, test = mnist()
    shares(net, test)
    print()
    train, validation = hold_out(everything)
    net = by_recipe(RECIPES[LENET5_1998.name], train, epochs=EPOCHS)
    print(f"trained on {len(train[0]):,} images: test error {net.evaluate(*test).error_rate:.2%}\n")
    thresholds(validation, test, net)


if __name__ == "__main__":
    main()
