"""`kresnet predict --explain`: heat maps of what predictions rest on, as pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from keras_resnet.cli import console
from keras_resnet.cli.command import GroupedOption
from keras_resnet.cli.outputs import prepare_save
from keras_resnet.cli.targets import log_newest, name_missing_target
from keras_resnet.config.option_groups import EXPLANATION
from keras_resnet.errors import DataError, UsageError
from keras_resnet.explanation.methods import METHODS
from keras_resnet.run.folders import require_creatable

if TYPE_CHECKING:
    from keras_resnet.api.explaining import Explanation
    from keras_resnet.export.predict import Input
    from keras_resnet.run import Run

# Where pictures go that --save names no place for.
FOLDER = Path("heatmaps")
# Options of `predict` that heat maps cannot be combined with.
OTHERS = ("top", "threshold", "reject", "tta", "runtime", "camera", "every", "frames")
_OPTIONS = (
    click.option(
        "--explain",
        is_flag=True,
        help="Save a heat map of each image: which parts of it the prediction rests on.",
        cls=GroupedOption,
        group=EXPLANATION,
    ),
    click.option(
        "--method",
        type=click.Choice(tuple(METHODS)),
        help="How the heat map is made [default: gradcam; layercam for objects].",
        cls=GroupedOption,
        group=EXPLANATION,
    ),
    click.option(
        "--layer",
        metavar="NAME",
        help="Layer whose feature map the heat map is made of; earlier ones are finer [default: the last one].",
        cls=GroupedOption,
        group=EXPLANATION,
    ),
    click.option(
        "--label",
        metavar="NAME",
        help="Explain the score of this class or label [default: the predicted one].",
        cls=GroupedOption,
        group=EXPLANATION,
    ),
    click.option(
        "--object",
        type=click.IntRange(1),
        metavar="N",
        help="Explain the N-th object that a detector finds, the most confident first [default: 1].",
        cls=GroupedOption,
        group=EXPLANATION,
    ),
)
# Of these, those that say how.
DETAILS = ("method", "layer", "label", "object")


def add_explain_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options of heat maps to a command."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def require_explain(options: dict[str, Any]) -> None:
    """Raise UsageError for an option of heat maps where none are asked for."""
    for name in DETAILS:
        if options[name] is not None:
            raise UsageError(f"--{name} is for heat maps: add --explain")


def explain_images(target: str, images: Sequence[str], save: Path | None, runs: str | None, **options: Any) -> None:
    """Write a heat map of each of `images` by the run `target`, and print a line about it.

    A damaged image is named and skipped, as one without the object that is asked for. Raises UsageError for an exported
    file, and for options that are not of heat maps; DataError in the end where images are damaged.
    """
    from keras_resnet.export.load import is_exported_file
    from keras_resnet.run import Run, runs_home

    is_given = click.get_current_context().get_parameter_source
    if given := next((name for name in OTHERS if is_given(name) is not ParameterSource.DEFAULT), None):
        raise UsageError(f"--{given} cannot be combined with --explain, which explains one score of each image")
    if is_exported_file(target):
        raise UsageError(
            f"{target} is an exported file, which has no gradients to make heat maps of; name its run: kresnet predict"
            " RUN photo.jpg --explain"
        )
    with name_missing_target(runs, target):
        sources = _resolve_pictures(images, save)
    run = Run.find(runs_home(runs), target)
    run.require_finished()
    log_newest(target, options["is_named"])
    for explanation, path in _explain_files(run, sources, options):
        if options["as_json"]:
            console.emit_json_line({**explanation.as_dict(), "saved": str(path)})
        else:
            console.emit(f"{explanation}: {path}")


def _explain_files(run: Run, sources: Sequence[Input], options: dict[str, Any]) -> Iterator[tuple[Explanation, Path]]:
    """Yield the heat map of each image, with the picture of it that was written."""
    from keras_resnet.api.explaining import explain_image_file, write_picture
    from keras_resnet.evaluation.evaluate import load_model
    from keras_resnet.explanation.heat_map import Explainer
    from keras_resnet.explanation.targets import MissingObjectError, Question
    from keras_resnet.export.predict import build_run_metadata
    from keras_resnet.runtime.inputs import UnreadableFiles

    card = build_run_metadata(run)
    question = Question(options["label"], options["object"])
    question.require_valid(card)
    explainer = Explainer(load_model(run), card, options["method"], options["layer"])
    if words := explainer.describe_choices():
        console.log(words)
    damaged = UnreadableFiles(len(sources), console.log)
    for source in sources:
        assert source.save is not None
        try:
            explanation = explain_image_file(explainer, source.name, question)
        except DataError as error:
            damaged.add(error)
            continue
        except MissingObjectError as error:
            if len(sources) == 1:
                raise
            console.log(f"{source.name} is left out: {error}")
            continue
        write_picture(explanation.side_by_side(), source.save)
        yield explanation, source.save
    damaged.require_none()


def _resolve_pictures(images: Sequence[str], save: Path | None) -> list[Input]:
    """Return the images, and where the picture of each goes: to the file that --save names for one image, else into a
    folder, which is that of --save or FOLDER."""
    from keras_resnet.explanation.targets import refuse_video
    from keras_resnet.export.predict import resolve_inputs

    for name in images:
        refuse_video(name)
    is_one = len(images) == 1 and not Path(images[0]).is_dir()
    is_file = save is not None and bool(save.suffix) and not save.is_dir()
    if is_file and not is_one:
        raise UsageError(f"--save must name a folder for the heat maps of several images. Received: {save}")
    folder = save or FOLDER
    path = folder / f"{Path(images[0]).stem}.png" if is_one and not is_file else folder
    sources = resolve_inputs(images, path)
    if save is None:
        console.log(f"heat maps: {folder}/ (--save names another folder or file)")
        require_creatable(folder)
    else:
        prepare_save(folder, is_folder=not is_file)
    return sources
