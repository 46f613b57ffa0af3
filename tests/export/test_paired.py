"""Two models on the same images: whether they differ, and what is said where they cannot be compared."""

import html
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from samples import silent

import keras_resnet as kr
from keras_resnet.data.load import load_dataset
from keras_resnet.errors import RunError, UsageError
from keras_resnet.evaluation.evaluate import load_model
from keras_resnet.export.compared_models import ComparedModel
from keras_resnet.export.load import load_file
from keras_resnet.export.paired import MetricDifference, PairedComparison, compare_evaluations
from keras_resnet.metrics.confidence_interval import mcnemar_p_value, paired_proportion_ci
from keras_resnet.metrics.result import Evaluation
from keras_resnet.run import Run
from keras_resnet.tasks.classification import Classification
from keras_resnet.tasks.multilabel import Multilabel


@pytest.fixture(scope="module")
def worse(exported, tmp_path_factory):
    """A copy of the run whose network never predicts the digits 0 and 1."""
    home = tmp_path_factory.mktemp("worse")
    run = Run(shutil.copytree(exported[0].folder, home / "worse"))
    model = load_model(run)
    kernel, bias = model.get_layer("logits").get_weights()
    bias[:2] -= 1000
    model.get_layer("logits").set_weights([kernel, bias])
    run.write_with(run.model_file, model.save)
    return run


@pytest.fixture(scope="module")
def validation(exported):
    """Images and labels."""
    split = load_dataset(exported[0].spec().data, silent).splits["validation"]
    return split.pixels, split.labels


def correct_of(outputs, labels):
    return np.argmax(outputs, axis=1) == labels


def test_a_worse_run_is_said_to_be_worse(exported, worse, validation, kresnet):
    """By predictions that are made here without the evaluator."""
    run, (pixels, labels) = exported[0], validation
    first, second = (correct_of(load_model(each).predict(pixels, verbose=0), labels) for each in (run, worse))
    code, out, err = kresnet("compare", run.folder, worse.folder, "--json")
    assert code == 0 and err == [], err
    document = json.loads(out)
    (pair,) = document["comparisons"]
    shown = pair["differences"]["top1"]
    assert shown["first"] == pytest.approx(first.mean()) and shown["second"] == pytest.approx(second.mean())
    assert shown["difference"] == pytest.approx(second.mean() - first.mean())
    low, high = paired_proportion_ci(first, second)
    assert shown["interval"] == pytest.approx([-high, -low]) and document["not_compared"] is None
    assert pair["only_first"] == (first & ~second).sum() and pair["only_second"] == (second & ~first).sum()
    assert pair["p_value"] == pytest.approx(mcnemar_p_value(first, second)) and pair["p_value"] < 1e-6
    points = 100 * (first.mean() - second.mean())
    said = f"{run.name} is better than {worse.name} by {points:.2f} points of top-1 accuracy (95% interval"
    assert pair["conclusion"] == f"{said} {100 * low:.2f} to {100 * high:.2f})"
    assert "macro_recall" in pair["differences"] and document["models"][0]["exported file"].endswith(" (recommended)")
    found = kr.compare(run.folder, str(worse.folder))
    assert json.loads(json.dumps(found.as_dict())) == pair and found.is_different and found.difference < 0
    assert str(found).splitlines()[0] == pair["conclusion"] and pair["conclusion"] in found._repr_html_()
    code, out, _ = kresnet("compare", worse.folder, run.folder)
    assert code == 0 and said in out and "McNemar's exact test gives p = " in out


def test_files_are_compared_too(exported, validation, kresnet, tmp_path):
    run, (pixels, labels) = exported[0], validation
    files = [run.exports / "float32.tflite", run.exports / "int8.tflite"]
    page = tmp_path / "files.html"
    code, out, err = kresnet("compare", *files, "--runs", run.folder.parent, "--json", "--save", page)
    assert code == 0, err
    document = json.loads(out)
    (pair,) = document["comparisons"]
    first, second = (correct_of(load_file(file)(pixels), labels) for file in files)
    assert pair["differences"]["top1"]["first"] == pytest.approx(first.mean())
    assert pair["differences"]["top1"]["second"] == pytest.approx(second.mean())
    names = [f"{run.name}/{file.name}" for file in files]
    assert pair["conclusion"].startswith(f"no difference shown between {names[0]} and {names[1]}: ")
    assert [row["exported from"] for row in document["models"]] == [run.name] * 2
    assert [row["model"] for row in document["models"]] == names
    text = html.unescape(page.read_text())
    differences = {name: MetricDifference(**each) for name, each in pair.pop("differences").items()}
    shown = PairedComparison(differences=differences, **{k: v for k, v in pair.items() if k != "conclusion"})
    sentences = [f"{shown.remark}.", f"{shown.conclusion[0].upper()}{shown.conclusion[1:]}."]
    cells = [f">{cell}</" for row in shown.rows for cell in row]
    assert "2 models side by side" in text and "McNemar's exact test gives p = " in text
    assert [words for words in (shown.title, *sentences, *cells) if words not in text] == []
    assert text.count(sentences[1]) == 1
    code, out, _ = kresnet("compare", run.folder, files[1], "--samples", "50")
    assert code == 0 and "on the same 50 validation images" in out and "exported from" in out


def test_the_row_of_a_file_has_what_its_verdict_says(exported, kresnet, tmp_path):
    """Of one of the run's exports, and of a copy of it; of another size under its name there is no verdict."""
    run, verdicts = exported
    verdict = verdicts["int8.tflite"]
    copied = Path(shutil.copy(run.exports / "int8.tflite", tmp_path / "copied.tflite"))
    code, out, err = kresnet(
        "compare",
        run.folder,
        run.exports / "int8.tflite",
        copied,
        "--json",
        "--runs",
        run.folder.parent,
        "--samples",
        200,
    )
    assert code == 0, err
    of_run, own, copy = json.loads(out)["models"]
    low, high = (100 * end for end in verdict.drop_interval)
    assert own["drop, points [95% CI]"] == f"{100 * verdict.drop:+z.2f} [{low:+z.2f}, {high:+z.2f}]"
    assert own["latency of one image"] == f"{verdict.latency_ms:.2f} ms" and own["verdict"] == verdict.words
    assert own["macro recall (balanced accuracy)"].startswith(f"{verdict.details['macro_recall']:.2%} [95% CI ")
    assert all(of_run[name] == own[name] for name in ("network", "data", "parameters", "multiply-adds"))
    assert not of_run["exported file"] and "verdict" not in of_run and "metric of the file" not in own  # said once
    assert {**copy, "model": own["model"], "exported file": own["exported file"]} == own
    other = Run(shutil.copytree(run.folder, tmp_path / run.name))
    changed = other.exports / "int8.tflite"
    changed.write_bytes(changed.read_bytes() + bytes(1))
    found = ComparedModel("other", other, changed).describe_row(None)
    assert found["file size"] == f"{(verdict.bytes + 1) / 1e6:.2f} MB" and "verdict" not in found


def test_python_takes_objects_and_refuses_what_is_none(exported, worse):
    run = kr.Run(exported[0])
    by_file = kr.compare(run, run.files["int8"], samples=50)
    assert by_file.samples == 50 and by_file.second == f"{run.name}/int8.tflite" and not by_file.is_different
    for wrong, words in ((dict(samples=0), "samples must be a whole number, 1 or more"), (dict(seed=1), "no keyword")):
        with pytest.raises(UsageError, match=words):
            kr.compare(run, worse.folder, **wrong)
    with pytest.raises(UsageError, match="second must be a run, one of its exported files"):
        kr.compare(run, 3)
    with pytest.raises(UsageError, match="is named twice"):
        kr.compare(run, run)
    with pytest.raises(RunError, match="no run called 'nothing'"):
        kr.compare(run, "nothing")


def test_what_cannot_be_compared_is_said(exported, worse, kresnet, tmp_path):
    run = exported[0]
    other = Run(shutil.copytree(run.folder, tmp_path / "other"))
    document = other.document()
    document["data"]["validation"]["ground_truth"] = "0" * 64
    other.write_json(other.spec_file, document)
    code, out, err = kresnet("compare", run.folder, other.folder)
    assert code == 0 and "network" in out and "McNemar" not in out
    assert err[-1].startswith("warning: not comparable: the runs were evaluated on different validation images")
    files = [each.exports / "int8.tflite" for each in (run, other)]
    code, out, err = kresnet("compare", *files)
    assert code == 0 and "verdict" in out and "McNemar" not in out
    assert err[-1].startswith("warning: not comparable: the runs were evaluated on different validation images")
    code, out, _ = kresnet("compare", run.folder, files[1], "--json")
    document = json.loads(out)
    assert code == 0 and len(document["models"]) == 2 and document["comparisons"] == []
    assert document["not_compared"].startswith("not comparable: ")
    gone = Run(shutil.copytree(run.folder, tmp_path / "gone"))
    document = gone.document()
    document["spec"]["data"]["source"] = str(tmp_path / "nowhere")
    gone.write_json(gone.spec_file, document)
    code, out, err = kresnet("compare", run.folder, gone.folder)
    assert code == 0 and "network" in out
    assert (
        err[-1].startswith("warning: not compared on the same images: ")
        and "run gone was trained on" in err[-1]
        and "no longer there" in err[-1]
    )
    for words, said in (
        (["--stored", "--samples", "9"], "--stored evaluates nothing; it takes no --samples"),
        (["--run", run.name], "--run says which run exported files are of; no file is named"),
        (["--samples", "0"], "--samples must be a whole number, 1 or more. Received: 0"),
    ):
        code, _, err = kresnet("compare", run.folder, worse.folder, *words)
        assert code == 2 and said in err[-1]
    code, _, err = kresnet("compare", run.folder, run.exports / "int8.tflite", "--stored")
    assert code == 2 and "it takes no exported files" in err[-1]


def evaluation_of(task, outputs, truth):
    predictions = task.postprocess(outputs, truth)
    return Evaluation(task.compute_metrics(predictions, truth), predictions, outputs, truth)


def test_of_several_labels_there_is_no_mcnemar():
    rng, task = np.random.default_rng(0), Multilabel(("a", "b"))
    truth = rng.integers(0, 2, (60, 2)).astype(np.uint8)
    good = (8.0 * truth - 4).astype(np.float32)
    bad = rng.normal(size=(60, 2)).astype(np.float32)
    pair = compare_evaluations(
        task, *(("bad", evaluation_of(task, bad, truth)), ("good", evaluation_of(task, good, truth)))
    )
    assert pair.metric == "mAP" and pair.p_value is None and pair.only_first is None and "McNemar" not in pair.remark
    assert set(pair.differences) == {"mAP", "macro F1", "micro F1"}
    assert (
        pair.conclusion.startswith("good is better than bad by ") and "points of mAP (95% interval " in pair.conclusion
    )


def test_an_interval_that_the_exact_test_does_not_confirm_shows_no_difference():
    """Five images of 1,000 that only the second gets right: the interval is above 0, and p is 1/16."""
    task, truth = Classification(("a", "b")), np.zeros(1000, np.int64)
    all_right = np.tile(np.float32([1, 0]), (1000, 1))
    five_wrong = all_right.copy()
    five_wrong[:5] = [0, 1]
    evaluations = [(name, evaluation_of(task, each, truth)) for name, each in (("a", five_wrong), ("b", all_right))]
    pair = compare_evaluations(task, *evaluations)
    assert pair.interval[0] > 0 and pair.p_value == pytest.approx(1 / 16) and not pair.is_different
    assert pair.conclusion.startswith("no difference shown between a and b: b is 0.50 points higher in top-1 accuracy")
    assert pair.conclusion.endswith(", but McNemar's exact test does not confirm it (p = 0.062)")
