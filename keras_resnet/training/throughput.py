"""The speed of a training, in images per second."""

from __future__ import annotations

import time


def format_rate(images_per_second: float) -> str:
    """Return a rate to the whole image, a slow one to a tenth; "–" where none is known."""
    if not images_per_second:
        return "–"
    return f"{images_per_second:.{0 if images_per_second >= 10 else 1}f}"


class Throughput:
    """Images per second of training, without what happens between the steps of two epochs. 0 while no step has been
    counted."""

    def __init__(self, batch_size: int) -> None:
        self._batch_size, self._steps, self._started = batch_size, 0, time.perf_counter()

    def start(self) -> None:
        """Count from now on."""
        self._steps, self._started = 0, time.perf_counter()

    def step(self) -> float:
        """Count one more step and return the rate so far."""
        self._steps += 1
        return self.rate

    @property
    def rate(self) -> float:
        """Images per second since `start`."""
        return self._steps * self._batch_size / max(1e-9, time.perf_counter() - self._started)
