"""Say what images show, with a .tflite file that kresnet exported and preprocess.py beside this.

pip install ai-edge-litert numpy pillow
python classify.py int8.tflite photo.jpg …
python classify.py int8.tflite --golden golden.npz     # does this device answer as the one that exported it?
"""

import json
import sys
import zipfile
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from preprocess import decode_image, preprocess


def load(path: str) -> tuple[Any, list[str], dict[str, Any]]:
    """The interpreter, the labels, and what else the file says of itself."""
    with zipfile.ZipFile(path) as archive:
        labels = archive.read("labels.txt").decode().removesuffix("\n").split("\n")
        card = json.loads(archive.read("kresnet.json"))
    interpreter = Interpreter(model_path=path)
    interpreter.allocate_tensors()
    return interpreter, labels, card


def pixels_of(path: str, card: dict[str, Any]) -> tuple[np.ndarray, tuple[int, int]] | None:
    """What the network sees of an image, (size, size, 3) uint8, and the image's size; None, and why, if it is none."""
    try:
        image = decode_image(path, card.get("levels", ()))
    except ValueError as error:
        print(f"cannot read image {path}: {error}", file=sys.stderr)
        return None
    return preprocess(image, card["preprocessing"], card["resize"], card["image_size"]), image.size


def outputs_of(interpreter: Any, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """(size, size, 3) uint8 → {"logits": (classes,) float32, …}."""
    taken = interpreter.get_input_details()[0]
    (signature,) = interpreter.get_signature_list()
    if taken["dtype"] == np.int8:
        pixels = (pixels.astype(np.int16) - 128).astype(np.int8)
    interpreter.set_tensor(taken["index"], pixels.astype(taken["dtype"])[None])
    interpreter.invoke()
    outputs = {}
    for name, given in interpreter.get_signature_runner(signature).get_output_details().items():
        raw = interpreter.get_tensor(given["index"])[0].astype(np.float32)
        scale, zero_point = given["quantization"]
        outputs[name] = (raw - zero_point) * scale if scale else raw
    return outputs


def show(text: str) -> None:
    """Print a line; what a terminal would obey, in the name of a file or of a label, as an escape."""
    print("".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text))


def main(file: str, *images: str) -> None:
    interpreter, labels, card = load(file)
    if images[:1] == ("--golden",):
        golden = np.load(images[1])
        answers = np.stack([outputs_of(interpreter, pixels)["logits"] for pixels in golden["images"]])
        expected = golden[file.replace("\\", "/").split("/")[-1]]
        same = int((answers.argmax(1) == expected.argmax(1)).sum())
        apart = np.abs(answers - expected).max()
        print(f"{same} of {len(answers)} answers as expected; logits differ by {apart:.4g} at most")
        sys.exit(same != len(answers))
    answered = 0
    for image in images:
        if (found := pixels_of(image, card)) is None:
            continue
        answered += 1
        logits = outputs_of(interpreter, found[0])["logits"]
        shares = np.exp(logits - logits.max())
        best = np.argsort(-shares)[:5]
        show(f"{image}: {', '.join(f'{labels[i]} {shares[i] / shares.sum():.1%}' for i in best)}")
    sys.exit(answered < len(images))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
