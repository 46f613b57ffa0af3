"""Search for the most accurate network whose file is within a budget: cost first, training for what is left."""

from __future__ import annotations

import gc
import json
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from keras_resnet.atomic_write import write_atomically
from keras_resnet.errors import ExportError, RunError, SearchError, TrainingInterrupted, TrainingStopped, UsageError
from keras_resnet.export.device_settings import DeviceSettings
from keras_resnet.network_search.budget import Budget, format_costs
from keras_resnet.network_search.candidates import Architecture, Candidate
from keras_resnet.network_search.cost import CostProbe
from keras_resnet.network_search.figure import write_figure
from keras_resnet.network_search.outcome import REJECTED, TRAINED, recommend
from keras_resnet.network_search.prepare import Prepared, prepare
from keras_resnet.network_search.result import FIGURE, SearchResult
from keras_resnet.network_search.settings import DEFAULT_TRIALS, SearchSettings
from keras_resnet.network_search.study import Study, require_optuna
from keras_resnet.network_search.target import Target
from keras_resnet.network_search.training import Trainer
from keras_resnet.progress import Log, show_progress
from keras_resnet.run.folders import require_creatable, require_free, require_plain_name, runs_home
from keras_resnet.run.lock import find_lock_holder, lock_run
from keras_resnet.runtime.plurals import counted

REQUEST, TRIALS, COSTS = "search.json", "trials.json", "costs.json"
# What is chosen among, in a request.
SPACE = "space"


def run_search(settings: SearchSettings, on: DeviceSettings, log: Log) -> SearchResult:
    """Search as `settings` say, or go on with a search that was begun by the same, and return what came of it; a
    search that is interrupted returns that too.

    Raises UsageError for settings that are wrong, DataError for data that cannot be used, SearchError where Optuna is
    missing or not even the smallest networks are within the budget, and ExportError where files cannot be run.
    """
    settings.require_possible()
    budget = Budget.parse(settings.budget)
    target = Target.create(settings, on, budget)
    home = runs_home(settings.runs)
    if settings.name:
        require_plain_name(home, settings.name)
    require_optuna()
    require_creatable(home)
    target.require_usable(log)
    prepared = prepare(settings, target, home, log)
    folder = find_folder(home, settings, _request(settings, target, prepared), log)
    with _lock(folder):
        for line in prepared.space.describe():
            log(line)
        probe = CostProbe(prepared.counted, prepared.spec, prepared.classes, target, budget, folder / COSTS, log)
        probe.require_accelerator()
        try:
            first = choose_first(probe, prepared.space.default)
        except SearchError:
            if not Study.is_in(folder):  # nothing was trained, so the name stays free
                shutil.rmtree(folder)
            raise
        trainer = Trainer(home, prepared.shared, target)
        study = Study(folder, settings, budget, prepared.space, probe, trainer, log)
        study.begin(first)
        result = _search(study, settings, log)
        write_figure(result.outcomes, budget, folder / FIGURE)
    return result


def choose_first(probe: CostProbe, default: Candidate) -> Candidate:
    """Return what is trained first: the default network by the default recipe where it is within the budget, else the
    largest that is, of those with its images. Raises SearchError where the smallest networks are not within it."""
    require_any(probe)
    wanted = default.architecture
    if probe.find(wanted).is_within:
        return default
    alike = [e for e in probe.counted if (e.image_size, e.channels) == (wanted.image_size, wanted.channels)]
    low, high = 0, len(alike)  # those before `low` are taken to be within, those from `high` on to be outside
    best: Architecture | None = None
    while low < high:
        middle = (low + high) // 2
        if probe.find(alike[middle]).is_within:
            best, low = alike[middle], middle + 1
        else:
            high = middle
    if best is None:
        best = next(each for each in probe.counted if (found := probe.find_evident(each)) and found.is_within)
    return Candidate(best, default.recipe)


def require_any(probe: CostProbe) -> None:
    """Raise SearchError unless a network is within the budget; the smallest ones are measured first."""
    for architecture in probe.counted:
        if probe.find(architecture).is_within:
            return
    nearest = min(probe.measured, key=lambda each: probe.budget.excess(probe.measured[each]), default=None)
    if nearest is None:
        smallest = next(iter(probe.counted))
        reason = f"the smallest, {smallest}: {probe.find(smallest).reason}"
    else:
        reason = f"the nearest, {nearest}: {format_costs(probe.measured[nearest], probe.budget.names)}"
    raise SearchError(f"no network is within {probe.budget.describe(probe.target.where)}; {reason}")


def find_folder(home: Path, settings: SearchSettings, request: dict[str, Any], log: Log) -> Path:
    """Return the folder of the search that `request` describes: the one that was begun by the same, or a new one.
    Raises UsageError for a --name that something else has."""
    stem = settings.name or f"search-{Path(settings.data).expanduser().name or 'data'}"
    number = 1
    while True:
        folder = home / (stem if number == 1 else f"{stem}-{number}")
        if (folder / REQUEST).is_file():
            begun = json.loads((folder / REQUEST).read_text(encoding="utf-8"))
            if begun == request:
                log(f"search: goes on with {folder}")
                return folder
            if settings.name:
                raise UsageError(
                    f"--name {settings.name}: {folder} is a search with other settings:"
                    f" {_list_differences(begun, request)}; choose another name, or give the settings that it was begun"
                    " with"
                )
        elif settings.name or not folder.exists():
            require_free(home, folder.name)
            with write_atomically(folder / REQUEST) as temporary:
                temporary.write_text(json.dumps(request, indent=2) + "\n", encoding="utf-8")
            log(f"search: {folder}")
            return folder
        number += 1


def _request(settings: SearchSettings, target: Target, prepared: Prepared) -> dict[str, Any]:
    """Return what has to be the same in a search that goes on, as JSON has it; when it ends may differ."""
    request = {
        "data": settings.data,
        "budget": str(Budget.parse(settings.budget)),
        "file": target.file.name,
        "where": target.place_settings,
        "max_drop": settings.max_drop,
        "sampler": settings.sampler,
        "seed": settings.seed,
        "classes": prepared.classes,
        SPACE: prepared.space.to_dict(),
    }
    document: dict[str, Any] = json.loads(json.dumps(request))
    return document


def _list_differences(begun: Mapping[str, Any], request: Mapping[str, Any]) -> str:
    """Return in words what differs between two requests: "max_drop was 1.0, is 2.0; …"."""
    pairs = [(name, begun.get(name), value) for name, value in request.items() if name != SPACE]
    pairs += [(name, begun.get(SPACE, {}).get(name), value) for name, value in request.get(SPACE, {}).items()]
    return "; ".join(
        f"{name.replace('_', ' ')} was {_format_value(old)}, is {_format_value(new)}"
        for name, old, new in pairs
        if old != new
    )


def _format_value(value: Any) -> str:
    """Return a value of a request in words."""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _search(study: Study, settings: SearchSettings, log: Log) -> SearchResult:
    """Try candidates until the search ends, or is interrupted. Raises ExportError where the device has gone."""
    began, done = time.monotonic(), study.count_trained()
    total = None if settings.hours else settings.trials or DEFAULT_TRIALS
    if total is not None and done >= total:
        log(f"{counted(done, 'candidate')} trained already; a larger --trials continues the search")
    is_interrupted = False
    try:
        with show_progress(None if total is None else max(0, total - done), "candidates", "searching") as advance:
            while total > done if total is not None else time.monotonic() - began < 3600 * (settings.hours or 0):
                outcome = study.try_next()
                done += 1
                seconds = time.monotonic() - began
                left = _estimate_left(settings, total, done, study, seconds)
                log(f"{done}{f' of {total}' if total else ''}: {outcome}; {left}")
                advance(1, f"best {_describe_best(study)}")
                _save(study, settings, began, is_interrupted=False)
                _free_memory()
    except (KeyboardInterrupt, TrainingInterrupted, TrainingStopped):
        is_interrupted = True
    except ExportError:
        _save(study, settings, began, is_interrupted=True)
        log(f"search: the same command goes on with {study.folder}")
        raise
    return _save(study, settings, began, is_interrupted)


def _save(study: Study, settings: SearchSettings, began: float, is_interrupted: bool) -> SearchResult:
    """Write what is known of all trials, and return it."""
    outcomes = tuple(study.list_outcomes())
    left_out = {each.candidate.architecture: each.reason for each in outcomes if each.state == REJECTED}
    result = SearchResult(
        study.folder,
        study.trainer.home,
        study.budget,
        study.trainer.target.where,
        outcomes,
        left_out,
        is_interrupted,
        time.monotonic() - began,
    )
    with write_atomically(study.folder / TRIALS) as temporary:
        temporary.write_text(json.dumps(result.as_dict(), indent=2) + "\n", encoding="utf-8")
    return result


def _estimate_left(settings: SearchSettings, total: int | None, done: int, study: Study, seconds: float) -> str:
    """Return how long the search will go on, in words."""
    if total is None:
        left = max(0.0, 3600 * (settings.hours or 0) - seconds)
    else:
        durations = [each.seconds for each in study.list_outcomes() if each.state in TRAINED]
        left = (total - done) * sum(durations) / len(durations)
    return f"about {round(left / 60)} min left" if left >= 60 else f"about {round(left)} s left"


def _describe_best(study: Study) -> str:
    best = recommend(study.list_outcomes(), study.budget)
    return f"{best.accuracy:.2%}" if best else "none yet"


def _free_memory() -> None:
    """Give back what Keras keeps of networks that were built."""
    import keras

    keras.utils.clear_session()
    gc.collect()


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Keep other processes out of the search in `folder`. Raises RunError where one is in it."""
    if holder := find_lock_holder(folder):
        raise RunError(f"{folder} is being searched by {holder}: wait for it, or stop it")
    with lock_run(folder):
        yield
