"""Files that are something else than what is wanted say what they are."""

import gzip
import io

import numpy as np
import pytest
from PIL import Image

from keras_resnet.errors import DataError, ExportError, RunError, WeightsError
from keras_resnet.export.load import load_file
from keras_resnet.pretrained.readers import read_weights
from keras_resnet.run import Run
from keras_resnet.runtime import cli
from keras_resnet.runtime.image import read_image
from keras_resnet.runtime.preprocess import HEAD, kind_of
from keras_resnet.runtime.tflite_model import require_file


def picture(form):
    stream = io.BytesIO()
    Image.new("RGB", (9, 7), "red").save(stream, form)
    return stream.getvalue()


def array():
    stream = io.BytesIO()
    np.save(stream, np.zeros(3))
    return stream.getvalue()


# What stands in a file → what is said of it.
CONTENTS = [
    (b"", "it is empty"),
    (b"<html><body>Not found", "it is text, which begins with '<html><body>Not found'"),
    ("größe,höhe\n1,2\n".encode(), "it is text, which begins with 'größe,höhe'"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "it is text, which begins with 'version https"),
    (bytes(1000), "it is nothing but zeros"),
    (gzip.compress(b"x", mtime=0), "it is a gzip archive"),
    (b"%PDF-1.7\n", "it is a PDF document"),
]
PICTURES = [(picture("PNG"), "it is a PNG image"), (picture("JPEG"), "it is a JPEG image")]


@pytest.mark.parametrize(("content", "words"), CONTENTS)
def test_no_image(tmp_path, content, words):
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(DataError) as raised:
        read_image(tmp_path / "x.png")
    assert str(raised.value).startswith(f"cannot read image {tmp_path}/x.png: not an image: {words}")


def test_a_damaged_image_begins_as_one(tmp_path):
    (tmp_path / "x.png").write_bytes(picture("PNG")[:12])
    with pytest.raises(DataError, match=r"x.png: it begins as a PNG image, but is damaged$"):
        read_image(tmp_path / "x.png")
    (tmp_path / "y.png").write_bytes(bytes(range(1, 32)))
    with pytest.raises(DataError, match=r"y.png: not an image$"):
        read_image(tmp_path / "y.png")


@pytest.mark.parametrize("suffix", [".tflite", ".onnx"])
@pytest.mark.parametrize(("content", "words"), CONTENTS + PICTURES)
def test_no_exported_model(tmp_path, suffix, content, words):
    file = tmp_path / f"x{suffix}"
    file.write_bytes(content)
    kind = {".tflite": "a TFLite model", ".onnx": "an ONNX model"}[suffix]
    with pytest.raises(ExportError) as raised:
        load_file(file)
    assert str(raised.value).startswith(f"{file} is not {kind}: {words}")


@pytest.mark.parametrize("suffix", [".keras", ".h5", ".pth", ".safetensors"])
@pytest.mark.parametrize(("content", "words"), CONTENTS[:3] + PICTURES[:1])
def test_no_weights(tmp_path, suffix, content, words):
    file = tmp_path / f"x{suffix}"
    file.write_bytes(content)
    with pytest.raises(WeightsError) as raised:
        read_weights(file)
    assert str(raised.value).startswith(f"cannot read weights {file}: not a {suffix} file: {words}")


def test_what_begins_as_it_should_is_damaged(tmp_path):
    file = tmp_path / "x.keras"
    file.write_bytes(b"PK\x03\x04" + bytes(range(99)))
    with pytest.raises(WeightsError, match=r"not a .keras file, or damaged$"):
        read_weights(file)


def test_folders(tmp_path):
    (tmp_path / "some" / "deep").mkdir(parents=True)
    for name in ("a.png", "a.keras", "a.tflite"):
        (tmp_path / name).mkdir()
    with pytest.raises(DataError, match=r"a.png: it is a folder$"):
        read_image(tmp_path / "a.png")
    with pytest.raises(WeightsError, match=r"a.keras: it is a folder, not a file$"):
        read_weights(tmp_path / "a.keras")
    with pytest.raises(ExportError, match=r"a.tflite is a folder, not a TFLite model$"):
        load_file(tmp_path / "a.tflite")
    with pytest.raises(ExportError, match=r"some is a folder without a SavedModel or C source: name a file in it$"):
        load_file(tmp_path / "some")
    with pytest.raises(ExportError, match=r"a.tflite is a folder, not a TFLite model$"):
        require_file(tmp_path / "a.tflite")


@pytest.mark.parametrize(("content", "words"), CONTENTS[:2])
def test_the_model_of_a_run(trained, tmp_path, content, words):
    import shutil

    run = Run(shutil.copytree(trained.folder, tmp_path / "run"))
    run.model_file.write_bytes(content)
    with pytest.raises(RunError) as raised:
        run.require_finished()
    assert f"{words}" in str(raised.value) and str(raised.value).endswith(", not a .keras archive")
    run.metrics_file.write_bytes(b"\n")
    with pytest.raises(RunError, match=r"metrics\.json: it is empty$"):
        run.metrics()


def test_text_in_any_language_and_binary_data():
    assert kind_of(array()) == "a NumPy array"
    assert kind_of("日本語のテキスト".encode() * 90)[:7] == "text, w"
    assert kind_of(("é" * HEAD).encode()[: HEAD - 1])[:7] == "text, w"  # cut within a character
    assert kind_of(bytes([0x1C, 0, 0, 0]) + b"TFL3" + bytes(range(60))) == ""
    assert kind_of(b"\x08\x08\x12\x07tf2onnx") == ""
    assert kind_of("caf\xe9 is Latin-1 \xe9\xe9\xe9\xe9".encode("latin-1")) == ""


def test_the_runtime_for_devices_says_it_too(tmp_path, capsys):
    (tmp_path / "x.tflite").write_text("<html>")
    (tmp_path / "x.png").write_bytes(picture("PNG"))
    assert cli.main(["predict", str(tmp_path / "x.tflite"), str(tmp_path / "x.png")]) == 1
    assert capsys.readouterr().err.endswith("x.tflite is not a TFLite model: it is text, which begins with '<html>'\n")


def test_commands_end_in_that_sentence(tmp_path, kresnet):
    (tmp_path / "x.tflite").write_bytes(b"")
    code, _, err = kresnet("inspect", tmp_path / "x.tflite")
    assert code == 1 and err[-1].endswith("x.tflite is not a TFLite model: it is empty")
