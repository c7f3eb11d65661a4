"""What reads images: outputs, classes, probabilities, doubts, and how often they are right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenet_c import _core, checks, losses
from lenet_c.architecture import Architecture
from lenet_c.evaluation import Evaluation
from lenet_c.losses import DEFAULT_J, Criterion

if TYPE_CHECKING:
    from lenet_c.reading import Reading
    from lenet_c.rejection import Rejection, RejectionCurve

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


class Answers:
    """What `LeNet5` and `Ensemble` make of images of one size: see there."""

    _architecture: Architecture  # of the images and the classes
    _network: _core.Network | _core.Model | _core.Committee
    _class_names: tuple[str, ...] | None
    _temperature: float
    _rejection: Rejection | None
    _subspaces: Floats | None

    def forward(self, images: ArrayLike, *, num_threads: int | None = None) -> Floats:
        """Run the network.

        Parameters
        ----------
        images : uint8 (N, 28, 28) or (N, 32, 32), or float32 (N, H, W) normalised
            Other networks, also of several channels: see the notes on the class.
        num_threads : int, optional

        Returns
        -------
        float32 array (N, classes)
            RBF penalties, of which the smallest wins, or logits.

        Raises
        ------
        TypeError, ValueError
            For another dtype, another shape, no images, or pixels that are NaN or infinite.
        MemoryError
            If the call would take more memory than `lenet_c.set_memory_limit` allows; all calls
            that run the network raise it.
        """
        return self._network.forward(images, num_threads, reader=self)

    def predict(
        self,
        images: ArrayLike,
        *,
        reject: Rejection | None = None,
        num_threads: int | None = None,
    ) -> Integers:
        """Read the images: the class of each.

        Parameters
        ----------
        images : as for `forward`
        reject : Rejection, optional
            Which answers are rejected; by default none is.
        num_threads : int, optional

        Returns
        -------
        int64 array (N,)
            -1 where the answer is rejected.

        Raises
        ------
        FloatingPointError
            If outputs are NaN or infinite, naming the row; with `reject` such rows are rejected.
        """
        if reject is None:
            return self._network.predict(images, num_threads, self)
        from lenet_c.rejection import REJECTED, best_two, checked

        reject = checked("reject", reject)
        outputs = self.forward(images, num_threads=num_threads)
        outputs = outputs[:, : self._architecture.characters]  # NaN is rejected
        classes, penalty, margin = best_two(outputs, self._network.is_rbf)
        distance = None
        if reject.distance < math.inf:
            distance = self._distance(checks.array("images", images), classes, reject)
        classes[reject(penalty, margin, distance)] = REJECTED
        return classes

    def predict_proba(self, images: ArrayLike, *, num_threads: int | None = None) -> Floats:
        """Give each class's probability.

        The softmax of logits or negated penalties over `temperature`. Before `calibrate` has set
        that, an RBF output's probabilities are hardly ever below 1, also of wrong answers. A
        rubbish class, as the loss "map" has it, takes no part: a picture of no character has
        probabilities, too, and `read` tells it by other means.

        Parameters
        ----------
        images : as for `forward`
        num_threads : int, optional

        Returns
        -------
        float32 array (N, classes)
            Rows add up to 1.

        Raises
        ------
        FloatingPointError
            If outputs are NaN or infinite, naming the row.
        """
        found = self._network.probabilities(images, num_threads, self._temperature, self)
        return found[:, : self._architecture.characters]

    def read(
        self,
        images: ArrayLike,
        *,
        reject: Rejection | None = None,
        num_threads: int | None = None,
    ) -> Reading:
        """Read the images: the class of each, what it is called, and how sure that is.

        Parameters
        ----------
        images : as for `forward`
        reject : Rejection, optional
            Which answers are rejected; by default the network's own `rejection`, and where that is
            None, none. ``Rejection()`` rejects none.
        num_threads : int, optional

        Returns
        -------
        Reading

        Raises
        ------
        FloatingPointError
            If outputs are NaN or infinite, naming the row.

        Examples
        --------
        >>> import numpy as np
        >>> reading = LeNet5.pretrained("mnist").read(np.zeros((2, 28, 28), np.uint8))
        >>> len(reading), reading.classes.dtype.name, sorted(reading[0])[:2]
        (2, 'int64', ['class', 'distance'])
        """
        from lenet_c.calibration import evidence
        from lenet_c.reading import Reading
        from lenet_c.rejection import Rejection, best_two, checked

        if reject is None:
            reject = Rejection() if self._rejection is None else self._rejection
        reject = checked("reject", reject)
        outputs = self._outputs(images, num_threads, self)
        is_rbf = self._network.is_rbf
        classes, penalty, margin = best_two(outputs, is_rbf)
        distance = self._distance(checks.array("images", images), classes, reject)
        exponentials = np.exp(evidence(outputs, is_rbf) / self._temperature)
        names = self._class_names or tuple(map(str, range(self._architecture.characters)))
        return Reading(
            classes,
            np.array(names)[classes],
            1.0 / exponentials.sum(axis=1),
            penalty,
            margin,
            distance,
            reject(penalty, margin, distance),
        )

    def best_two(
        self, images: ArrayLike, *, num_threads: int | None = None
    ) -> tuple[Integers, NDArray[np.float64]]:
        """Give the best two classes of each image.

        Parameters
        ----------
        images : as for `forward`
        num_threads : int, optional

        Returns
        -------
        classes : int64 array (N, 2)
            The best one first; (N, 1) for a network of one class.
        penalties : float64 array (N, 2)
            Of these, as `Rejection` has them: RBF outputs, or minus the logarithms of their
            probabilities at temperature 1. Their difference is the margin.

        Raises
        ------
        FloatingPointError
            If outputs are NaN or infinite, naming the row.
        """
        from lenet_c.rejection import best_two_penalties

        outputs = self._outputs(images, num_threads)
        return best_two_penalties(outputs, self._network.is_rbf)

    def evaluate(
        self,
        images: ArrayLike,
        labels: ArrayLike,
        loss: str | None = None,
        *,
        j: float = DEFAULT_J,
        temperature: float = 1.0,
        sample_weight: ArrayLike | None = None,
        num_threads: int | None = None,
    ) -> Evaluation:
        """Read images whose classes are known and compare.

        Parameters
        ----------
        images, labels, loss, j, temperature, sample_weight, num_threads : as for
            `loss_and_gradient`

        Returns
        -------
        Evaluation
            With weights, loss, accuracy and error rate are means by them; the confusion counts
            images.

        Raises
        ------
        FloatingPointError
            If outputs are NaN or infinite, naming the row.
        """
        samples = _core.Samples(self._network, images, labels, weights=sample_weight, soft=True)
        return self._evaluate(
            samples, self._criterion(loss, j, temperature), num_threads, looks=True
        )

    def rejection_curve(
        self,
        images: ArrayLike,
        labels: ArrayLike,
        by: str = "margin",
        *,
        num_threads: int | None = None,
    ) -> RejectionCurve:
        """Read images whose classes are known: the error rate against the share rejected.

        Parameters
        ----------
        images, labels, num_threads : as for `evaluate`
        by : str
            The threshold that varies, "margin" or "penalty" (see `Rejection`).

        Returns
        -------
        RejectionCurve

        Raises
        ------
        FloatingPointError
            If outputs are NaN or infinite, naming the row.

        Examples
        --------
        Leave as many answers as it takes for one error in two hundred::

            point = net.rejection_curve(images, labels).reaching(0.005)
            net.predict(others, reject=point.rejection)
        """
        from lenet_c.rejection import SCORES, best_two, curve

        checks.one_of("by", by, SCORES)
        samples = _core.Samples(self._network, images, labels)
        right = samples.labels
        outputs = self._outputs(samples, num_threads)
        classes, penalty, margin = best_two(outputs, self._network.is_rbf)
        return curve(by, penalty if by == "penalty" else margin, classes != right)

    def _outputs(
        self,
        images: ArrayLike | _core.Samples,
        num_threads: int | None = None,
        reader: Answers | None = None,
    ) -> Floats:
        """Give the outputs of the classes but the blank, which are finite."""
        outputs = self._network.forward(images, num_threads, finite=True, reader=reader)
        return outputs[:, : self._architecture.characters]

    def _criterion(self, loss: str | None, j: float, temperature: float) -> Criterion:
        return losses.checked(loss, j, temperature, self._network.is_rbf)

    def _evaluate(
        self,
        samples: _core.Samples,
        criterion: Criterion,
        num_threads: int | None,
        looks: bool = False,
    ) -> Evaluation:
        value, n_errors, read = self._network.evaluate(
            samples, *criterion, num_threads, self if looks else None
        )
        classes = self._architecture.characters
        labels, weights = samples.labels, samples.weights
        pairs = labels * classes + read
        confusion = np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)
        error_rate = n_errors / samples.n
        if weights is not None:
            error_rate = float(weights[labels != read].sum() / weights.sum())
        return Evaluation(value, 1.0 - error_rate, error_rate, confusion.astype(np.int64))

    def _share_rejected(self, images: NDArray[Any]) -> float:
        """Give the share of the answers that the network's own thresholds reject."""
        from lenet_c.rejection import Rejection, best_two

        samples = _core.Samples(self._network, images, look=False)
        classes, penalty, margin = best_two(
            self._network.forward(samples, 1)[:, : self._architecture.characters],
            self._network.is_rbf,
        )
        reject = self._rejection or Rejection()
        if self._subspaces is None:  # no warning is to fail for want of distances
            reject = replace(reject, distance=math.inf)
        distance = self._distance(images, classes, reject)
        return float(reject(penalty, margin, distance).mean())

    def _distance(
        self, images: NDArray[Any], classes: Integers, reject: Rejection
    ) -> NDArray[np.float64]:
        """Give how far each image is from those of its class; NaN where that is unknown.

        Raises ValueError if `reject` needs what is unknown.
        """
        subspaces = self._subspaces
        if subspaces is None:
            if reject.distance < math.inf:
                raise ValueError(
                    f"reject: {reject} has a distance, and the network no subspaces: calibrate "
                    "sets them, or take those of the network that the rejection is from"
                )
            return np.full(len(classes), np.nan)
        from lenet_c import calibration

        if images.ndim == len(self._architecture.input_shape):
            images = images[None]
        flat = subspaces.reshape(*subspaces.shape[:2], -1)
        found = np.empty(len(classes))
        for start in range(0, len(classes), calibration.CHUNK):
            part = slice(start, start + calibration.CHUNK)
            seen = calibration.seen(images[part], self._architecture)
            found[part] = calibration.distances(seen, classes[part], flat)
        return found


class Reader(Answers):
    """What `LeNet5` does with images without a change of itself: see there."""

    _network: _core.Network | _core.Model

    def _repr_html_(self) -> str:
        from lenet_c import markup

        parameters = self._network.parameters
        return markup.of_network(repr(self), self._architecture, self._class_names, parameters)

    def positions(self, height: int, width: int) -> tuple[int, int]:
        """Tell at how many positions `sweep` reads a picture.

        Parameters
        ----------
        height, width : int
            Pixels.

        Returns
        -------
        (int, int)
            Rows and columns of positions. LeNet-5's lie 4 pixels apart, as its two 2x2 layers have
            it; (1, 49) for a strip of 32x224.
        """
        checks.whole("height", height, 1)
        checks.whole("width", width, 1)
        return self._network.positions(height, width)

    def sweep(
        self, pictures: ArrayLike | Sequence[ArrayLike], *, num_threads: int | None = None
    ) -> Floats | list[Floats]:
        """Run the network at every position of wider and higher pictures (section VII).

        The outputs are those of `forward` for the window at each position, but nothing is computed
        twice: convolutions run over the whole picture.

        Parameters
        ----------
        pictures : uint8 or float32 array (N, H, W) or (H, W), or a sequence of arrays (H, W)
            Of any sizes, with channels as for `forward`. uint8: raw levels; float32: already
            normalised. What is smaller than the network's input, 28x28 or a strip 28 pixels high,
            is centred in it. If the last step of 4 pixels is not whole, what is left of the
            picture has a position too, beyond which is background.
        num_threads : int, optional

        Returns
        -------
        float32 array (N, positions, classes), or a list of arrays (positions, classes)
            A list for a sequence. Positions go row by row (see `positions`). A picture's outputs
            do not depend on the other pictures.

        Raises
        ------
        TypeError, ValueError
            For another dtype or shape, no pictures, pixels that are NaN or infinite, or a network
            with padding, which sees where a picture ends.
        MemoryError
            If it would take more memory than `lenet_c.set_memory_limit` allows.
        """
        outputs, given = self._network.sweep(pictures, num_threads)
        n = given.positions.astype(np.int64).prod(axis=1)
        if given.is_one_array:
            return outputs.reshape(given.n, int(n[0]), -1)
        return np.split(outputs, np.cumsum(n)[:-1])

    def sweep_activations(self, picture: ArrayLike) -> dict[str, Floats]:
        """Sweep the network over one picture and give every layer's outputs.

        Parameters
        ----------
        picture : as one of those for `sweep`

        Returns
        -------
        dict
            Layer name to float32 array: (maps, height, width) of layers that run over the whole
            picture, then (positions, units); after the squashing function.
        """
        arrays = self._network.sweep_activations(picture)
        return {
            layer.name: array
            for layer, array in zip(self._architecture.layers, arrays, strict=True)
        }

    def activations(
        self, images: ArrayLike, *, num_threads: int | None = None
    ) -> dict[str, Floats]:
        """Run the network and give every layer's outputs: 32 kB an image in the 1998 network.

        Parameters
        ----------
        images : as for `forward`
        num_threads : int, optional

        Returns
        -------
        dict
            Layer name to float32 array: (N, maps, height, width), or (N, units) for dense and
            RBF layers; after the squashing function.
        """
        outputs = {}
        arrays = self._network.activations(images, num_threads)
        for layer, array in zip(self._architecture.layers, arrays, strict=True):
            outputs[layer.name] = array.reshape(array.shape[:2]) if layer.flat else array
        return outputs
