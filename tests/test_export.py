"""Export: the verdict on the file that was written, and what becomes of one that failed."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from keras_resnet.errors import ExportError, RunError
from keras_resnet.evaluate import load_model
from keras_resnet.export import exporting
from keras_resnet.export.contents import contents_of
from keras_resnet.export.metadata import read_card
from keras_resnet.export.runtime import TFLiteModel
from keras_resnet.export.scoring import score
from keras_resnet.export.verify import drop_interval
from keras_resnet.run import Run


def silent(message):
    pass


@pytest.fixture(scope="module")
def exported(trained):
    verdicts = exporting.export_tflite(trained, max_drop=0.01, say=silent)
    return trained, {verdict.scheme: verdict for verdict in verdicts}


def test_both_files_pass_and_are_told_of(exported):
    run, verdicts = exported
    assert set(verdicts) == {"float32", "int8"}
    for row in run.verdicts():
        assert row["verdict"] == "PASSED" and row["value"] >= 0.95 and row["agreement"] >= 0.98
        assert row["bytes"] == (run.exports / row["file"]).stat().st_size and row["latency_ms"] > 0
        low, high = row["drop_interval"]
        assert low <= row["drop"] <= high and row["metric"] == "top1"
    assert verdicts["float32"].agreement == 1.0
    assert verdicts["int8"].bytes < 0.45 * verdicts["float32"].bytes


def test_files_hold_what_their_scheme_says(exported):
    run, _ = exported
    contents = {name: contents_of(run.exports / f"{name}.tflite") for name in ("float32", "int8")}
    assert all(not c.custom for c in contents.values())
    assert "FLOAT32" in contents["float32"].dtypes
    assert not [t for t in contents["int8"].dtypes if t.startswith("FLOAT")]


def test_raw_pixels_go_straight_in(exported):
    run, _ = exported
    model = TFLiteModel(run.exports / "int8.tflite")
    assert model._input["dtype"] == np.uint8 and tuple(model._input["shape"]) == (1, 8, 8, 3)
    np.testing.assert_allclose(model._input["quantization"], (1.0, 0), rtol=1e-3)


def test_the_card_is_in_the_file(exported):
    run, verdicts = exported
    card = read_card(run.exports / "int8.tflite")
    assert card.classes == run.classes() and (card.resize, card.image_size) == (8, 8)
    assert card.provenance["calibration_sha256"] == verdicts["int8"].calibration_sha256


def test_a_file_scores_what_its_verdict_says(exported, runs):
    run, verdicts = exported
    for target, value in (
        (str(run.exports / "int8.tflite"), verdicts["int8"].value),
        (run.name, run.metrics()["value"]),
    ):
        assert score(target, None, "validation", runs, silent)["value"] == value


def test_a_file_that_lost_too_much_is_kept_apart(exported, tmp_path, monkeypatch):
    run, _ = exported
    copy = Run(tmp_path / "copy")
    subprocess.run(["cp", "-r", str(run.folder), str(copy.folder)], check=True)
    genuine = exporting.verify

    def against_a_better_model(file, scheme, reference, *rest, **options):
        perfect = replace(reference, correct=np.ones_like(reference.correct))
        return genuine(file, scheme, perfect, *rest, **options)

    monkeypatch.setattr(exporting, "verify", against_a_better_model)
    verdicts = exporting.export_tflite(copy, max_drop=0.0, say=silent)
    assert {v.verdict for v in verdicts} == {"FAILED"}
    assert sorted(p.name for p in copy.rejected.iterdir()) == ["float32.tflite", "int8.tflite"]
    assert list(copy.exports.glob("*.tflite")) == []
    assert {row["file"] for row in copy.verdicts()} == {"rejected/float32.tflite", "rejected/int8.tflite"}


def test_a_failed_conversion_names_its_log(exported, tmp_path):
    run, _ = exported
    copy = Run(tmp_path / "copy")
    subprocess.run(["cp", "-r", str(run.folder), str(copy.folder)], check=True)
    copy.model_file.write_bytes(b"not a model")
    with pytest.raises(RunError, match="unreadable"):
        load_model(copy)


def test_damaged_files(tmp_path):
    file = tmp_path / "x.tflite"
    with pytest.raises(ExportError, match="there is no file"):
        TFLiteModel(file)
    file.write_bytes(b"TFL3 but not really")
    with pytest.raises(ExportError, match="damaged"):
        TFLiteModel(file)


def test_prediction_needs_no_tensorflow(exported, tmp_path):
    run, _ = exported
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "x.png")
    arguments = ["predict", str(run.exports / "int8.tflite"), str(tmp_path / "x.png"), "--json"]
    code = (
        "import sys\nfrom keras_resnet import commands\n"
        f"code = commands._main({arguments!r})\n"
        "assert code == 0 and not {'tensorflow', 'keras', 'tf_keras'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    assert len(answer["predictions"]) == 5
    shares = [p["probability"] for p in answer["predictions"]]
    assert shares == sorted(shares, reverse=True) and 0 < sum(shares) <= 1.0001


def test_drop_interval():
    n = 400
    same = np.ones(n, bool)
    low, high = drop_interval(same, same)
    assert low < 0 < high < 0.01
    worse = same.copy()
    worse[:40] = False
    low, high = drop_interval(same, worse)
    assert 0.06 < low < 0.1 < high < 0.14
    mirrored = drop_interval(worse, same)
    np.testing.assert_allclose(mirrored, (-high, -low))
