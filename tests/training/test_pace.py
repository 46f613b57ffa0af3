"""The speed of a training, the time that is left of it, and the precision that its speed decides."""

import re

import pytest

from keras_resnet import progress
from keras_resnet.progress import Pace
from keras_resnet.training import precision
from keras_resnet.training.logger import _format_duration
from keras_resnet.training.precision import choose_cpu_precision
from keras_resnet.training.throughput import format_rate


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is set."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_the_time_left_is_not_said_too_early(clock):
    pace = Pace(297)
    for _ in range(10):
        pace.advance()  # all at once, as when results that were waited for come in
    assert pace.seconds_left is None


def test_the_first_step_is_not_counted(clock):
    pace = Pace(100)
    clock[0] = 60.0  # the network was traced
    pace.advance()
    for _ in range(10):
        clock[0] += 2
        pace.advance()
    assert (pace.left, pace.timed, pace.seconds_left) == (89, 10, pytest.approx(178))


@pytest.mark.parametrize(
    ("seconds", "words"), [(61, "1 min"), (1500, "25 min"), (7500, "2 h 5 min"), (3590, "1 h 0 min")]
)
def test_durations(seconds, words):
    assert _format_duration(seconds) == words


@pytest.mark.parametrize(("rate", "words"), [(0.0, "–"), (0.25, "0.2"), (6.12, "6.1"), (1514.2, "1514")])
def test_rates(rate, words):
    assert format_rate(rate) == words


@pytest.mark.parametrize(
    ("speedup", "policy", "words"),
    [
        (0.5, "float32", "it is chosen where it reaches 1.15 times"),
        (0.95, "float32", "which is about the same, and float32 is more precise"),
        (1.08, "float32", "which is about the same, and float32 is more precise"),
        (1.2, "mixed_bfloat16", "it is chosen where it reaches 1.15 times"),
    ],
)
def test_equal_speeds_keep_float32(speedup, policy, words):
    chosen, reason = choose_cpu_precision(speedup)
    assert chosen == policy and words in reason and f"at {speedup:.2f} times" in reason


def test_precisions_are_timed_by_turns(monkeypatch):
    order, now = [], [0.0]

    def take(name, seconds):
        order.append(name)
        now[0] += next(seconds)

    monkeypatch.setattr(precision.time, "perf_counter", lambda: now[0])
    slow, fast = iter([9, 4, 4, 4, 4, 4]), iter([9, 2, 9, 9, 9, 9])
    assert precision._time_by_turns([lambda: take("a", slow), lambda: take("b", fast)]) == [4, 2]
    assert re.fullmatch("(ab)+", "".join(order))
