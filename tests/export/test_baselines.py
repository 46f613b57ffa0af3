"""What the model itself is worth, beside what needs no network."""

from collections import Counter

import numpy as np
import pytest
from exports import ONE, copied
from PIL import Image
from samples import silent

from keras_resnet.data.annotations import Annotation, pad_annotations
from keras_resnet.data.dataset import DatasetSplits, Split
from keras_resnet.data.load import load_dataset
from keras_resnet.data.sources.arrays import in_memory
from keras_resnet.evaluation import baselines
from keras_resnet.evaluation.baselines import compare_with_baselines
from keras_resnet.evaluation.evaluate import load_model
from keras_resnet.export import verify
from keras_resnet.export.pipeline import load_run_data
from keras_resnet.export.verify import Reference
from keras_resnet.metrics import outcome as outcomes
from keras_resnet.metrics.coco import Prediction
from keras_resnet.metrics.result import Evaluation
from keras_resnet.reporting.page import render_report
from keras_resnet.run import Run
from keras_resnet.tasks.classification import Classification
from keras_resnet.tasks.detection import Detection
from keras_resnet.tasks.instance_segmentation import InstanceSegmentation
from keras_resnet.tasks.localization import Localization


def at_chance(run, folder):
    """A run like `run` whose model says the same of every image."""
    run = copied(run, folder)
    model = load_model(run)
    logits = model.get_layer("logits")
    logits.set_weights([np.zeros_like(each) for each in logits.get_weights()])
    run.write_with(run.model_file, model.save)
    return run


def test_a_model_at_chance_does_not_pass_in_silence(trained, kresnet, tmp_path):
    run = at_chance(trained, tmp_path / "blind")
    code, out, err = kresnet("export", "blind", "--tflite", "--quantize", "float32", "--runs", tmp_path)
    split = load_dataset(run.spec().data, silent).splits
    usual = Counter(split["train"].labels.tolist()).most_common(1)[0][0]
    share, zeros = (float((split["validation"].labels == label).mean()) for label in (usual, 0))
    assert code == 0 and "PASSED, " in out and "at chance" in out, err
    assert f"always predicting '{usual}'" in out and f"{zeros:.2%}" in out and f"{share:.2%}" in out
    assert "without a network" not in out  # as the end of training, the report and the model card say
    (row,) = run.verdicts()
    assert [each["trivial"] for each in row["baselines"]] == [True, False]
    assert row["baselines"][0]["standing"] != "above" and row["baselines"][1]["value"] > 0.9
    page = render_report(run)
    assert "at chance" in page and "without a network does better" in page and 'class="good"' not in page
    assert "without a network does better" in (run.exports / "model_card.md").read_text()


def test_training_ends_with_what_the_model_is_worth(tmp_path, kresnet, tfds_home):
    data = ("--set", f'data.data_dir="{tfds_home}"', "--precision", "float32", "--runs", tmp_path)
    code, _, err = kresnet("train", "--depth", "8", "--steps", "1", "--name", "one", *data)
    end = [line for line in err if "validation images; model:" in line]
    after = err[err.index(end[0]) + 1 :]
    assert code == 0 and any("always predicting '" in line for line in after)
    assert any("without a network does better" in line for line in after)
    standings = Run(tmp_path / "one").analysis()["baselines"]
    assert [each["baseline"].split()[0] for each in standings] == ["always", "an"]
    assert standings[1]["value"] > 0.9 and standings[1]["standing"] == "not above"


def classified(right, labels, classes=2):
    """Answers to `labels` of which the first `right` are so."""
    answered = np.where(np.arange(len(labels)) < right, labels, (labels + 1) % classes)
    task, answers = Classification(tuple("ab"[:classes])), list(np.eye(classes, dtype=np.float32)[answered])
    return task, Evaluation(task.compute_metrics(answers, labels), answers, None, labels)


@pytest.mark.parametrize(
    ("images", "right", "standing"),
    [(400, 400, "above"), (400, 201, "unclear"), (400, 200, "not above"), (400, 120, "not above"), (6, 6, "unclear")],
)
def test_a_model_is_above_only_where_the_interval_is(images, right, standing):
    """Half of the images are of each class, so the usual one is right in half; six images cannot tell all from half."""
    labels = np.arange(images) % 2
    pixels = np.random.default_rng(0).integers(0, 256, (images, 8, 8, 3), dtype=np.uint8)
    data = in_memory((pixels, labels), (pixels, labels), ("a", "b"))
    task, evaluation = classified(right, labels)
    usual = compare_with_baselines(task, data, evaluation)[0]
    assert (usual.value, usual.standing, usual.images) == (0.5, standing, images)
    assert usual.lead == pytest.approx(right / images - 0.5) and usual.lead_interval[0] <= usual.lead
    words = outcomes.describe_outcome({"verdict": "PASSED", "drop": 0, "max_drop": ONE, "baselines": [usual.as_dict()]})
    assert words == {"above": "PASSED", "unclear": "PASSED, perhaps at chance"}.get(standing, "PASSED, at chance")


def test_many_classes_and_many_images_stay_cheap(monkeypatch):
    """Of more classes than trees are made for the most similar image answers, and no more are read than compared."""
    read = []

    class Drawn:
        def __getitem__(self, row):
            read.append(row)
            return Image.new("RGB", (40, 30), (int(row) % 150, 0, 0))

    labels = np.arange(3000) % 150
    classes = tuple(f"c{number:03}" for number in range(150))
    splits = {name: Split(name, labels, images=Drawn(), resize=32) for name in ("train", "validation")}
    data, task = DatasetSplits("many", classes, splits, False, 32, 32), Classification(classes)
    answers = list(np.eye(150, dtype=np.float32)[labels])
    _, similar = compare_with_baselines(
        task, data, Evaluation(task.compute_metrics(answers, labels), answers, None, labels)
    )
    assert similar.baseline == "the most similar of 2,000 training images on 24 × 24 pixels" and similar.value > 0.95
    assert similar.images == 1000 and len(read) == 3000
    read.clear()
    monkeypatch.setattr(baselines, "MAX_SECONDS", -1.0)
    assert (
        len(
            compare_with_baselines(task, data, Evaluation(task.compute_metrics(answers, labels), answers, None, labels))
        )
        == 1
    )
    assert read == []


def test_trees_are_not_trained_again_for_a_model_that_was_compared(trained, tmp_path, monkeypatch):
    """After the training, on the same images; another model, or other images, are compared anew."""
    run, counted = copied(trained, tmp_path / "copy"), []

    def compare(*arguments):
        counted.append(arguments)
        return compare_with_baselines(*arguments)

    monkeypatch.setattr(verify, "compare_with_baselines", compare)
    data = load_run_data(run, silent)
    recalled = Reference.from_run(run, data)
    assert not counted and recalled.baselines == compare_with_baselines(recalled.task, data, recalled.evaluation)
    assert Reference.from_run(run, data, 50).evaluation.samples == 50 and len(counted) == 1
    blind = at_chance(run, tmp_path / "blind")
    assert Reference.from_run(blind, data).baselines[0].standing != "above" and len(counted) == 2


def objects_everywhere(count):
    """A split whose images, 64 × 48, all show one object of the second class at the same place."""
    from keras_resnet.data.annotations import encode_rle

    mask = np.zeros((48, 64), bool)
    mask[10:30, 8:40] = True
    each = Annotation.from_boxes((64, 48), [[8, 10, 40, 30]], [1], masks=(encode_rle(mask),))
    objects = pad_annotations([each] * count, masks=True)
    return Split("train", objects.labels[:, 0], np.zeros((count, 64, 64, 3), np.uint8), objects=objects)


@pytest.mark.parametrize(
    ("kind", "found"), [(Detection, 0), (Localization, 0), (InstanceSegmentation, 0), (InstanceSegmentation, 1)]
)
def test_a_detector_is_measured_by_the_usual_box(kind, found):
    """Where every image shows the same, one box for all gets all of it: finding nothing is below that, finding all is
    no better."""
    split, task = objects_everywhere(30), kind(("x", "y"), (8, 4))
    data = DatasetSplits("same", ("x", "y"), {"train": split, "validation": split}, False, 64, 64)
    truth = split.ground_truth
    box = np.array([[8, 10, 40, 30]], np.float32) if found else np.array([[50, 40, 60, 47]], np.float32)
    masks = (truth["masks"][0, 0],) if kind is InstanceSegmentation else ()
    answers = [Prediction(box, np.array([0.9], np.float32), np.array([1 if found else 0]), masks)] * 30
    (usual,) = compare_with_baselines(
        task, data, Evaluation(task.compute_metrics(answers, truth), answers, None, truth)
    )
    assert usual.value == pytest.approx(1) and usual.model_value == pytest.approx(found)
    assert usual.standing == "not above" and usual.metric == task.eval_metric_names[0]
    assert "the median box of each class gets 100.00%" in outcomes.describe_baseline(usual.as_dict())


@pytest.mark.slow
def test_a_detector_that_finds_nothing_is_told(segmented, kresnet, tmp_path):
    run = copied(segmented, tmp_path / "blind")
    model = load_model(run)
    for layer in model.layers:
        layer.set_weights([np.zeros_like(each) for each in layer.get_weights()])
    run.write_with(run.model_file, model.save)
    arguments = ("--tflite", "--quantize", "float32", "--samples", "16", "--runs", tmp_path)
    code, out, err = kresnet("export", "blind", *arguments)
    assert code == 0, err
    assert "the file predicts like the model, and the model is at chance: mask mAP 0.00% of 16 validation" in out
    assert "PASSED, not proven, at chance" in out
    (row,) = run.verdicts()
    assert set(row["drops"]) == {"mask mAP", "box mAP"} and row["value"] == row["model_value"] == 0
