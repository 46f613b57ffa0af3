"""Find the run or the file that an argument names; say what it is where it is something else, and what was meant."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from keras_resnet.errors import KresnetError, RunError, UsageError
from keras_resnet.metrics.outcome import ACCEPTED
from keras_resnet.run import Run, runs_home
from keras_resnet.runtime.image_files import image_suffixes


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


def find_file(runs: str | None, file: Path, or_else: str = "") -> Path:
    """Return `file`. Raises UsageError, with what was meant, if it is a run or an image and no exported file. or_else:
    what makes the command take a run after all."""
    home = runs_home(runs)
    run = _find_named_run(home, file)
    if run is None and not _is_image(file):
        return file
    if run is None:
        raise UsageError(f"{_describe(file)}; {_command()} takes an exported file, such as int8.tflite")
    rows = sorted(run.verdicts(), key=lambda row: row["verdict"] not in ACCEPTED)
    example = f", such as {run.exports / rows[0]['file']}" if rows else f"; write them with: kresnet export {run.name}"
    raise UsageError(f"{file} is a run; {_command()} takes one of its exported files{example}{or_else}")


def refuse_run(runs: str | None, data: str) -> None:
    """Raise UsageError, with what was meant, if `data` is the name or the folder of a run."""
    if _find_named_run(runs_home(runs), Path(data)):
        raise UsageError(f"{data} is a run; its data are checked by: {_command()} --run {data}")


def require_target(runs: str | None, target: str) -> None:
    """Raise UsageError, with what was meant, if `target` is an image or a folder rather than a run or a file."""
    if _is_of_images(runs_home(runs), Path(target)):
        raise UsageError(f"{_describe(Path(target))}; {_command()} takes a run or an exported file")


def require_predictor(runs: str | None, target: str, images: tuple[str, ...]) -> None:
    """Raise UsageError, with what was meant, if `target` is an image or a folder of images and no run or file."""
    home = runs_home(runs)
    if not _is_of_images(home, Path(target)):
        return
    swapped = [name for name in images if _find_named_run(home, Path(name)) or _is_exported(Path(name))]
    first = swapped[0] if swapped else "RUN"
    raise UsageError(f"the run or exported file comes first: kresnet predict {first} {target}")


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
    return f"{path} is a file of run {owner.name}" if owner else f"{path} is a file"


def _is_of_images(home: Path, path: Path) -> bool:
    """Return whether `path` is an image, or a folder that is neither a run nor an exported one."""
    is_other = _find_named_run(home, path) is not None or _is_exported(path)
    return not is_other and (_is_image(path) or path.is_dir())


def _find_named_run(home: Path, path: Path) -> Run | None:
    folders = (home / path, path)
    return next((Run(folder) for folder in folders if (folder / "spec.json").is_file()), None)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in image_suffixes()


def _is_exported(path: Path) -> bool:
    from keras_resnet.export.formats import recognize_format

    return path.exists() and recognize_format(path) is not None


def _command() -> str:
    return click.get_current_context().command_path
