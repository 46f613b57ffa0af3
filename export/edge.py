"""`kresnet-edge`: exported files on a device. Needs LiteRT, NumPy and Pillow only, and OpenCV for a camera."""

from __future__ import annotations

import argparse
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from keras_resnet.answers import decoded, in_words
from keras_resnet.data.images import image_files, placed, read_image
from keras_resnet.errors import DataError, ExportError, KresnetError
from keras_resnet.export.runtime import TFLiteModel
from keras_resnet.export.video import frames_of

LARGEST_REQUEST = 64 * 2**20


def main(arguments: list[str] | None = None) -> int:
    """Entry point; the exit code is 2 for usage and 1 for failure, with one sentence."""
    options = _parser().parse_args(arguments)
    try:
        options.run(TFLiteModel(options.file, options.threads), options)
    except KresnetError as error:
        print(f"kresnet-edge: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


def answers(model: TFLiteModel, images: list[Image.Image], top: int | None) -> list[list[dict[str, Any]]]:
    """What the file says of each of `images`: the likeliest labels, with a box where it finds one."""
    card = model.card
    pixels = np.stack([placed(image, card.task, card.resize, card.image_size) for image in images])
    return decoded(card, model(pixels), top, [image.size for image in images])


def _predict(model: TFLiteModel, options: argparse.Namespace) -> None:
    files = [file for name in options.images for file in _files(Path(name))]
    if not files:
        raise DataError(f"there are no images in {', '.join(options.images)}")
    for start in range(0, len(files), options.batch):
        part = files[start : start + options.batch]
        for file, found in zip(
            part, answers(model, [read_image(file, model.card.levels) for file in part], options.top), strict=True
        ):
            _tell(str(file), found, options.json)


def _camera(model: TFLiteModel, options: argparse.Namespace) -> None:
    """The frames of a camera, until there are no more."""
    for frame in islice(frames_of(options.device), options.frames):
        _tell(f"frame {frame.number}", answers(model, [frame.image], options.top)[0], options.json)


def _serve(model: TFLiteModel, options: argparse.Namespace) -> None:
    """POST an image file, get JSON."""
    server = server_of(model, options.host, options.port, options.top)
    print(f"kresnet-edge: POST an image to http://{options.host}:{server.server_port}/", file=sys.stderr, flush=True)
    server.serve_forever()


def server_of(model: TFLiteModel, host: str, port: int, top: int | None) -> ThreadingHTTPServer:
    """A server that answers POSTed images with {"predictions": […]}; one inference at a time."""
    import threading

    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not length.isdigit() or int(length) > LARGEST_REQUEST:
                self._answer(413 if length.isdigit() else 411, {"error": f"POST at most {LARGEST_REQUEST} bytes"})
                return
            try:
                image = read_image(self.rfile.read(int(length)), model.card.levels)
            except DataError as error:
                self._answer(400, {"error": str(error)})
                return
            with lock:
                found = answers(model, [image], top)[0]
            self._answer(200, {"predictions": found})

        def _answer(self, code: int, document: dict[str, Any]) -> None:
            body = json.dumps(document).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *values: Any) -> None:
            """Quiet: what is asked is nobody's business."""

    try:
        return ThreadingHTTPServer((host, port), Handler)
    except OSError as error:
        raise ExportError(f"cannot listen on {host}:{port}: {error.strerror}") from error


def _files(path: Path) -> list[Path]:
    """The file itself, or all images in a folder and below."""
    if not path.is_dir():
        return [path]
    return image_files(path)[0]


def _tell(name: str, found: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print(json.dumps({"image": name, "predictions": found}), flush=True)
    else:
        print(f"{name}: {in_words(found)}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kresnet-edge", description="Run .tflite files that kresnet exported.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, run, words in (
        ("predict", _predict, "name what images show; of folders, all in them"),
        ("camera", _camera, "name what a camera sees (needs OpenCV)"),
        ("serve", _serve, "answer images POSTed over HTTP"),
    ):
        command = commands.add_parser(name, help=words, description=words)
        command.add_argument("file", type=Path, help="a .tflite file")
        command.add_argument("--threads", type=_positive, help="default: all")
        command.add_argument("--top", type=_positive, help="how many labels (default 5) or objects (all) to name")
        command.set_defaults(run=run)
        if name == "predict":
            command.add_argument("images", nargs="+")
            command.add_argument("--batch", type=_positive, default=1, help="images given to the file at a time")
        if name == "camera":
            command.add_argument("--device", default="0", help="number of a camera, or a video file (default 0)")
            command.add_argument("--frames", type=_positive, help="default: until there are no more")
        if name == "serve":
            command.add_argument("--host", default="127.0.0.1")
            command.add_argument("--port", type=int, default=8000)
        else:
            command.add_argument("--json", action="store_true", help="one JSON object a line")
    return parser


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more. Received: {text}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
