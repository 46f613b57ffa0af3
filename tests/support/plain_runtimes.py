"""Run exported files by their own runtimes, as a script that knows nothing of this package.

    python -I plain_runtimes.py IMAGES.npy FILE…

IMAGES: uint8 (N, H, W, C), as networks take them. Prints {FILE: [index of the largest logit of each image]} as JSON.
"""

import json
import re
import sys
from pathlib import Path

import numpy as np


def run_tflite(model, images):
    """model: path or content."""
    from ai_edge_litert.interpreter import Interpreter

    where = {"model_content": model} if isinstance(model, bytes) else {"model_path": str(model)}
    interpreter = Interpreter(**where, num_threads=1)
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    offset = -128 if source["dtype"] is np.int8 else 0
    interpreter.resize_tensor_input(source["index"], (1, *images.shape[1:]))
    interpreter.allocate_tensors()
    for image in images:
        interpreter.set_tensor(source["index"], (image.astype(int) + offset).astype(source["dtype"])[None])
        interpreter.invoke()
        yield interpreter.get_tensor(target["index"])[0]


def run_c_array(folder, images):
    source = next(folder.glob("*.c")).read_text()
    return run_tflite(bytes(int(each, 16) for each in re.findall(r"0x([0-9a-f]{2})\b", source)), images)


def run_onnx(file, images):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"pixels": images.astype(np.float32)})[0]


def run_saved_model(folder, images):
    import tensorflow as tf

    signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
    ((name, spec),) = signature.structured_input_signature[1].items()
    return signature(**{name: tf.cast(images, spec.dtype)})["logits"].numpy()


RUNTIMES = {".tflite": run_tflite, ".onnx": run_onnx, "saved_model": run_saved_model, "c_array": run_c_array}

if __name__ == "__main__":
    images = np.load(sys.argv[1])
    files = [Path(each) for each in sys.argv[2:]]
    outputs = {str(each): RUNTIMES[each.suffix or each.name](each, images) for each in files}
    assert "keras_resnet" not in sys.modules
    print(json.dumps({file: [int(np.argmax(row)) for row in rows] for file, rows in outputs.items()}))
