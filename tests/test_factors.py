"""A schedule that gives rates where factors of the rate are wanted is told; real ones are not."""

import copy
import math
import pickle
import warnings

import numpy as np
import pytest

from lenet_c import SDLM, SGD, Adam, LeNet5, LineReader, OneCycle, Trainer
from lenet_c.optimizers import SCHEDULES, Factors

RUNS = [(2, 1), (10, 1), (20, 5), (936, 1), (3000, 100)]  # updates, passes


def told(optimizer, n_steps, passes, factors=None):
    """Give the updates at which a run warns, by what `Trainer.fit` asks."""
    factors = factors or Factors(optimizer)
    found = []
    steps = n_steps // passes
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for step in range(n_steps):
            factors.look(optimizer.rate(step, n_steps, step // steps + 1), step, n_steps)
            if len(caught) > len(found):
                found.append(step)
    return found, [str(one.message) for one in caught]


ABSOLUTE = {
    "constant": lambda lr, s, n, e: lr,
    "ten times as high": lambda lr, s, n, e: 10 * lr if lr < 5e-3 else lr,
    "falling": lambda lr, s, n, e: lr * 0.95**e,
    "cosine": lambda lr, s, n, e: 0.5 * lr * (1 + math.cos(math.pi * s / n)),
    "one cycle": lambda lr, s, n, e: 2 * lr * OneCycle()(s, n, e),
    "steps": lambda lr, s, n, e: lr * SCHEDULES["paper"](s, n, e),
    "warm-up": lambda lr, s, n, e: lr * min(1, (s + 1) / (0.1 * n)),
}


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("name", ABSOLUTE)
@pytest.mark.parametrize("make", [lambda s: Adam(schedule=s), lambda s: SGD(0.05, schedule=s)])
def test_rates_are_told_once_in_the_first_half(name, run, make):
    lr = make("constant").lr
    optimizer = make(lambda s, n, e: ABSOLUTE[name](lr, s, n, e))
    steps, messages = told(optimizer, *run)
    assert len(steps) == 1
    assert steps[0] <= max(1, run[0] / 2)
    assert "schedule: its highest factor until update" in messages[0]


def test_a_constant_rate_is_told_after_a_fifth():
    steps, messages = told(Adam(schedule=lambda s, n, e: 1e-3), 1000, 10)
    assert steps == [200]
    (message,) = messages
    assert message == (
        "schedule: its highest factor until update 201 of 1,000 is 0.001, which makes a rate of "
        "1e-06: a schedule gives what lr is multiplied by, not the rate; let it give rate / 0.001, "
        "or set lr to 1"
    )


FACTORS = {
    "a warm-up of a tenth": lambda s, n, e: min(1, (s + 1) / (0.1 * n)),
    "a warm-up of 1000 updates": lambda s, n, e: min(1, (s + 1) / min(1000, 0.3 * n)),
    "a long half cosine from 0": lambda s, n, e: OneCycle(0.4, 0.0, 0.0)(s, n, e),
    "a low first pass": lambda s, n, e: 0.01 if s < 0.1 * n else 1.0,
    "nothing at first": lambda s, n, e: 0.0 if s < 0.6 * n else 1.0,
    "never anything": lambda s, n, e: 0.0,
    "an exponential warm-up": lambda s, n, e: min(1.0, 1e-5 ** (1 - s / (0.45 * n))),
    "falling": lambda s, n, e: 0.9**e,
    "falling fast": lambda s, n, e: 10.0 ** (-6 * s / n),
    "the square root": lambda s, n, e: 1 / math.sqrt(1 + s),
    "above 1": lambda s, n, e: 3.0,
    "a fifth": lambda s, n, e: 0.2,
}


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("name", FACTORS)
@pytest.mark.parametrize("make", [Adam, lambda **s: SGD(0.1, **s), SDLM])
def test_factors_are_not_told(name, run, make):
    assert told(make(schedule=FACTORS[name]), *run)[0] == []


def test_named_schedules_and_rates_of_their_own_are_not_told():
    for schedule in (*SCHEDULES, OneCycle(start=0.0, warm_up=0.9)):
        assert told(Adam(schedule=schedule), 100, 5)[0] == []
    # what makes rates of factors
    assert told(Adam(1.0, schedule=lambda s, n, e: 1e-3), 100, 5)[0] == []
    assert told(SGD(0.0, schedule=lambda s, n, e: 1e-3), 100, 5)[0] == []


def test_each_run_is_looked_at():
    optimizer = Adam(schedule=lambda s, n, e: 1e-3)
    factors = Factors(optimizer)
    assert told(optimizer, 100, 5, factors)[0] == [20]
    assert told(optimizer, 100, 5, factors)[0] == [20]


IMAGES = np.random.default_rng(5).integers(0, 256, (50, 28, 28)).astype(np.uint8)
LABELS = np.arange(50) % 10


def test_the_trainer_tells_it_at_the_callers_line():
    trainer = Trainer(LeNet5("lenet5-28"), Adam(schedule=lambda *_: 1e-3), batch_size=10)
    others = [copy.deepcopy(trainer), trainer]
    for other in others:
        with pytest.warns(UserWarning, match="until update 4 of 15 is 0.001") as found:
            other.fit(IMAGES, LABELS, 3)
        assert [one.filename for one in found] == [__file__]
    np.testing.assert_array_equal(*(other.network.parameters for other in others))


def test_a_readers_training_tells_it():
    reader = LineReader(LeNet5("lenet5-strings"))
    strips = [np.zeros((32, 60), np.uint8)] * 2
    with pytest.warns(UserWarning, match="its highest factor until update 3 of 10 is 0.001"):
        reader.fit(strips, ["1", "2"], 10, optimizer=Adam(schedule=lambda *_: 1e-3))


def test_a_trainer_pickled_before_there_was_this():
    trainer = Trainer(LeNet5("lenet5-28"))
    state = pickle.loads(pickle.dumps(trainer.__getstate__()))
    for name in ("_factors", "_shown"):
        state.pop(name, None)
    other = Trainer.__new__(Trainer)
    other.__setstate__(state)
    other.fit(IMAGES, LABELS, 1)
