"""Gray, many-channel and oblong images, from training to every file: all give the same answers."""

import base64
import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from browsing import DROP, chromium, opened
from PIL import Image, ImageDraw
from samples import silent

from keras_resnet.config.spec import DataSpec, NetworkSpec, OptimizerSpec, Spec, TrainingSpec
from keras_resnet.data.load import load_dataset
from keras_resnet.errors import ExportError
from keras_resnet.evaluation.evaluate import keras_predictor, load_model
from keras_resnet.export.load import load_file
from keras_resnet.export.pipeline import export
from keras_resnet.export.predict import load_predictor
from keras_resnet.export.request import ExportRequest
from keras_resnet.export.tflite_options import build_tflite_options
from keras_resnet.runtime import cli
from keras_resnet.runtime.image import read_image
from keras_resnet.runtime.metadata import parse_metadata
from keras_resnet.runtime.tflite_model import TFLiteModel
from keras_resnet.training.train import train

CLASSES = ("disc", "square")
# Networks that learn, each with all its files: minutes.
pytestmark = pytest.mark.slow

FILES = ("float32.tflite", "int8.tflite", "c_array")


def write_drawings(folder, channels, count=24):
    """Wide drawings of discs and squares, anywhere in them: PNG, or arrays of many channels."""
    rng = np.random.default_rng(0)
    for label in CLASSES:
        (folder / label).mkdir(parents=True)
        for number in range(count):
            image = Image.new("RGB", (72, 30), tuple(rng.integers(0, 90, 3).tolist()))
            left, top, color = (
                int(rng.integers(0, 54)),
                int(rng.integers(0, 12)),
                tuple(rng.integers(150, 256, 3).tolist()),
            )
            draw = ImageDraw.Draw(image)
            (draw.ellipse if label == "disc" else draw.rectangle)((left, top, left + 17, top + 17), fill=color)
            if channels == 3:
                image.save(folder / label / f"{number}.png")
            else:
                many = np.tile(np.asarray(image), 2)[..., :channels]
                np.save(folder / label / f"{number}.npy", many)
    return folder


def train_on(home, stored, **fields):
    """A run on such drawings of so many `stored` channels."""
    data = DataSpec(str(write_drawings(home / "data", stored)), val_fraction=0.25, **fields)
    spec = Spec(
        network=NetworkSpec(depth=8),
        data=data,
        optimizer=OptimizerSpec(learning_rate=0.05),
        training=TrainingSpec(epochs=20, batch_size=12, precision="float32"),
    )
    return train(spec, home / "runs", "shaped", silent)


def export_all(run, formats=("c-array",)):
    request = ExportRequest(
        tflite=tuple(build_tflite_options(("float32", "int8"))), formats=formats, max_drop=100, samples=200
    )
    return export(run, request, silent)


def probabilities(found):
    return {each["label"]: each["probability"] for each in found}


def assert_equal_answers(run, capsys):
    """The Keras model's, of each file through `kresnet predict`, kresnet-edge and the script for devices."""
    data = load_dataset(run.spec().data, silent, ("validation",))
    split, exports = data.splits["validation"], run.exports
    files = [*split.files[:2], *split.files[-2:]]
    expected = load_predictor(run.name, run.folder.parent)
    for name in FILES:
        predictor = load_predictor(str(exports / name), run.folder.parent)
        within = 1e-4 if name.startswith("float32") else 0.1
        edge_file = exports / name / "kresnet_model.c" if name == "c_array" else exports / name
        assert cli.main(["predict", str(edge_file), *files, "--json"]) == 0
        edge = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        for file, told in zip(files, edge, strict=True):
            image = read_image(file, channels=data.channels)
            keras, ours = (probabilities(each.predict_image(image, 2)) for each in (expected, predictor))
            assert ours == pytest.approx(keras, abs=within)
            assert probabilities(told["predictions"]) == pytest.approx(ours, abs=1e-6)
    script = subprocess.run(
        [sys.executable, "classify.py", "int8.tflite", *files], cwd=exports, capture_output=True, text=True, check=True
    )
    int8 = load_predictor(str(exports / "int8.tflite"), run.folder.parent)
    for file, line in zip(files, script.stdout.splitlines(), strict=True):
        best = int8.predict_image(read_image(file, channels=data.channels), 1)[0]
        assert line.startswith(f"{file}: {best['label']} {best['probability']:.1%}")
    golden = subprocess.run(
        [sys.executable, "classify.py", "float32.tflite", "--golden", "golden.npz"], cwd=exports, capture_output=True
    )
    assert golden.returncode == 0, golden.stderr


@pytest.fixture(scope="module")
def gray(tmp_path_factory):
    """Gray, twice as wide as high, padded."""
    run = train_on(tmp_path_factory.mktemp("gray"), 3, channels=1, image_size=(16, 32), fit="pad")
    export_all(run, ("c-array", "savedmodel", "onnx"))
    return run


def test_gray_and_oblong_in_every_file(gray, capsys):
    data = gray.spec().data
    assert (data.image_size, data.resize, data.fit, data.channels) == ((16, 32), (16, 32), "pad", 1)
    model = load_model(gray)
    assert model.input_shape == (None, 16, 32, 1) and model.get_layer("stem_conv").kernel.shape[2] == 1
    details = parse_metadata(
        "a\nb\n", json.dumps(TFLiteModel(gray.exports / "int8.tflite").card.details()), gray.folder
    )
    assert (details.preprocessing, details.image_size, details.channels) == ("letterbox", (16, 32), 1)
    assert_equal_answers(gray, capsys)
    images = load_dataset(data, silent, ("validation",)).splits["validation"].pixels[:4]
    expected = keras_predictor(model)(images)
    for name in ("saved_model", "model.onnx"):
        np.testing.assert_allclose(load_file(gray.exports / name)(images), expected, atol=1e-3)
    assert load_file(gray.exports / "c_array").pixels_from == -128


def test_a_saved_model_prepares_gray_padded_images_itself(gray):
    import tensorflow as tf

    data = load_dataset(gray.spec().data, silent, ("validation",))
    file = data.splits["validation"].files[0]
    encoded = tf.constant([Path(file).read_bytes()])
    served = tf.saved_model.load(str(gray.exports / "saved_model")).signatures["serve_bytes"](images=encoded)
    expected = keras_predictor(load_model(gray))(data.splits["validation"].pixels[:1])
    np.testing.assert_allclose(served["logits"], expected, atol=0.3)


def test_what_other_tools_read_of_the_file(gray):
    import flatbuffers  # noqa: F401
    from ai_edge_litert import schema_py_generated as schema

    content = (gray.exports / "int8.tflite").read_bytes()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    entry = next(each for each in model.metadata if each.name == b"TFLITE_METADATA")
    told = bytes(model.buffers[entry.buffer].data)
    assert "gray pixels, 16 × 32, 0 to 255".encode() in told
    card = (gray.exports / "model_card.md").read_text()
    assert "Input: gray pixels 0–255, 16 × 32 (height × width), the whole image, resized until it fits in" in card


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"preprocessing": "fisheye"}, "prepared by 'fisheye', which this version does not know"),
        ({"channels": 0}, "holds no labels"),
        ({"channels": "gray"}, "holds no labels"),
        ({"image_size": [16]}, "holds no labels"),
        ({"image_size": [16, -2]}, "holds no labels"),
        ({"image_size": [16, 64], "resize": [16, 63]}, "holds no labels"),
        ({"resize": [16, "x"]}, "holds no labels"),
    ],
)
def test_metadata_that_say_what_is_not_known_are_refused(gray, changes, words):
    card = TFLiteModel(gray.exports / "float32.tflite").card
    details = json.loads(json.dumps(card.details()))
    with pytest.raises(ExportError, match=words):
        parse_metadata(card.labels(), json.dumps(details | changes), gray.folder / "x.tflite")


def test_the_browser_gives_the_same_answers(litert, gray):
    from keras_resnet.export.demo.page import build_site

    data = load_dataset(gray.spec().data, silent, ("validation",))
    files = data.splits["validation"].files[:3]
    encoded = [base64.b64encode(Path(file).read_bytes()).decode() for file in files]
    with chromium() as browser, opened(browser, build_site(gray, silent)) as page:
        answers = page.evaluate(DROP, encoded)
        words = page.locator(".seen").first.inner_text()
    assert "the whole image, resized to 32 × 13 pixels, padded to 32 × 16" in words
    for file, results in zip(files, answers, strict=True):
        for result in results:
            predictor = load_predictor(str(gray.exports / result["file"]), gray.folder.parent)
            expected = probabilities(predictor.predict_image(read_image(file, channels=1), 2))
            assert probabilities(result["predictions"]) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("channels", "fields"),
    [
        (5, {"image_size": 16, "fit": "stretch"}),
        (3, {"image_size": (32, 16), "fit": "crop"}),
        (2, {"image_size": (16, 24)}),
    ],
)
def test_other_shapes_in_every_file(tmp_path, capsys, channels, fields):
    run = train_on(tmp_path, channels, **fields)
    assert run.spec().data.channels == channels
    export_all(run, ("c-array", "savedmodel", "onnx"))
    assert_equal_answers(run, capsys)


def test_a_network_of_many_channels_takes_no_camera(tmp_path, gray, capsys):
    from keras_resnet.errors import DataError
    from keras_resnet.runtime.inputs import require_colors

    card = TFLiteModel(gray.exports / "int8.tflite").card
    require_colors(card)
    with pytest.raises(DataError, match="cameras and videos give 3 channels, and the network takes 6"):
        require_colors(replace(card, channels=6))
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((4, 4, 6), np.uint8))
    file = tmp_path / "six.npy"
    file.write_bytes(buffer.getvalue())
    assert cli.main(["predict", str(gray.exports / "int8.tflite"), str(file)]) == 1
    assert "its channels are 6, and the network takes 1" in capsys.readouterr().err
