"""Documents of a run name files by plain names: one from elsewhere may name no file outside of its folder."""

import json

import pytest
from pydantic import TypeAdapter, ValidationError
from typing_extensions import get_type_hints, is_typeddict

from keras_resnet.run import documents, verdict_documents
from keras_resnet.run.reading import parse_verdicts
from keras_resnet.run.verdict_documents import FileName

PLAIN = ["int8.tflite", "rejected/int8.tflite", "a b.tflite", "é.tflite", "a..b.tflite", "-rf", "~x.tflite", "rejected"]
OTHERS = [
    *("s/../../../X.tflite", "../X.tflite", "/tmp/X.tflite", "//host/share/X.tflite", "a/b.tflite", "a/", "./X.tflite"),
    *("C:\\x", "C:\\x\\X.tflite", "C:x.tflite", "\\\\host\\share\\X.tflite", "a\\..\\..\\X.tflite", "x.tflite:hidden"),
    *("", ".", "..", "...", ".hidden.tflite"),
    *("rejected/", "rejected/..", "rejected/../X.tflite", "rejected//X.tflite", "rejected/rejected/X.tflite"),
    *("rejected\\X.tflite", "REJECTED/X.tflite", "X.tflite\n", "X\0.tflite", "\x1b[31mX.tflite", "X\x7f"),
    *(None, 7, ["X.tflite"], {"X.tflite": 1}),
]
# What has to do with files in the documents, and is never opened.
SHOWN_ONLY = {
    ("Sample", "file"): "the caption of an image that the document holds itself",
    ("HeatMapImage", "file"): "the caption of an image that the document holds itself",
    ("Fingerprint", "files"): "the SHA-256 of names and sizes",
}


def verdict_of(file):
    """A row of verdicts.json."""
    return {
        **{"file": file, "scheme": "int8", "bytes": 9, "gzip_bytes": 9, "metric": "top1", "value": 0.9, "machine": "x"},
        **{"model_value": 0.9, "samples": 9, "drop": 0.0, "drop_metric": "top1", "drop_interval": [-0.1, 0.1]},
        **{"images_to_settle": None, "baselines": [], "data_changed": "", "agreement": 1.0, "worst_class": "a"},
        **{"worst_class_drop": 0.0, "latency_ms": 1.0, "max_drop": 0.01, "verdict": "PASSED"},
        "cost": {"latencies": [{"threads": 1, "p50": 1.0}], "peak_mib": 1.0},
    }


def documents_of_a_run():
    modules = (documents, verdict_documents)
    return [
        each
        for module in modules
        for each in vars(module).values()
        if is_typeddict(each) and each.__module__ == module.__name__
    ]


def names_of_files(document):
    """The fields of a document by whose names they have to do with files."""
    words = ("file", "path", "folder", "url")
    hints = get_type_hints(document, include_extras=True)
    fields = {(document.__name__, name): hint for name, hint in hints.items() if any(word in name for word in words)}
    return {key: hint for key, hint in fields.items() if key not in SHOWN_ONLY}


def test_every_field_that_names_a_file_takes_plain_names_alone():
    found = {key: hint for document in documents_of_a_run() for key, hint in names_of_files(document).items()}
    assert ("VerdictRow", "file") in found
    assert {key: hint for key, hint in found.items() if hint != FileName} == {}


@pytest.mark.parametrize("name", PLAIN)
def test_plain_names_are_read(name):
    rows, troubles = parse_verdicts(json.dumps([verdict_of(name)]).encode())
    assert [row["file"] for row in rows] == [name] and troubles == []


@pytest.mark.parametrize("name", OTHERS, ids=repr)
def test_what_is_no_plain_name_is_left_out_and_told(name):
    rows, (trouble,) = parse_verdicts(json.dumps([verdict_of(name), verdict_of("int8.tflite")]).encode())
    assert [row["file"] for row in rows] == ["int8.tflite"]
    assert trouble.startswith("row 1: file: it ") and trouble.isprintable()
    assert not isinstance(name, str) or "it must be the plain name of a file. Received: " in trouble
    with pytest.raises(ValidationError):
        TypeAdapter(FileName).validate_python(name, strict=True)
