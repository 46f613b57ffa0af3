"""What a verdict claims: three outcomes, the interval always beside the drop, and what the model itself is worth."""

import json
import re
import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from samples import COLOURS, paint, silent

from keras_resnet.cli import export
from keras_resnet.data.annotations import Annotation, pad_annotations
from keras_resnet.data.dataset import DatasetSplits, Split
from keras_resnet.data.load import load_dataset
from keras_resnet.data.sources.arrays import in_memory
from keras_resnet.evaluation import baselines
from keras_resnet.evaluation.analysis import describe_data_changes
from keras_resnet.evaluation.baselines import compare_with_baselines
from keras_resnet.evaluation.evaluate import load_model
from keras_resnet.export import accelerators, pipeline
from keras_resnet.export.benchmark import Cost, Latency
from keras_resnet.export.demo import page as demo
from keras_resnet.export.load import open_file
from keras_resnet.export.verify import SEED, Verdict
from keras_resnet.metrics import outcome as outcomes
from keras_resnet.metrics.coco import Prediction
from keras_resnet.metrics.result import Evaluation
from keras_resnet.reporting.page import render_report
from keras_resnet.reporting.recommend import describe_verdicts, recommend_file
from keras_resnet.run import Run
from keras_resnet.run.data_fingerprint import fingerprint_splits
from keras_resnet.tasks.classification import Classification
from keras_resnet.tasks.detection import Detection
from keras_resnet.tasks.instance_segmentation import InstanceSegmentation
from keras_resnet.tasks.localization import Localization

ONE = 0.01
# The words for what would settle 60 images on which file and model never differ.
PROOF = "add about 134 validation images of the same kind (194 in all) to prove it"


@pytest.fixture(scope="module", autouse=True)
def untimed():
    """How fast a file is, is told elsewhere; measuring takes seconds."""
    from keras_resnet.export import verify

    cost = Cost((Latency(1, 0.1, 0.1, 0.1, 10),), 1.0, 2.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verify, "measure", lambda file, images, threads: cost)
        yield


def copied(run, folder):
    return Run(shutil.copytree(run.folder, folder, ignore=shutil.ignore_patterns("exports")))


@pytest.mark.parametrize(
    ("drops", "outcome", "with_proof"),
    [
        ({"top1": (0.0075, (-0.0131, 0.0279))}, "NOT PROVEN", "FAILED"),
        ({"top1": (0.0, (-0.0054, 0.0054))}, "PASSED", "PASSED"),
        ({"top1": (0.01, (0.01, 0.01))}, "PASSED", "PASSED"),
        ({"top1": (-0.02, (-0.05, 0.011))}, "NOT PROVEN", "FAILED"),
        ({"top1": (0.0101, (0.009, 0.0112))}, "FAILED", "FAILED"),
        ({"mask mAP": (0.001, (0.0, 0.002)), "box mAP": (0.0, (-0.02, 0.02))}, "NOT PROVEN", "FAILED"),
        ({"mask mAP": (-0.03, (-0.04, -0.02)), "box mAP": (0.02, (0.01, 0.03))}, "FAILED", "FAILED"),
    ],
)
def test_three_outcomes(drops, outcome, with_proof):
    assert outcomes.decide_outcome(drops, ONE, require_proof=False) == outcome
    assert outcomes.decide_outcome(drops, ONE, require_proof=True) == with_proof


def test_the_metric_that_decides_is_the_one_that_is_shown():
    """A file whose masks became better may fail for its boxes, or leave their drop open."""
    masks, boxes = (-0.03, (-0.04, -0.02)), (0.02, (0.01, 0.03))
    assert outcomes.choose_deciding_metric({"mask mAP": masks, "box mAP": boxes}, ONE) == "box mAP"
    assert (
        outcomes.choose_deciding_metric({"mask mAP": (0.004, (0.003, 0.005)), "box mAP": (0.0, (-0.02, 0.02))}, ONE)
        == "box mAP"
    )


@pytest.fixture(scope="module")
def unproven(trained, tmp_path_factory):
    """A file that answers as its model, on too few images to prove it: the run, and its verdict."""
    run = copied(trained, tmp_path_factory.mktemp("unproven") / "open")
    (verdict,) = pipeline.export(run, pipeline.ExportRequest(tuple(exporting_forms()), samples=60), silent)
    return run, verdict


def exporting_forms():
    from keras_resnet.export.tflite_options import forms_of

    return forms_of(("float32",))


def test_an_unproven_file_is_within_and_says_so_everywhere(unproven, kresnet, on_terminal, tmp_path):
    run, verdict = unproven
    home = run.folder.parent
    assert (verdict.verdict, verdict.words, verdict.drop) == ("NOT PROVEN", "PASSED, not proven", 0)
    assert verdict.is_within and not verdict.all_integer and (run.exports / "float32.tflite").is_file()
    assert run.summary()["exports"] == ["float32.tflite"]
    # 1.96 / (n + 2) is the upper end where the two never differ.
    assert verdict.images_to_settle == 194 and verdict.drop_interval[1] == pytest.approx(1.96 / 62, rel=1e-4)
    interval, words = "+0.00 [-3.16, +3.16]", "PASSED, not proven"
    card = (run.exports / "model_card.md").read_text()
    assert interval in card and words in card and PROOF in card
    page = render_report(run)
    assert interval in page and f'class="open">{words}' in page and 'class="good"' not in page
    assert PROOF in page
    best = recommend_file(describe_verdicts(run))
    assert "too few validation images to prove" in best["why"]
    code, out, _ = kresnet("compare", run.name, "--runs", home)
    assert code == 0 and interval in out and words in out
    told = demo._described("float32.tflite", open_file(run.exports / "float32.tflite"), describe_verdicts(run)[0])
    assert interval in told["facts"] and told["facts"].endswith(words)
    assert str(verdict).startswith(f"{words}: float32.tflite, ") and interval in str(verdict)


def test_verify_passes_it_and_with_proof_required_fails(unproven, kresnet, on_terminal):
    """The interval stands in a table of 80 columns, and what would settle it below."""
    run, _ = unproven
    arguments = ("verify", run.exports / "float32.tflite", "--samples", "60", "--runs", run.folder.parent)
    code, text = on_terminal(*arguments)
    assert code == 0 and "[-3.16, +3.16]" in text and "".join(PROOF.split()) in "".join(text.split())
    assert "drop of" in text and "\x1b[32mPASSED" not in text and "\x1b[33mPASSED" in text
    code, out, err = kresnet(*arguments, "--require-proof", "--json")
    (row,) = json.loads(out)
    assert code == 1 and "is not proven to be within 1 point (--require-proof)" in err[-1]
    assert row["verdict"] == "FAILED" and row["require_proof"] and row["images_to_settle"] == 194
    code, out, _ = kresnet("verify", run.exports / "float32.tflite", "--require-proof", "--runs", run.folder.parent)
    assert code == 0 and "PASSED\n" in out and "PASSED, not proven" not in out


def test_export_with_proof_required_keeps_an_unproven_file_apart(unproven, kresnet, tmp_path):
    run = Run(shutil.copytree(unproven[0].folder, tmp_path / "strict"))
    arguments = ("--tflite", "--quantize", "float32", "--samples", "60", "--require-proof", "--runs", tmp_path)
    code, out, err = kresnet("export", "strict", *arguments)
    assert code == 1 and "FAILED for lack of proof" in out and "[-3.16, +3.16]" in out
    assert err[-1].endswith("not proven to be within 1 point: rejected/float32.tflite (kept apart by --require-proof)")
    assert (run.rejected / "float32.tflite").is_file() and not (run.exports / "float32.tflite").exists()
    assert run.summary()["exports"] == []


def test_model_and_file_are_told_of_the_same_images(unproven, capsys):
    """Counted here by hand: the model on those 60 images, and its other value on all."""
    run, verdict = unproven
    split = load_dataset(run.spec().data, silent).splits["validation"]
    rows = np.sort(np.random.default_rng(SEED).permutation(split.count)[:60])
    answers = load_model(run).predict(split.pixels[rows].astype("float32"), verbose=0).argmax(1)
    value = float((answers == split.labels[rows]).mean())
    assert verdict.model_value == value and verdict.samples == 60
    told = f"top-1 accuracy of {value:.2%} on the 60 images of float32.tflite"
    assert told in " ".join(render_report(run).replace(f"{100 * value:.2f}%", f"{value:.2%}").split())
    assert f"| {value:.2%} | +0.00" in (run.exports / "model_card.md").read_text()
    provenance = open_file(run.exports / "float32.tflite").card.provenance
    assert provenance["keras_model"] == {"top1": value} and provenance["validation_images"] == 60
    export._tell("", [verdict], as_json=False)
    assert f"the Keras model on the same images: top-1 accuracy {value:.2%}" in capsys.readouterr().out


def test_the_table_names_the_metric_of_each_drop(exported, capsys):
    """Where all have the same in its heading, else beside each drop."""
    verdicts = list(exported[1].values())[:2]
    masks = replace(verdicts[0], metric="mask mAP", drop_metric="mask mAP")
    boxes = replace(verdicts[1], metric="mask mAP", drop_metric="box mAP", drop=0.0075, drop_interval=(-0.0131, 0.0279))
    export._tell("", [masks, masks], as_json=False)
    assert "drop of mask mAP" in capsys.readouterr().out
    export._tell("", [masks, boxes], as_json=False)
    out = capsys.readouterr().out
    assert "+0.75 of box mAP" in out and "+0.00 of mask mAP" in out and "[-1.31, +2.79]" in out
    row = json.loads(json.dumps(boxes.as_dict()))
    assert row["drop_metric"] == "box mAP" and set(row["drops"]) == {"top1"}
    assert "+0.75 [-1.31, +2.79] of box mAP" in str(boxes)


def test_rows_of_an_earlier_version_are_decided_again(unproven, tmp_path):
    """They say PASSED by the estimate alone, and tell neither metric nor baselines."""
    run = Run(shutil.copytree(unproven[0].folder, tmp_path / "older"))
    new = {"model_value", "drop_metric", "drops", "baselines", "data_changed", "require_proof", "images_to_settle"}
    (row,) = run.verdicts()
    older = {key: value for key, value in row.items() if key not in new} | {"verdict": "PASSED"}
    run.write_json(run.verdicts_file, [older, {**older, "file": "x.tflite", "drop_interval": None}])
    findings = run.analysis()
    del findings["baselines"]
    run.write_json(run.analysis_file, findings)
    assert [each["outcome"] for each in describe_verdicts(run)] == ["PASSED, not proven"] * 2
    page = render_report(run)
    assert page.count("PASSED, not proven") == 2 and 'class="good"' not in page


# What the model is worth


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
    assert f"answering '{usual}' always" in out and f"{zeros:.2%}" in out and f"{share:.2%}" in out
    assert "a simple baseline without a network does better: a forest of 50 trees on 8 × 8 pixels gets" in out
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
    assert code == 0 and any("answering '" in line for line in after)
    assert any("without a network does better" in line for line in after)
    standings = Run(tmp_path / "one").analysis()["baselines"]
    assert [each["baseline"].split()[0] for each in standings] == ["answering", "a"]
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
    assert similar.baseline == "the most similar of 2,000 training images on 16 × 16 pixels" and similar.value > 0.95
    assert similar.images == 1000 and len(read) == 3000
    read.clear()
    monkeypatch.setattr(baselines, "SECONDS", -1.0)
    assert (
        len(
            compare_with_baselines(task, data, Evaluation(task.compute_metrics(answers, labels), answers, None, labels))
        )
        == 1
    )
    assert read == []


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
    assert "the usual box of each class gets 100.00%" in outcomes.describe_baseline(usual.as_dict())


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
    assert "PASSED, not proven, at chance" in out and "drop of " in out
    (row,) = run.verdicts()
    assert set(row["drops"]) == {"mask mAP", "box mAP"} and row["value"] == row["model_value"] == 0


# Data that changed


def data_of(labels, pixels=None, classes=("a", "b")):
    labels = np.asarray(labels)
    images = np.zeros((len(labels), 8, 8, 3), np.uint8) if pixels is None else pixels
    images[:, 0, 0, 0] = np.arange(len(labels))
    return in_memory((images, labels), (images[:20], labels[:20]), classes)


SPLIT = "{0} has other labels or annotations, or another order"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda: data_of(np.arange(40) % 2), ""),
        (lambda: data_of(np.arange(42) % 2), "(train has 42 images, had 40 (a 21, had 20; b 21, had 20))"),
        (lambda: data_of((np.arange(40) + 1) % 2), f"({SPLIT.format('train')}; {SPLIT.format('validation')})"),
        (lambda: data_of(np.arange(40) % 2, np.ones((40, 8, 8, 3), np.uint8)), "(images of train have other pixels; "),
        (
            lambda: data_of(np.r_[np.arange(20) % 2, np.zeros(9, int)]),
            "(train has 29 images, had 40 (a 19, had 20; b 10, had 20)",
        ),
    ],
)
def test_what_changed_in_the_data(trained, tmp_path, change, words):
    before = data_of(np.arange(40) % 2)
    run = Run.create(tmp_path, trained.spec(), before.classes, "of", fingerprint_splits(before))
    told = describe_data_changes(run, change())
    assert (words in told) if words else told == ""
    assert not told or "that are there now" in told


def test_data_that_no_longer_fit_memory_have_not_changed(trained, tmp_path):
    """At one time pixels are kept, at another files are read: what can be compared is."""
    root = paint(tmp_path / "images", 12)
    names = sorted(COLOURS)
    files = [str(file) for name in names for file in sorted((root / name).iterdir())]
    labels = np.repeat(np.arange(3), 12)

    def data(kept):
        from keras_resnet.data.sources.image_folder import ImageFiles

        pixels = np.stack([np.asarray(Image.open(file)) for file in files]) if kept else None
        images = None if kept else ImageFiles(tuple(files))
        split = Split("train", labels, pixels, images, resize=16)
        rows = np.arange(0, 36, 3)
        return DatasetSplits("x", tuple(names), {"train": split, "validation": split.subset(rows)}, False, 16, 16)

    kept, read = (
        Run.create(tmp_path, trained.spec(), tuple(names), name, fingerprint_splits(data(name == "kept")))
        for name in ("kept", "read")
    )
    assert describe_data_changes(kept, data(kept=False)) == describe_data_changes(kept, data(kept=True)) == ""
    assert describe_data_changes(read, data(kept=False)) == ""
    Image.new("RGB", (32, 32)).save(files[0])
    assert "files of validation have other names or sizes" in describe_data_changes(read, data(kept=False))


# One file that cannot be made, and data that changed since


def test_what_can_be_written_is_and_data_are_judged_as_they_are(kresnet, tmp_path):
    """16 training images calibrate nothing: the default export writes float32 and names int8. Then images are added."""
    paint(tmp_path / "few" / "train", 8, classes={"blue": COLOURS["blue"], "red": COLOURS["red"]})
    paint(tmp_path / "few" / "val", 12, classes={"blue": COLOURS["blue"], "red": COLOURS["red"]})
    home = ("--runs", tmp_path / "runs")
    options = ("--depth", "8", "--epochs", "1", "--precision", "float32", "--data", tmp_path / "few", "--name", "few")
    assert kresnet("train", *options, *home)[0] == 0
    run = Run(tmp_path / "runs" / "few")
    code, out, err = kresnet("export", "few", "--tflite", "--json", *home)
    assert code == 1 and "could not make int8.tflite: calibration takes 20 images or more" in err[-1]
    assert [row["file"] for row in json.loads(out)] == ["float32.tflite"] == [row["file"] for row in run.verdicts()]
    assert (run.exports / "float32.tflite").is_file() and (run.exports / "model_card.md").is_file()
    assert not [file.name for file in run.exports.iterdir() if file.name.startswith(".")]
    code, out, err = kresnet("export", "few", "--tflite", "--quantize", "int8", *home)
    assert (code, out) == (1, "") and err[-1].startswith("kresnet: calibration takes 20 images or more")
    for number in range(3):
        shutil.copy(tmp_path / "few/val/red/000.png", tmp_path / f"few/val/red/more{number}.png")
    code, out, _ = kresnet("verify", run.exports / "float32.tflite", *home)
    changed = "the data changed since few was trained (validation has 27 images, had 24 (red 15, had 12))"
    assert code == 0 and changed in out and "27 validation images" in out
    before = run.analysis()["data"]
    code, _, err = kresnet("report", "few", "--again", *home)
    assert code == 0 and any(changed in line for line in err) and run.analysis()["data"] == before


def test_an_analysis_is_made_again_whatever_became_of_them_and_of_the_data(kresnet, tmp_path):
    """Lost, cut off, or of something else, and the data changed: they are made of the data as they are now, and say
    what these were when the run was trained. So does the page."""
    few = {name: COLOURS[name] for name in ("blue", "red")}
    paint(tmp_path / "few" / "train", 8, classes=few)
    paint(tmp_path / "few" / "val", 12, classes=few)
    home = ("--runs", tmp_path / "runs")
    options = ("--depth", "8", "--epochs", "1", "--precision", "float32", "--data", tmp_path / "few", "--name", "few")
    assert kresnet("train", *options, *home)[0] == 0
    run = Run(tmp_path / "runs" / "few")
    before, whole = run.analysis()["data"], run.analysis_file.read_bytes()
    assert (before["train"]["images"], before["validation"]["images"]) == (16, 24)
    for number in range(3):
        shutil.copy(tmp_path / "few/val/red/000.png", tmp_path / f"few/val/red/more{number}.png")
    changed = "the data changed since few was trained (validation has 27 images, had 24 (red 15, had 12))"
    for damaged in (None, whole[: len(whole) // 2], b'{"data": 3}'):
        run.analysis_file.unlink()
        if damaged is not None:
            run.analysis_file.write_bytes(damaged)
        code, out, err = kresnet("report", "few", *home)
        assert (code, out) == (1, "") and "kresnet report few --again" in err[-1]
        code, _, err = kresnet("report", "few", "--again", *home)
        assert code == 0 and any(changed in line for line in err), err
        found = run.analysis()
        assert found["data"] == before and sum(map(sum, found["confusion"])) == 27
    assert before["train"]["sha256"][:16] in run.report_file.read_text()


def test_each_file_that_fails_is_named_and_the_others_are_written(trained, kresnet, monkeypatch, tmp_path):
    """Without waiting for the converter: only that what is made is judged and placed."""
    run = copied(trained, tmp_path / "run")

    def write(work, artifact, target, log):
        if artifact in ("onnx", "savedmodel"):
            raise pipeline.ExportError(f"{artifact} cannot be had")
        shutil.copy(genuine, target)

    genuine = tmp_path / "float32.tflite"
    (made,) = pipeline.export(run, pipeline.ExportRequest(tuple(exporting_forms()), samples=20), silent)
    shutil.move(run.exports / made.file, genuine)
    monkeypatch.setattr(pipeline, "_write", write)
    monkeypatch.setattr("keras_resnet.export.formats.onnx.require_onnx", lambda: None)
    arguments = ("--savedmodel", "--tflite", "--quantize", "float32", "--onnx", "--samples", "20", "--runs", tmp_path)
    code, out, err = kresnet("export", "run", *arguments)
    assert code == 1 and "float32.tflite" in out and (run.exports / "float32.tflite").is_file()
    named = "could not make saved_model: savedmodel cannot be had; model.onnx: onnx cannot be had"
    assert err[-1] == f"kresnet: {named}"
    with pytest.raises(pipeline.ExportError, match=re.escape(named)):
        pipeline.export(
            run, pipeline.ExportRequest(tuple(exporting_forms()), ("savedmodel", "onnx"), samples=20), silent
        )


def test_a_compiler_that_fails_refuses_and_the_others_are_asked(exported, monkeypatch, tmp_path):
    run = Run(shutil.copytree(exported[0].folder, tmp_path / "run"))
    genuine = accelerators.fit

    def fit(target, file, folder):
        if target != "edgetpu":
            raise pipeline.ExportError("vela failed on int8.tflite (exit 1); its output is in a log")
        return genuine(target, file, folder)

    monkeypatch.setattr(accelerators, "fit", fit)
    fits = accelerators.fit_all(run, [exported[1]["int8.tflite"]], ["ethos-u55-128", "edgetpu"], silent)
    assert [(each.target, each.file) for each in fits] == [("ethos-u55-128", "int8.tflite"), ("edgetpu", "int8.tflite")]
    assert fits[0].accepted == 0 and fits[0].refused[0].startswith("vela failed") and fits[1].accepted > 0.8
    assert len(json.loads((run.exports / "targets.json").read_text())) == 2


def test_every_outcome_has_its_colour():
    from keras_resnet.cli.tables import _style_of

    cells = ("PASSED", "PASSED, not proven", "PASSED, at chance", "FAILED", "FAILED for lack of proof", "int8.tflite")
    assert [_style_of(cell) for cell in cells] == ["green", "yellow", "yellow", "red", "red", ""]


def test_verdicts_are_json(unproven):
    """As they stand in the file they are what Python has."""
    run, verdict = unproven
    (row,) = run.verdicts()
    assert set(row) == set(Verdict.__dataclass_fields__)
    assert outcomes.describe_outcome(row) == verdict.words and row == json.loads(json.dumps(verdict.as_dict()))
