"""The one validator: a TypeError for the type, a ValueError for the value, one wording."""

import io
import math
import re

import numpy as np
import pytest

from lenet_c import checks, datasets, losses

INF, NAN = math.inf, math.nan


@pytest.mark.parametrize(
    ("closed", "inside", "outside", "wanted"),
    [
        ("left", [0, 0.5, 1 - 1e-12], [-1e-300, 1, 2, INF, NAN], "of at least 0 and below 1"),
        ("both", [0, 1, np.float32(1), np.int8(0)], [-1, 1 + 1e-12, -INF, NAN], "from 0 to 1"),
        ("neither", [1e-300, 0.5], [0, 1, -0.0, NAN, 10**400], "above 0 and below 1"),
    ],
)
def test_intervals(closed, inside, outside, wanted):
    for value in inside:
        given = checks.real("x", value, 0, 1, closed)
        assert type(given) is float
        assert given == value
    for value in outside:
        message = f"x: got {checks.short(value)}, want a number {wanted}"
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            checks.real("x", value, 0, 1, closed)


@pytest.mark.parametrize(
    ("limits", "bad", "wanted"),
    [
        ({"low": 0}, [-1, INF, NAN], "a finite number of at least 0"),
        ({"low": 0, "closed": "neither"}, [0, INF, NAN], "a finite number above 0"),
        ({"low": -INF, "closed": "neither"}, [INF, -INF, NAN], "a finite number"),
    ],
)
def test_numbers_are_finite(limits, bad, wanted):
    assert checks.real("x", 1e300, **limits) == 1e300
    for value in bad:
        with pytest.raises(ValueError, match=f"^x: got {value}, want {wanted}$"):
            checks.real("x", value, **limits)


def test_numbers_as_the_core_has_them():
    almost = 1 - 1e-12  # 1 in float32
    assert checks.real("x", almost, 0, 1) == almost
    with pytest.raises(ValueError, match=r"want a number of at least 0 and below 1, in float32$"):
        checks.real("x", almost, 0, 1, in_float32=True)
    with pytest.raises(ValueError, match="want a finite number above 0, in float32"):
        checks.real("x", 1e-60, 0, closed="neither", in_float32=True)
    with pytest.raises(ValueError, match="want a finite number of at least 0, in float32"):
        checks.real("x", 1e39, 0, in_float32=True)
    assert checks.real("x", 0.1, 0, in_float32=True) == 0.1  # not rounded


@pytest.mark.parametrize("value", [None, "1", True, 1j, [1.0], np.ones(1)])
def test_what_is_no_number(value):
    with pytest.raises(TypeError, match=r"^x: got .*, want a number$"):
        checks.real("x", value, 0)


def test_whole_numbers():
    for value in (2, np.uint8(2), 5):
        given = checks.whole("n", value, 2, 5)
        assert type(given) is int
        assert given == value
    for value in (1, 6, -(2**70), 2**70):
        with pytest.raises(ValueError, match=r"^n: got .*, want a whole number from 2 to 5$"):
            checks.whole("n", value, 2, 5)
    for value in (2.0, "2", True, None, np.float32(2), np.array([2])):
        with pytest.raises(TypeError, match=r"^n: got .*, want a whole number of at least 2$"):
            checks.whole("n", value, 2)


def test_names():
    assert checks.one_of("kind", "b", iter(["a", "b"])) == "b"
    with pytest.raises(ValueError, match=r"^kind: got 'c', want one of a, b$"):
        checks.one_of("kind", "c", ("a", "b"))
    for value in (None, 3, ["a"], b"a", np.array(["a", "b"])):
        with pytest.raises(TypeError, match=r"^kind: got .*, want one of a, b$"):
            checks.one_of("kind", value, ("a", "b"))


def test_truth_and_objects():
    assert checks.truth("flag", False) is False
    for value in (0, 1, "yes", None, np.bool_(True)):
        with pytest.raises(TypeError, match=r"^flag: got .*, want True or False$"):
            checks.truth("flag", value)
    assert checks.instance("text", "a", str, "a str") == "a"
    with pytest.raises(TypeError, match=r"^text: got 3, want a str$"):
        checks.instance("text", 3, str, "a str")


def test_arrays():
    assert checks.numbers("x", [1, 2.5]).dtype == np.float64
    for value in ("a", [None], np.ones(1, complex)):
        with pytest.raises(TypeError, match=r"^x: dtype .*, want real numbers$"):
            checks.numbers("x", value)
    with pytest.raises(TypeError, match=r"^x: dtype float64, want integers$"):
        checks.numbers("x", [1.0], "iu")
    values = np.arange(6.0).reshape(2, 3).T
    floats = checks.floats("x", values)
    assert floats.dtype == np.float32
    assert floats.flags.c_contiguous
    np.testing.assert_array_equal(floats, values)
    assert not np.shares_memory(floats, checks.floats("x", floats))
    for bad in (NAN, INF, 1e39):
        with pytest.raises(ValueError, match=r"^x: some are NaN or infinite in float32"):
            checks.floats("x", np.array([0.0, bad]))


def test_losses_by_name():
    assert losses.checked(None, 5, 1, True) == ("map", 5.0, 1.0)
    assert losses.checked(None, 5, 1, False) == ("cross_entropy", 5.0, 1.0)
    assert losses.checked("mse", np.float32(0.5), 10, True) == ("mse", 0.5, 10.0)
    with pytest.raises(ValueError, match=r"^loss: got 'hinge', want one of mse, map, cross"):
        losses.checked("hinge", 1, 1, True)
    with pytest.raises(ValueError, match=r"^j: got 0, want a finite number above 0$"):
        losses.checked("map", 0, 1, True)
    for temperature in (0, 1e-200):  # by which outputs are infinite, and the loss NaN
        with pytest.raises(ValueError, match=r"^temperature: got .*, want a number from 1e-30 to"):
            losses.checked("map", 1, temperature, True)
    for loss in (np.array(["map"]), np.zeros(2, "V4"), np.zeros(0), 3):
        with pytest.raises(TypeError, match=r"^loss: got "):
            losses.checked(loss, 1, 1, True)


@pytest.mark.parametrize("given", [None, 3, io.BytesIO()])
def test_what_is_no_path(given):
    calls = [
        ("path", lambda: datasets.read_idx(given)),
        ("path", lambda: datasets.read_csv(given)),
        ("path", lambda: datasets.read_npz(given)),
    ]
    if given is not None:
        calls += [
            ("folder", lambda: datasets.mnist(given)),
            ("folder", lambda: datasets.fashion_mnist(given)),
            ("folder", lambda: datasets.qmnist(given)),
        ]
    for name, call in calls:
        with pytest.raises(TypeError, match=f"^{name}: got .*, want a path$"):
            call()
