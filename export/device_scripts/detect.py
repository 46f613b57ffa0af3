"""Find objects in images with a .tflite file that kresnet exported.

Needs classify.py, preprocess.py and postprocess.py beside it.

pip install ai-edge-litert numpy pillow
python detect.py int8.tflite photo.jpg …               # writes photo.found.json: boxes, masks if it makes them
python detect.py int8.tflite --golden golden.npz       # does this device answer as the one that exported it?
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from classify import load, outputs_of, pixels_of, show
from postprocess import describe_objects


def detect_objects(
    outputs: dict[str, np.ndarray], labels: list[str], card: dict[str, Any], size: tuple[int, int]
) -> Any:
    """Objects as `postprocess.describe_objects` has them."""
    return describe_objects(outputs, labels, card["cells"], size, main=card["postprocessing"] == "main_object")


def labels_of(outputs: dict[str, np.ndarray], labels: list[str], card: dict[str, Any]) -> list[str]:
    """What an image shows, the surest first."""
    return [each["label"] for each in detect_objects(outputs, labels, card, (1, 1))]


def main(file: str, *images: str) -> None:
    interpreter, labels, card = load(file)
    if images[:1] == ("--golden",):
        golden, same, apart = np.load(images[1]), 0, 0.0
        for row, pixels in enumerate(golden["images"]):
            ours = outputs_of(interpreter, pixels)
            theirs = {name: golden[f"{Path(file).name}:{name}"][row] for name in ours}
            apart = max(apart, *(float(np.abs(ours[name] - theirs[name]).max()) for name in ours))
            same += labels_of(ours, labels, card) == labels_of(theirs, labels, card)
        print(f"{same} of {row + 1} images show what is expected; outputs differ by {apart:.4g} at most")
        sys.exit(same != row + 1)
    answered = 0
    for image in images:
        if (seen := pixels_of(image, card)) is None:
            continue
        answered += 1
        pixels, size = seen
        objects = detect_objects(outputs_of(interpreter, pixels), labels, card, size)
        Path(image).with_suffix(".found.json").write_text(json.dumps(objects), encoding="utf-8")
        words = [f"{each['label']} {each['probability']:.1%} at {each['box']}" for each in objects]
        show(f"{image}: {'; '.join(words) or 'nothing'}")
    sys.exit(answered < len(images))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
