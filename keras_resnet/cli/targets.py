"""Find the run or the file that an argument names; say what it is where it is something else, and what was meant."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from keras_resnet.cli import console
from keras_resnet.errors import DataError, KresnetError, RunError, UsageError
from keras_resnet.metrics.outcome import ACCEPTED
from keras_resnet.run import Run, runs_home
from keras_resnet.runtime.image_files import image_suffixes
from keras_resnet.runtime.missing_files import looks_like_file
from keras_resnet.runtime.video import is_video

# Files of networks and weights, by their suffix, that no command runs.
MODEL_KINDS = {
    ".keras": "a Keras model",
    ".h5": "a Keras model",
    ".pth": "a PyTorch file",
    ".pt": "a PyTorch file",
    ".safetensors": "a file of weights",
}


def find_run(runs: str | None, name: str | None) -> Run:
    """Return the run called `name`, or the newest, in the home `runs`. Raises RunError if there is none, UsageError,
    with what was meant, if `name` is a file or a folder of something else."""
    home = runs_home(runs)
    try:
        return Run.find(home, name)
    except RunError:
        if name is None or not Path(name).exists():
            raise
    raise UsageError(f"{_describe(Path(name))}; {_command()} takes a run, by its name or its folder")


def log_newest(run: str, named: object) -> None:
    """Log that `run` is taken because none was `named`; to be called once all that was asked for has been checked."""
    if not named:
        console.log(f"run: {run} (the newest)")


def find_file(runs: str | None, file: Path | None) -> Path:
    """Return `file`. Raises UsageError, with what was meant, if it is None, a run, an image or a model and no exported
    file."""
    home = runs_home(runs)
    if file is None:
        newest = next(iter(Run.all(home)), None)
        raise UsageError(f"{_command()} takes an exported file{_name_file(newest) if newest else ''}")
    run = find_named_run(runs, file)
    if run is None and not (_is_image(file) or _is_model(file)):
        return file
    if run is None:
        raise UsageError(f"{_describe(file)}; {_command()} takes an exported file, such as int8.tflite")
    raise UsageError(f"{file} is a run; {_command()} takes one of its exported files{_name_file(run)}")


def refuse_run(runs: str | None, data: str) -> None:
    """Raise UsageError, with what was meant, if `data` is the name or the folder of a run."""
    if find_named_run(runs, Path(data)):
        raise UsageError(f"{data} is a run; its data are checked by: {_command()} --run {data}")


def find_target(runs: str | None, target: str | None, of_run: str | None) -> str:
    """Return `target`, the run or file that is asked for, or the name of the newest run. Raises RunError if there is
    none, UsageError, with what was meant, if `target` is an image, a model or a folder, or a run though `of_run` is
    another one's name, which is for files."""
    if target is None:
        target = find_run(runs, None).name
    if _is_of_images(runs, Path(target)) or _is_model(Path(target)):
        raise UsageError(f"{_describe(Path(target))}; {_command()} takes a run or an exported file")
    if of_run is not None and find_named_run(runs, Path(target)):
        raise UsageError(f"--run says which run an exported file is of; {target} is a run itself")
    return target


def find_predictor(runs: str | None, typed: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Return (what predicts, images) of the words `typed`: a run or file and images, or images alone, which the newest
    run predicts. Raises UsageError, with what was meant, if the run or file does not come first or is none, RunError if
    there is none, DataError if a file alone is not there."""
    if typed and not (_is_of_images(runs, Path(typed[0])) or is_video(typed[0])):
        _require_predictor(runs, typed[0], is_alone=len(typed) == 1)
        return typed[0], typed[1:]
    for name in typed:
        if find_named_run(runs, Path(name)) or _is_exported(Path(name)):
            raise UsageError(f"the run or exported file comes first: kresnet predict {name} {typed[0]}")
    return find_run(runs, None).name, typed


def _require_predictor(runs: str | None, name: str, is_alone: bool) -> None:
    """Raise UsageError for a file that is neither an image nor what predicts, DataError where nothing lies at a path
    that stands alone."""
    path = Path(name)
    if find_named_run(runs, path) or _is_exported(path):
        return
    if _is_model(path):
        raise UsageError(f"{_describe(path)}; {_command()} takes a run or an exported file, such as int8.tflite")
    if path.is_file():
        raise UsageError(
            f"{name} is not an image, a video, a run or an exported file; {_command()} takes a run or an exported file,"
            " and images or videos: kresnet predict RUN photo.jpg"
        )
    if is_alone and not path.exists() and looks_like_file(name) and not _is_named_as_exported(path):
        raise DataError(f"cannot read {name}: no such file or folder")


@contextmanager
def name_missing_target(runs: str | None, target: str) -> Iterator[None]:
    """Let an error about something else be preceded by what is wrong with `target`, if it is neither a file nor a
    run."""
    try:
        yield
    except KresnetError as error:
        from keras_resnet.export.load import is_exported_file

        try:
            if not is_exported_file(target):
                Run.find(runs_home(runs), target)
        except RunError as missing:
            raise type(error)(f"{missing}; {error}") from None
        raise


def _describe(path: Path) -> str:
    """Return what `path` is, and the command that takes it."""
    if _is_image(path):
        return f"{path} is an image (kresnet predict RUN {path} says what it shows)"
    if _is_exported(path):
        return f"{path} is an exported file (kresnet verify, inspect and predict take it)"
    if path.is_dir():
        return f"{path} is a folder but no run (kresnet train --data {path} trains on the images in it)"
    owner = next((folder for folder in path.resolve().parents if (folder / "spec.json").is_file()), None)
    if owner and _is_model(path):
        return f"{path} is the model of run {owner.name} (kresnet report, evaluate and predict take {owner.name})"
    if _is_model(path):
        kind = MODEL_KINDS[path.suffix.lower()]
        start = f"kresnet train --weights {path} starts from its weights, if they are those of a ResNet"
        return f"{path} is {kind}, which kresnet does not run ({start})"
    return f"{path} is a file of run {owner.name}" if owner else f"{path} is a file"


def _name_file(run: Run) -> str:
    """Return what goes on a sentence about exported files: an example of those of `run`, or how to write some."""
    rows = sorted(run.verdicts(), key=lambda row: row["verdict"] not in ACCEPTED)
    return f", such as {run.exports / rows[0]['file']}" if rows else f"; write them with: kresnet export {run.name}"


def _is_of_images(runs: str | None, path: Path) -> bool:
    """Return whether `path` is an image, or a folder that is neither a run nor an exported one."""
    is_other = find_named_run(runs, path) is not None or _is_exported(path)
    return not is_other and (_is_image(path) or path.is_dir())


def find_named_run(runs: str | None, path: Path) -> Run | None:
    """Return the run whose name or folder `path` is; None where it is none."""
    folders = (runs_home(runs) / path, path)
    return next((Run(folder) for folder in folders if (folder / "spec.json").is_file()), None)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in image_suffixes()


def _is_model(path: Path) -> bool:
    return path.suffix.lower() in MODEL_KINDS and path.is_file()


def _is_exported(path: Path) -> bool:
    return path.exists() and _is_named_as_exported(path)


def _is_named_as_exported(path: Path) -> bool:
    from keras_resnet.export.formats import recognize_format

    return recognize_format(path) is not None


def _command() -> str:
    return click.get_current_context().command_path
