"""Do real clients answer as LiteRT does? MediaPipe's ImageClassifier, TFLite Micro, and Arm's compiler for Ethos-U.

    python -m venv clients && clients/bin/pip install mediapipe tflite-micro ethos-u-vela
    python benchmarks/clients.py RUN --clients-python clients/bin/python [--images 100]

They have an environment of their own because MediaPipe and tensorflow-model-optimization want different versions of
absl-py. RUN (with --runs, as for kresnet) has int8.tflite and c_array among its exports. Exits 1 if any image gets
another class than from LiteRT, or if an operator is left to the CPU beside an Ethos-U55.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--runs")
    parser.add_argument("--clients-python", required=True)
    parser.add_argument("--images", type=int, default=100)
    options = parser.parse_args()
    import numpy as np

    from keras_resnet.cli import console
    from keras_resnet.export.load import load_file
    from keras_resnet.export.pipeline import load_run_data
    from keras_resnet.export.verify import Reference
    from keras_resnet.run import Run, runs_home

    run = Run.find(runs_home(options.runs), options.run)
    reference = Reference.from_run(run, load_run_data(run, console.log), options.images)
    images = np.concatenate([np.asarray(batch) for batch, _ in reference.batches()])
    uint8, source = run.exports / "int8.tflite", run.exports / "c_array" / "kresnet_model.c"
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder, "images.npy"), images)
        Path(folder, "int8.tflite").write_bytes(load_file(source).content)  # type: ignore[attr-defined]
        command = [options.clients_python, __file__, "--child", str(uint8.resolve()), folder]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        told = json.loads(done.stdout.splitlines()[-1])
    rows, equal = [], True
    for client, file in (("MediaPipe", uint8), ("TFLite Micro", source)):
        expected = load_file(file)(images).argmax(1)
        same = int((np.array(told[client]) == expected).sum())
        equal = equal and same == len(images)
        rows.append([client, file.name, f"{same} of {len(images)} as LiteRT"])
    rows.append(["vela, ethos-u55-128", source.name, ", ".join(told["vela"])])
    console.print_table(f"{run.name}, {len(images)} validation images", ["client", "file", "answers"], rows)
    if not equal or not any("NPU operators" in line and "100.0%" in line for line in told["vela"]):
        sys.exit(1)


def _child(uint8: str, folder: str) -> None:
    """In the clients' environment: the class of each image by each client, and what vela says."""
    import numpy as np

    images = np.load(Path(folder, "images.npy"))
    int8 = Path(folder, "int8.tflite")
    told = {"MediaPipe": _mediapipe(uint8, images), "TFLite Micro": _micro(int8, images), "vela": _vela(int8)}
    print(json.dumps(told))


def _mediapipe(file: str, images: Any) -> list[int]:
    import mediapipe
    from mediapipe.tasks.python import BaseOptions, vision

    base = BaseOptions(model_asset_path=file)
    options = vision.ImageClassifierOptions(base_options=base, max_results=1)
    found = []
    with vision.ImageClassifier.create_from_options(options) as classifier:
        for image in images:
            taken = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=image)
            best = classifier.classify(taken).classifications[0].categories[0]
            if best.category_name is None:
                sys.exit("MediaPipe found no labels in the file")
            found.append(best.index)
    return found


def _micro(file: Path, images: Any) -> list[int]:
    import numpy as np
    from tflite_micro import runtime

    interpreter = runtime.Interpreter.from_file(str(file))
    found = []
    for image in images:
        interpreter.set_input((image.astype(np.int16) - 128).astype(np.int8)[None], 0)
        interpreter.invoke()
        found.append(int(interpreter.get_output(0)[0].argmax()))
    return found


def _vela(file: Path) -> list[str]:
    vela = str(Path(sys.executable).with_name("vela"))
    command = [vela, str(file), "--accelerator-config", "ethos-u55-128", "--output-dir", str(file.parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = re.findall(
        r"^(?:Total SRAM used|Total Off-chip Flash used|NPU operators|Batch Inference time).*$", done.stdout, re.M
    )
    return [" ".join(line.split()) for line in lines]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        _child(*sys.argv[2:])
    else:
        main()
