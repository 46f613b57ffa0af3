"""Detectors of gray and of many channels, from training to every file: all find the same objects."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest
from browsing import DROP, chromium, opened
from PIL import Image, ImageDraw
from samples import silent

from keras_resnet.config.spec import DataSpec, NetworkSpec, OptimizerSpec, Spec, TrainingSpec
from keras_resnet.export.demo.page import build_site
from keras_resnet.export.pipeline import export
from keras_resnet.export.predict import load_predictor
from keras_resnet.export.request import ExportRequest
from keras_resnet.export.tflite_options import build_tflite_options
from keras_resnet.runtime import cli
from keras_resnet.runtime.image import read_image
from keras_resnet.training.train import train

# Networks that learn, each with its files: minutes.
pytestmark = pytest.mark.slow

COUNTS = {"train": 120, "valid": 24}
WIDTH, HEIGHT = 72, 60


def write_disks(root, channels):
    """Arrays with a disk each, in COCO's format as Roboflow has it; its class shows in the last channel alone."""
    rng = np.random.default_rng(0)
    for split, count in COUNTS.items():
        (root / split).mkdir(parents=True)
        annotations = []
        for number in range(count):
            kind, size = number % 2, int(rng.integers(20, 30))
            left, top = int(rng.integers(0, WIDTH - size)), int(rng.integers(0, HEIGHT - size))
            mask = Image.new("L", (WIDTH, HEIGHT))
            ImageDraw.Draw(mask).ellipse((left, top, left + size - 1, top + size - 1), fill=255)
            image = rng.integers(0, 60, (HEIGHT, WIDTH, channels)).astype(np.uint8)
            image[np.asarray(mask) > 0] = [*[180] * (channels - 1), 250 if kind else 110]
            np.save(root / split / f"{number:03d}.npy", image)
            box = {"bbox": [left, top, size, size], "area": size * size, "iscrowd": 0}
            annotations.append({"id": number + 1, "image_id": number, "category_id": kind + 1, **box})
        images = [
            {"id": number, "file_name": f"{number:03d}.npy", "width": WIDTH, "height": HEIGHT}
            for number in range(count)
        ]
        categories = [{"id": 1, "name": "dull"}, {"id": 2, "name": "bright"}]
        document = {"images": images, "annotations": annotations, "categories": categories}
        (root / split / "_annotations.coco.json").write_text(json.dumps(document))
    return root


@pytest.fixture(scope="module", params=[1, 5])
def detector(request, tmp_path_factory):
    """A detector that has learned such images, with its files and their verdicts."""
    home = tmp_path_factory.mktemp(f"channels{request.param}")
    spec = Spec(
        task="detect",
        network=NetworkSpec(10, width=0.25),
        data=DataSpec(
            str(write_disks(home / "data", request.param)), annotations="objects", image_size=64, channels=request.param
        ),
        optimizer=OptimizerSpec("adamw", learning_rate=2e-3, label_smoothing=0.0),
        training=TrainingSpec(epochs=15, batch_size=12, precision="float32"),
    )
    run = train(spec, home / "runs", "disks", silent)
    files = tuple(build_tflite_options(("float32", "int8")))
    verdicts = export(run, ExportRequest(tflite=files, formats=("onnx", "savedmodel"), max_drop=10), silent)
    return request.param, run, verdicts


def assert_same_objects(found, expected, pixels):
    assert [each["label"] for each in found] == [each["label"] for each in expected]
    np.testing.assert_allclose([each["box"] for each in found], [each["box"] for each in expected], atol=pixels)


def test_each_file_of_a_detector_finds_the_same(detector, litert, capsys):
    channels, run, verdicts = detector
    assert run.spec().data.channels == channels
    assert {each.file for each in verdicts} >= {"float32.tflite", "int8.tflite", "model.onnx", "saved_model"}
    for verdict in verdicts:
        assert verdict.verdict.startswith("PASSED") and verdict.value > 0.4, verdict
    files = [str(run.spec().data.source) + f"/valid/{number:03d}.npy" for number in range(4)]
    answers = browser_answers(run, files)
    model = load_predictor(run.name, run.folder.parent)
    for name, pixels in (("float32.tflite", 0.1), ("int8.tflite", 3)):
        predictor = load_predictor(str(run.exports / name), run.folder.parent)
        assert cli.main(["predict", str(run.exports / name), *files, "--json"]) == 0
        edge = [json.loads(line)["predictions"] for line in capsys.readouterr().out.splitlines()]
        for file, told, shown in zip(files, edge, answers, strict=True):
            image = read_image(file, channels=channels)
            expected = model.predict_image(image, 1)
            assert len(expected) == 1
            assert_same_objects(predictor.predict_image(image, 1), expected, pixels)
            assert_same_objects(told[:1], predictor.predict_image(image, 1), 0.1)
            assert_same_objects(shown[name][:1], predictor.predict_image(image, 1), 0.5)


def browser_answers(run, files):
    """What the demo's page finds in each file: by exported file."""
    encoded = [base64.b64encode(Path(file).read_bytes()).decode() for file in files]
    with chromium() as browser, opened(browser, build_site(run, silent)) as page:
        answers = page.evaluate(DROP, encoded)
    return [{each["file"]: each["predictions"] for each in results} for results in answers]
