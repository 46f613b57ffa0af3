"""Classify images with a .tflite file that kresnet exported.

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
from PIL import Image, ImageOps


def load(path: str) -> tuple[Any, list[str], int, int]:
    """The interpreter, the labels, and the side to resize to and to cut."""
    with zipfile.ZipFile(path) as archive:
        labels = archive.read("labels.txt").decode().splitlines()
        card = json.loads(archive.read("kresnet.json"))
    interpreter = Interpreter(model_path=path)
    interpreter.allocate_tensors()
    return interpreter, labels, card["resize"], card["image_size"]


def pixels_of(path: str, resize: int, size: int) -> np.ndarray:
    """The centre of an image, upright, as (size, size, 3) uint8; transparency over white."""
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGBA")
    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    image = ImageOps.fit(image, (resize, resize), Image.Resampling.BICUBIC)
    start = (resize - size) // 2
    return np.asarray(image)[start : start + size, start : start + size]


def logits_of(interpreter: Any, pixels: np.ndarray) -> np.ndarray:
    """(size, size, 3) uint8 → (classes,) float32."""
    taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    if taken["dtype"] == np.int8:
        pixels = (pixels.astype(np.int16) - 128).astype(np.int8)
    interpreter.set_tensor(taken["index"], pixels.astype(taken["dtype"])[None])
    interpreter.invoke()
    raw = interpreter.get_tensor(given["index"])[0].astype(np.float32)
    scale, zero_point = given["quantization"]
    return np.asarray((raw - zero_point) * scale if scale else raw)


def main(file: str, *images: str) -> None:
    interpreter, labels, resize, size = load(file)
    if images[:1] == ("--golden",):
        golden = np.load(images[1])
        answers = np.stack([logits_of(interpreter, pixels) for pixels in golden["images"]])
        expected = golden[file.replace("\\", "/").split("/")[-1]]
        same = int((answers.argmax(1) == expected.argmax(1)).sum())
        apart = np.abs(answers - expected).max()
        print(f"{same} of {len(answers)} answers as expected; logits differ by {apart:.4g} at most")
        sys.exit(same != len(answers))
    for image in images:
        logits = logits_of(interpreter, pixels_of(image, resize, size))
        shares = np.exp(logits - logits.max())
        shares /= shares.sum()
        best = np.argsort(-shares)[:5]
        print(f"{image}: {', '.join(f'{labels[index]} {shares[index]:.1%}' for index in best)}")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
