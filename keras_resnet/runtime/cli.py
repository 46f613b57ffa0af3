"""Run exported files on a device: `kresnet-edge`. Needs LiteRT, NumPy and Pillow only, and OpenCV for a camera."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from contextlib import suppress
from difflib import get_close_matches
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from .errors import KresnetError, UsageError
from .image import Picture, read_image, size_of
from .inputs import UnreadableFiles, expand_paths, read_images, require_colors
from .native_log import without_notes
from .plurals import join_words
from .prediction_server import create_server
from .predictions import decode_predictions, format_predictions, require_rejection
from .printable import make_printable
from .runtimes import INTERPRETER, RUNTIMES, load_tflite
from .shares import suggest_share
from .tflite_model import TFLiteModel, require_file
from .threads import MAX_THREADS
from .video import read_frames

MAX_NUMBER = 10**9


def main(arguments: list[str] | None = None) -> int:
    """Run a command; the exit code is 2 for usage and 1 for failure, with one sentence."""
    for stream in filter(None, (sys.stdout, sys.stderr)):  # None where it is closed
        stream.reconfigure(errors="backslashreplace")
    try:
        options = _parser().parse_args(_find_command(sys.argv[1:] if arguments is None else arguments))
        require_file(options.file)
        if "images" in options:  # before the file is opened, which takes longer
            options.images = expand_paths(options.images)
        with without_notes():
            model = load_tflite(options.file, options.threads, options.runtime)
        if options.reject:
            require_rejection(model.card, options.file)
        options.run(model, options)
    except KresnetError as error:
        print(f"kresnet-edge: {make_printable(str(error))}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read the output has gone: nothing more can be written, at the end neither
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def predict(
    model: TFLiteModel, images: list[Picture], top: int | None, threshold: float | None = None, reject: bool = False
) -> list[list[dict[str, Any]]]:
    """Return the predictions for each image: the most likely labels, or objects with their boxes. top, threshold,
    reject: see `decode_predictions`."""
    card = model.card
    pixels = np.stack([card.preprocess(image) for image in images])
    return decode_predictions(card, model(pixels), top, [size_of(image) for image in images], threshold, reject)


def _predict(model: TFLiteModel, options: argparse.Namespace) -> None:
    damaged = UnreadableFiles(len(options.images), _log)
    images = read_images(options.images, damaged, model.card)
    while part := list(islice(images, options.batch)):
        every_found = predict(model, [image for _, image in part], options.top, options.threshold, options.reject)
        for (name, _), found in zip(part, every_found, strict=True):
            _print_predictions(name, found, model, options.json)
    damaged.require_none()


def _log(words: str) -> None:
    print(make_printable(f"kresnet-edge: {words}"), file=sys.stderr, flush=True)


def _camera(model: TFLiteModel, options: argparse.Namespace) -> None:
    """Predict the frames of a camera, until there are no more."""
    require_colors(model.card)
    for frame in islice(read_frames(options.device), options.frames):
        found = _predict_one(model, options, frame.image)
        _print_predictions(f"frame {frame.number}", found, model, options.json)


def _serve(model: TFLiteModel, options: argparse.Namespace) -> None:
    """Answer images that are POSTed with JSON."""
    about = {"file": options.file.name, "task": model.card.task, "labels": list(model.card.classes)}
    answer = partial(_predict_one, model, options)
    read = partial(read_image, levels=model.card.levels, channels=model.card.channels)
    with create_server(answer, about, options.host, options.port, read) as server:
        print(f"kresnet-edge: POST an image to {server.address}", file=sys.stderr, flush=True)
        server.serve_forever()


def _predict_one(model: TFLiteModel, options: argparse.Namespace, image: Picture) -> list[dict[str, Any]]:
    return predict(model, [image], options.top, options.threshold, options.reject)[0]


def _print_predictions(name: str, found: list[dict[str, Any]], model: TFLiteModel, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"image": name, "predictions": found}), flush=True)
    else:
        print(make_printable(f"{name}: {format_predictions(found, model.card.postprocessor.nothing)}"), flush=True)


_EXAMPLE = "kresnet-edge predict int8.tflite photo.jpg"
_COMMANDS = (
    ("predict", _predict, "predict what images show"),
    ("camera", _camera, "predict what a camera sees (needs OpenCV)"),
    ("serve", _serve, "predict images that are POSTed over HTTP, and respond with JSON"),
)


def _find_command(words: list[str]) -> list[str]:
    """Return the typed `words`, which begin with a command or an option; "help" asks for the help of the command behind
    it. Raises UsageError, with what may be meant, where they begin with something else."""
    names = [name for name, _, _ in _COMMANDS]
    if words[:1] == ["help"]:
        return [*(each for each in words[1:2] if each in names), "--help"]
    if not words:
        raise UsageError(f"needs a command, {join_words(names, 'or')}: {_EXAMPLE}. See: kresnet-edge --help")
    first, *rest = words
    if first in names or first.startswith("-"):
        return words
    if near := get_close_matches(first, names, 1):
        meant = [near[0], *rest]
    else:
        meant = ["predict", first, *(rest or ["photo.jpg"])] if Path(first).suffix or Path(first).exists() else []
    hint = f"Did you mean: kresnet-edge {' '.join(meant)}" if meant else "See: kresnet-edge --help"
    raise UsageError(f"the first word must be a command, {join_words(names, 'or')}. Received: {first}. {hint}")


class _Version(argparse.Action):
    """Print which version is installed, of this wheel or of kresnet."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        shown = "not installed"
        for name in ("kresnet", "kresnet-edge"):
            with suppress(PackageNotFoundError):
                shown = f"version {version(name)}"
        print(f"kresnet-edge, {shown}")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kresnet-edge", description="Run .tflite files that kresnet exported.")
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, run, words in _COMMANDS:
        command = commands.add_parser(name, help=words, description=words)
        command.add_argument("file", type=Path, help="a .tflite file")
        command.add_argument("--threads", type=_threads, help="number of CPU threads (default: all)")
        words = "what runs the file: LiteRT's interpreter (default), or OpenVINO if it is installed"
        command.add_argument("--runtime", choices=tuple(RUNTIMES), default=INTERPRETER, help=words)
        words = "number of labels or objects to print (default: 5 labels, or all objects)"
        command.add_argument("--top", type=_positive, help=words)
        words = (
            "least probability of what is printed, 0 to 1 (default: fitted where several labels apply and for objects,"
            " 0.3 for objects before kresnet calibrate)"
        )
        command.add_argument("--threshold", type=_probability, metavar="X", help=words)
        words = 'say "unknown" first of images that are of none of the classes, by the rule in the file'
        command.add_argument("--reject", action="store_true", help=words)
        command.set_defaults(run=run)
        if name == "predict":
            command.add_argument("images", nargs="+", help="image files, and folders of images")
            command.add_argument(
                "--batch", type=_positive, default=1, help="number of images to run at a time (default: 1)"
            )
        if name == "camera":
            command.add_argument("--device", default="0", help="number of a camera, or a video file (default: 0)")
            command.add_argument("--frames", type=_positive, help="stop after so many frames (default: at the end)")
        if name == "serve":
            command.add_argument("--host", default="127.0.0.1", help="address to listen at (default: 127.0.0.1)")
            command.add_argument("--port", type=_port, default=8000, help="port; 0 takes a free one (default: 8000)")
        else:
            command.add_argument("--json", action="store_true", help="print one JSON object per line")
    return parser


def _positive(text: str) -> int:
    return _number(text, range(1, MAX_NUMBER), "1 or more")


def _probability(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"must be from 0 to 1. Received: {text[:40]}{suggest_share(text)}")
    return number


def _threads(text: str) -> int:
    return _number(text, range(1, MAX_THREADS + 1), f"from 1 to {MAX_THREADS}")


def _port(text: str) -> int:
    return _number(text, range(65536), "from 0 to 65535")


def _number(text: str, allowed: range, words: str) -> int:
    # str.isdigit() is true for "²", and int() refuses what has thousands of digits.
    if not re.fullmatch("[0-9]{1,10}", text) or int(text) not in allowed:
        raise argparse.ArgumentTypeError(f"must be {words}. Received: {text[:40]}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
