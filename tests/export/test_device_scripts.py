"""classify.py and detect.py, which users copy to devices: what they take, and files with other metadata."""

import argparse
import importlib.util
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from damaging import MISSING, ODD, edited, places_of
from mutants import texts_of, with_texts
from PIL import Image

from keras_resnet.export import device_scripts
from keras_resnet.runtime import postprocess, preprocess


def load_script(name):
    """A program as a module."""
    path = Path(device_scripts.__file__).with_name(name)
    spec = importlib.util.spec_from_file_location(f"{path.stem}_on_a_device", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def classify(monkeypatch):
    """The program, which finds preprocess.py beside it as on a device."""
    monkeypatch.setitem(sys.modules, "preprocess", preprocess)
    return load_script("classify.py")


def test_a_changed_file_is_one_sentence_or_answers(exported, classify, tmp_path):
    content = (exported[0].exports / "int8.tflite").read_bytes()
    labels, details = texts_of(content)
    rule = {"score": "energy", "temperature": 1.0, "threshold": 3.5, "accepts": 0.95}
    document = {"cells": [], "levels": [0, 4095], "temperature": 0.5, "rejection": rule} | details
    del document["provenance"]
    image, file = tmp_path / "photo.png", tmp_path / "int8.tflite"
    Image.fromarray(np.eye(8, dtype=np.uint8) * 255).save(image)
    refused = []
    for place in places_of(document):
        for value in (*ODD, *([MISSING] if place else [])):
            file.write_bytes(with_texts(content, labels, json.dumps(edited(document, place, value))))
            try:
                interpreter, names, card = classify.load(str(file))
            except SystemExit as error:
                assert (
                    str(error).startswith(f"cannot read {file}, or it is not as ") and len(str(error).splitlines()) == 1
                )
                refused.append(place)
                continue
            pixels, _ = classify.preprocess_file(str(image), card)
            logits = classify.run_model(interpreter, pixels)["logits"]
            assert len(classify.predict_labels(logits, names, card)) == 5
            if rule := card.get("rejection"):
                classify.is_rejected(logits, rule)
    required = {(), ("preprocessing",), ("resize",), ("image_size",), ("channels",), ("temperature",), ("levels", 1)}
    assert required | {("rejection", name) for name in ("score", "temperature", "threshold")} <= set(refused)


@pytest.mark.parametrize(("labels", "words"), [("one\n", "such a value of labels"), (None, "not a zip file")])
def test_labels_of_another_network(exported, classify, tmp_path, labels, words):
    content = (exported[0].exports / "int8.tflite").read_bytes()
    _, details = texts_of(content)
    file = tmp_path / "int8.tflite"
    file.write_bytes(with_texts(content, labels, json.dumps(details)) if labels else b"no file of ours" * 100)
    with pytest.raises(SystemExit, match=words):
        classify.load(str(file))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "the following arguments are required: file"),
        (["int8.tflite"], "name image files, or --golden FILE, and not both"),
        (["int8.tflite", "x.png", "--golden", "golden.npz"], "name image files, or --golden FILE, and not both"),
        (["int8.tflite", "x.png", "--rejected"], "unrecognized arguments: --rejected"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(classify, monkeypatch, capsys, arguments, words):
    monkeypatch.setattr(sys, "argv", ["classify.py", *arguments])
    with pytest.raises(SystemExit) as error:
        classify.main()
    assert error.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"classify.py: error: {words}")


@pytest.mark.parametrize("word", ["2", "-1", "nan", "much", ""])
def test_a_threshold_is_a_probability(classify, monkeypatch, word):
    monkeypatch.setitem(sys.modules, "classify", classify)
    monkeypatch.setitem(sys.modules, "postprocess", postprocess)
    detect = load_script("detect.py")
    with pytest.raises(argparse.ArgumentTypeError, match=re.escape(f"must be from 0 to 1. Received: {word!r}")):
        detect.probability(word)


def test_help_is_what_the_script_does(classify, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["classify.py", "--help"])
    with pytest.raises(SystemExit) as error:
        classify.main()
    out = capsys.readouterr().out
    assert (
        not error.value.code and "python classify.py int8.tflite photo.jpg --reject" in out and "--golden FILE" in out
    )
