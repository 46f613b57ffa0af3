"""What kresnet calibrate fits, keeps and says, and that every runtime answers alike with it."""

import base64
import hashlib
import html
import io
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from samples import silent

import keras_resnet as kr
from keras_resnet.api.session import in_python_words
from keras_resnet.data.load import load_dataset
from keras_resnet.data.odd_images import KINDS, generate_odd_images
from keras_resnet.evaluation.evaluate import load_model
from keras_resnet.export import device_scripts
from keras_resnet.export.load import file_size, load_file
from keras_resnet.reporting.calibration_warnings import list_warnings
from keras_resnet.reporting.confidence import kind_rows, list_results, list_steps
from keras_resnet.reporting.fitted import forget_file
from keras_resnet.reporting.page import render_report
from keras_resnet.run import Run
from keras_resnet.runtime import cli, preprocess

FILES = ("float32.tflite", "int8.tflite", "model.onnx", "c_array")


def copied(run, folder, files):
    """A copy of a run with verdicts on `files` alone."""
    copy = Run(shutil.copytree(run.folder, folder))
    copy.write_json(copy.verdicts_file, [row for row in copy.verdict_rows() if row["file"] in files])
    return copy


@pytest.fixture(scope="module")
def run(exported, tmp_path_factory):
    """A copy with some of its exported files."""
    return copied(exported[0], tmp_path_factory.mktemp("confidence") / "calibrated", (*FILES, "saved_model"))


@pytest.fixture(scope="module")
def odd(run, tmp_path_factory):
    """Fifty image files of the generator's kinds, ten of each, and where they are."""
    folder = tmp_path_factory.mktemp("odd")
    pixels = load_dataset(run.spec().data, silent).splits["validation"].pixels[:10]
    for kind, images in generate_odd_images(pixels, 3):
        for number, image in enumerate(images):
            Image.fromarray(image).save(folder / f"{kind} {number}.png")
    assert len(list(folder.iterdir())) == 50
    return folder


@pytest.fixture(scope="module")
def before(run):
    """The bytes of the files before."""
    return {name: (run.exports / name).read_bytes() for name in FILES[:2]}


@pytest.fixture(scope="module")
def calibrated(run, before):
    return kr.Run(run).calibrate(accept=0.9)


def test_the_numbers_are_those_of_sklearn_and_a_plain_loop(run, calibrated):
    from sklearn.metrics import log_loss, roc_auc_score

    split, model = load_dataset(run.spec().data, silent).splits["validation"], load_model(run)
    logits = model.predict_on_batch(split.pixels).astype(np.float64)
    row, document = calibrated["Keras model"], calibrated.document

    def shares(temperature):
        exponents = np.exp(logits / temperature - (logits / temperature).max(axis=1, keepdims=True))
        return exponents / exponents.sum(axis=1, keepdims=True)

    for name, temperature in (("before", 1.0), ("after", calibrated.temperature)):
        confidence, correct = shares(temperature).max(axis=1), logits.argmax(axis=1) == split.labels
        error = 0.0
        for number in range(15):
            rows = (confidence > number / 15) & (confidence <= (number + 1) / 15)
            if rows.any():
                error += rows.mean() * abs(confidence[rows].mean() - correct[rows].mean())
        assert row[f"error_{name}"] == pytest.approx(error, abs=1e-5)
        loss = log_loss(split.labels, shares(temperature), labels=list(range(10)))
        assert row[f"loss_{name}"] == pytest.approx(loss, abs=1e-5)
        assert document[name]["error"] == row[f"error_{name}"]
    near = [log_loss(split.labels, shares(calibrated.temperature * each)) for each in (0.98, 1, 1.02)]
    assert min(near) == near[1]
    energy = np.log(np.exp(logits).sum(axis=1))
    assert (energy >= calibrated.threshold).mean() == pytest.approx(0.9, abs=1.5 / len(energy))
    assert row["accepted"] == pytest.approx((energy >= calibrated.threshold).mean())
    spread = split.pixels[np.linspace(0, split.count - 1, min(200, split.count)).astype(int)]
    others = {
        kind: np.log(np.exp(model.predict_on_batch(images).astype(np.float64)).sum(axis=1))
        for kind, images in generate_odd_images(spread, 0)
    }
    everything = np.concatenate(list(others.values()))
    truth = np.repeat([1, 0], [len(energy), len(everything)])
    assert row["auroc"] == pytest.approx(roc_auc_score(truth, np.concatenate([energy, everything])), abs=1e-4)
    assert row["accepted_unknown"] == pytest.approx((everything >= calibrated.threshold).mean(), abs=2e-3)
    assert list(document["unknown"]["kinds"]) == list(KINDS) == list(others)
    assert document["check"]["images"] == (split.count + 1) // 2


def test_the_report_measures_the_same_error(run, calibrated):
    """In as many bins: each of its own lies within one fifteenth."""
    stored, fitted = run.analysis()["calibration"], calibrated.document["before"]
    assert stored["error"] == pytest.approx(fitted["error"], abs=1e-5)
    assert [each["images"] for each in stored["bins"]] == [each["images"] for each in fitted["bins"]]
    places = [int(np.ceil(each["confidence"] * 15)) for each in stored["bins"]]
    assert len(set(places)) == len(places) > 1


def changed(document, auroc=None, accepted_unknown=0.2, **others):
    """The document with another AUROC of the Keras model, the share of the unknown images that it accepts, and others
    of its numbers; no model is worse with the temperature."""
    better = {"error_before": 0.1, "error_after": 0.05, "loss_before": 0.2, "loss_after": 0.1}
    first, *files = [{**each, **better} for each in document["models"]]
    first |= {"accepted_unknown": accepted_unknown, "auroc": first["auroc"] if auroc is None else auroc}
    return {**document, "models": [first, *files], **others}


def warnings_in(document):
    return [words for words in list_results(document) if words.startswith("warning: ")]


def test_a_rule_that_is_reversed_is_told_from_one_at_chance(calibrated):
    """By the interval of the AUROC, of 360 and 1,000 images about 0.035 to either side."""
    document = calibrated.document
    aurocs = {"energy": 0.07, "max-logit": 0.06}
    others = {"auroc_by_score": aurocs, "temperature_interval": [1.0, 1.5]}
    good, chance, reversed_ = (changed(document, auroc, **others) for auroc in (0.56, 0.52, 0.07))
    assert warnings_in(good) == []
    (words,) = warnings_in(chance)
    assert "no better than chance: AUROC 0.5200 (95% confidence interval 0.4" in words and "reversed" not in words
    (words,) = warnings_in(reversed_)
    assert "the rule is reversed on these unknown images: AUROC 0.0700 (95% confidence interval 0.0" in words
    assert "most of them have a higher energy than images of the classes" in words and "than chance" not in words
    for each in (chance, reversed_):
        (words,) = warnings_in(each)
        assert "Do not use --reject for such images. --score max-logit does not help (AUROC 0.0600)." in words
        assert "--unknown FOLDER" in words and list_warnings(each) == [words.removeprefix("warning: ")]
        results = list_results(each)
        assert results[results.index(words) - 1].startswith("unknown images: with --reject")
    small = changed(reversed_, 0.2, samples=3, unknown={**document["unknown"], "images": 3})
    (words,) = warnings_in(small)
    assert words.startswith("warning: 3 unknown images and 3 validation images are too few to tell whether the rule")
    assert "than chance" not in words and "Do not use" not in words


def test_the_other_score_is_advised_where_it_is_better(calibrated):
    aurocs = {"energy": 0.4, "max-logit": 0.9}
    document = changed(calibrated.document, 0.4, auroc_by_score=aurocs, temperature_interval=[1.0, 1.5])
    (words,) = warnings_in(document)
    assert words.endswith("Calibrate again with --score max-logit, which has an AUROC of 0.9000")
    assert list_steps(document, "my run")[0][0] == "calibrate 'my run' --score max-logit"
    of_folder = {**document["unknown"], "kinds": {"odd": {"images": 1000, "auroc": 0.4, "accepted": 1.0}}}
    (words,) = warnings_in({**document, "unknown": of_folder, "auroc_by_score": {"energy": 0.4, "max-logit": 0.4}})
    assert words.endswith("Train with one more class, of such images") and "--unknown" not in words


def test_a_rule_that_accepts_most_unknown_images_is_of_little_use(calibrated):
    """Though it separates better than chance: predict --reject is not offered then."""
    others = {"temperature_interval": [1.0, 1.5], "accepted_curve": [1.0, 0.95, 0.689, 0.3]}
    others["accepted_unknown_curve"] = [1.0, 0.845, 0.5, 0.1]
    document = changed(calibrated.document, 0.612, 0.845, **others)
    (words,) = warnings_in(document)
    assert words.startswith("warning: the rule accepts 84.5% of the unknown images, so --reject is of little use")
    assert "With --accept 0.68, it would reject at least half of them, but also 32% of the validation images." in words
    assert words.endswith("--unknown FOLDER, or train with one more class, of such images")
    assert list_warnings(document) == [words.removeprefix("warning: ")]
    assert [each for each, _ in list_steps(document, "r")] == ["calibrate r --unknown FOLDER", "calibrate r --forget"]
    steep = {**document, "accepted_curve": [1.0, 0.95, 0.4, 0.3]}
    assert "With --accept" not in warnings_in(steep)[0]
    useful = changed(calibrated.document, 0.9, 0.45, **others)
    assert warnings_in(useful) == [] and list_steps(useful, "r")[0][0] == "predict r photo.jpg --reject"


def test_the_table_by_kind_says_what_the_rule_does_at_its_threshold(calibrated):
    """Beside 95% of the validation images, by the interval of 200 images; the AUROC does not count."""
    shares = {"a": (1.0, "worse than chance"), "b": (0.945, "no better than chance"), "c": (0.845, "accepts most")}
    shares["d"] = (0.435, "rejects most")
    kinds = {name: {"images": 200, "auroc": 0.6, "accepted": share} for name, (share, _) in shares.items()}
    document = changed(calibrated.document)
    document["models"][0]["accepted"] = 0.95
    rows = kind_rows({**document, "unknown": {**document["unknown"], "kinds": kinds}})
    assert [row[-1] for row in rows] == [words for _, words in shares.values()]
    table = next(each for each in calibrated.summary.tables if each.title == "Unknown images by kind")
    assert table.columns[-1] == "the rule" and "better" not in {row[-1] for row in table.rows}
    assert "chance would accept as many of them as of the validation images" in calibrated.summary.how_to_read


def test_the_conclusion_names_the_images_that_the_temperature_was_fitted_to(calibrated):
    conclusion, check, *_ = list_results(calibrated.document)
    before, after = (f"{calibrated.document[when]['error']:.2%}" for when in ("before", "after"))
    assert conclusion.startswith(f"on the {calibrated.document['samples']} validation images that it was fitted to, ")
    assert f"from {before} to {after}" in conclusion
    assert check.startswith("check on other images: ") and check.endswith("; expect this of new images")


def test_models_that_the_temperature_makes_worse_are_named(calibrated):
    document = changed(calibrated.document, 0.9, temperature_interval=[1.0, 1.5])
    keras_model, first, *others = document["models"]
    worse = {**first, "error_before": 0.0776, "error_after": 0.1132}
    lossy = {**first, "name": "x.onnx", "loss_before": 0.1, "loss_after": 0.2}
    (words,) = warnings_in({**document, "models": [keras_model, worse, lossy, *others]})
    assert f"{first['name']} (ECE from 7.76% to 11.32%) and x.onnx (NLL from 0.1000 to 0.2000)" in words
    assert "use a file of the run whose ECE falls, or return to a temperature of 1 with --forget" in words
    same = {**first, "error_before": 0.05, "error_after": 0.050001}
    assert warnings_in({**document, "models": [keras_model, same]}) == []
    (words,) = warnings_in({**document, "models": [{**keras_model, "error_before": 0.0776, "error_after": 0.1132}]})
    assert "Keras model (ECE from 7.76% to 11.32%)" in words and "use a file" not in words


def test_a_temperature_of_few_mistakes_is_called_uncertain(calibrated):
    document = changed(calibrated.document, 0.9)
    wide = {**document, "mistakes": 2, "temperature_interval": [0.05, 0.52]}
    assert warnings_in({**wide, "temperature_interval": [0.3, 0.59]}) == []
    (words,) = warnings_in(wide)
    assert f"depends on only 2 mistakes in {document['samples']} validation images, so do not rely on" in words
    assert "temperature of 1 with --forget" in words and (
        "calibrate r --forget",
        "undo all of this",
    ) in (list_steps(wide, "r"))
    results = list_results(wide)
    assert "(95% confidence interval 0.050 to 0.520)" in results[results.index(words) - 1]
    earlier = {key: value for key, value in document.items() if key not in ("mistakes", "temperature_interval")}
    assert warnings_in(earlier) == [] and "interval" not in list_results(earlier)[2]


def test_a_check_that_cannot_be_made_is_named(calibrated):
    document = calibrated.document
    words = list_results({**document, "check": None})
    assert any(each.startswith("check on other images: not possible") for each in words)


def test_a_model_with_few_mistakes_warns_everywhere(exported, kresnet, tmp_path):
    """In confidence.json, the printed lines, Python and the report; of the first images that have a mistake, which is
    among other ones on another processor."""
    run = copied(exported[0], tmp_path / "other", ("int8.tflite",))
    for samples in range(40, 201, 40):
        report = kr.Run(run).calibrate(samples=samples)
        document = json.loads(run.confidence_file.read_text())
        if document["mistakes"]:
            break
    right = sum(each["accuracy"] * each["images"] for each in document["before"]["bins"])
    assert document["mistakes"] == round(samples - right) in (1, 2, 3)
    assert list(map(in_python_words, document["warnings"])) == report.warnings
    low, high = document["temperature_interval"]
    assert (high > 2 * low) == any("is uncertain" in words for words in report.warnings)
    page = render_report(run)
    read = html.unescape(re.sub("<[^>]*>", "", page))
    for words in document["warnings"]:
        assert f"warning: {in_python_words(words)}" in str(report) and f"{words[0].upper()}{words[1:]}." in read
    section = page.split('id="confidence"')[1].split("</section>")[0]
    assert section.count('class="note"') == len(report.warnings) > 0
    assert 'with <code class="option">--reject</code>, the answer is' in section


def captions_in(page, section):
    """The captions of images in a section of the report, without the names of files."""
    part = page.split(f'id="{section}"')[1].split("</section>")[0]
    return [html.unescape(each) for each in re.findall(r"<figcaption>(.*?)<br>", part)]


def test_a_report_has_the_confidences_that_predict_gives(exported, run, calibrated):
    """With the temperature: under mistakes, the most confident first, under heat maps, and as calibration error."""
    split = load_dataset(run.spec().data, silent).splits["validation"]
    page, classes = render_report(run), run.classes()
    found = kr.Run(run).predict(list(split.pixels))
    wrong = [
        (each.probability, f"predicted {each.label} {each.probability:.0%}, labeled {classes[label]}")
        for each, label in zip(found, split.labels, strict=True)
        if each.label != classes[label]
    ]
    stored = [each["caption"] for each in run.analysis()["samples"]]
    expected = [words for _, words in sorted(wrong, key=lambda each: -each[0])]
    shown = captions_in(page, "samples")
    assert sorted(shown) != sorted(stored) and set(shown) <= set(expected)
    assert shown == [words for words in expected if words in shown][: len(shown)]
    maps = captions_in(page, "heat_maps")
    assert maps[:3] == shown[:3] and {each.label for each in found} >= {words.split()[0] for words in maps[6:]}
    best = {each.label: each.probability for each in sorted(found, key=lambda each: each.probability)}
    right = [words for words in maps if not words.startswith("predicted")]
    assert right and all(float(words.split()[1][:-1]) <= 100 * best[words.split()[0]] + 0.51 for words in right)
    assert page.count(f"with the temperature of kresnet calibrate ({calibrated.temperature:.3f})") == 2
    after, before = (f"{calibrated.document[when]['error']:.2%}" for when in ("after", "before"))
    results = page.split('id="classes"')[1].split("</section>")[0]
    assert f"Expected calibration error {after} with the temperature of kresnet calibrate, {before} without" in results
    assert 'data-chart="calibration"' not in page and 'data-chart="confidence-reliability"' in page
    plain = render_report(exported[0])
    assert captions_in(plain, "samples") == stored and plain.count("kresnet calibrate") == 1
    assert f"To lower it, fit a temperature: <code>kresnet calibrate {exported[0].name}</code>." in plain
    assert 'data-chart="calibration"' in plain


def test_a_report_says_where_an_earlier_analysis_cannot_have_the_temperature(run, calibrated, tmp_path):
    other = Run(shutil.copytree(run.folder, tmp_path / "other", ignore=shutil.ignore_patterns("exports")))
    found = other.analysis()
    stored = [each["caption"] for each in found["samples"]]
    for each in [*found["samples"], *(each for group in found["heat_maps"] for each in group["maps"])]:
        del each["logits"]
    other.write_json(other.analysis_file, found)
    page = render_report(other)
    assert captions_in(page, "samples") == stored
    assert (
        page.count("are without the temperature that kresnet calibrate has fitted; <code>kresnet report other --again")
        == 2
    )


def test_files_keep_their_networks_and_get_the_metadata(run, before, calibrated):
    assert set(calibrated.renewed) >= set(FILES)
    assert "saved_model" in calibrated.stale and not set(calibrated.stale) & set(FILES)
    document = json.loads(run.confidence_file.read_text())
    assert document == json.loads(json.dumps(calibrated.document))
    for name in FILES:
        card = load_file(run.exports / name).card
        assert card.confidence == run.confidence(), name
        assert card.confidence.rejection.accepts == 0.9 and card.confidence.temperature == calibrated.temperature
        assert calibrated[name]["accepted"] > 0.7
    for name, content in before.items():
        now = (run.exports / name).read_bytes()
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            network = min(each.header_offset for each in archive.infolist())
        assert now[:network] == content[:network] and now[network:] != content[network:] and network > 1000
    sizes = {row["file"]: row["bytes"] for row in run.verdicts()}
    assert all(file_size(run.exports / name) == sizes[name] for name in FILES)
    assert not calibrated.changed and not run.changed_files()
    hashes = {row["file"]: row["sha256"] for row in run.verdicts()}
    assert hashes["int8.tflite"] == hashlib.sha256((run.exports / "int8.tflite").read_bytes()).hexdigest()
    assert hashes["int8.tflite"] != hashlib.sha256(before["int8.tflite"]).hexdigest()


def test_a_file_that_has_changed_is_not_written_to(run, calibrated, kresnet, tmp_path):
    """Nor does it get its verdict back."""
    copy = copied(run, tmp_path / "changed", ("float32.tflite", "int8.tflite"))
    file, size = copy.exports / "int8.tflite", (run.exports / "int8.tflite").stat().st_size
    content = bytearray(file.read_bytes())
    content[size // 2] ^= 255
    file.write_bytes(content)
    rows = {row["file"]: row for row in copy.verdict_rows()}
    code, out, err = kresnet("calibrate", copy.folder, "--forget")
    said = f"int8.tflite is not the file that was verified (it has changed since): kresnet verify {copy.folder}"
    assert code == 0 and f"not removed: {said}" in out.splitlines(), err
    assert file.read_bytes() == content and copy.changed_files() == ["int8.tflite"]
    now = {row["file"]: row for row in copy.verdict_rows()}
    assert (
        now["int8.tflite"] == rows["int8.tflite"]
        and now["float32.tflite"]["sha256"] != rows["float32.tflite"]["sha256"]
    )
    report = kr.Run(copy).calibrate(samples=100)
    assert (report.changed, report.renewed) == (["int8.tflite"], ["float32.tflite"]) and file.read_bytes() == content
    assert "int8.tflite" not in report.models


def test_every_runtime_answers_alike(run, calibrated, odd, kresnet, capsys, monkeypatch):
    """The Keras model's rule, on the same file: kresnet, Python, kresnet-edge, and classify.py without kresnet."""
    for source in (preprocess.__file__, Path(device_scripts.__file__).with_name("classify.py")):
        shutil.copy(source, run.exports)
    images = sorted(map(str, odd.iterdir()))
    for name in ("int8.tflite", "float32.tflite"):
        file = run.exports / name
        code, out, err = kresnet("predict", file, *images, "--reject", "--json")
        assert code == 0, err
        rows = [json.loads(line)["predictions"] for line in out.splitlines()]
        rejected = [each[0]["label"] == "unknown" for each in rows]
        assert sum(rejected) > 0 and all(len(each) == 5 + is_out for each, is_out in zip(rows, rejected, strict=True))
        for is_out, row in zip(rejected, rows, strict=True):
            assert not is_out or row[0]["score"] < row[0]["threshold"] == pytest.approx(calibrated.threshold)
            assert is_out == ("probability" not in row[0])
        assert cli.main(["predict", str(file), *images, "--reject", "--json", "--batch", "7"]) == 0
        of_edge = [json.loads(line)["predictions"] for line in capsys.readouterr().out.splitlines()]
        script = [sys.executable, "classify.py", name, "--reject", *images]
        done = subprocess.run(script, cwd=run.exports, capture_output=True, text=True, check=True)
        of_script = [line.rpartition(": ")[2].split(", ") for line in done.stdout.splitlines()]
        for here, edge, words in zip(rows, of_edge, of_script, strict=True):
            assert [each["label"] for each in here] == [each["label"] for each in edge]
            assert [word.split()[0] for word in words] == [each["label"] for each in here]
            for each, other, word in zip(here, edge, words, strict=True):
                if "probability" in each:
                    assert each["probability"] == pytest.approx(other["probability"], abs=1e-6)
                    assert float(word.split()[1].rstrip("%")) == pytest.approx(100 * each["probability"], abs=0.0501)
        assert cli.main(["predict", str(file), *images[:9], "--json"]) == 0
        plain = [json.loads(line)["predictions"] for line in capsys.readouterr().out.splitlines()]
        assert plain == [[each for each in row if "probability" in each] for row in of_edge[:9]]


def test_python_says_unknown_when_it_is_asked(run, calibrated, odd):
    opened = kr.Run(run)
    images = sorted(map(str, odd.iterdir()))
    found = opened.predict(images, reject=True)
    unknown = [each for each in found if each.label == "unknown"]
    assert unknown and unknown[0].probability is None and "unknown (score " in str(unknown[0])
    assert "unknown" in unknown[0]._repr_html_() and "unknown 0.0%" not in unknown[0]._repr_html_()
    assert not any(each.label == "unknown" for each in opened.predict(images))
    assert opened.files["int8"].predict(Image.open(images[0]), reject=True).predictions[-1]["probability"] >= 0


def test_a_report_and_the_files_of_a_run_take_each_others_names(run, calibrated):
    files = kr.Run(run).files
    assert list(calibrated) == calibrated.models and len(calibrated) == len(calibrated.models)
    assert dict(calibrated)["int8.tflite"] is calibrated["int8.tflite"] and "float16" not in calibrated
    for name, file in (("int8", "int8.tflite"), ("onnx", "model.onnx")):
        assert calibrated[name] is calibrated[file] and name in calibrated
        assert files[file].path == files[name].path and file in files
    with pytest.raises(KeyError) as caught:
        calibrated["int8.tflit"]
    assert str(caught.value).endswith("Did you mean 'int8.tflite'?") and "Keras model" in str(caught.value)


def test_probabilities_are_of_the_temperature(run, calibrated):
    pixels = load_dataset(run.spec().data, silent).splits["validation"].pixels[0]
    (logits,) = load_model(run).predict_on_batch(pixels[None])
    exponents = np.exp(logits / calibrated.temperature - (logits / calibrated.temperature).max())
    found = kr.Run(run).predict(pixels)
    assert found.probability == pytest.approx((exponents / exponents.sum()).max(), abs=1e-5)


def test_the_command_prints_what_was_fitted_and_the_report_shows_it(exported, odd, kresnet, tmp_path):
    run = copied(exported[0], tmp_path / "other", ("int8.tflite", "saved_model"))
    code, out, err = kresnet("calibrate", run.folder, "--unknown", odd, "--score", "max-logit", "--samples", "200")
    assert code == 0, err
    document = json.loads(run.confidence_file.read_text())
    assert document["samples"] == 200 and document["unknown"]["images"] == 50
    assert document["rejection"]["score"] == "max-logit" and document["rejection"]["accepts"] == 0.95
    assert "int8.tflite" in out and "ECE after" in out
    first, *lines = out.splitlines()
    assert first.startswith("other: on the 200 validation images that it was fitted to, ")
    assert "labels stay the same" in first
    keras_model = document["models"][0]
    (row,) = [line for line in lines if line.startswith("Keras model")]
    for number in ("error_before", "error_after", "accepted", "accepted_unknown", "auroc"):
        words = f"{keras_model[number]:{'.4f' if number == 'auroc' else '.1%' if 'accept' in number else '.2%'}}"
        own = (".tflite", "saved_model", "check", "unknown images:", "warning")
        details = [line for line in lines if not any(word in line for word in own)]
        assert words in row and sum(words in line for line in details if line != row) == 0, words
    assert "of 50 unknown images, and wrongly " in out
    assert f"temperature: {document['temperature']:.3f} (95% confidence interval " in out
    low, high = document["temperature_interval"]
    assert low < document["temperature"] < high
    grown = file_size(run.exports / "int8.tflite") - file_size(exported[0].exports / "int8.tflite")
    assert 0 < grown < 2000
    written = f"written into the metadata of int8.tflite ({grown:,} bytes more); networks and verdicts are as they were"
    assert written in err
    assert "not written into saved_model: write again with kresnet export other" in err
    assert " ".join(err[-1].split()) == "kresnet report other --open see it in plots"
    page = render_report(run)
    assert 'id="confidence"' in page and "Images accepted by threshold" in page
    assert page.count('data-chart="confidence-') == 3
    assert not any("replaces" in line for line in err)
    _, _, again = kresnet("calibrate", run.folder, "--unknown", odd, "--samples", "100")
    replaced = (
        f"replaces an earlier calibration (temperature {document['temperature']:.3g}, fitted to 200 validation images)"
    )
    assert f"confidence.json: {replaced}" in again
    forget_file(run, "int8.tflite")  # as after another export of it
    assert [each["name"] for each in run.calibration()["models"]] == ["Keras model", "saved_model"]


def test_what_is_wrong_is_said_in_a_sentence(run, calibrated, exported, odd, kresnet, tmp_path, capsys):
    image = next(odd.iterdir())
    for words, code, said in (
        (["calibrate", run.folder, "--accept", "0"], 2, "--accept must be above 0"),
        (["calibrate", run.folder, "--accept", "95"], 2, "--accept must be"),
        (["calibrate", run.folder, "--score", "odds"], 2, "odds"),
        (["calibrate", run.folder, "--unknown", tmp_path / "gone"], 1, "no such file or folder"),
        (["calibrate", run.folder, "--unknown", tmp_path], 1, "there are no images in"),
        (["predict", exported[0].folder, image, "--reject"], 2, "has no rule by which images are rejected as unknown"),
        (["predict", exported[0].exports / "int8.tflite", image, "--reject"], 2, "kresnet calibrate sets one"),
    ):
        found, _, err = kresnet(*words)
        assert found == code and said in err[-1], (words, err)
        assert "Traceback" not in "".join(err) and not any("replaces" in line for line in err)
    assert cli.main(["predict", str(exported[0].exports / "int8.tflite"), str(image), "--reject"]) == 2
    assert "has no rule by which images are rejected as unknown" in capsys.readouterr().err
    assert not exported[0].confidence_file.exists()


def test_a_damaged_document_is_named(run, calibrated, kresnet, tmp_path):
    other = Run(shutil.copytree(run.folder, tmp_path / "other"))
    document = json.loads(other.confidence_file.read_text())
    for damage in ({"temperature": -1}, {"rejection": {**document["rejection"], "score": "odds"}}, {"models": []}):
        other.confidence_file.write_text(json.dumps({**document, **damage}))
        code, _, err = kresnet("evaluate", other.folder)
        assert code == 1 and "confidence.json" in err[-1] and "kresnet calibrate other" in err[-1]
        assert 'id="confidence"' not in render_report(other)


@pytest.mark.slow
def test_the_page_answers_as_python(litert, run, calibrated, odd):
    from browsing import DROP, chromium, opened
    from playwright.sync_api import expect

    from keras_resnet.export.demo.page import build_site

    site = build_site(run, silent)
    described = json.loads(site.pages["run.json"])
    first = described["initial_files"][0]
    predictor = kr.Run(run).files[first.removesuffix(".tflite")]
    images = sorted(odd.iterdir())[::5]
    expected = [predictor.predict(str(each), reject=True) for each in images]
    assert {each.label == "unknown" for each in expected} >= {True}
    with chromium() as browser, opened(browser, site) as page:
        assert page.locator("#rejection").is_visible() and not page.locator("#reject").is_checked()
        for image, answer in zip(images, expected, strict=True):
            page.evaluate(DROP, [base64.b64encode(image.read_bytes()).decode()])
            panel = page.locator(".panel").first
            assert panel.locator(".unknown").count() == 0
            page.check("#reject")
            expect(panel.locator(".unknown")).to_have_count(int(answer.label == "unknown"))
            best = next(each for each in answer.predictions if "probability" in each)
            share = float(panel.locator(".share").first.inner_text().rstrip("%"))
            assert share == pytest.approx(100 * best["probability"], abs=0.15)
            page.uncheck("#reject")
