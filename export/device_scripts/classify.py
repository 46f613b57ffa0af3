"""Classify images with a .tflite file that kresnet exported and preprocess.py beside this.

pip install ai-edge-litert numpy pillow
python classify.py int8.tflite photo.jpg
python classify.py int8.tflite photo.jpg --reject    # "unknown" first, where an image is of none of the classes
python classify.py int8.tflite --golden golden.npz   # does this device compute what the exporting one did?
"""

import argparse
import json
import sys
import zipfile
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from preprocess import decode_image, preprocess, require_metadata, size_of


def parse(description: str, flag: str, **details: Any) -> argparse.Namespace:
    """Return what was typed: the file, images or --golden, and the option `flag`, all in any order."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("file", help="a .tflite file that kresnet exported")
    parser.add_argument("images", nargs="*", help="image files")
    parser.add_argument("--golden", metavar="FILE", help="compare with the outputs in golden.npz instead")
    parser.add_argument(flag, **details)
    given = parser.parse_intermixed_args()
    if bool(given.images) == bool(given.golden):
        parser.error("name image files, or --golden FILE, and not both")
    return given


def load(path: str) -> tuple[Any, list[str], dict[str, Any]]:
    """Load a file: the interpreter, the labels, and its other metadata. Ends the program where these are damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            labels = archive.read("labels.txt").decode().removesuffix("\n").split("\n")
            card = json.loads(archive.read("kresnet.json"))
        interpreter = Interpreter(model_path=path)
        interpreter.allocate_tensors()
        (signature,) = interpreter.get_signature_list()
        outputs = interpreter.get_signature_runner(signature).get_output_details()
        shapes = {name: tuple(each["shape"][1:]) for name, each in outputs.items()}
        require_metadata(card, len(labels), tuple(interpreter.get_input_details()[0]["shape"][1:]), shapes)
    except (AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError, zipfile.BadZipFile) as error:
        sys.exit(f"cannot read {path}, or it is not as kresnet wrote it: {error}")
    return interpreter, labels, card


def preprocess_file(path: str, card: dict[str, Any]) -> tuple[np.ndarray, tuple[int, int]] | None:
    """Preprocess an image file: (height, width, channels) uint8, and the image's size; None, with a message, if it is
    none."""
    channels = card.get("channels", 3)
    try:
        image = decode_image(path, card.get("levels", ()), channels)
    except ValueError as error:
        print(f"cannot read image {path}: {error}", file=sys.stderr)
        return None
    pixels = preprocess(image, card["preprocessing"], card["resize"], card["image_size"], channels)
    return pixels, size_of(image)


def run_model(interpreter: Any, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Run the network: (height, width, channels) uint8 → {"logits": (classes,) float32, …}."""
    details = interpreter.get_input_details()[0]
    (signature,) = interpreter.get_signature_list()
    if details["dtype"] == np.int8:
        pixels = (pixels.astype(np.int16) - 128).astype(np.int8)
    interpreter.set_tensor(details["index"], pixels.astype(details["dtype"])[None])
    interpreter.invoke()
    outputs = {}
    for name, output in interpreter.get_signature_runner(signature).get_output_details().items():
        raw = interpreter.get_tensor(output["index"])[0].astype(np.float32)
        scale, zero_point = output["quantization"]
        outputs[name] = (raw - zero_point) * scale if scale else raw
    return outputs


def predict_labels(logits: np.ndarray, labels: list[str], card: dict[str, Any]) -> list[tuple[str, float]]:
    """Predict (label, probability), the most likely first: the best five; or of a file that predicts several labels an
    image, all from their thresholds on."""
    if thresholds := card.get("thresholds"):
        probabilities = 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -500, 500)))
        order = [i for i in np.argsort(-probabilities, kind="stable") if probabilities[i] >= thresholds[i]]
    else:
        order = list(np.argsort(-logits, kind="stable")[:5])
        exponents = np.exp((logits - logits.max()) / card.get("temperature", 1))
        probabilities = exponents / exponents.sum()
    return [(labels[i], float(probabilities[i])) for i in order]


def is_rejected(logits: np.ndarray, rule: dict[str, Any]) -> bool:
    """Return whether an image is of none of the classes, by the `rule` in the file: the score is its largest logit or
    its energy (Liu et al. 2020, equation 4)."""
    logits = logits.astype(np.float64)
    score = logits.max()
    if rule["score"] == "energy":
        score += rule["temperature"] * np.log(np.exp((logits - score) / rule["temperature"]).sum())
    return bool(score < rule["threshold"])


def print_line(text: str) -> None:
    """Print a line; control characters, in the name of a file or of a label, as escapes."""
    print("".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text))


def check_golden(file: str, interpreter: Any, labels: list[str], card: dict[str, Any], golden_file: str) -> bool:
    """Return whether the file predicts here what it predicted where it was exported, and print how alike they are."""
    golden = np.load(golden_file)
    logits = np.stack([run_model(interpreter, pixels)["logits"] for pixels in golden["images"]])
    expected = golden[file.replace("\\", "/").split("/")[-1]]
    compared = None if card.get("thresholds") else 1  # of one label an image, the most likely one
    ours, theirs = (
        [{label for label, _ in predict_labels(row, labels, card)[:compared]} for row in rows]
        for rows in (logits, expected)
    )
    same = sum(mine == other for mine, other in zip(ours, theirs, strict=True))
    difference = np.abs(logits - expected).max()
    print(f"{same} of {logits.shape[0]} predictions as expected; largest difference of a logit: {difference:.4g}")
    return bool(same == len(logits))


def main() -> None:
    about = 'say "unknown" of images that are of none of the classes'
    given = parse(__doc__ or "", "--reject", action="store_true", help=about)
    interpreter, labels, card = load(given.file)
    if card.get("cells"):
        sys.exit(f"{given.file} detects objects; give it to detect.py, which is beside this script")
    if given.golden:
        sys.exit(not check_golden(given.file, interpreter, labels, card, given.golden))
    if given.reject and "rejection" not in card:
        sys.exit(f"{given.file} has no rule by which images are rejected as unknown; kresnet calibrate sets one")
    predicted = 0
    for image in given.images:
        if (preprocessed := preprocess_file(image, card)) is None:
            continue
        predicted += 1
        logits = run_model(interpreter, preprocessed[0])["logits"]
        words = [f"{label} {probability:.1%}" for label, probability in predict_labels(logits, labels, card)]
        if given.reject and is_rejected(logits, card["rejection"]):
            words.insert(0, "unknown")
        print_line(f"{image}: {', '.join(words) or 'no label reaches its threshold'}")
    sys.exit(predicted < len(given.images))


if __name__ == "__main__":
    main()
