"""`kresnet predict`: predictions for images, videos and cameras."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click

from keras_resnet.cli import console
from keras_resnet.cli.command import Command, GroupedOption, format_examples
from keras_resnet.cli.heat_maps import add_explain_options, explain_images, require_explain
from keras_resnet.cli.options import complete_run_names, json_option, runs_option, tta_option
from keras_resnet.cli.outputs import prepare_save
from keras_resnet.cli.targets import find_predictor, log_newest, name_missing_target
from keras_resnet.config.option_groups import COMMON, VIDEO
from keras_resnet.errors import UsageError
from keras_resnet.runtime.runtimes import INTERPRETER, RUNTIMES


@click.command(
    cls=Command,
    epilog=format_examples(
        "kresnet predict RUN photo.jpg",
        "kresnet predict exports/int8.tflite photo.jpg --top 3 --json",
        "kresnet predict RUN street.mp4 --save found.mp4 --threshold 0.5",
    ),
)
@click.argument("typed", nargs=-1, metavar="[RUN|FILE] IMAGE|FOLDER|VIDEO...", shell_complete=complete_run_names)
@click.option(
    "--top",
    type=click.IntRange(1),
    help="Number of classes or objects to print [default: 5 classes, or all objects].",
    cls=GroupedOption,
    group=COMMON,
)
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    metavar="X",
    help="Show only labels or objects of this probability or more, 0 to 1 [default: the fitted thresholds of"
    " objects and of --task multilabel, 0.3 for objects before kresnet calibrate, none for a classifier].",
    cls=GroupedOption,
    group=COMMON,
)
@click.option(
    "--reject",
    is_flag=True,
    help='Print "unknown" first for images that are of none of the classes, by the rule of kresnet calibrate.',
    cls=GroupedOption,
    group=COMMON,
)
@click.option(
    "--save",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Save a copy with the predictions drawn into it; of several files, a folder of copies.",
    cls=GroupedOption,
    group=COMMON,
)
@add_explain_options
@click.option(
    "--runtime",
    type=click.Choice(tuple(RUNTIMES)),
    default=INTERPRETER,
    show_default=True,
    metavar="NAME",
    help="Runtime of a .tflite file: interpreter (LiteRT) or openvino (extra: openvino).",
    cls=GroupedOption,
    group=COMMON,
)
@click.option(
    "--camera",
    metavar="NUMBER",
    help="Predict the frames of this camera instead, given by its number or address.",
    cls=GroupedOption,
    group=VIDEO,
)
@click.option(
    "--every",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Take every Nth frame.",
    cls=GroupedOption,
    group=VIDEO,
)
@click.option(
    "--frames",
    type=click.IntRange(1),
    help="Stop after N frames [default: at the end of the video].",
    cls=GroupedOption,
    group=VIDEO,
)
@tta_option
@runs_option
@json_option
def predict(typed: tuple[str, ...], camera: str | None, save: Path | None, runs: str | None, **options: Any) -> None:
    """Predict what images and videos show, and where.

    Uses the Keras model of a run, by default of the newest one, or an exported file; a .tflite file needs no
    TensorFlow. A folder stands for all images in it. A damaged image is named and skipped, and the exit code is then 1.
    Videos and cameras need OpenCV (extra: video). --explain shows which parts of an image a prediction rests on; it
    needs the run.
    """
    from keras_resnet.export.predict import (
        PredictOptions,
        load_predictor,
        predict_files,
        predict_video,
        require_any_image,
        resolve_inputs,
    )
    from keras_resnet.export.tta import require_single_images
    from keras_resnet.run import runs_home
    from keras_resnet.runtime.predictions import format_predictions
    from keras_resnet.runtime.video import is_video

    require_single_images(options["tta"], options["reject"])
    target, images = find_predictor(runs, typed) if typed or camera else ("", ())
    if bool(images) == bool(camera):
        received = f"{' '.join(typed)}{' and --camera' if camera else ' alone'}" if typed else "nothing"
        raise UsageError(
            "predict needs a run or an exported file, and then images: kresnet predict RUN photo.jpg, or kresnet"
            " predict int8.tflite photo.jpg. Without the run or file, the newest run predicts; in place of images, it"
            f" takes folders, videos or --camera NUMBER. Received: {received}"
        )
    if camera and save and not options["frames"] and not options["explain"]:
        raise UsageError("--save with --camera needs --frames: the number of frames to record")
    if options["explain"]:
        explain_images(
            target, images, save, runs, is_named=bool(typed and target == typed[0]), camera=camera, **options
        )
        return
    require_explain(options)
    with name_missing_target(runs, target):
        sources = resolve_inputs(images, save) if images else []
        require_any_image(sources, console.log)
    if (options["every"] != 1 or options["frames"]) and images and not any(is_video(each.name) for each in sources):
        named = "--every" if options["every"] != 1 else "--frames"
        raise UsageError(f"{named} is for videos and cameras; {sources[0].name} is an image")
    if options["threshold"] is not None and math.isnan(options["threshold"]):
        raise UsageError("--threshold must be from 0 to 1. Received: nan")
    if save:
        is_folder = bool(sources) and sources[0].save != save
        if is_folder and save.is_file():
            raise UsageError(f"--save of several images must be a folder; {save} is a file")
        prepare_save(save, is_folder)
    log_newest(target, typed and target == typed[0])
    predictor = load_predictor(
        target, runs_home(runs), options["runtime"], options["tta"], console.log, options["reject"]
    )
    how = PredictOptions(options["top"], options["threshold"], options["every"], options["frames"], options["reject"])
    if camera:
        rows = predict_video(predictor, camera, how, save)
    else:
        rows = predict_files(predictor, sources, how, console.log)
    for row in rows:
        if options["as_json"]:
            console.emit_json_line(row)
        else:
            frame = f", {row['seconds']:.2f} s" if "frame" in row else ""
            words = format_predictions(row["predictions"], predictor.card.postprocessor.nothing)
            console.emit(f"{row['image']}{frame}: {words}")
