"""Several labels an image, from training to devices: losses, thresholds, verdicts, and equal answers everywhere."""

import base64
import io
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from browsing import DROP, chromium, opened
from label_tables import paint_mixed, write_csv
from PIL import Image
from samples import silent

from keras_resnet.config.spec import DataSpec, NetworkSpec, Spec, TrainingSpec
from keras_resnet.data.load import load_dataset
from keras_resnet.data.sources import digit_pairs
from keras_resnet.errors import RunError, UsageError
from keras_resnet.export.demo.page import build_site
from keras_resnet.export.load import load_file
from keras_resnet.export.predict import load_predictor
from keras_resnet.metrics import multilabel
from keras_resnet.metrics.result import Evaluation
from keras_resnet.reporting.page import render_report
from keras_resnet.run import Run
from keras_resnet.runtime.image import read_image
from keras_resnet.runtime.predictions import POSTPROCESSORS, format_predictions, label_sets
from keras_resnet.tasks import get_task
from keras_resnet.tasks.multilabel import Multilabel, asymmetric_loss
from keras_resnet.training.train import train

CLASSES = ("blue", "green", "red")
NOTHING = POSTPROCESSORS["label_set"].nothing


def mixing(source, **changes):
    """A small network for the images of `paint_mixed`."""
    spec = Spec(
        task="multilabel",
        network=NetworkSpec(8, width=0.5),
        data=DataSpec(str(source), annotations="label_sets", image_size=16),
        training=TrainingSpec(loss="bce", epochs=6, batch_size=16, precision="float32"),
    )
    return spec.override_all({"optimizer.label_smoothing": 0.0, "augment.flip": False, **changes})


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """A folder of images with a table of their labels."""
    root = tmp_path_factory.mktemp("mixed")
    truth = paint_mixed(root / "images", 160)
    write_csv(root / "labels.csv", [{"path": n, "labels": "|".join(t)} for n, t in truth.items()])
    return root, truth


@pytest.fixture(scope="module")
def finished(mixed, tmp_path_factory):
    """A run that has learned them, and what it said."""
    said = []
    return train(mixing(mixed[0]), tmp_path_factory.mktemp("runs"), "mixed", said.append), said


@pytest.fixture(scope="module")
def files(finished):
    """Its exported files, with their verdicts."""
    from keras_resnet.export.pipeline import export
    from keras_resnet.export.request import ExportRequest
    from keras_resnet.export.tflite_options import build_tflite_options

    request = ExportRequest(tflite=build_tflite_options(("float32", "int8")), formats=("savedmodel", "c-array"))
    verdicts = export(finished[0], request, silent)
    return finished[0].exports, {verdict.file: verdict for verdict in verdicts}


def test_a_run_keeps_its_thresholds_and_scores_with_them(finished):
    run, said = finished
    metrics, analysis = run.metrics(), run.analysis()
    assert metrics["metric"] == "mAP" and metrics["value"] > 0.95, said
    assert len(metrics["thresholds"]) == 3 and any(line.startswith("thresholds: ") for line in said)
    assert [row["threshold"] for row in analysis["by_class"]] == metrics["thresholds"]
    assert {"mAP", "macro F1", "micro F1", "all labels right"} <= set(analysis["metrics"])
    assert analysis["baselines"][0]["baseline"] == "always predicting the most frequent labels"
    assert "val_mAP" in run.read_log()[-1]
    assert not any("uncertain" in line for line in said)
    assert "These curves count F1 at a threshold of 0.5, before thresholds are fitted" in render_report(run)


def test_files_pass_with_all_three_metrics(files):
    _, verdicts = files
    assert verdicts["int8.tflite"].passed and set(verdicts["int8.tflite"].drops) == {"mAP", "macro F1", "micro F1"}


@pytest.mark.slow
def test_run_and_files_predict_the_same_labels_everywhere(mixed, finished, files):
    """The Keras model, LiteRT, the SavedModel, C source, and classify.py on a device without kresnet."""
    root, truth = mixed
    run, (exports, verdicts) = finished[0], files
    images = [str(root / "images" / name) for name in list(truth)[:16]]
    targets = [str(exports / name) for name in verdicts]
    answers = {
        target: [load_predictor(target, run.folder.parent).predict_image(read_image(each), None) for each in images]
        for target in (run.name, *targets)
    }
    sets = {target: [{each["label"] for each in found} for found in rows] for target, rows in answers.items()}
    for target in targets:
        assert sets[target] == sets[run.name], target
    script = [sys.executable, "classify.py", "int8.tflite", *images]
    lines = subprocess.run(script, cwd=exports, capture_output=True, text=True, check=True).stdout.splitlines()
    expected = [
        f"{image}: {format_predictions(found, NOTHING)}"
        for image, found in zip(images, answers[str(exports / "int8.tflite")], strict=True)
    ]
    assert lines == expected
    golden = subprocess.run(
        [sys.executable, "classify.py", "int8.tflite", "--golden", "golden.npz"], cwd=exports, capture_output=True
    )
    assert golden.returncode == 0 and b"16 of 16 predictions as expected" in golden.stdout
    right = sum(
        found == set(truth[image.rpartition("/")[2]]) for found, image in zip(sets[run.name], images, strict=True)
    )
    assert right >= 14


def test_a_file_carries_its_thresholds(finished, files):
    run, (exports, _) = finished[0], files
    for name in files[1]:
        assert list(load_file(exports / name).card.thresholds) == run.metrics()["thresholds"]
    assert "a label is predicted from its threshold on" in (exports / "model_card.md").read_text()


def test_a_saved_model_serves_independent_probabilities(mixed, files):
    served = tf.saved_model.load(str(files[0] / "saved_model")).signatures["serve_bytes"]
    outputs = served(images=tf.constant([(mixed[0] / "images" / "007.png").read_bytes()]))
    np.testing.assert_allclose(outputs["probabilities"], tf.sigmoid(outputs["logits"]), rtol=1e-6)


def test_thresholds_that_are_gone_are_told(finished, tmp_path):
    run = Run(shutil.copytree(finished[0].folder, tmp_path / "copy"))
    document = json.loads(run.metrics_file.read_text())
    run.write_json(run.metrics_file, {**document, "thresholds": document["thresholds"][:2]})
    with pytest.raises(RunError, match=r"metrics.json has 2 thresholds for 3 labels"):
        load_predictor(str(run.folder), tmp_path)


def test_labels_are_predicted_from_their_thresholds_on():
    logits = np.array([[2.0, -1.0, 0.0], [-3.0, -3.0, -3.0]])
    both = label_sets(logits, "abc", (0.9, 0.2, 0.5), None)
    assert [[each["label"] for each in found] for found in both] == [["c", "b"], []]
    assert both[0][0]["probability"] == 0.5 and len(label_sets(logits, "abc", (0, 0, 0), 1)[0]) == 1
    assert format_predictions(both[1], NOTHING) == "no label reaches its threshold"


def test_mistakes_are_told_with_the_probabilities_of_their_labels():
    """The one that is farthest from the truth first; what is right is no mistake."""
    task = Multilabel(CLASSES, (0.5, 0.5, 0.5))
    logits = np.array([[4.0, -3.0, 1.0], [-9.0, -1.0, -9.0], [9.0, -9.0, -9.0]])
    truth = np.array([[0, 1, 1], [0, 1, 0], [1, 0, 0]], np.uint8)
    predictions = task.postprocess(logits, truth)
    evaluation = Evaluation(task.compute_metrics(predictions, truth), predictions, logits, truth)
    assert [(each.row, each.caption) for each in task.sample_predictions(evaluation, 9)] == [
        (0, "predicted blue (98%), red (73%); missed green (5%); labeled green, red"),
        (1, "predicted nothing; missed green (27%); labeled green"),
    ]


def test_the_asymmetric_loss_is_that_of_its_authors():
    """Against a transcription of Ridnik et al.'s equations 4 to 7, term by term."""
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(0, 3, (5, 4)), rng.integers(2, size=(5, 4))
    expected = np.zeros(5)
    for row, column in np.ndindex(5, 4):
        p = 1 / (1 + np.exp(-logits[row, column]))
        shifted = max(p - 0.05, 0)
        expected[row] -= np.log(p) if targets[row, column] else shifted**4 * np.log(1 - shifted)
    ours = asymmetric_loss(tf.constant(targets, tf.float32), tf.constant(logits, tf.float32))
    np.testing.assert_allclose(ours, expected, rtol=1e-4)


def test_the_asymmetric_loss_has_slopes_everywhere():
    logits = tf.Variable([[-200.0, -3.0, 0.0, 3.0, 200.0]] * 2)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(asymmetric_loss(tf.constant([[1.0] * 5, [0.0] * 5]), logits))
    slopes = tape.gradient(loss, logits)
    assert np.isfinite(slopes).all() and (slopes[0] <= 0).numpy().all() and (slopes[1] >= 0).numpy().all()


def test_binary_cross_entropy_is_that_of_keras():
    import keras

    task = get_task(mixing("digit_pairs", **{"optimizer.label_smoothing": 0.2}), CLASSES)
    loss = task.loss(mixing("digit_pairs", **{"optimizer.label_smoothing": 0.2}))
    targets, logits = tf.constant([[1.0, 0.0, 1.0]]), tf.constant([[0.3, -2.0, 1.5]])
    theirs = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.2)(targets, logits)
    assert float(loss(targets, logits)[0]) == pytest.approx(3 * float(theirs), rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training.loss": "cross_entropy"}, "training.loss must be bce or asymmetric for multilabel"),
        (
            {"augment.mosaic": 0.5},
            "augment.mosaic is for --task detect or segment; leave it out with",
        ),
        ({"data.annotations": "labels"}, "data.annotations must be label_sets for multilabel"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(UsageError, match=message):
        mixing("digit_pairs", **changes)
    with pytest.raises(UsageError, match=r"training\.loss must be cross_entropy or bce or focal for classify"):
        Spec().override("training.loss", "asymmetric")


@pytest.mark.parametrize("loss", [pytest.param("asymmetric", marks=pytest.mark.slow), "teacher"])
def test_other_losses_learn_too(mixed, finished, tmp_path, loss, monkeypatch):
    """And labels of fewer images than a threshold needs are named."""
    monkeypatch.setattr(multilabel, "MIN_IMAGES", 20)
    changes, said = {"distill.teacher": str(finished[0].folder)} if loss == "teacher" else {"training.loss": loss}, []
    run = train(mixing(mixed[0], **changes), tmp_path, "other", said.append)
    assert run.metrics()["value"] > 0.9
    rows = [row for row in run.analysis()["by_class"] if row["images"] < 20]
    named = ", ".join(f"{row['label']} ({row['images']})" for row in sorted(rows, key=lambda row: row["images"]))
    (line,) = [line for line in said if line.startswith("warning: the threshold")]
    assert f"because fewer than 20 validation images have the label: {named}. Add" in line


def test_digit_pairs_show_what_they_are_labeled(tmp_path, monkeypatch):
    monkeypatch.setattr(digit_pairs, "TRAIN", 40)
    monkeypatch.setattr(digit_pairs, "VALIDATION", 30)
    data = load_dataset(DataSpec("digit_pairs", annotations="label_sets", data_dir=str(tmp_path)), silent)
    split = data.splits["train"]
    assert split.label_sets.shape == (40, 10) and set(split.label_sets.sum(axis=1)) == {0, 1, 2}
    bright = (split.pixels.max(axis=-1) > 60).reshape(40, -1).sum(axis=1)
    counts = split.label_sets.sum(axis=1)
    assert bright[counts == 0].max() == 0 and bright[counts == 2].mean() > 1.5 * bright[counts == 1].mean()


def test_the_browser_predicts_the_same_labels(litert, finished, files):
    """Of images that are dropped the file's own labels and probabilities; of all samples what is right."""
    run, (exports, _) = finished[0], files
    site = build_site(run, silent)
    names = [f"samples/{number}.png" for number in range(6)]
    predictor = load_predictor(str(exports / "int8.tflite"), run.folder.parent)
    with chromium() as browser, opened(browser, site) as page:
        answers = page.evaluate(DROP, [base64.b64encode(site.pages[name]).decode() for name in names])
        page.click("#all")
        page.wait_for_selector("#all:enabled")
        panels = page.locator(".panel").all_inner_texts()
        last = page.inner_text(".about-image")
    for name, answer in zip(names, answers, strict=True):
        theirs = next(each["predictions"] for each in answer if each["file"] == "int8.tflite")
        ours = predictor.predict_image(Image.open(io.BytesIO(site.pages[name])).convert("RGB"), None)
        assert [each["label"] for each in theirs] == [each["label"] for each in ours]
        np.testing.assert_allclose(
            [each["probability"] for each in theirs], [each["probability"] for each in ours], atol=1e-6
        )
    assert all("Self-check passed" in text for text in panels), panels
    files = [each["file"] for each in json.loads(site.pages["run.json"])["samples"]]
    assert f"({files[-1]})" in last and re.fullmatch(r"images/\d+\.png", files[-1])
    assert all("labels predicted in 20 samples" in text for text in panels), panels


def test_the_browser_shows_the_highest_labels_where_none_reaches_its_threshold(litert, mixed, finished, files):
    """Each with its probability and its threshold; of images with predicted labels only these, with theirs."""
    site = build_site(finished[0], silent)
    described = json.loads(site.pages["run.json"])
    for file in described["files"]:
        file["card"]["thresholds"] = [0.25, 0.9999999, 0.9999999]  # of CLASSES
    site.pages["run.json"] = json.dumps(described).encode()
    root, truth = mixed
    names = [next(name for name, labels in truth.items() if labels == wanted) for wanted in ([], ["blue"])]
    shown = []
    with chromium() as browser, opened(browser, site) as page:
        for name in names:
            page.evaluate(DROP, [base64.b64encode((root / "images" / name).read_bytes()).decode()])
            shown.append(page.locator(".panel .predictions").first.inner_text())
    none, blue = shown
    assert "No label reaches its threshold. The highest are:" in none and all(label in none for label in CLASSES)
    assert none.count("threshold 100.0%") == 2 and none.count("threshold 25.0%") == 1
    assert "No label" not in blue and "threshold 25.0%" in blue and "green" not in blue


@pytest.mark.slow
def test_digit_pairs_end_to_end(tmp_path, kresnet):
    """The bundled data by the command alone: mAP above the baselines, an int8 verdict, a report."""
    code, out, err = kresnet("train", "--task", "multilabel", "--name", "pairs", "--runs", tmp_path, "--json")
    assert code == 0, err
    assert json.loads(out)["value"] > 0.9
    code, _, err = kresnet("export", "pairs", "--runs", tmp_path, "--tflite")
    assert code == 0, err
    report = Run(tmp_path / "pairs").report_file.read_text()
    assert "macro F1" in report and "Multi-label classification" in report
