"""Several trainings that differ in their seed alone: what each is asked for, and what came out of all."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any, overload

from keras_resnet.api.run import Run
from keras_resnet.config.given_options import Options, read_settings
from keras_resnet.config.spec import Spec
from keras_resnet.config.training import MAX_SEED
from keras_resnet.errors import UsageError, describe_received
from keras_resnet.metrics.labels import metric_label
from keras_resnet.reporting import html_tables
from keras_resnet.run.description import default_run_name
from keras_resnet.run.folders import require_free
from keras_resnet.runtime.plurals import counted

# One seed tells nothing of the deviation.
LEAST_SEEDS = 2


@dataclass(frozen=True)
class SeededTraining:
    """One of several trainings: the options given to it, and the name of its run."""

    seed: int
    name: str
    options: dict[str, Any]


class Runs(Sequence[Run]):
    """The runs of one training with several seeds, in the order of these; what `train(seeds=3)` returns::

        runs = kr.train("photos/", depth=18, seeds=3)
        print(runs)  # a line for each, and "top-1 accuracy 96.30% ± 0.40 points (mean …"
        runs.mean, runs.std  # 0.963, 0.004
        best = max(runs, key=lambda run: run.metrics["value"])

    Each is a `Run`; a notebook shows them as a table.
    """

    def __init__(self, runs: Iterable[Run]) -> None:
        self._runs = tuple(runs)

    @overload
    def __getitem__(self, place: int) -> Run: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Run, ...]: ...
    def __getitem__(self, place: int | slice) -> Run | tuple[Run, ...]:
        return self._runs[place]

    def __len__(self) -> int:
        return len(self._runs)

    @property
    def metric(self) -> str:
        """The name of the task's main metric."""
        return self._runs[0].metrics["metric"]

    @property
    def values(self) -> list[float]:
        """Each run's main metric on the validation images, 0–1."""
        return [run.metrics["value"] for run in self._runs]

    @property
    def mean(self) -> float:
        """The mean of `values`."""
        return statistics.fmean(self.values)

    @property
    def std(self) -> float:
        """The standard deviation of `values` over seeds, that of a sample: divided by one less than their number."""
        return statistics.stdev(self.values)

    @property
    def summary(self) -> str:
        """Mean and deviation, in a line."""
        deviation = counted(100 * self.std, "point", ".2f")
        of_all = f"mean and standard deviation of {counted(len(self), 'seed')}"
        return f"{metric_label(self.metric)} {self.mean:.2%} ± {deviation} ({of_all})"

    def as_dict(self) -> dict[str, Any]:
        """Return what `kresnet train --seeds --json` prints: {"runs": […], "metric", "mean", "std"}."""
        rows = [{"run": run.name, "folder": str(run.folder), **run.metrics} for run in self._runs]
        return {"runs": rows, "metric": self.metric, "mean": self.mean, "std": self.std}

    def __str__(self) -> str:
        lines = [f"{run.name}: {value:.2%}" for run, value in zip(self._runs, self.values, strict=True)]
        return "\n".join([*lines, self.summary])

    def __repr__(self) -> str:
        return f"<Runs {', '.join(run.name for run in self._runs)}: {self.summary}>"

    def _repr_html_(self) -> str:
        rows = [[run.name, f"{value:.2%}"] for run, value in zip(self._runs, self.values, strict=True)]
        return html_tables.table(["run", metric_label(self.metric)], rows) + html_tables.items([self.summary])


def require_seeds(seeds: object, options: Options) -> None:
    """Raise UsageError unless `seeds` is the number of seeds that a training can have that is given these `options`."""
    if isinstance(seeds, bool) or not isinstance(seeds, Integral) or seeds < LEAST_SEEDS:
        raise UsageError(f"--seeds must be a whole number, {LEAST_SEEDS} or more. Received: {describe_received(seeds)}")
    from keras_resnet.training.distribute import has_several_workers

    if "training.seed" in read_settings({"settings": options.get("settings", ())}):
        raise UsageError("--seeds counts up from --seed; give that in place of --set training.seed")
    if has_several_workers() and options.get("devices", "auto") == "auto":
        raise UsageError(
            "--seeds trains one run after another, which several workers cannot; launch a training for each --seed"
        )


def plan_seeds(spec: Spec, options: Options, home: Path, seeds: int, name: str | None) -> list[SeededTraining]:
    """Return the trainings that `options`, which describe `spec`, ask for with `seeds` seeds from its own on. Their
    runs are called `name`, or what the run would be called, with "-seed0" and so on behind it.

    Raises UsageError for a name that is taken, and for seeds beyond the largest.
    """
    numbers = range(spec.training.seed, spec.training.seed + seeds)
    if numbers[-1] > MAX_SEED:
        raise UsageError(f"--seeds {seeds} from --seed {numbers[0]} on goes beyond the largest seed, {MAX_SEED}")
    stem = name or _find_free_stem(home, default_run_name(spec), numbers)
    for number in numbers if name else ():
        require_free(home, _name(stem, number))
    return [SeededTraining(number, _name(stem, number), {**options, "seed": number}) for number in numbers]


def _find_free_stem(home: Path, stem: str, numbers: Iterable[int]) -> str:
    """Return `stem`, with the first number behind it by which no run of these seeds is there yet."""
    count, free = 1, stem
    while any((home / _name(free, number)).exists() for number in numbers):
        count += 1
        free = f"{stem}-{count}"
    return free


def _name(stem: str, seed: int) -> str:
    return f"{stem}-seed{seed}"
