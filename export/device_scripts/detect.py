"""Detect objects in images with a .tflite file that kresnet exported.

Needs classify.py, preprocess.py and postprocess.py beside it.

pip install ai-edge-litert numpy pillow
python detect.py int8.tflite photo.jpg                   # writes photo.found.json: boxes, masks if it makes them
python detect.py int8.tflite photo.jpg --threshold 0.5   # only objects of this probability or more
python detect.py int8.tflite --golden golden.npz         # does this device compute what the exporting one did?
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from classify import load, parse, preprocess_file, print_line, run_model
from postprocess import describe_objects


def detect_objects(
    outputs: dict[str, np.ndarray],
    labels: list[str],
    card: dict[str, Any],
    size: tuple[int, int],
    threshold: float | None = None,
) -> Any:
    """Return objects as `postprocess.describe_objects` has them: of at least the probability `threshold`, by default of
    the thresholds of their classes that kresnet calibrate has fitted, or of 0.3 before."""
    is_main = card["postprocessing"] == "main_object"
    fitted = card.get("score_thresholds", ())
    return describe_objects(outputs, labels, card["cells"], size, main=is_main, threshold=threshold, fitted=fitted)


def predict_labels(outputs: dict[str, np.ndarray], labels: list[str], card: dict[str, Any]) -> list[str]:
    """Return the labels of an image's objects, the most confident first."""
    return [each["label"] for each in detect_objects(outputs, labels, card, (1, 1))]


def probability(word: str) -> float:
    """Return what was typed behind --threshold. Raises ArgumentTypeError if that is no number from 0 to 1."""
    try:
        number = float(word)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"must be from 0 to 1. Received: {word!r}")
    return number


def check_golden(file: str, interpreter: Any, labels: list[str], card: dict[str, Any], golden_file: str) -> bool:
    """Return whether the file predicts here what it predicted where it was exported, and print how alike they are."""
    golden, same, difference = np.load(golden_file), 0, 0.0
    for row, pixels in enumerate(golden["images"]):
        ours = run_model(interpreter, pixels)
        theirs = {name: golden[f"{Path(file).name}:{name}"][row] for name in ours}
        difference = max(difference, *(float(np.abs(ours[name] - theirs[name]).max()) for name in ours))
        same += predict_labels(ours, labels, card) == predict_labels(theirs, labels, card)
    print(f"{same} of {row + 1} predictions as expected; largest difference of an output: {difference:.4g}")
    return bool(same == row + 1)


def main() -> None:
    about = "the least probability of an object, from 0 to 1"
    given = parse(__doc__ or "", "--threshold", type=probability, help=about)
    interpreter, labels, card = load(given.file)
    if given.golden:
        sys.exit(not check_golden(given.file, interpreter, labels, card, given.golden))
    predicted = 0
    for image in given.images:
        if (preprocessed := preprocess_file(image, card)) is None:
            continue
        predicted += 1
        pixels, size = preprocessed
        objects = detect_objects(run_model(interpreter, pixels), labels, card, size, given.threshold)
        Path(image).with_suffix(".found.json").write_text(json.dumps(objects), encoding="utf-8")
        words = [f"{each['label']} {each['probability']:.1%} at {each['box']}" for each in objects]
        print_line(f"{image}: {'; '.join(words) or 'no objects'}")
    sys.exit(predicted < len(given.images))


if __name__ == "__main__":
    main()
