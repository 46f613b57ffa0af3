"""Export from a script: any Keras model with logits, images from memory, a verdict on the file that was written."""

import keras
import numpy as np
import pytest
from hurt_networks import hurt
from samples import silent

import keras_resnet.export
from keras_resnet import create_model, quantize
from keras_resnet.compression.quantization.fake_quantizers import FakeQuantizer
from keras_resnet.errors import DataError, ExportError, UsageError
from keras_resnet.evaluation.evaluate import load_model
from keras_resnet.export import export_tflite, in_memory
from keras_resnet.export.evaluate import RunLookup, inspect_file, verify_file
from keras_resnet.export.flatbuffer import read_contents
from keras_resnet.export.verdict import Budget
from keras_resnet.runtime.tflite_model import TFLiteModel

LABELS = tuple(f"digit {digit}" for digit in range(10))


def pairs():
    """Images uint8 and labels: to train on, and to validate."""
    from sklearn.datasets import load_digits

    scans = load_digits()
    images = np.repeat((scans.images * 255 / 16).astype("uint8")[..., None], 3, axis=-1)
    return (images[:1437], scans.target[:1437]), (images[1437:], scans.target[1437:])


@pytest.fixture(scope="module")
def data():
    return in_memory(*pairs(), LABELS, "scans")


def test_public_names():
    assert {"Verdict", "export_files", "export_tflite", "in_memory", "load_file"} <= set(keras_resnet.export.__all__)
    for name in keras_resnet.export.__all__:
        assert getattr(keras_resnet.export, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'export_onnx'"):
        _ = keras_resnet.export.export_onnx


def test_a_model_in_mixed_precision_becomes_an_integer_file(trained, data, tmp_path, runs):
    model = create_model("resnet8", classes=10, input_shape=(8, 8, 3), dtype="mixed_bfloat16")
    model.set_weights(load_model(trained).get_weights())
    file = tmp_path / "new" / "digits.tflite"
    verdict = export_tflite(model, data, file, io="int8", max_drop=2)
    assert (verdict.verdict, verdict.file, verdict.scheme) == ("PASSED", str(file), "int8-int8-io")
    assert verdict.value > 0.9 and verdict.samples == 360 and verdict.agreement > 0.95
    assert str(verdict).startswith(f"PASSED: {file}, 0.") and "of 360 images, drop" in str(verdict)
    assert sorted(each.name for each in file.parent.iterdir()) == ["digits.log", "digits.tflite"]
    loaded = TFLiteModel(file)
    assert loaded.card.classes == LABELS and loaded.pixels_from == -128.0
    given = loaded._interpreter.get_output_details()[0]
    assert loaded._input["dtype"] is np.int8 and given["dtype"] is np.int8
    assert not read_contents(loaded.content).float_dtypes
    images, labels = pairs()[1]
    assert (loaded(images).argmax(1) == labels).mean() == verdict.value
    told = inspect_file(file)
    assert (told["model"], told["data"]) == ("resnet8", "scans") and "run" not in told
    assert told["calibration_sha256"] == verdict.calibration_sha256
    with pytest.raises(UsageError, match=r"belongs to no run: name the run to evaluate it on with --run"):
        verify_file(file, Budget(), RunLookup(runs), silent)


@pytest.mark.slow
def test_a_file_that_is_hurt_does_not_get_its_name(trained, data, tmp_path):
    model = load_model(trained)
    hurt(model)
    file = tmp_path / "digits.tflite"
    file.write_bytes(b"of before")
    verdict = export_tflite(model, data, file)
    rejected = tmp_path / "digits.rejected.tflite"
    assert verdict.verdict == "FAILED" and verdict.drop > 0.01 and verdict.file == str(rejected)
    assert rejected.is_file() and not file.exists()


@pytest.mark.slow
def test_a_model_that_was_trained_with_8_bits_needs_no_calibration(trained, data, tmp_path):
    model = quantize(load_model(trained))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1e-3, momentum=0.9), loss)
    model.fit(*pairs()[0], batch_size=32, epochs=2, verbose=0)
    verdict = export_tflite(model, data, tmp_path / "digits.tflite")
    assert (verdict.verdict, verdict.scheme, verdict.calibration_sha256) == ("PASSED", "qat", None)
    assert verdict.agreement > 0.98 and not [name for name in verdict.dtypes if "FLOAT" in name]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"file": "digits.bin"}, r"file must end in \.tflite\. Received: digits\.bin"),
        ({"max_drop": 101}, r"max_drop must be between 0 and 100 points\. Received: 101"),
        ({"io": "int4"}, "io must be one of uint8, int8, float. Received: 'int4'"),
        ({"input_shape": (16, 16, 3)}, r"from \(None, 8, 8, 3\), the images, .* Received: from \(None, 16, 16, 3\)"),
        ({"classes": 9}, r"to \(None, 10\), a logit for each class. Received: .* to \(None, 9\)"),
        ({"softmax": True}, "must end in logits, without a softmax, .* Received: .*, which ends in softmax"),
    ],
)
def test_bad_requests(data, tmp_path, monkeypatch, changes, words):
    monkeypatch.chdir(tmp_path)
    of_model = {"classes": 10, "input_shape": (8, 8, 3), "softmax": False}
    options = {"file": "digits.tflite"} | {key: value for key, value in changes.items() if key not in of_model}
    of_model |= {key: value for key, value in changes.items() if key in of_model}
    softmax = of_model.pop("softmax")
    model = create_model("resnet8", **of_model)
    if softmax:
        model = keras.Model(model.input, keras.layers.Softmax()(model.output))
    with pytest.raises(UsageError, match=words):
        export_tflite(model, data, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_quantized_model_that_has_seen_no_images(data, tmp_path):
    model = quantize(create_model("resnet8", classes=10, input_shape=(8, 8, 3)))
    with pytest.raises(UsageError, match="resnet8 has seen no images: train or calibrate it first"):
        export_tflite(model, data, tmp_path / "digits.tflite")
    assert list(tmp_path.iterdir()) == []


def test_a_softmax_behind_a_quantized_model_is_refused_as_any(data, tmp_path):
    """Rounded to 256 steps the shares no longer sum to 1; it is seen in the graph."""
    plain = create_model("resnet8", classes=10, input_shape=(8, 8, 3))
    ended = keras.Model(plain.input, keras.layers.Softmax(name="shares")(plain.output))
    with pytest.raises(UsageError, match=r"must end in logits, without a softmax, .* which ends in shares"):
        quantize(ended)
    copy = quantize(plain)
    copy(pairs()[0][0][:8].astype("float32"), training=True)
    outputs = FakeQuantizer((0, 255 / 256))(keras.layers.Softmax(name="shares")(copy.output))
    with pytest.raises(UsageError, match=r"must end in logits, without a softmax, .* which ends in shares"):
        export_tflite(keras.Model(copy.input, outputs), data, tmp_path / "digits.tflite")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_to(data, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match=f"cannot write to {tmp_path}/file"):
        export_tflite(create_model("resnet8", classes=10, input_shape=(8, 8, 3)), data, tmp_path / "file" / "x.tflite")


def changed(which, change):
    """`pairs`, of which the images or the labels of one split are made something else."""
    train, validation = (list(pair) for pair in pairs())
    split = train if which[0] == "train" else validation
    place = 0 if which[1] == "images" else 1
    split[place] = change(split[place])
    return train, validation


@pytest.mark.parametrize(
    ("which", "change", "words"),
    [
        (("train", "images"), lambda x: x / 255, r"train images are uint8 .* Received: float64 \(1437, 8, 8, 3\)"),
        (("validation", "images"), lambda x: x[..., 0], r"Received: uint8 \(360, 8, 8\)"),
        (
            ("validation", "images"),
            lambda x: np.pad(x, [(0, 0), (0, 1), (0, 1), (0, 0)]),
            r"shape of the train images, \(8, 8, 3\). Received: \(9, 9, 3\)",
        ),
        (("train", "labels"), lambda y: np.eye(10)[y], r"labels are integers \(1437,\), .* float64 \(1437, 10\)"),
        (("validation", "labels"), lambda y: y[1:], r"labels are integers \(360,\), .* int64 \(359,\)"),
        (("train", "labels"), lambda y: y + 1, "numbers of the 10 classes, 0 to 9. Received: 1 to 10"),
        (("validation", "labels"), lambda y: y * 0, "validation images hold none of class digit 1"),
    ],
)
def test_images_and_labels_that_do_not_fit(which, change, words):
    with pytest.raises(DataError, match=words):
        in_memory(*changed(which, change), LABELS)
