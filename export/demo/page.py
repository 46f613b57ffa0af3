"""The page on which a run's exported files run in a browser, by LiteRT.js."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from PIL import Image

from keras_resnet import reporting
from keras_resnet.errors import ExportError, KresnetError, RunError
from keras_resnet.export.demo.server import Site
from keras_resnet.metrics.labels import metric_label
from keras_resnet.metrics.outcome import format_drop
from keras_resnet.progress import Log
from keras_resnet.reporting.recommend import describe_verdicts, recommend_file
from keras_resnet.run import Run
from keras_resnet.runtime import postprocess, predictions
from keras_resnet.runtime.plurals import counted
from keras_resnet.runtime.tflite_model import TFLiteModel
from keras_resnet.tasks import TASKS

# The npm packages that are served, and their version; scripts/web installs them.
LITERT = "2.5.3"
PACKAGES = ("core", "wasm-utils")
WEB = Path(__file__).with_name("web")
# Validation images on the page, and their largest sides in pixels: photographs would take hundreds of megabytes.
SAMPLES, LONGEST = 20, 1024
SEED = 0
# It brings tall images to their height first, see preprocess.js.
PILLOW_13 = int(PIL.__version__.partition(".")[0]) >= 13
# What postprocess.py does, for postprocess.js.
RULES = {
    "named": predictions.DEFAULT_TOP,
    "shown": postprocess.DISPLAY_THRESHOLD,
    "guesses": postprocess.MAX_GUESSES,
    "most": postprocess.MAX_DETECTIONS,
    "candidates": postprocess.MAX_CANDIDATES,
    "overlap": postprocess.NMS_IOU,
    "ground": postprocess.BACKGROUND_LOGIT,
    "around": postprocess.MASK_MARGIN,
    "reach": postprocess.COORDINATE_SCALE,
    "layers": postprocess.CONDINST_LAYERS,
}


def litert_home() -> Path:
    """Where LiteRT.js is installed: the environment's KRESNET_WEB, else kresnet/web in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("KRESNET_WEB") or f"{cache}/kresnet/web").expanduser()


def require_litert() -> Path:
    """The folder of LiteRT.js' packages. Raises ExportError if it is not there in the version that is wanted."""
    home = litert_home()
    folder = home / "node_modules" / "@litertjs"
    try:
        found = json.loads((folder / "core" / "package.json").read_text(encoding="utf-8"))["version"]
    except (OSError, ValueError, KeyError):
        found = "none"
    if found != LITERT:
        raise ExportError(
            f"the demo needs LiteRT.js {LITERT} in {home}, found: {found}; install it with scripts/web, or with:"
            f" npm install --prefix {home} @litertjs/core@{LITERT} @litertjs/wasm-utils@{LITERT}"
        )
    return folder


def site_of(run: Run, log: Log) -> Site:
    """The page of a finished run with its files and some of its validation images.

    Raises RunError if it has no file that a browser can run, ExportError without LiteRT.js.
    """
    litert = require_litert()
    verdicts = {row["file"]: row for row in describe_verdicts(run)}
    files = _files(run, verdicts)
    if not files:
        raise RunError(
            f"run {run.name} has no exported .tflite file that a browser can run; make some with:"
            f" kresnet export {run.name} --tflite"
        )
    samples = _samples(run, log)
    pages: dict[str, bytes | Path] = {file.name: file for file in WEB.iterdir()}
    pages["style.css"] = Path(reporting.__file__).with_name("style.css")
    pages |= {f"files/{file}": run.exports / file for file in files}
    pages |= {f"samples/{number}.png": png for number, (_, png) in enumerate(samples)}
    pages |= litert_pages(litert)
    labels = [label for label, _ in samples]
    pages["run.json"] = json.dumps(_told(run, verdicts, files, labels)).encode()
    return Site(pages)


def litert_pages(folder: Path) -> dict[str, bytes | Path]:
    """What a browser needs of the LiteRT.js in `folder`, by its path in a site: no source maps, no types."""
    found = [file for package in PACKAGES for file in (folder / package).rglob("*") if file.suffix in (".js", ".wasm")]
    return {f"litert/{file.relative_to(folder).as_posix()}": file for file in found}


def _files(run: Run, verdicts: dict[str, Any]) -> dict[str, TFLiteModel]:
    """The files that LiteRT.js takes: one image at a time, as floats or uint8. In the order of their verdicts."""
    names = [name for name in verdicts if name.endswith(".tflite") and (run.exports / name).is_file()]
    models = {name: TFLiteModel(run.exports / name) for name in names}
    return {name: model for name, model in models.items() if model.batch == 1 and model.pixels_from == 0}


def _samples(run: Run, log: Log) -> list[tuple[str, bytes]]:
    """Validation images, drawn by a fixed seed, as PNG files with their labels, where each has one; none where the data
    is gone."""
    from keras_resnet.data.load import load_dataset

    classes = run.classes()
    try:
        split = load_dataset(run.spec().data, log, ("validation",)).splits["validation"]
        rows = np.random.default_rng(SEED).permutation(split.count)[:SAMPLES]
        return [("" if split.objects else classes[split.labels[row]], _png(split.image(int(row)))) for row in rows]
    except KresnetError as error:
        log(f"no validation images on the page: {error}")
        return []


def _png(image: Image.Image) -> bytes:
    """A copy of at most LONGEST pixels a side."""
    small, buffer = image.copy(), io.BytesIO()
    small.thumbnail((LONGEST, LONGEST))
    small.save(buffer, format="PNG")
    return buffer.getvalue()


def _told(run: Run, verdicts: dict[str, Any], files: dict[str, TFLiteModel], labels: list[str]) -> dict[str, Any]:
    """run.json: all that the page has to know."""
    spec, best = run.spec(), recommend_file(list(verdicts.values()))
    task = TASKS[spec.task]
    preferred = ["float32.tflite", *([best["file"]] if best else []), "int8.tflite", *files]
    return {
        "name": run.name,
        "about": f"{task.title} · {run.network_summary} · {spec.data.source},"
        f" {counted(len(run.classes()), 'class', plural='classes')}",
        "postprocessing": task.postprocessing,
        "levels": spec.data.levels,
        "litert": LITERT,
        "rules": RULES,
        "files": [_described(file, model, verdicts[file]) for file, model in files.items()],
        "shown": list(dict.fromkeys(file for file in preferred if file in files))[:2],
        "samples": [{"url": f"samples/{number}.png", "label": label} for number, label in enumerate(labels)],
    }


def _described(file: str, model: TFLiteModel, verdict: dict[str, Any]) -> dict[str, Any]:
    """One file by what it says of itself, and its verdict in words."""
    card = model.card
    outputs = {name: dict(zip(("scale", "zero_point"), q, strict=True)) for name, q in model.quantization.items()}
    metric = metric_label(verdict["metric"])
    return {
        "file": file,
        "url": f"files/{file}",
        "facts": f"{verdict['megabytes']:.2f} MB · {metric} {verdict['value']:.2%} · drop, points:"
        f" {format_drop(verdict)} · {verdict['outcome']}",
        "card": {
            **{"preprocessing": card.preprocessing, "postprocessing": card.postprocessing},
            **{"resize": card.resize, "image_size": card.image_size},
            **{"cells": card.cells, "labels": card.classes, "pillow_13": PILLOW_13},
        },
        "outputs": outputs,
    }
