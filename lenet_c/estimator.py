"""LeNet-5 as a classifier of scikit-learn's (extra "sklearn")."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenet_c import _core, checks, codes
from lenet_c.architecture import Architecture
from lenet_c.callbacks import BestWeights, EarlyStopping
from lenet_c.callbacks import checked as checked_callbacks
from lenet_c.classes import checked_names, shared
from lenet_c.columns import FARTHEST, Features, Images, Pixels, cells_of, side_of
from lenet_c.cpu import MAX_THREADS
from lenet_c.distort import Distortion
from lenet_c.model import LeNet5
from lenet_c.networks import NETWORKS
from lenet_c.optimizers import OPTIMIZERS, Adam, Optimizer
from lenet_c.preprocess import _arrays
from lenet_c.trainer import LOOKS_OF_FIT, Trainer

try:
    from joblib import effective_n_jobs
    from sklearn.base import (
        BaseEstimator,
        ClassifierMixin,
        ClassNamePrefixFeaturesOutMixin,
        TransformerMixin,
    )
    from sklearn.model_selection import train_test_split
    from sklearn.utils import check_random_state, compute_sample_weight
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(
        'lenet_c.LeNetClassifier needs scikit-learn 1.6 or later: pip install "lenet_c[sklearn]"'
    ) from error

__all__ = ["LeNetClassifier"]

_ROWS = 4096  # that are read at once
_UPDATES = 500  # at least, where `epochs` is None,
_EPOCHS = 10  # and so many passes


class LeNetClassifier(
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]
    ClassifierMixin,  # type: ignore[misc]
    TransformerMixin,  # type: ignore[misc]
    BaseEstimator,  # type: ignore[misc]
):
    """A LeNet-5 that keeps scikit-learn's rules: for pipelines, searches, calibration.

    Parameters
    ----------
    network : str, Architecture or LeNet5
        A name of `lenet_c.networks.NETWORKS`, "lenet5-1998" say, or layers of one's own: the last
        layer gets as many outputs as there are classes. A `LeNet5` is gone on with, its classes
        known by their names (`LeNet5.with_classes`): ``LeNet5.pretrained("mnist")``.
    epochs : int, optional
        Passes over the images. None: 10, or as many as make 500 updates.
    batch_size : int
        Images an update. More than 32 take several threads.
    learning_rate : float
        Of Adam, along one cycle; `partial_fit` keeps to it.
    optimizer : Optimizer or str, optional
        In place of that Adam, or the name of one: "adam", "sgd" or "sdlm"; `learning_rate` then
        means nothing.
    loss : str, optional
        "map", "mse" or "cross_entropy" (see `LeNet5.loss_and_gradient`). None: "map" for RBF
        outputs, else "cross_entropy".
    distort : Distortion or str, optional
        Or the name of one: "affine", "slight" or "world". Distorts each picture anew in each pass.
    class_weight : dict or "balanced", optional
        What images of a class count in the loss, by label; "balanced": each class as a whole the
        same.
    columns : {"auto", "pixels", "features"}
        What columns of a table (N, columns) are. "pixels": those of a square picture, row by row.
        "features": anything; each is scaled to mean 0 and deviation 1 and laid out as a cell of a
        picture. "auto": pixels if they make a square of 8x8 or more, else features.
    white : float, optional
        The value of a pixel of full ink; 0 is background. None: 1 or 255, told from the range of
        the training images as `lenet_c.preprocess.images` does.
    invert : bool or "auto"
        Whether ink is darker than the background; "auto": told from the training images' borders.
    warm_start : bool
        Whether `fit` goes on with the weights that it left; then `network`, `columns`, `white` and
        `invert` are to be those of before.
    early_stopping : bool
        Hold out a share of the images, end when their error rate has not fallen for some passes,
        and keep the weights of the best pass.
    validation_fraction : float
        That share, of each class; of a class that has but one image, none is held out.
    n_iter_no_change : int
        Those passes.
    tol : float
        How much the error rate must fall to count.
    callbacks : sequence
        As for `Trainer`, each told of every fit.
    random_state : int, RandomState or None
        Of weights, order, distortions and the split. An int gives the same bits again.
    n_jobs : int, optional
        Threads, which change no bit; -1: one for each processor. None: as `lenet_c` has it
        elsewhere.

    Attributes
    ----------
    classes_ : array (classes,)
        The labels.
    network_ : LeNet5
        What was trained: to save, draw, compile or export; its images are those of `images`.
    n_iter_ : int
        Passes, all calls of `partial_fit` and warm starts together.
    loss_curve_ : list of float
        Mean loss of each.
    loss_ : float
        The last of them.
    validation_scores_ : list of float
        Accuracy on the images held out after each pass; None without `early_stopping`.
    best_validation_score_ : float
        The highest of the last fit; None without `early_stopping`.
    image_shape_ : (int, int), (int, int, int) or None
        Of a picture: height, width, and channels if it has several; None: columns are features.
    n_features_in_ : int
        Columns, or pixels of a picture.
    feature_names_in_ : array of str
        Of a DataFrame.

    Notes
    -----
    `X` is a table (N, columns), or pictures (N, height, width), (N, height, width, channels) or
    (N, 1, height, width): uint8, bool or other numbers of one range, which training tells and
    reading then holds to. What is read may go beyond it: values up to half the range beyond full
    ink, or an eighth beyond the background, count as that, and so do farther ones where they are at
    most 4 values of a picture, or one in 64, as columns have them that a `MinMaxScaler` has seen
    too little of. Pictures with more are of another scale, and refused; so are those of fractions
    up to 1 where training had whole numbers up to 255 and `white` was not said. Pictures of another
    size than the network's are scaled to it. Labels are of any kind that scikit-learn takes for
    classes.

    Means over images are by their weights: a row of weight 0 might as well not be there. What a
    picture is read as does not depend on the others of its call, to the last bit.

    `transform` gives the outputs of the layer below the last, for other estimators to learn from.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> model = LeNetClassifier(white=16, random_state=0).fit(X[:1000], y[:1000])
    >>> model.score(X[1000:], y[1000:]) > 0.9
    True
    """

    network_: LeNet5
    classes_: NDArray[Any]
    n_iter_: int
    loss_curve_: list[float]
    validation_scores_: list[float] | None
    best_validation_score_: float | None
    image_shape_: tuple[int, ...] | None
    _shape: tuple[int, ...] | None  # of the pictures given last; None: a table
    _form: Pixels | Features  # how rows become images
    _began: dict[str, Any]  # the parameters that only the first fit can follow
    _partial: Trainer | None  # of `partial_fit`

    def __init__(
        self,
        network: str | Architecture | LeNet5 = "lenet5-modern",
        *,
        epochs: int | None = None,
        batch_size: int = 32,
        learning_rate: float = 3e-3,
        optimizer: Optimizer | str | None = None,
        loss: str | None = None,
        distort: Distortion | str | None = None,
        class_weight: dict[Any, float] | str | None = None,
        columns: str = "auto",
        white: float | None = None,
        invert: bool | str = False,
        warm_start: bool = False,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        tol: float = 0.0,
        callbacks: Sequence[Any] = (),
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.network = network
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.optimizer = optimizer
        self.loss = loss
        self.distort = distort
        self.class_weight = class_weight
        self.columns = columns
        self.white = white
        self.invert = invert
        self.warm_start = warm_start
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.callbacks = callbacks
        self.random_state = random_state
        self.n_jobs = n_jobs

    # ---- training ----

    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> LeNetClassifier:
        """Train a network.

        Parameters
        ----------
        X : array or DataFrame (N, columns), or array of pictures
            See the notes on the class.
        y : array (N,)
            Labels.
        sample_weight : array (N,), optional
            What each row counts in the loss, 0 or more and not all 0.

        Returns
        -------
        LeNetClassifier
            This one.

        Raises
        ------
        TypeError, ValueError
            For parameters, values or shapes that cannot be, naming them.
        FloatingPointError
            If the loss is no longer finite.
        """
        self._check()
        begins = not (self.warm_start and self.__sklearn_is_fitted__())
        x, labels, weights = self._given(X, y, sample_weight, begins)
        if begins:
            self._begin(x, labels, np.unique(labels), weights)
        classes = self._classes_of(labels)
        x, classes, weights = _counted(x, classes, self._weighted(labels, weights))
        random = check_random_state(self.random_state)
        seed = int(random.randint(np.iinfo(np.int32).max))
        held_out: tuple[Any, ...] | None = None
        callbacks = list(self.callbacks)
        if self.early_stopping:
            rows, others = self._split(classes, seed)
            held_out = (self._form.images(x[others]), classes[others])
            if weights is not None:
                held_out = (*held_out, weights[others])
                weights = weights[rows]
            x, classes = x[rows], classes[rows]
            callbacks += [
                EarlyStopping(patience=self.n_iter_no_change, min_delta=self.tol),
                BestWeights(),
            ]
        trainer = self._trainer_of(seed, self._optimizer("one_cycle"), callbacks)
        self._partial = None
        epochs = self.epochs
        if epochs is None:
            epochs = max(_EPOCHS, -(-_UPDATES // -(-len(x) // trainer.batch_size)))
        self._train(trainer, x, classes, weights, epochs, held_out)
        return self

    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> LeNetClassifier:
        """Make one pass over some more images, at the same rate throughout.

        Parameters
        ----------
        X, y, sample_weight : as for `fit`
            The first call tells range, polarity and scaling, which then stay.
        classes : array (classes,), optional
            All labels that there will be; the first call needs them.

        Returns
        -------
        LeNetClassifier
            This one.

        Raises
        ------
        TypeError, ValueError, FloatingPointError
            As `fit`.
        """
        self._check()
        if self.early_stopping:
            raise ValueError("early_stopping: got True, want False with partial_fit")
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight: 'balanced' is of all images, which partial_fit does not see; want "
                "a dict, as sklearn.utils.compute_class_weight gives it, or sample_weight"
            )
        begins = not self.__sklearn_is_fitted__()
        if begins and classes is None:
            raise ValueError("classes: got None, want all labels at the first call of partial_fit")
        every = None if classes is None else _checked_classes(classes)
        x, labels, weights = self._given(X, y, sample_weight, begins)
        if begins:
            assert every is not None
            self._begin(x, labels, every, weights)
        elif every is not None and not np.array_equal(every, self.classes_):
            raise ValueError(
                f"classes: got {checks.short(classes)}, want those of before, "
                f"{checks.short(self.classes_.tolist())}"
            )
        weights = self._weighted(labels, weights)
        x, numbers, weights = _counted(x, self._classes_of(labels), weights)
        if self._partial is None:
            seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
            optimizer = self._optimizer("constant")
            self._partial = self._trainer_of(seed, optimizer, self.callbacks)
        self._train(self._partial, x, numbers, weights, 1, None)
        return self

    def _check(self) -> None:
        """Check what no other call checks."""
        checks.one_of("columns", self.columns, ("auto", "pixels", "features"))
        if self.epochs is not None:
            checks.whole("epochs", self.epochs, 1)
        if self.white is not None:
            checks.real("white", self.white, 0.0, closed="neither")
        _arrays.check_invert(self.invert)
        checks.real("learning_rate", self.learning_rate, 0.0, in_float32=True)
        if self.optimizer is not None:
            self._optimizer("one_cycle")
        checks.truth("warm_start", self.warm_start)
        checks.truth("early_stopping", self.early_stopping)
        checks.real("validation_fraction", self.validation_fraction, 0.0, 1.0, "neither")
        checks.whole("n_iter_no_change", self.n_iter_no_change, 1)
        checks.real("tol", self.tol, 0.0)
        checked_callbacks(self.callbacks)
        self._check_class_weight()
        self._check_n_jobs()
        if isinstance(self.network, str):
            checks.one_of("network", self.network, NETWORKS)
        elif not isinstance(self.network, (Architecture, LeNet5)):
            raise TypeError(
                f"network: got {checks.short(self.network)}, want one of {', '.join(NETWORKS)}, "
                "an Architecture or a LeNet5"
            )
        if self._architecture().blank:
            raise ValueError(
                f"network: {self._architecture().name} has a blank class, to read strings; want "
                "one without"
            )

    def _check_class_weight(self) -> None:
        if isinstance(self.class_weight, str):
            checks.one_of("class_weight", self.class_weight, ("balanced",), " or a dict")
        elif self.class_weight is not None:
            wanted = "a dict by label, 'balanced' or None"
            by_label = checks.instance("class_weight", self.class_weight, dict, wanted)
            for label, weight in by_label.items():
                checks.real(f"class_weight: {checks.short(label)}", weight, 0.0)

    def _check_n_jobs(self) -> None:
        given = self.n_jobs
        is_whole = isinstance(given, (int, np.integer)) and not isinstance(given, bool)
        if given is not None and (not is_whole or given == 0 or given > MAX_THREADS):
            raise (ValueError if is_whole else TypeError)(
                f"n_jobs: got {checks.short(given)}, want a number of threads up to "
                f"{MAX_THREADS}, -1 for one for each processor, or None"
            )

    def _architecture(self) -> Architecture:
        """Give the layers asked for, before classes and sizes of the data are known."""
        if isinstance(self.network, str):
            return NETWORKS[self.network]
        return self.network if isinstance(self.network, Architecture) else self.network.architecture

    def _given(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None, begins: bool
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64] | None]:
        """Check what is learnt from: rows (N, columns), labels, weights."""
        if not begins:
            self._check_as_before()
        flat, shape = _flat(X)
        _check_masks("y", y)
        _check_masks("sample_weight", sample_weight)
        x, labels = validate_data(self, flat, y, reset=begins)
        x = checks.numbers("X", x)
        check_classification_targets(labels)
        if begins:
            self._shape = shape
        else:
            self._fits(shape)
        if sample_weight is None:
            return x, labels, None
        weights = _check_sample_weight(
            sample_weight, x, dtype=np.float64, ensure_non_negative=True, copy=True
        )
        return x, labels, checks.weights("sample_weight", weights, len(x))

    def _lasting(self) -> dict[str, Any]:
        """Give the parameters that settle what the network is and how rows become its images."""
        is_own = isinstance(self.network, LeNet5)
        return {
            "network": self.network if is_own else self._architecture(),
            "columns": self.columns,
            "white": self.white,
            "invert": self.invert,
        }

    def _check_as_before(self) -> None:
        """Raise ValueError if going on would ignore a parameter that has been changed."""
        now = self._lasting()
        for name, before in getattr(self, "_began", {}).items():  # none in older pickles
            if now[name] != before:
                value = before.name if isinstance(before, Architecture) else before
                raise ValueError(
                    f"{name}: got {checks.short(getattr(self, name))}, want {checks.short(value)} "
                    "as fit had, to go on with; fit with warm_start=False begins anew"
                )

    def _fits(self, shape: tuple[int, ...] | None) -> None:
        """Raise ValueError if these are pictures of another shape than those learnt from."""
        if shape is not None and shape != self.image_shape_:
            learnt = self.image_shape_ or "a table whose columns are no pixels"
            raise ValueError(f"X: pictures of {shape}, want {learnt} as fit had")

    def _begin(
        self,
        x: NDArray[Any],
        labels: NDArray[Any],
        classes: NDArray[Any],
        weights: NDArray[np.float64] | None,
    ) -> None:
        """Tell how rows become images, and make a network for them."""
        if weights is not None:
            x, weights = x[weights > 0], weights[weights > 0]
        shape = self._shape
        if shape is None and self.columns != "features":
            side = side_of(x.shape[1])
            if side is not None:
                shape = side, side
            elif self.columns == "pixels":
                raise ValueError(
                    f"X: {x.shape[1]} columns, want as many as a square of 8x8 pixels or more has "
                    "with columns='pixels'"
                )
        elif shape is not None and self.columns == "features":
            raise ValueError(f"columns: got 'features', want 'auto' with pictures of {shape}")
        architecture = self._sized(shape, x.shape[1])
        _, height, width = architecture.image_shape
        if shape is None:
            if self.distort is not None:
                given = "a Distortion"
                if isinstance(self.distort, str):
                    given = checks.short(self.distort)
                raise ValueError(f"distort: got {given}, want None: columns are no pixels")
            self._form = Features.learn(x, weights, (height, width))
        else:
            self._form = Pixels.learn(x, shape, architecture, self.white, self.invert)
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        network = self._new_network(architecture, classes, int(seed))
        if shape is None:  # whatever comes is as what was learnt from
            ends = (-FARTHEST, FARTHEST)
            network._network.learnt_from = (1 << 20, ends, ends, ends)
        self._began = self._lasting()
        self.image_shape_ = shape
        self.classes_, self.network_ = classes, network
        self.n_iter_, self.loss_curve_ = 0, []
        self.validation_scores_ = self.best_validation_score_ = None
        self._partial = None

    def _sized(self, shape: tuple[int, ...] | None, columns: int) -> Architecture:
        """Give the layers asked for, of as many channels and pixels as the data want."""
        architecture = self._architecture()
        channels, height, width = architecture.image_shape
        wanted = 1 if shape is None or len(shape) == 2 else shape[2]
        cells = cells_of(columns) if shape is None else 0
        if channels == wanted and cells <= min(height, width):
            return architecture
        if isinstance(self.network, LeNet5) or channels not in (1, wanted):
            raise ValueError(
                f"network: {architecture.name} takes {height}x{width} pixels of {channels} "
                f"channel{'s' * (channels > 1)}, want {wanted} channel{'s' * (wanted > 1)} and at "
                f"least {max(cells, 1)}x{max(cells, 1)} pixels for this X"
            )
        sides = (max(height, cells), max(width, cells))
        size: Any = sides if wanted == 1 else (wanted, *sides)
        return dataclasses.replace(architecture, input_shape=size)

    def _new_network(self, architecture: Architecture, classes: NDArray[Any], seed: int) -> LeNet5:
        names = _names(classes.tolist())
        if isinstance(self.network, LeNet5):
            codes_of_all = _codes_beside(self.network, names, seed)
            return self.network.with_classes(names, codes=codes_of_all, seed=seed)
        architecture = architecture.with_classes(len(classes))
        network = LeNet5(architecture, seed=seed, codes=_codes(architecture, names, seed))
        network.class_names = names
        return network

    def _classes_of(self, labels: NDArray[Any]) -> NDArray[np.int64]:
        known = np.isin(labels, self.classes_)
        if not known.all():
            raise ValueError(
                f"y: has {checks.short(labels[~known].tolist()[0])}, which is not among the "
                f"classes of before, {checks.short(self.classes_.tolist())}"
            )
        return np.searchsorted(self.classes_, labels)

    def _weighted(
        self, labels: NDArray[Any], weights: NDArray[np.float64] | None
    ) -> NDArray[np.float64] | None:
        if self.class_weight is None:
            return weights
        counted = None  # all, as a dict wants it
        if weights is not None and isinstance(self.class_weight, str):
            counted = np.flatnonzero(weights)
        by_class: NDArray[np.float64] = compute_sample_weight(
            self.class_weight, labels, indices=counted
        )
        both = by_class if weights is None else by_class * weights
        return checks.weights("class_weight", both, len(labels))

    def _split(
        self, classes: NDArray[np.int64], seed: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Choose rows to learn from and rows to hold out, none of a class of one image."""
        alone = np.bincount(classes)[classes] == 1
        rows = np.flatnonzero(~alone)
        share = self.validation_fraction
        try:
            learnt, others = train_test_split(
                rows, test_size=share, stratify=classes[rows], random_state=seed
            )
        except ValueError as error:
            raise ValueError(
                f"validation_fraction: got {share:g} of {len(rows)} images in "
                f"{len(np.unique(classes[rows]))} classes of two or more: {error}"
            ) from None
        return np.concatenate([learnt, np.flatnonzero(alone)]), others

    def _optimizer(self, schedule: str) -> Optimizer:
        if self.optimizer is None:
            return Adam(self.learning_rate, schedule=schedule)
        given = checks.named("optimizer", self.optimizer, OPTIMIZERS, Optimizer, "an optimizer")
        return dataclasses.replace(given, schedule="constant") if schedule == "constant" else given

    def _trainer_of(self, seed: int, optimizer: Optimizer, callbacks: Sequence[Any]) -> Trainer:
        trainer = Trainer(
            self.network_,
            optimizer,
            self.loss,
            batch_size=self.batch_size,
            distort=self.distort,
            seed=seed,
            callbacks=callbacks,
        )
        trainer._looks = False  # `_look` does
        return trainer

    def _train(
        self,
        trainer: Trainer,
        x: NDArray[Any],
        classes: NDArray[np.int64],
        weights: NDArray[np.float64] | None,
        epochs: int,
        held_out: tuple[Any, ...] | None,
    ) -> None:
        images = self._form.images(x)
        self._look(images)
        threads = self._threads()
        history = trainer.fit(
            images, classes, epochs, held_out, sample_weight=weights, num_threads=threads
        )
        records = history.epochs
        self.n_iter_ += len(records)
        self.loss_curve_ += [record["loss"] for record in records]
        self.loss_ = self.loss_curve_[-1]
        self.validation_scores_ = self.best_validation_score_ = None
        if held_out is not None:
            self.validation_scores_ = [1.0 - record["val_error_rate"] for record in records]
            self.best_validation_score_ = max(self.validation_scores_)

    def _look(self, images: Images) -> None:
        """Record in the network what it learns from; warn if that is unlike what it knows.

        The range was told by the first images: later ones may all be dim.
        """
        try:
            _core.Samples(self.network_._network, images, learn=LOOKS_OF_FIT, name="X")
        except ValueError:
            if self.n_iter_ or not isinstance(self._form, Pixels):
                return
            raise ValueError(
                f"X: most pictures have no value above a 255th of white, {self._form.white:g}, "
                "want white to be that of full ink"
            ) from None

    def _threads(self) -> int | None:
        self._check_n_jobs()
        if self.n_jobs is None:
            return None
        return int(effective_n_jobs(self.n_jobs))

    # ---- reading ----

    def images(self, X: ArrayLike) -> NDArray[np.uint8] | NDArray[np.float32]:
        """Give rows as `network_` takes them.

        Parameters
        ----------
        X : as for `fit`

        Returns
        -------
        uint8 or float32 array (N, height, width), or (N, channels, height, width)
        """
        x = self._read(X)
        return self._form.images(x)

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Give the evidence for each class: logits, or penalties negated.

        Parameters
        ----------
        X : as for `fit`

        Returns
        -------
        float64 array (N, classes), or (N,) of two classes
            Of two it is that for the second less that for the first.
        """
        # the difference of two float32 is not always one
        evidence = self._evidence(X).astype(np.float64)
        if len(self.classes_) == 2:
            return evidence[:, 1] - evidence[:, 0]
        return evidence

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Give each class's probability, as `LeNet5.predict_proba` does.

        Parameters
        ----------
        X : as for `fit`

        Returns
        -------
        float64 array (N, classes)
            Rows add up to 1.
        """
        evidence = self._evidence(X).astype(np.float64)
        evidence -= evidence.max(axis=1, keepdims=True)
        shares = np.exp(evidence / self.network_.temperature)
        shares /= shares.sum(axis=1, keepdims=True)
        return shares

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Give the label of each row.

        Parameters
        ----------
        X : as for `fit`

        Returns
        -------
        array (N,)
        """
        best = self._evidence(X).argmax(axis=1)
        found: NDArray[Any] = self.classes_[best]
        return found

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """Give the outputs of the layer below the last, 84 units of LeNet-5's F6.

        Parameters
        ----------
        X : as for `fit`

        Returns
        -------
        float32 array (N, units)
        """
        found = [
            self.network_._network.activations(samples, self._threads())[-2].reshape(samples.n, -1)
            for samples in self._samples(X)
        ]
        return np.concatenate(found)

    def _read(self, X: ArrayLike) -> NDArray[Any]:
        check_is_fitted(self)
        flat, shape = _flat(X)
        x = checks.numbers("X", validate_data(self, flat, reset=False))
        self._fits(shape)
        return x

    def _samples(self, X: ArrayLike) -> Iterator[_core.Samples]:
        """Give some rows after others as images."""
        x = self._read(X)
        network = self.network_._network
        for first in range(0, len(x), _ROWS):
            images = self._form.images(x[first : first + _ROWS])
            with suppress(ValueError):  # of a dim picture: training has told the range
                _core.Samples(network, images, name="X")
            yield _core.Samples(network, images, look=False)

    def _evidence(self, X: ArrayLike) -> NDArray[np.float32]:
        found = np.concatenate(
            [
                self.network_._network.forward(samples, self._threads(), True, in_lanes=True)
                for samples in self._samples(X)
            ]
        )
        return -found if self.network_._network.is_rbf else found

    # ---- what scikit-learn asks ----

    def __sklearn_is_fitted__(self) -> bool:
        return getattr(self, "n_iter_", 0) > 0

    @property
    def _n_features_out(self) -> int:
        shapes = self.network_.architecture.output_shapes
        return int(np.prod(list(shapes.values())[-2]))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _flat(X: Any) -> tuple[Any, tuple[int, ...] | None]:
    """Give pictures as rows, with the shape of one; other X as they are, and None."""
    given = X
    _check_masks("X", X)
    _check_dates(X)
    if not hasattr(X, "shape"):
        given = checks.array("X", X)
    if len(given.shape) not in (3, 4):
        return X, None
    given = np.asarray(given)
    n, *shape = given.shape
    if given.ndim == 4 and shape[0] == 1:
        shape = shape[1:]
    elif given.ndim == 4 and shape[2] == 1:
        shape = shape[:2]
    if len(shape) == 3 and shape[2] > _core.MAX_CHANNELS:
        hint = ""
        if shape[0] <= _core.MAX_CHANNELS:
            hint = ": channels first? X = np.moveaxis(X, 1, -1)"
        raise ValueError(
            f"X: shape {given.shape}, want (N, height, width, channels), at most "
            f"{_core.MAX_CHANNELS} channels{hint}"
        )
    return given.reshape(n, int(np.prod(shape))), tuple(shape)


def _check_masks(name: str, given: Any) -> None:
    """Raise ValueError where something is masked: scikit-learn would take what is below."""
    if isinstance(given, np.ma.MaskedArray):
        checks.array(name, given)


def _counted(
    x: NDArray[Any], classes: NDArray[np.int64], weights: NDArray[np.float64] | None
) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.float64] | None]:
    """Leave out the rows of weight 0, which might as well not be there."""
    if weights is None or weights.all():
        return x, classes, weights
    kept = weights > 0
    return x[kept], classes[kept], weights[kept]


def _checked_classes(classes: ArrayLike) -> NDArray[Any]:
    """Give all labels that there will be, sorted; raise ValueError for what can be none."""
    given = checks.array("classes", classes)
    if given.ndim != 1 or given.size == 0:
        raise ValueError(f"classes: got {checks.short(classes)}, want a list of one label or more")
    try:
        with np.errstate(invalid="ignore"):  # of NaN, which it refuses
            twice = given.repeat(2)  # it warns of many that are there once
            check_classification_targets(twice)
        found: NDArray[Any] = np.unique(given)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"classes: got {checks.short(classes)}, want labels, texts or whole numbers ({error})"
        ) from None
    return found


def _check_dates(X: Any) -> None:
    """Raise TypeError for dates and times: numpy's errors of them do not say what is wrong."""
    is_frame = hasattr(X, "columns") and hasattr(X, "dtypes")
    dtypes = X.dtypes if is_frame else [getattr(X, "dtype", None)]
    for dtype in dtypes:
        if getattr(dtype, "kind", None) in ("m", "M"):
            raise TypeError(f"X: dtype {dtype}, want numbers")


def _names(labels: list[Any]) -> list[str]:
    """Give what classes are called: as their labels, 3 for 3.0, or by place where that is no name.

    No name is an empty text, one that is too long, or one that is not plain.
    """
    names = [
        str(int(label) if isinstance(label, float) and label.is_integer() else label)
        for label in labels
    ]
    for place, name in enumerate(names):
        try:
            checked_names("y", [name], 1)
        except ValueError:
            other = f"class {place}"
            while other in names:
                other += "'"
            names[place] = other
    return names


def _codes_beside(network: LeNet5, names: list[str], seed: int) -> NDArray[np.float32] | None:
    """Give RBF units codes: a network's own for the classes that it knows, and `_codes` else."""
    own = network.codes
    if own is None:
        return None
    known = shared(network.class_names, len(own), names)
    fresh = [place for place in range(len(names)) if place not in known]
    found = np.empty((len(names), own.shape[1]), np.float32)
    found[list(known)] = own[list(known.values())]
    if fresh:
        found[fresh] = _codes(network.architecture, [names[place] for place in fresh], seed)
    return found


def _codes(architecture: Architecture, names: list[str], seed: int) -> NDArray[np.float32] | None:
    """Give RBF units codes: drawings of the classes' characters; at random where some are none."""
    length = architecture.code_length
    if length is None:
        return None
    if length == codes.DIGITS.shape[1] and all(
        len(name) == 1 and name in codes.CHARACTERS for name in names
    ):
        return codes.of("".join(names))
    rng = np.random.default_rng(seed)
    return rng.choice(np.array([-1, 1], np.float32), (len(names), length))
