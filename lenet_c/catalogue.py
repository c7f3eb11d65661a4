"""The data sets that have names: their files, mirrors, digests and classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lenet_c.classes import DIGITS
from lenet_c.downloads import Wanted

__all__ = ["EMNIST", "QMNIST", "SETS", "SPLITS", "DataSet"]

_KINDS = ("images-idx3-ubyte", "labels-idx1-ubyte")
_IMAGES = tuple(f"{part}-{kind}" for part in ("train", "t10k") for kind in _KINDS)


@dataclass(frozen=True)
class DataSet:
    """A data set as it is published.

    Attributes
    ----------
    name : str
        Of its folder, and for `load`.
    title : str
    folders : tuple of str
        Where it may lie below a folder of data sets: as here, and as torchvision has it.
    wanted : tuple of Wanted
        Its files: images and labels to train with, then to test with.
    mirrors : tuple of str
    megabytes : int
        Of a download.
    class_names : tuple of str
    npz : str, optional
        A file that has all of it, as Keras keeps it.
    tables : tuple of str, optional
        Those to train and to test with, as on Kaggle.
    archive : Wanted, optional
        A zip file in which the mirrors have the files, packed.
    at_top : bool
        Whether its files may lie in a folder of data sets itself: not where MNIST's would.
    is_turned : bool
        Whether rows and columns of its images are exchanged in its files.
    first_label : int
        What its files call the first class.
    """

    name: str
    title: str
    folders: tuple[str, ...]
    wanted: tuple[Wanted, ...]
    mirrors: tuple[str, ...]
    megabytes: int
    class_names: tuple[str, ...] = DIGITS
    npz: str | None = None
    tables: tuple[str, str] | None = None
    archive: Wanted | None = None
    at_top: bool = True
    is_turned: bool = False
    first_label: int = 0


def _digests(names: Sequence[str], *contents: str) -> tuple[Wanted, ...]:
    return tuple(Wanted(f"{n}.gz", content=c) for n, c in zip(names, contents, strict=True))


_MNIST = DataSet(
    "mnist",
    "MNIST",
    ("mnist", "MNIST/raw"),
    _digests(
        _IMAGES,
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    11,
    npz="mnist.npz",
    tables=("mnist_train.csv", "mnist_test.csv"),
)

_FASHION = DataSet(
    "fashion-mnist",
    "Fashion-MNIST",
    ("fashion-mnist", "FashionMNIST/raw"),
    _digests(
        _IMAGES,
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
    (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    ),
    31,
    (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
    tables=("fashion-mnist_train.csv", "fashion-mnist_test.csv"),
    at_top=False,
)

# Of KMNIST and EMNIST the packed files' digests are published.
_KMNIST = DataSet(
    "kmnist",
    "KMNIST",
    ("kmnist", "KMNIST/raw"),
    tuple(
        Wanted(f"{name}.gz", packed=packed, size=size)
        for name, packed, size in zip(
            _IMAGES,
            (
                "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
                "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
                "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
                "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
            ),
            (18_165_135, 29_497, 3_041_136, 5_120),
            strict=True,
        )
    ),
    ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
    21,
    ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    at_top=False,
)

_EMNIST_ZIP = Wanted(
    "gzip.zip",
    packed="fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e",
    size=561_753_746,
)
_CAPITALS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_UNLIKE = tuple("abdefghnqrt")  # letters whose small form is a class of its own when cases merge
# The class names of each split, and the digests of its files in the archive.
SPLITS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "byclass": (
        DIGITS + _CAPITALS + tuple("abcdefghijklmnopqrstuvwxyz"),
        (
            "9e21987f03a6eb8b870187e785883ddad96947299587908f1a7ec2ca0f4be5f0",
            "f7ef403d48dc18a89dae0d83d11ee69cecb6e1c12c3a961d03712e495c02a8fa",
            "5ec835bd5d5b1a66378a132e727fef20fe994b3cc666899befcca5ac766f50cd",
            "501e305eeeacb093b162592d80e8a2632040872360fa6d85cfcb2200d91ca92a",
        ),
    ),
    "bymerge": (
        DIGITS + _CAPITALS + _UNLIKE,
        (
            "39bf8c68037dad40db35348895f7e4e056e8c0a005ab78869c9fbc2c96e947be",
            "2c47293b9e62d6abf6ad05fbf67e40baa32adfd380b8d7b44dcc35534b64e1f1",
            "5e5815ec1b522089134435f7c55e75a00960b58414793593ffff23efc0821683",
            "8bda1516255683ba9071e141947ca0c91a911176065cdd6259b0b4d8dc5b5f35",
        ),
    ),
    "balanced": (
        DIGITS + _CAPITALS + _UNLIKE,
        (
            "74295e75e4e9fa2c102147460ee7eb763653d5132d883a84fb88932bfb8d2db4",
            "b46d41e5156a0a8aaaa4d18979fdd1588850fa8571018acffd5d93b325a7d6ed",
            "117fc12b015e37ea98bfb2cbba3f77c3782c056cdbd219b87abfc8661d7135db",
            "a67cac948379b67270b9a4d0a01c8ec661598accf2f2b1964340b7c83cb175cd",
        ),
    ),
    "letters": (
        _CAPITALS,
        (
            "6288f418a917e007bf5fddb823a2dc7a5c6a35031401b93292a539cb12bd881f",
            "9759af91ea6bccdf07a6040fd085861f2ec88e37f7c3f5760f6feb57106fbe5c",
            "50f0e93d75b99b463e9760b8345866f22587fa2c2fba472730a5ba09c693412d",
            "924955c31fe7fd809b7303b5c0141282955f4b8390c74cdfd5d80435e0f4b4cb",
        ),
    ),
    "digits": (
        DIGITS,
        (
            "f7c95004d14d81af89522e67d8f0c781dfb3bd544181c81bfe1eb6b41c35b726",
            "6638a6ff5fe2eefd9cca2471995b46c82986b8e4b2a70d2f5ce8e05d7edb319e",
            "20ebe43509264f7639d37c835a3f0b009e90b29e00a099a03101abe1644a3f63",
            "bad1834c45d5988e270b99d43b13edc3fd898f658ffbc2caf2846ef27f7b05b0",
        ),
    ),
    "mnist": (
        DIGITS,
        (
            "5f9942f441031c0f1f2e4d162059fd6e19ea808b34c328b6d16cab0ed24c78f2",
            "00c6d3c2342fdffb1711e0b5656cac4ce5862d2826399d383a9bac07d612e9f8",
            "b25640fa9e356c618132f5df347c95ef5bae6d9c2596be1de40f7e0ae1c3eac6",
            "bcc5385d38f083dba046f5f756e99b32f5ea7fad122c6243c71c2239873065ca",
        ),
    ),
}


def _emnist(split: str) -> DataSet:
    names, digests = SPLITS[split]
    files = [f"emnist-{split}-{part}-{kind}" for part in ("train", "test") for kind in _KINDS]
    return DataSet(
        f"emnist-{split}",
        f"EMNIST ({split})",
        ("emnist", "emnist/gzip", "EMNIST/raw", "EMNIST/raw/gzip"),
        tuple(Wanted(f"{f}.gz", packed=d) for f, d in zip(files, digests, strict=True)),
        (
            "https://biometrics.nist.gov/cs_links/EMNIST/",
            "https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/",
        ),
        562,
        names,
        tables=(f"emnist-{split}-train.csv", f"emnist-{split}-test.csv"),
        archive=_EMNIST_ZIP,
        is_turned=True,
        first_label=1 if split == "letters" else 0,
    )


QMNIST = DataSet(
    "qmnist",
    "QMNIST",
    ("qmnist", "QMNIST/raw"),
    _digests(
        ("qmnist-train-labels-idx2-int", "qmnist-test-labels-idx2-int"),
        "bb1b6e1ec7b04fd5696f1ed50b5f58f8ef195118edd5c93c81783df9740b8ac5",
        "92d0ccb8c25f9c6534270fb4be7e1d24a1c6d315edfc8a638bfbd31c70f362dd",
    ),
    ("https://raw.githubusercontent.com/facebookresearch/qmnist/master/",),
    1,
)

EMNIST = {split: _emnist(split) for split in SPLITS}
SETS = {one.name: one for one in (_MNIST, _FASHION, _KMNIST, *EMNIST.values())}
"""The sets of images, by name."""
