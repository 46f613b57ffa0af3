"""Measurement of one image's time, again and again."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from .pipes import Pipes
from .runtimes import Runtime

WARMUP_RUNS, MIN_RUNS, MAX_RUNS, MAX_SECONDS = 3, 10, 200, 2.0
# The first image is computed so often in a row.
REPEATS = 10
# Seconds whose median is one point of a long measurement.
WINDOW = 10.0


def measure(model: Runtime, images: np.ndarray, minutes: float, pipes: Pipes) -> dict[str, Any]:
    """Return what is known of one image's time and of its outputs' repetition. images: uint8 (N, H, W, C). minutes: of
    a long measurement, 0 for none; a message a window shows that it goes on."""
    difference, largest = _repeat(model, images[:1])
    for _ in range(WARMUP_RUNS):
        model.run(images[:1])
    times: list[float] = []
    while len(times) < MIN_RUNS or (sum(times) < MAX_SECONDS * 1e3 and len(times) < MAX_RUNS):
        place = len(times) % len(images)
        times.append(_milliseconds(model, images[place : place + 1]))
    windows: list[float] = []
    begun = time.perf_counter()
    while time.perf_counter() - begun < 60 * minutes:
        until = time.perf_counter() + WINDOW
        window = [_milliseconds(model, images[:1])]
        while time.perf_counter() < until:
            window.append(_milliseconds(model, images[:1]))
        windows.append(float(np.median(window)))
        pipes.send("progress", seconds=time.perf_counter() - begun)
    p50, p90, p99 = (float(each) for each in np.percentile(times, (50, 90, 99)))
    return {
        **{"p50": p50, "p90": p90, "p99": p99, "runs": len(times), "windows": windows},
        **{"repeat_difference": difference, "largest_output": largest},
    }


def _repeat(model: Runtime, image: np.ndarray) -> tuple[float, float]:
    """Return (how much outputs of the same image differ at most, the largest output)."""
    first, difference = model.run(image), 0.0
    for _ in range(REPEATS - 1):
        again = model.run(image)
        difference = max(difference, *(float(np.abs(again[name] - each).max()) for name, each in first.items()))
    return difference, max(float(np.abs(each).max()) for each in first.values())


def _milliseconds(model: Runtime, image: np.ndarray) -> float:
    begun = time.perf_counter()
    model.run(image)
    return (time.perf_counter() - begun) * 1e3
