"""Say what images show, with a .tflite file that kresnet exported.

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


def load(path: str) -> tuple[Any, list[str], dict[str, Any]]:
    """The interpreter, the labels, and what else the file says of itself."""
    with zipfile.ZipFile(path) as archive:
        labels = archive.read("labels.txt").decode().split("\n")[:-1]
        card = json.loads(archive.read("kresnet.json"))
    interpreter = Interpreter(model_path=path)
    interpreter.allocate_tensors()
    return interpreter, labels, card


def pixels_of(path: str, card: dict[str, Any]) -> tuple[np.ndarray, tuple[int, int]]:
    """The centre of an image, upright, or all of it, as (size, size, 3) uint8, transparency over white; its size."""
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGBA")
    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    resize, size, whole = card["resize"], card["image_size"], image.size
    if card["task"] != "classify":
        image = image.resize([max(1, round(side * size / max(whole))) for side in whole], Image.Resampling.BICUBIC)
        return np.pad(np.asarray(image), ((0, size - image.height), (0, size - image.width), (0, 0))), whole
    image = ImageOps.fit(image, (resize, resize), Image.Resampling.BICUBIC)
    start = (resize - size) // 2
    return np.asarray(image)[start : start + size, start : start + size], whole


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
    for image in images:
        pixels, _ = pixels_of(image, card)
        outputs = outputs_of(interpreter, pixels)
        shares = np.exp(outputs["logits"] - outputs["logits"].max())
        best = np.argsort(-shares)[:5]
        print(f"{image}: {', '.join(f'{labels[i]} {shares[i] / shares.sum():.1%}' for i in best)}")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
