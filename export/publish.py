"""Publish a run on the Hugging Face hub: its card, model, exported files that passed, labels, scripts and verdicts, in
one commit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from keras_resnet.errors import ExportError, UsageError
from keras_resnet.export.artifacts import CLASSIFIER_SCRIPTS, DETECTOR_SCRIPTS
from keras_resnet.export.hub_card import HubCard, public_rows
from keras_resnet.export.hub_client import PublishedFile, RemoteState, connect
from keras_resnet.export.load import file_size
from keras_resnet.export.public_documents import compile_private_paths, publish_spec, publish_verdicts
from keras_resnet.export.publish_settings import PublishSettings
from keras_resnet.export.robustness import choose_files
from keras_resnet.pretrained.hub_repository import (
    CARD_FILE,
    DESCRIPTION_FILE,
    DESCRIPTION_FORMAT,
    FORM,
    MODEL_FILE,
    VERDICTS_FILE,
    HubRepository,
)
from keras_resnet.progress import Log
from keras_resnet.reporting.recommend import DescribedVerdict, describe_verdicts
from keras_resnet.run import Run
from keras_resnet.run.run_files import REJECTED
from keras_resnet.runtime.plurals import counted, format_bytes
from keras_resnet.tasks import TASKS

LABELS_FILE = "labels.txt"


def parse_destination(text: str) -> HubRepository:
    """Return the repository that a run is published to. Raises UsageError for a name that is none, or has a
    revision."""
    repository = HubRepository.parse(text)
    if repository.revision:
        raise UsageError(f"a run is published to the main branch: {FORM} without @REVISION. Received: {text!r}")
    return repository


def publish(run: Run, destination: str, settings: PublishSettings, log: Log) -> str:
    """Publish `run` at `destination`, "hf:USER/NAME", in one commit, and return its address.

    All is checked before anything is sent, what is sent is logged, and nothing of it is there where the hub does not
    take all. Raises UsageError for a name that is none and for files that there are not, RunError for a run that is not
    finished, ExportError for files that are not within their budget or not those of their verdicts, HubError where the
    hub cannot be reached or refuses.
    """
    repository = parse_destination(destination)
    run.require_finished()
    rows = _select_rows(run, settings.files)
    files = list(_collect_files(run, rows, repository, settings))
    _require_nothing_private(run, files)
    hub = connect(repository)
    state = hub.look()
    if state.exists and settings.private and not state.is_private:
        raise UsageError(
            f"{repository} is there already, and public; --private is for a new repository. Its settings make it"
            f" private: {repository.address}/settings"
        )
    outdated = hub.list_outdated(state, files)
    _log_contents(files, outdated, state, repository, settings, log)
    message = settings.message or f"Publish {run.name} by kresnet"
    hub.commit(state, files, outdated, message, private=settings.private)
    return repository.address


def _select_rows(run: Run, names: Sequence[str]) -> list[DescribedVerdict]:
    """Return the verdicts on the files to publish: those called `names`, or all that passed."""
    rows = {row["file"]: row for row in describe_verdicts(run)}
    for name in names:
        rejected = rows.get(f"{REJECTED}/{name}")
        if rejected is not None and name not in rows:
            raise ExportError(f"{name} is not within its budget, and only files that passed are published")
    for name in run.changed_files():
        if (not names and Path(name).parts[0] != REJECTED) or {name, Path(name).stem} & set(names):
            raise ExportError(run.describe_changed(name))
    chosen = [rows[file.name] for file in choose_files(run, names)]
    for row in chosen:  # of a folder, where a verdict of an earlier version has no hash, its format knows the size
        if file_size(run.exports / row["file"]) != row["bytes"]:
            raise ExportError(run.describe_changed(row["file"]))
    return chosen


def _collect_files(
    run: Run, rows: list[DescribedVerdict], repository: HubRepository, settings: PublishSettings
) -> Iterator[PublishedFile]:
    """Yield all files of the commit."""
    names = [row["file"] for row in rows]
    finds_objects = TASKS[run.spec().task].finds_objects()
    runs_alone = any(name.endswith(".tflite") for name in names)
    scripts = (DETECTOR_SCRIPTS if finds_objects else CLASSIFIER_SCRIPTS) if runs_alone else ()
    card = HubCard(run, public_rows(rows), repository, [each.name for each in scripts], settings.license)
    yield PublishedFile(CARD_FILE, card.render().encode(errors="backslashreplace"))
    yield PublishedFile(MODEL_FILE, run.model_file)
    for name in names:
        path = run.exports / name
        inside = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
        yield from (PublishedFile(each.relative_to(run.exports).as_posix(), each) for each in inside)
    yield PublishedFile(LABELS_FILE, run.labels_file)
    yield from (PublishedFile(script.name, script) for script in scripts)
    verdicts = [row for row in (*run.verdicts(), *run.device_verdicts()) if row["file"] in names]
    yield _as_json(VERDICTS_FILE, publish_verdicts(verdicts))
    document = run.document()
    yield _as_json(
        DESCRIPTION_FILE,
        {
            "format": DESCRIPTION_FORMAT,
            "created": document["created"][:10],
            "versions": document["versions"],
            "metrics": run.metrics(),
            "spec": publish_spec(run.spec()),
        },
    )


def _as_json(name: str, document: Any) -> PublishedFile:
    return PublishedFile(
        name, (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode(errors="backslashreplace")
    )


def _require_nothing_private(run: Run, files: Sequence[PublishedFile]) -> None:
    """Raise ExportError for a file that names a folder of this machine."""
    paths = compile_private_paths(run, run.spec())
    for file in files:
        if found := paths.search(file.read()):
            raise ExportError(
                f"{file.name} is not published: it holds {found[0].decode(errors='replace')}, a path of this machine;"
                " --files names the files to publish"
            )


def _log_contents(
    files: Sequence[PublishedFile],
    outdated: Sequence[str],
    state: RemoteState,
    repository: HubRepository,
    settings: PublishSettings,
    log: Log,
) -> None:
    """Log what is sent where, and who will see it."""
    is_private = state.is_private if state.exists else settings.private
    seen = "private" if is_private else "public: anybody can read it" + "; --private hides it" * (not state.exists)
    total = format_bytes(sum(file.size for file in files))
    where = "to" if state.exists else "to the new"
    log(f"publishing {counted(len(files), 'file')}, {total}, {where} {repository.address} ({seen})")
    for file in files:
        log(f"  {file.name}, {format_bytes(file.size)}{', replaces the one there' * (file.name in state.files)}")
    for name in outdated:
        log(f"  {name} is removed: it is of an earlier push, and not among these")
    if not settings.license and CARD_FILE not in state.files:
        log("license: none is stated (--license names one), so others may look at it, but not use it")
