"""How a run's model and files do on corrupted images: what is measured, kept and said."""

import json
import shutil

import numpy as np
import pytest
from samples import silent

import keras_resnet as kr
from keras_resnet.corruptions.registry import CORRUPTIONS
from keras_resnet.data.load import load_dataset
from keras_resnet.errors import UsageError
from keras_resnet.evaluation.evaluate import load_model
from keras_resnet.export.load import load_file
from keras_resnet.export.robustness import RobustnessTest, _Differences, measure_robustness
from keras_resnet.export.robustness_settings import RobustnessSettings
from keras_resnet.export.verify import draw_samples
from keras_resnet.metrics.confidence_interval import paired_mean_ci
from keras_resnet.metrics.result import Evaluation
from keras_resnet.reporting.page import render_report
from keras_resnet.reporting.robustness import describe_robustness, forget_file, list_conclusions, robustness_charts
from keras_resnet.run import Run
from keras_resnet.tasks.multilabel import Multilabel

NAMES, SEVERITIES = ("gaussian_noise", "contrast"), (1, 5)
WORDS = ["--corruptions", ",".join(NAMES), "--severities", "5,1", "--samples", "80", "--files", "int8,float32.tflite"]


@pytest.fixture(scope="module")
def run(exported, tmp_path_factory):
    """A copy with its exported files."""
    return Run(shutil.copytree(exported[0].folder, tmp_path_factory.mktemp("robust") / "robust"))


@pytest.fixture(scope="module")
def measured(run):
    return kr.Run(run).robustness(corruptions=NAMES, severities=[5, 1], samples=80, files=["int8", "float32.tflite"])


def test_the_numbers_are_those_of_a_plain_loop(run, measured):
    """Without the evaluator, the metrics or the task."""
    split = draw_samples(load_dataset(run.spec().data, silent), 80).splits["validation"]
    models = {"Keras model": load_model(run).predict_on_batch}
    models |= {name: load_file(run.exports / name) for name in ("int8.tflite", "float32.tflite")}
    correct = {}
    for name in ("clean", *NAMES):
        for severity in SEVERITIES if name != "clean" else (0,):
            pixels = CORRUPTIONS[name].corrupt_batch(split.pixels, severity, 0) if severity else split.pixels
            for model, predict in models.items():
                right = np.argmax(predict(pixels), axis=1) == split.labels
                correct.setdefault((model, name), []).append(right.astype(float))
    assert sorted(measured.models) == sorted(models) and measured.document["samples"] == 80
    for model in models:
        row = measured[model]
        assert row["clean"] == pytest.approx(np.mean(correct[model, "clean"]))
        for name in NAMES:
            assert row["values"][name] == pytest.approx([each.mean() for each in correct[model, name]])
            assert measured.mean(model, name) == pytest.approx(np.mean(correct[model, name]))
    differ = {
        name: np.mean(correct["int8.tflite", name], axis=0) - np.mean(correct["Keras model", name], axis=0)
        for name in ("clean", *NAMES)
    }
    differ["all"] = np.mean([differ[name] for name in NAMES], axis=0)
    for name, each in differ.items():
        shown = measured["int8.tflite"]["differences"][name]
        assert shown["difference"] == pytest.approx(each.mean())
        assert shown["interval"] == pytest.approx(paired_mean_ci(each))
    change = measured["int8.tflite"]["change"]
    assert change["difference"] == pytest.approx((differ["all"] - differ["clean"]).mean())
    assert change["interval"] == pytest.approx(paired_mean_ci(differ["all"] - differ["clean"]))
    assert measured["Keras model"]["differences"] == {} and measured.mean("Keras model") < 0.98


def test_the_command_prints_what_python_returns_and_keeps_it(run, measured, kresnet):
    run.robustness_file.unlink()
    code, out, err = kresnet("robustness", run.folder, *WORDS)
    assert code == 0, err
    document = json.loads(run.robustness_file.read_text())
    assert document == json.loads(json.dumps(measured.document))
    assert document["constants"] == "CIFAR-10-C" and document["severities"] == [1, 5]
    assert any("with the constants of CIFAR-10-C (images of 8 pixels" in line for line in err)
    assert run.robustness_plot.stat().st_size > 5000
    assert "gaussian_noise" in out and "int8.tflite change  int8.tflite 95% CI" in out
    assert f"{measured.mean('Keras model', 'contrast'):.2%}" in out and str(run.robustness_file) in out
    for line in measured.conclusions:
        assert line in out and line in str(measured) and line in measured._repr_html_().replace("&#x27;", "'")
    page = render_report(run)
    assert (
        'id="robustness"' in page
        and measured.conclusions[0][1:] in page
        and "Top-1 accuracy lost by corruption" in page
    )
    assert page.count('data-chart="robustness-') == 2


def test_another_seed_is_other_images(run, monkeypatch):
    """Of the images themselves: as many may be recognized."""
    noise, seen = type(CORRUPTIONS["gaussian_noise"]), []
    corrupt = noise.corrupt_batch

    def keep(*arguments):
        batch = corrupt(*arguments)
        seen[-1].append(batch)
        return batch

    monkeypatch.setattr(noise, "corrupt_batch", keep)
    for seed in (0, 1, 1):
        seen.append([])
        settings = RobustnessSettings(("gaussian_noise",), (5,), samples=80, seed=seed, files=("none",))
        document = measure_robustness(run, settings, silent)
        assert [each["name"] for each in document["models"]] == ["Keras model"]
        assert list_conclusions(document)[0].startswith("the Keras model loses ")
    first, second, third = map(np.concatenate, seen)
    assert len(first) == len(second) == 80
    assert not np.array_equal(first, second) and np.array_equal(second, third)


def test_of_a_file_nothing_is_kept(run, kresnet, tmp_path):
    other = Run(shutil.copytree(run.folder, tmp_path / "other", ignore=shutil.ignore_patterns("robustness*")))
    words = ["--corruptions", "fog", "--severities", "3", "--samples", "20"]
    code, out, err = kresnet("robustness", other.exports / "int8.tflite", *words, "--json")
    assert code == 0, err
    assert describe_robustness(json.loads(out)).startswith("top-1 accuracy of 20 validation images, severity 3; const")
    assert [each["name"] for each in json.loads(out)["models"]] == ["Keras model", "int8.tflite"]
    assert not other.robustness_file.exists() and "Robustness" not in render_report(other)
    code, _, err = kresnet("robustness", other.exports / "int8.tflite", "--files", "int8")
    assert code == 2 and "--files says which exported files of a run" in err[-1]


def test_what_is_wrong_is_said_at_once(run, measured, kresnet):
    for words, said in (
        (["--corruptions", "frost"], "there is no frost: ImageNet-C makes it of photographs"),
        (["--corruptions", "nois"], "Received: 'nois'. Did you mean 'noise'?"),
        (["--corruptions", "rain"], "sensor_noise, phone_jpeg). Received: 'rain'"),
        (["--severities", "0,3"], "--severities must be whole numbers, 1 to 5. Received: 0"),
        (["--severities", "high"], "--severities must be whole numbers with commas between. Received: 'high'"),
        (["--samples", "0"], "--samples must be 1 or more. Received: 0"),
        (["--files", "int9"], "Received: 'int9'"),
        (["--corruptions", ""], "Received: ''"),
        (["--files", "none,int8"], "--files none leaves all files out; it goes with no other name"),
    ):
        code, out, err = kresnet("robustness", run.folder, *words)
        assert code == 2 and out == "" and said in err[-1] and ("rain" not in words or "mean" not in err[-1])
    code, out, err = kresnet("robustness", "nothing", "--runs", run.folder.parent)
    assert code == 1 and out == "" and "no run called 'nothing'" in err[-1]
    with pytest.raises(UsageError, match=r"^severities must be whole numbers, 1 to 5"):
        kr.Run(run).robustness(severities=7)
    with pytest.raises(UsageError, match="robustness takes no keyword 'severity'"):
        kr.Run(run).robustness(severity=3)
    with pytest.raises(KeyError, match="there are those of Keras model"):
        measured["int4"]


def test_a_file_that_is_exported_again_is_forgotten(run, measured, tmp_path):
    other = Run(shutil.copytree(run.folder, tmp_path / "other"))
    forget_file(other, "int9.tflite")
    assert len(other.robustness()["models"]) == 3
    forget_file(other, "int8.tflite")
    assert [each["name"] for each in other.robustness()["models"]] == ["Keras model", "float32.tflite"]
    assert "int8.tflite change" not in render_report(other)


def test_numbers_that_do_not_fit_together_are_left_out(run, measured, tmp_path):
    other = Run(shutil.copytree(run.folder, tmp_path / "other"))
    document, said = json.loads(run.robustness_file.read_text()), []
    del document["models"][1]["values"]["contrast"]
    other.write_json(other.robustness_file, document)
    assert other.robustness(said.append) is None and "has not 2 values of each corruption" in said[0]
    assert said[0].startswith("left out of the report: run other is unreadable: ")
    assert 'id="robustness"' not in render_report(other)


def test_of_detectors_what_moves_is_left_out_and_padding_stays(segmented):
    said = []
    settings = RobustnessSettings(corruptions=("brightness", "rotation"), severities=(5,), samples=8)
    test = RobustnessTest.prepare(segmented, settings, said.append)
    assert [each.name for each in test.corruptions] == ["brightness"]
    assert "left out: rotation: it moves what is seen, and boxes would not follow" in said
    (images, truth), (changed, _) = next(test.batches()), next(test.corrupted_batches(test.corruptions[0], 5))
    for image, other, (width, height) in zip(images, changed, truth["sizes"], strict=True):
        scale = image.shape[0] / max(width, height)
        inside = other[: round(height * scale), : round(width * scale)]
        assert inside.max(axis=-1).min() > 70 and inside.mean() > image.mean()
        assert not other[round(height * scale) + 1 :].any() and not other[:, round(width * scale) + 1 :].any()
    document = test.measure([])
    assert document["metric"] == "mask mAP" and set(document["models"][0]["values"]) == {"brightness"}


def test_of_scores_the_interval_is_as_wide_as_those_of_the_severities():
    rng, task = np.random.default_rng(0), Multilabel(("a", "b"))
    truth = rng.integers(0, 2, (40, 2)).astype(np.uint8)

    def evaluation(noise):
        predictions = task.postprocess((2.0 * truth - 1 + rng.normal(0, noise, truth.shape)).astype(np.float32), truth)
        return Evaluation(task.compute_metrics(predictions, truth), predictions, None, truth)

    ours, theirs = [evaluation(0.5), evaluation(1.0)], [evaluation(1.0), evaluation(2.0)]
    clean, other_clean = evaluation(0.1), evaluation(0.1)
    compare = _Differences(task, clean, {"fog": ours})
    found = compare.of(other_clean, {"fog": theirs})
    ends = [task.drop_confidence_interval("mAP", *pair) for pair in zip(ours, theirs, strict=True)]
    assert found["fog"]["interval"] == pytest.approx([-np.mean([e[1] for e in ends]), -np.mean([e[0] for e in ends])])
    assert found["fog"] == found["all"] and found["fog"]["difference"] < 0
    change = compare.change(other_clean, {"fog": theirs})
    assert change["interval"][0] < change["difference"] < change["interval"][1]


@pytest.mark.parametrize(
    ("interval", "said"),
    [
        ((-0.03, -0.01), "breaks sooner"),
        ((-0.03, 0.01), "shows no sign of breaking sooner"),
        ((0.01, 0.03), "holds longer"),
    ],
)
def test_the_conclusion_is_that_of_the_interval(interval, said):
    difference = {"difference": sum(interval) / 2, "interval": list(interval)}
    model = {"name": "Keras model", "clean": 0.9, "values": {"fog": [0.8]}, "differences": {}, "change": None}
    file = {
        **model,
        "name": "a.tflite",
        "differences": dict.fromkeys(("clean", "fog", "all"), difference),
        "change": difference,
    }
    document = {"metric": "top1", "samples": 200, "severities": [1], "models": [model, file]}
    first, second, *doubts = list_conclusions(document)
    wide = "200 validation images are too few to tell: a.tflite may still lose up to 3.00 points more than the Keras"
    assert [words.startswith(wide) for words in doubts] == [True] * (interval == (-0.03, 0.01))
    narrow = {**file, "change": {"difference": 0.0, "interval": [-0.0099, 0.0099]}}
    assert len(list_conclusions({**document, "models": [model, narrow]})) == 2
    (bars,) = [each for each in robustness_charts(document) if each.categories]
    assert bars.x.low == 0.0  # bars from elsewhere would not show how many times longer one is
    gain = {**model, "values": {"fog": [0.8], "snow": [0.95]}}
    assert robustness_charts({**document, "models": [gain]})[1].x.low == pytest.approx(-5)
    assert first == "the Keras model loses 10.00 points of top-1 accuracy on images with fog"
    assert second.startswith("a.tflite") and said in second
    several = {**document, "models": [model, *({**file, "name": name} for name in ("a.tflite", "b.tflite"))]}
    first, second, *_ = list_conclusions(several)  # one sentence for both
    assert second.startswith("a.tflite and b.tflite ") and second.endswith(" points each (in brackets: 95% CI)")
    unharmed = {**document, "models": [{**model, "values": {"fog": [0.9]}}, file]}
    assert list_conclusions(unharmed)[0] == "the Keras model loses no top-1 accuracy on these images"
