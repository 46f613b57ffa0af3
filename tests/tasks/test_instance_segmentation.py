"""Detection and segmentation from data to files: they learn, and their files find the same."""

import json
import subprocess
import sys

import numpy as np
import pytest
from layouts import coco_folder
from PIL import Image
from samples import finding, silent

from keras_resnet.cli import main
from keras_resnet.config.spec import AugmentSpec, DataSpec, HeadSpec, Spec
from keras_resnet.data.load import load_dataset
from keras_resnet.errors import DataError, UsageError
from keras_resnet.run import Run
from keras_resnet.runtime.visualize import rle_decode
from keras_resnet.tasks import TASKS


def test_a_run_segments_and_its_files_do(segmented, tmp_path, capsys):
    from keras_resnet.export.pipeline import export
    from keras_resnet.export.request import ExportRequest
    from keras_resnet.export.tflite_options import build_tflite_options, with_nms_variants

    first, last = segmented.read_log()[0], segmented.read_log()[-1]
    assert last["val_iou"] > first["val_iou"] + 0.02 and last["val_mask"] > first["val_mask"] + 0.05
    assert last["loss"] < 0.85 * first["loss"] and segmented.metrics()["metric"] == "mask mAP"
    assert last["val_mask mAP"] == pytest.approx(segmented.metrics()["value"], abs=1e-6) and last["val_box mAP"] > 0
    forms = build_tflite_options(("float32", "int8"))
    wanted = ExportRequest(tflite=(*forms, *with_nms_variants(forms[1:], "segment")), max_drop=5)
    floats, integers, full = export(segmented, wanted, silent)
    assert full.value == pytest.approx(integers.value, abs=0.01) and full.agreement > 0.95
    assert full.largest_difference is None and full.operators["NON_MAX_SUPPRESSION_V4"] == 1
    assert floats.agreement == 1 and floats.largest_difference < 1e-2
    assert {"box mAP", "mask AP50", "box APs"} <= set(floats.details)
    for verdict in (floats, integers, full):
        low, high = verdict.drop_interval
        assert low <= verdict.drop <= high and (low + high) / 2 == pytest.approx(verdict.drop, abs=1e-9)
    assert np.ptp(floats.drop_interval) < np.ptp(integers.drop_interval)
    assert integers.all_integer and integers.metric == "mask mAP"
    image = tmp_path / "wide.png"
    Image.fromarray(np.load(segmented.exports / "golden.npz")["images"][0]).resize((128, 96)).save(image)
    save = ["--save", str(tmp_path / "found.png")]
    code = main.run_command(["predict", str(segmented.exports / "float32.tflite"), str(image), "--json", *save])
    found = json.loads(capsys.readouterr().out)["predictions"]
    assert code == 0 and all(each["probability"] >= 0.3 for each in found)
    for each in found:
        left, top, right, bottom = each["box"]
        ys, xs = np.nonzero(rle_decode(each["mask"]))
        assert each["mask"]["size"] == [96, 128] and 0 <= left <= right <= 128 and 0 <= top <= bottom <= 96
        assert not len(xs) or (
            xs.min() >= left - 1 and xs.max() <= right and ys.min() >= top - 1 and ys.max() <= bottom
        )
    assert Image.open(tmp_path / "found.png").size == (128, 96)


def test_the_script_beside_the_files_finds_the_same(segmented):
    """It needs no kresnet: it runs in the exports' folder, in a process of its own."""
    command = [sys.executable, "detect.py", "float32.tflite", "--golden", "golden.npz"]
    done = subprocess.run(command, cwd=segmented.exports, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "16 of 16 predictions as expected" in done.stdout, done.stderr[-2000:]
    command[1] = "classify.py"
    done = subprocess.run(command, cwd=segmented.exports, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("float32.tflite detects objects; give it to detect.py")
    card = (segmented.exports / "model_card.md").read_text()
    assert "Detection of objects and their masks" in card and "mask mAP" in card


def test_what_detection_does_not_take(segmented, capsys):
    for key, value, words in (
        ("augment.mixup", 0.2, "augment.mixup is for --task classify or multilabel; leave it out with --task segment"),
        ("augment.scales", (2.0, 1.0), "augment.scales must be two numbers above 0"),
        ("head.masks", "none", "head.masks must be one of condinst, yolact"),
        ("head.convs", 0, "head.convs must be 1 to 64. Received: 0"),
        ("data.annotations", "labels", "data.annotations must be masks for segment"),
    ):
        with pytest.raises(UsageError, match=words):
            finding().override(key, value)
    for changes in ({"head": HeadSpec(convs=3)}, {"augment": AugmentSpec(color_jitter=0.1)}):
        with pytest.raises(UsageError, match="leave it out with --task classify"):
            Spec(**changes)
    with pytest.raises(DataError, match="has no images with boxes of objects"):
        load_dataset(DataSpec("digits", annotations="masks"), silent)
    assert main.run_command(["train", "--task", "segmant"]) == 2
    assert "task must be one of" in capsys.readouterr().err.splitlines()[-1]
    assert main.run_command(["train", "--task", "detect", "--recipe", "he2015-cifar"]) == 2
    assert "he2015-cifar is for --task classify" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.slow
def test_a_folder_as_coco_has_it_trains_evaluates_exports(tmp_path, capsys):
    root = coco_folder(tmp_path / "coco")
    runs = ["--runs", str(tmp_path / "runs")]
    options = ["--depth", "10", "--width", "0.25", "--image-size", "64", "--epochs", "1", "--precision", "float32"]
    options += ["--max-unreadable", "0.1", "--name", "ours", "--masks", "yolact", *runs]
    assert main.run_command(["train", "--task", "segment", "--data", str(root), *options]) == 0
    capsys.readouterr()
    assert main.run_command(["evaluate", "ours", "--json", *runs]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["metric"] == "mask mAP" and result["samples"] == 24
    assert main.run_command(["export", "ours", "--tflite", "--quantize", "float32", "--json", *runs]) == 0
    (verdict,) = json.loads(capsys.readouterr().out)
    # So few images prove no budget of a point.
    assert verdict["verdict"] == "NOT PROVEN" and verdict["samples"] == 24 and verdict["drop"] == 0
    assert main.run_command(["verify", str(Run(tmp_path / "runs" / "ours").exports / "float32.tflite"), *runs]) == 0


def test_a_file_makes_the_objects_that_numpy_makes(segmented):
    """Of outputs in which much is found, which a network after five epochs does not: in order, sides and classes."""
    from ai_edge_litert.interpreter import Interpreter

    from keras_resnet.export.formats.detection_postprocess import _convert_postprocess
    from keras_resnet.runtime.metadata import ModelMetadata
    from keras_resnet.runtime.postprocess import (
        BACKGROUND_LOGIT,
        CONDINST_COEFFICIENTS,
        CONDINST_PROTOTYPES,
        decode_outputs,
    )

    rng, cells = np.random.default_rng(0), (8, 4)
    outputs = {
        "scores": rng.normal(-3, 2, (1, 80, 3)).astype(np.float32),
        "distances": rng.uniform(0.3, 2, (1, 80, 4)).astype(np.float32),
        "coefficients": rng.normal(size=(1, 80, CONDINST_COEFFICIENTS)).astype(np.float32),
        "prototypes": rng.normal(size=(1, 16, 16, CONDINST_PROTOTYPES)).astype(np.float32),
    }
    for task, guesses in (("segment", 0), ("localize", 3)):
        given = outputs if task == "segment" else {name: outputs[name] for name in ("scores", "distances")}
        methods = "letterbox", TASKS[task].postprocessing
        card = ModelMetadata(("a", "b", "c"), 64, 64, {}, task, *methods, cells)
        interpreter = Interpreter(
            model_content=_convert_postprocess({name: each.shape for name, each in given.items()}, card)
        )
        found = interpreter.get_signature_runner("objects")(**given)
        ours, masks = decode_outputs({name: each[0] for name, each in given.items()}, cells, guesses=guesses)
        theirs, their_masks = decode_outputs({name: each[0] for name, each in found.items()}, cells, guesses=guesses)
        assert len(ours.labels) > 20 or guesses
        assert theirs.labels.tolist() == ours.labels.tolist()
        np.testing.assert_allclose(theirs.scores, ours.scores, rtol=1e-5)
        np.testing.assert_allclose(theirs.boxes, ours.boxes, atol=1e-6)
        if masks is not None:
            around = masks != BACKGROUND_LOGIT  # elsewhere only the file computes them
            assert around.mean() > 0.3
            np.testing.assert_allclose(their_masks[around], masks[around], rtol=1e-3, atol=1e-3)


def test_files_that_make_objects_are_of_detectors(capsys, trained, runs):
    assert main.run_command(["export", trained.name, "--tflite", "--with-nms", "--runs", str(runs)]) == 2
    assert "--with-nms is for runs that localize, detect or segment" in capsys.readouterr().err
    assert main.run_command(["export", trained.name, "--onnx", "--with-nms", "--runs", str(runs)]) == 2
    assert "--with-nms is for TFLite files" in capsys.readouterr().err
