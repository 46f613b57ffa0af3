"""The registry of formats: what it names is there, and files are told apart by it."""

from pathlib import Path

import pytest

from keras_resnet.errors import UsageError
from keras_resnet.export.formats import FORMATS, find_format, get_format, recognize_format
from keras_resnet.export.formats.base import Format
from keras_resnet.export.load import file_size, is_exported_file


@pytest.mark.parametrize("name", FORMATS)
def test_what_the_registry_names_is_there(name):
    found = get_format(name)
    assert isinstance(found, Format) and found is get_format(name)
    assert found.name == name and found.title and bool(found.extra) == bool(found.packages)
    assert name in FORMATS[name].help.lower().replace(" ", "-") or name == "c-array"


def test_each_exported_file_is_recognized(exported):
    run, verdicts = exported
    expected = {"saved_model": "savedmodel", "model.onnx": "onnx", "c_array": "c-array"}
    for name, verdict in verdicts.items():
        path = run.exports / name
        assert recognize_format(path) is find_format(path) is get_format(expected.get(name, "tflite"))
        assert is_exported_file(str(path)) and file_size(path) == verdict.bytes
    assert is_exported_file(str(run.exports / "c_array" / "kresnet_model.c")) and not is_exported_file(run.name)


def test_what_is_not_recognized_is_taken_for_the_usual_format(tmp_path):
    (tmp_path / "model").write_bytes(b"")
    assert recognize_format(tmp_path / "model") is None is recognize_format(Path("nothing"))
    assert find_format(tmp_path / "model") is get_format("tflite") and find_format(tmp_path) is get_format("savedmodel")


def test_a_package_that_is_not_installed_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tf2onnx", None)
    with pytest.raises(UsageError, match=r"ONNX needs tf2onnx, which is not installed: pip install 'kresnet\[onnx\]'"):
        get_format("onnx").require_installed()
