"""The page on which a run's exported files run in a browser, by LiteRT.js."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import PIL

from keras_resnet import reporting
from keras_resnet.errors import ExportError, RunError
from keras_resnet.export.demo.golden import Golden, load_golden
from keras_resnet.export.demo.samples import Sample, load_samples
from keras_resnet.export.demo.server import Site
from keras_resnet.export.verdict import is_tflite_file
from keras_resnet.metrics.labels import metric_label
from keras_resnet.metrics.outcome import ACCEPTED, describe_drop
from keras_resnet.progress import Log
from keras_resnet.reporting.recommend import DescribedVerdict, Recommendation, describe_verdicts, recommend_file
from keras_resnet.run import Run
from keras_resnet.runtime import postprocess, predictions
from keras_resnet.runtime.plurals import counted
from keras_resnet.runtime.preprocess import get_max_megapixels
from keras_resnet.runtime.tflite_model import TFLiteModel
from keras_resnet.tasks import TASKS

# The npm packages that are served, and their version; scripts/web installs them.
LITERT_JS_VERSION = "2.5.3"
PACKAGES = ("core", "wasm-utils")
WEB = Path(__file__).with_name("web")
# It brings tall images to their height first, see preprocess.js.
PILLOW_13 = int(PIL.__version__.partition(".")[0]) >= 13
# The constants of predictions.py and postprocess.py, for postprocess.js.
CONSTANTS = {
    "top_k": predictions.DEFAULT_TOP,
    "display_threshold": postprocess.DISPLAY_THRESHOLD,
    "max_guesses": postprocess.MAX_GUESSES,
    "max_detections": postprocess.MAX_DETECTIONS,
    "max_candidates": postprocess.MAX_CANDIDATES,
    "nms_iou": postprocess.NMS_IOU,
    "background": postprocess.BACKGROUND_LOGIT,
    "mask_margin": postprocess.MASK_MARGIN,
    "coordinate_scale": postprocess.COORDINATE_SCALE,
    "dynamic_layers": postprocess.CONDINST_LAYERS,
}


def litert_js_home() -> Path:
    """Return the folder for LiteRT.js: the environment's KRESNET_WEB, else kresnet/web in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("KRESNET_WEB") or f"{cache}/kresnet/web").expanduser()


def require_litert_js() -> Path:
    """Return the folder of LiteRT.js' packages. Raises ExportError if it is not there in that version."""
    home = litert_js_home()
    folder = home / "node_modules" / "@litertjs"
    try:
        installed = json.loads((folder / "core" / "package.json").read_text(encoding="utf-8"))["version"]
    except (OSError, ValueError, KeyError):
        installed = "none"
    if installed != LITERT_JS_VERSION:
        packages = " ".join(f"@litertjs/{package}@{LITERT_JS_VERSION}" for package in PACKAGES)
        raise ExportError(
            f"pages for browsers need LiteRT.js {LITERT_JS_VERSION} in {home}, found: {installed}; install it with"
            f" scripts/web, or with: npm install --prefix {home} {packages}"
        )
    return folder


def litert_js_files(folder: Path) -> dict[str, bytes | Path]:
    """Return what a browser needs of the LiteRT.js in `folder`, by its path in a site: no source maps, no types."""
    files = [file for package in PACKAGES for file in (folder / package).rglob("*") if file.suffix in (".js", ".wasm")]
    return {f"litert/{file.relative_to(folder).as_posix()}": file for file in files}


def build_site(run: Run, log: Log, explains: bool = False) -> Site:
    """Return the page of a finished run with its files and some of its validation images; explains: whether its server
    makes heat maps.

    Raises RunError if it has no file that a browser can run, ExportError without LiteRT.js.
    """
    litert = require_litert_js()
    page = DemoPage(run, {row["file"]: row for row in describe_verdicts(run)})
    if not page.models:
        raise RunError(
            f"run {run.name} has no exported .tflite file that a browser can run; make some with:"
            f" kresnet export {run.name} --tflite"
        )
    samples, no_samples = load_samples(run, log)
    pages: dict[str, bytes | Path] = {file.name: file for file in WEB.iterdir()}
    pages["style.css"] = Path(reporting.__file__).with_name("style.css")
    pages |= {f"files/{file}": run.exports / file for file in page.models}
    pages |= {f"samples/{number}.png": sample.png for number, sample in enumerate(samples)}
    pages |= litert_js_files(litert)
    golden = load_golden(run, list(page.models), log)
    pages |= golden.pages
    pages["run.json"] = json.dumps({**page.describe(samples, no_samples, golden), "explains": explains}).encode()
    return Site(pages)


class DemoPage:
    """What the page knows of a run.

    verdicts: rows of verdicts.json by file (see `recommend.describe_verdicts`). models: the files that LiteRT.js takes,
    one image at a time, as floats or uint8; in the order of their verdicts.
    """

    def __init__(self, run: Run, verdicts: dict[str, DescribedVerdict]) -> None:
        self.run = run
        self.verdicts = verdicts
        names = [name for name in verdicts if is_tflite_file(name) and (run.exports / name).is_file()]
        models = {name: TFLiteModel(run.exports / name) for name in names}
        self.models = {name: each for name, each in models.items() if each.batch == 1 and each.pixels_from == 0}

    def describe(self, samples: list[Sample], no_samples: str, golden: Golden) -> dict[str, Any]:
        """Return run.json. no_samples: why there are no `samples`."""
        run, spec = self.run, self.run.spec()
        best = recommend_file(list(self.verdicts.values()))
        task = TASKS[spec.task]
        classes = counted(len(run.classes()), "class", plural="classes")
        preferred = ["float32.tflite", *([best["file"]] if best else []), "int8.tflite", *self.models]
        return {
            "name": run.name,
            "about": f"{task.title} · {run.network_summary} · {spec.data.source}, {classes}",
            "postprocessing": task.postprocessing,
            "levels": spec.data.levels,
            "channels": spec.data.channels,
            "litert": LITERT_JS_VERSION,
            "constants": CONSTANTS,
            "max_megapixels": get_max_megapixels(),
            "golden": golden.images,
            "files": [self._describe_file(file, best, golden) for file in self.models],
            "initial_files": list(dict.fromkeys(file for file in preferred if file in self.models))[:2],
            "samples": [sample.describe(number) for number, sample in enumerate(samples)],
            "no_samples": no_samples,
        }

    def _describe_file(self, file: str, best: Recommendation | None, golden: Golden) -> dict[str, Any]:
        return {
            **describe_file(file, self.models[file], self.verdicts[file]),
            "recommended": best is not None and best["file"] == file,
            "golden": golden.files.get(file),
        }


def describe_file(file: str, model: TFLiteModel, verdict: DescribedVerdict) -> dict[str, Any]:
    """Return one file's metadata, and its verdict in words."""
    card = model.card
    outputs = {name: dict(zip(("scale", "zero_point"), q, strict=True)) for name, q in model.quantization.items()}
    metric = metric_label(verdict["metric"])
    return {
        "file": file,
        "url": f"files/{file}",
        "size": f"{verdict['megabytes']:.2f} MB",
        "metric": f"{metric} {verdict['value']:.2%}",
        "drop": describe_drop(verdict),
        "outcome": verdict["outcome"],
        "passed": verdict["verdict"] in ACCEPTED,
        "card": {
            "preprocessing": card.preprocessing,
            "postprocessing": card.postprocessing,
            "resize": card.resize,
            "image_size": card.image_size,
            "channels": card.channels,
            "cells": card.cells,
            "labels": card.classes,
            "thresholds": card.thresholds,
            "score_thresholds": card.confidence.score_thresholds,
            "temperature": card.confidence.temperature,
            "rejection": card.confidence.rejection.as_dict() if card.confidence.rejection else None,
            "pillow_13": PILLOW_13,
        },
        "outputs": outputs,
    }
