"""What kresnet calibrate fits to a detector, keeps and says, and that every runtime shows the same objects with it."""

import base64
import json
import random
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from damaging import MISSING, ODD, edited, file_edits_of, places_of
from mutants import texts_of, with_texts
from PIL import Image
from samples import silent

import keras_resnet as kr
from keras_resnet.config.spec import AugmentSpec
from keras_resnet.data.annotations import decode_rle, unpad_annotations
from keras_resnet.data.load import load_dataset
from keras_resnet.errors import ExportError, RunError, UsageError
from keras_resnet.evaluation.evaluate import load_model
from keras_resnet.explanation.targets import Question, choose_target
from keras_resnet.export.hub_card import HubCard
from keras_resnet.export.load import file_size, load_file
from keras_resnet.export.pipeline import export
from keras_resnet.export.predict import load_predictor
from keras_resnet.export.request import ExportRequest
from keras_resnet.export.tflite_metadata import replace_confidence
from keras_resnet.export.tflite_options import build_tflite_options, with_nms_variants
from keras_resnet.reporting import charts
from keras_resnet.reporting.fitted import read_section
from keras_resnet.reporting.page import render_report
from keras_resnet.reporting.score_thresholds import list_results, list_steps, list_warnings
from keras_resnet.run import Run
from keras_resnet.runtime import cli, postprocess
from keras_resnet.runtime.confidence import Confidence
from keras_resnet.runtime.metadata import read_metadata
from keras_resnet.runtime.postprocess import describe_objects

FILE, NMS_FILE = "float32.tflite", "float32-nms.tflite"


@pytest.fixture(scope="module")
def run(segmented, tmp_path_factory):
    """A copy with one file."""
    copy = Run(shutil.copytree(segmented.folder, tmp_path_factory.mktemp("thresholds") / "found"))
    shutil.rmtree(copy.exports, ignore_errors=True)
    copy.verdicts_file.unlink(missing_ok=True)
    forms = build_tflite_options(("float32",))
    export(copy, ExportRequest(tflite=tuple(forms), max_drop=100, samples=8), silent)
    return copy


@pytest.fixture(scope="module")
def before(run):
    """The bytes of the file, and the verdicts, before."""
    return (run.exports / FILE).read_bytes(), run.verdict_rows()


@pytest.fixture(scope="module")
def calibrated(run, before):
    return kr.Run(run).calibrate()


@pytest.fixture(scope="module")
def images(run, tmp_path_factory):
    """The validation images as files."""
    folder, split = tmp_path_factory.mktemp("images"), load_dataset(run.spec().data, silent).splits["validation"]
    for row in range(split.count):
        Image.fromarray(np.asarray(split.image(row))).save(folder / f"{row:02}.png")
    return [str(file) for file in sorted(folder.iterdir())]


def without_masks(rows):
    return [[{key: each[key] for key in ("label", "probability", "box")} for each in row] for row in rows]


def test_no_threshold_of_a_class_has_a_better_f1(run, calibrated):
    """By a plain loop over the validation images, their objects, and what the model predicts of them."""
    split = load_dataset(run.spec().data, silent).splits["validation"]
    annotations = unpad_annotations(split.objects.as_dict())
    cells = load_file(run.exports / FILE).card.cells
    outputs = load_model(run).predict_on_batch(np.stack([split.image(row) for row in range(split.count)]))
    found = [
        describe_objects(
            {name: np.asarray(each[row]) for name, each in outputs.items()},
            run.classes(),
            cells,
            annotation.size,
            threshold=postprocess.SCORE_THRESHOLD,
        )
        for row, annotation in enumerate(annotations)
    ]
    scored = {name: [] for name in run.classes()}
    objects = dict.fromkeys(run.classes(), 0)
    for row, prediction in enumerate(found):
        annotation = annotations[row]
        free = list(range(len(annotation.labels)))
        for label in annotation.labels:
            objects[run.classes()[label]] += 1
        for each in sorted(prediction, key=lambda each: -each["probability"]):
            mask = decoded(each["mask"])
            overlaps = {
                number: iou(mask, annotation_mask(annotation, number))
                for number in free
                if run.classes()[annotation.labels[number]] == each["label"]
            }
            best = max(overlaps, key=overlaps.get, default=None)
            is_hit = best is not None and overlaps[best] >= 0.5
            if is_hit:
                free.remove(best)
            scored[each["label"]].append((each["probability"], is_hit))

    def f1(name, threshold):
        kept = [is_hit for score, is_hit in scored[name] if score >= threshold]
        return 2 * sum(kept) / (len(kept) + objects[name])

    own = 0
    for each in calibrated.document["by_class"]:
        name = each["label"]
        assert each["objects"] == objects[name]
        assert each["after"]["f1"] == pytest.approx(f1(name, each["threshold"]), abs=1e-6)
        assert each["before"]["f1"] == pytest.approx(f1(name, 0.3), abs=1e-6)
        if not each["note"]:
            own += 1
            assert each["after"]["f1"] >= max(f1(name, other) for other in np.linspace(0.05, 1, 500)) - 1e-9
        else:
            assert each["threshold"] == calibrated.document["overall"]
    assert own > 0 and calibrated.thresholds == dict(
        zip(run.classes(), calibrated.document["score_thresholds"], strict=True)
    )
    check = calibrated.document["check"]
    assert abs(check["images"] - split.count / 2) <= split.count / 10
    for when in ("before", "after"):
        assert check[when] == pytest.approx(np.mean([each[when] for each in check["by_class"]]))
    assert str(calibrated).startswith(f"score thresholds, fitted on {split.count} validation images with")
    assert "F1 after" in calibrated._repr_html_() and calibrated.models == ["Keras model", FILE]
    row = calibrated["float32.tflite"]
    assert row["f1_after"] == pytest.approx(calibrated["Keras model"]["f1_after"], abs=0.02)


def decoded(mask):
    flat = np.repeat(np.arange(len(mask["counts"])) % 2 == 1, mask["counts"])
    return flat.reshape(mask["size"], order="F")


def annotation_mask(annotation, number):
    return np.asarray(decode_rle(annotation.masks[number], annotation.size)) > 0


def iou(one, other):
    return (one & other).sum() / max((one | other).sum(), 1)


def test_files_keep_their_networks_and_get_the_thresholds(run, before, calibrated):
    assert calibrated.renewed == [FILE] and not calibrated.stale
    assert json.loads(run.confidence_file.read_text()) == json.loads(json.dumps(calibrated.document))
    contents, _ = before
    assert load_file(run.exports / FILE).card.confidence == run.confidence() != Confidence()
    now = (run.exports / FILE).read_bytes()
    network = contents.index(b"PK\x03\x04")
    assert now[:network] == contents[:network] and now != contents and network > 1000
    assert [row["bytes"] for row in run.verdicts()] == [file_size(run.exports / FILE)]


def predicted_by_command(kresnet, file, images, *options):
    code, out, err = kresnet("predict", file, *images, "--json", *options)
    assert code == 0, err
    return [json.loads(line)["predictions"] for line in out.splitlines()]


def require_script(run, arguments):
    """detect.py succeeds."""
    subprocess.run([sys.executable, "detect.py", *arguments], cwd=run.exports, capture_output=True, check=True)


def found_beside(images):
    """What detect.py wrote beside images."""
    return [json.loads(Path(image).with_suffix(".found.json").read_text()) for image in images]


def require_same_objects(run, file, images, shown, capsys):
    """kresnet-edge, detect.py and Python show what `kresnet predict` does."""
    assert cli.main(["predict", str(file), *images, "--json"]) == 0
    of_edge = [json.loads(line)["predictions"] for line in capsys.readouterr().out.splitlines()]
    assert without_masks(of_edge) == without_masks(shown)
    require_script(run, [file.name, *images])
    assert without_masks(found_beside(images)) == without_masks(shown)
    of_python = kr.Run(run).files[file.stem].predict(images)
    assert without_masks([each.predictions for each in of_python]) == without_masks(shown)


def test_every_runtime_shows_the_same_objects(run, calibrated, images, kresnet, capsys):
    file, images, thresholds = run.exports / FILE, images[:12], calibrated.thresholds
    shown = predicted_by_command(kresnet, file, images)
    everything = predicted_by_command(kresnet, file, images, "--threshold", "0.05")
    assert 0 < sum(map(len, shown)) < sum(map(len, everything))
    for some, row in zip(shown, everything, strict=True):
        kept = [each for each in row if each["probability"] >= thresholds[each["label"]]]
        # Of a hundred objects at most, the least confident ones make room for those of other classes.
        assert [each for each in some if each in row] == kept
        assert len(row) == postprocess.MAX_DETECTIONS or some == kept
    for position in range(3):  # of the option, among file and images
        typed = [file.name, *images]
        typed[position:position] = ["--threshold", "0.05"]
        require_script(run, typed)
        assert without_masks(found_beside(images)) == without_masks(everything)
    lower = [each for row in predicted_by_command(kresnet, file, images, "--threshold", "0.1") for each in row]
    assert min(each["probability"] for each in lower) >= 0.1
    assert any(each["probability"] < thresholds[each["label"]] for each in lower)
    require_same_objects(run, file, images, shown, capsys)
    labels = [[each["label"] for each in row] for row in shown]
    assert [[each["label"] for each in one.predictions] for one in kr.Run(run).predict(images)] == labels


@pytest.mark.slow
def test_a_later_file_has_the_thresholds_and_so_has_one_that_makes_objects_itself(
    run, calibrated, images, kresnet, capsys, tmp_path
):
    copy = Run(shutil.copytree(run.folder, tmp_path / "later"))
    forms = with_nms_variants(build_tflite_options(("float32",)), "segment")
    export(copy, ExportRequest(tflite=tuple(forms), max_drop=100, samples=8), silent)
    file, images = copy.exports / NMS_FILE, images[:12]
    assert load_file(file).card.confidence == copy.confidence() != Confidence()
    shown = predicted_by_command(kresnet, file, images)
    assert any(shown)
    assert all(each["probability"] >= calibrated.thresholds[each["label"]] for row in shown for each in row)
    require_same_objects(copy, file, images, shown, capsys)
    top = predicted_by_command(kresnet, file, images, "--top", "1")
    assert without_masks(top) == without_masks([row[:1] for row in shown])


def test_a_file_that_makes_objects_itself_shows_them_by_their_thresholds():
    outputs = {
        "count": np.array([3.0]),
        "scores": np.array([0.9, 0.5, 0.4, 0.99]),
        "classes": np.array([0.0, 1.0, 0.0, 1.0]),
        "boxes": np.tile([0.0, 0.0, 0.5, 1.0], (4, 1)),
    }
    for fitted, threshold, shown in (
        ((0.45, 0.5), None, [("cat", 0.9), ("dog", 0.5)]),
        ((0.95, 0.51), None, []),
        ((0.95, 0.51), 0.45, [("cat", 0.9), ("dog", 0.5)]),
        ((), None, [("cat", 0.9), ("dog", 0.5), ("cat", 0.4)]),
    ):
        objects = describe_objects(outputs, ["cat", "dog"], (8,), (64, 64), threshold=threshold, fitted=fitted)
        assert [(each["label"], each["probability"]) for each in objects] == shown


def test_a_heat_map_is_of_an_object_that_is_shown(run, calibrated, images):
    predictor = load_predictor(str(run.exports / FILE), run.folder.parent)
    rows = [predictor.predict_image(Image.open(image), None) for image in images]
    outputs = predictor.predict(np.stack([predictor.card.preprocess(Image.open(image)) for image in images]))
    for row, found in enumerate(rows):
        of_image = {name: each[row] for name, each in outputs.items()}
        target = choose_target(predictor.card, of_image, Image.open(images[row]).size, Question())
        assert target.is_predicted == bool(found)
        assert not found or (target.label, target.box) == (found[0]["label"], tuple(found[0]["box"]))


def test_the_command_prints_what_was_fitted_and_the_report_shows_it(run, calibrated, kresnet, tmp_path):
    copy = Run(shutil.copytree(run.folder, tmp_path / "again"))
    code, out, err = kresnet("calibrate", copy.folder, "--samples", "30")
    assert code == 0, err
    document = json.loads(copy.confidence_file.read_text())
    assert document["samples"] == 30 and "On the 30 validation images that they were fitted to" in out
    assert "F1 after" in out and "objects" in out and all(name in out for name in copy.classes())
    assert f"{document['models'][0]['f1_after']:.2%}" in out and f"{document['score_thresholds'][0]:.3f}" in out
    assert f"written into the metadata of {FILE}" in "\n".join(err)
    name, threshold = copy.classes()[0], document["score_thresholds"][0]
    card = HubCard(copy, [], None, (), None)._confidence()
    assert f"which the metadata of .tflite files hold: {name} {threshold:.3f}," in card
    page = render_report(copy)
    assert "Score thresholds" in page and page.count('data-chart="confidence-') == 2


def test_uncertain_thresholds_are_warned_of(calibrated):
    """Where the check finds them worse, and where a class or all of them have few objects; with what to do."""
    document, check = calibrated.document, calibrated.document["check"]
    rows = [{**each, "note": "", "objects": 20} for each in document["by_class"]]
    sound = {**document, "by_class": rows, "check": {**check, "before": 0.5, "after": 0.5}}
    assert list_warnings(sound) == [] and list_steps("r") == [
        ("predict r photo.jpg", "use the thresholds"),
        ("calibrate r --forget", "undo all of this"),
    ]
    worse = {**sound, "check": {**check, "before": 0.5, "after": 0.49}}
    (words,) = list_warnings(worse)
    assert "such thresholds are worse than 0.3 for all classes" in words and "with --forget" in words
    results = list_results(worse)
    assert results[results.index(f"warning: {words}") - 1].startswith("check on other images: ")
    (words,) = list_warnings({**sound, "by_class": [{**each, "objects": 1} for each in rows]})
    assert words.startswith(
        f"these thresholds are uncertain, because the validation images have only {len(rows)} objects"
    )
    rare = [{**rows[0], "note": "3 objects, fewer than 10"}, *rows[1:]]
    (words,) = list_warnings({**sound, "by_class": rare})
    assert words.startswith("1 class has no threshold of its own, but ") and "(3 objects, fewer than 10)" in words
    assert words.endswith("Add validation images that show it")
    assert calibrated.warnings == document["warnings"] == list_warnings(document)


def test_a_report_says_that_its_other_numbers_are_without_the_thresholds(run, calibrated, tmp_path):
    page = render_report(run)
    assert "Drawn are objects with a confidence of 30% or more, as before kresnet calibrate: since then" in page
    classes = page.split('id="classes"')[1].split("</section>")[0]
    assert "These numbers are at a confidence of 30% for all classes, as before kresnet calibrate." in classes
    assert "Undo all of this:" in page and "--forget</span>" in page
    other = Run(shutil.copytree(run.folder, tmp_path / "other", ignore=shutil.ignore_patterns("exports")))
    other.confidence_file.unlink()
    assert "kresnet calibrate" not in render_report(other)


def test_forgetting_restores_what_was(run, before, calibrated, kresnet, tmp_path):
    copy = Run(shutil.copytree(run.folder, tmp_path / "again"))
    content, rows = before
    less = (copy.exports / FILE).stat().st_size - len(content)
    code, out, err = kresnet("calibrate", copy.folder, "--forget")
    assert code == 0, err
    assert (copy.exports / FILE).read_bytes() == content
    assert copy.verdict_rows() == rows and not copy.confidence_file.exists()
    assert copy.confidence() == Confidence() and "Score thresholds" not in render_report(copy)
    assert out.splitlines() == [
        "removed confidence.json",
        f"removed from the metadata of {FILE} ({less} bytes less); networks and verdicts are as they were",
    ]
    code, _, err = kresnet("calibrate", copy.folder, "--forget")
    assert code == 2 and err[-1].endswith("run again has not been calibrated, so there is nothing to forget")
    copy.write_json(copy.confidence_file, calibrated.document)
    kr.Run(copy).forget_calibration()
    assert copy.verdict_rows() == rows and not copy.confidence_file.exists()


def test_what_is_wrong_is_said_in_a_sentence(run, calibrated, kresnet, tmp_path):
    image = tmp_path / "image.png"
    Image.new("RGB", (64, 64)).save(image)
    of_classifiers = "is for classifiers of one label per image; run found is trained for instance segmentation"
    for words, code, said in (
        (["calibrate", run.folder, "--accept", "0.9"], 2, f"--accept {of_classifiers}"),
        (["calibrate", run.folder, "--accept", "0.95"], 2, f"--accept {of_classifiers}"),
        (["calibrate", run.folder, "--unknown", tmp_path], 2, f"--unknown {of_classifiers}"),
        (["calibrate", run.folder, "--forget", "--seed", "1"], 2, "takes no other option. Received: --seed"),
        (["calibrate", run.folder, "--forget", "--json"], 2, "takes no other option. Received: --json"),
        (["predict", run.folder, image, "--reject"], 2, "has no rule by which images are rejected as unknown"),
    ):
        found, _, err = kresnet(*words)
        assert found == code and said in err[-1], (words, err)
        assert "Traceback" not in "".join(err)
    with pytest.raises(UsageError, match="accept is for classifiers"):
        kr.Run(run).calibrate(accept=0.9)


def test_a_damaged_document_is_named_or_harms_nothing(run, calibrated, tmp_path):
    other = Run(shutil.copytree(run.folder, tmp_path / "other", ignore=shutil.ignore_patterns("exports")))
    file, sound = other.confidence_file, other.confidence_file.read_bytes()
    document = json.loads(sound)
    misfits = [
        {"score_thresholds": [0.3]},
        {"score_thresholds": document["score_thresholds"][::-1]},
        {"score_thresholds": [0.5] * 10**5},
        {"by_class": document["by_class"][:-1]},
        {"by_class": document["by_class"][::-1]},
        {"curves": {}},
        {"f1_curves": {}},
        {"check": {**document["check"], "by_class": [{**document["check"]["by_class"][0], "label": "cup"}]}},
    ]
    texts = {str(each): json.dumps({**document, **each}) for each in misfits}
    edits = [(words, lambda target, text=text: target.write_text(text)) for words, text in texts.items()]
    rng, places = random.Random(0), [*places_of(document)][1:]
    for place, value in [(rng.choice(places), rng.choice((*ODD, MISSING))) for _ in range(60)]:
        text = json.dumps(edited(document, place, value))
        edits.append((f"{place}: {value!r}", lambda target, text=text: target.write_text(text)))
    edits += file_edits_of(file)
    for words, change in edits:
        if file.is_dir():
            file.rmdir()
        file.unlink(missing_ok=True)
        file.write_bytes(sound)
        change(file)
        try:
            thresholds = other.confidence().score_thresholds
        except RunError as error:
            assert "confidence.json" in str(error) and "kresnet calibrate other" in str(error), words
            assert "\n" not in str(error) and len(str(error)) < 600, words
            assert read_section(other, silent) is None
            continue
        assert words not in texts, words
        assert len(thresholds) in (0, len(other.classes())) and all(0 <= each <= 1 for each in thresholds), words
        assert (read_section(other, silent) is None) == (not thresholds), words


def cut_short(run, folder):
    """A copy whose confidence.json lacks its end."""
    other = Run(shutil.copytree(run.folder, folder / "other"))
    other.confidence_file.write_bytes(other.confidence_file.read_bytes()[:-99])
    return other


def test_a_damaged_document_is_left_out_of_the_report_and_can_be_forgotten(run, calibrated, images, kresnet, tmp_path):
    other = cut_short(run, tmp_path)
    with pytest.raises(RunError, match=r"confidence\.json: Invalid JSON.*kresnet calibrate other"):
        kr.open_run(other.folder).predict(images[0])
    code, _, err = kresnet("report", other.folder)
    assert code == 0 and any("left out of the report" in line and "Invalid JSON" in line for line in err)
    assert 'id="confidence"' not in other.report_file.read_text()
    code, _, err = kresnet("calibrate", other.folder, "--forget")
    assert code == 0 and not other.confidence_file.exists(), err


@pytest.mark.slow
def test_commands_say_what_is_damaged(run, calibrated, images, kresnet, tmp_path):
    other = cut_short(run, tmp_path)
    for words in (["predict", other.folder, images[0]], ["export", other.folder, "--tflite", "--samples", "8"]):
        code, _, err = kresnet(*words)
        assert code == 1 and "confidence.json: Invalid JSON" in err[-1] and "kresnet calibrate other" in err[-1], err
        assert "Traceback" not in "".join(err)
    code, _, err = kresnet("calibrate", other.folder, "--samples", "20")
    assert code == 0 and other.score_thresholds()["samples"] == 20, err


FORGED = (
    [0.3],
    [0.5] * 7,
    [0.5] * 5 + [1.01],
    [0.5] * 5 + [-0.1],
    [0.5] * 5 + [float("nan")],
    [0.5] * 5 + [10**400],
    [0.5] * 5 + ["0.5"],
    [0.5] * 5 + [True],
    [0.5] * 5 + [None],
    [[0.5]] * 6,
    "010101",
    dict.fromkeys("abcdef", 0.5),
    0.5,
    None,
)


@pytest.mark.parametrize("forged", FORGED, ids=lambda each: repr(each)[:20])
def test_forged_thresholds_of_a_file_are_refused(run, calibrated, forged):
    file = run.exports / FILE
    labels, details = texts_of(file.read_bytes())
    assert read_metadata(with_texts(file.read_bytes(), labels, json.dumps(details)), file).confidence != Confidence()
    content = with_texts(file.read_bytes(), labels, json.dumps({**details, "score_thresholds": forged}))
    with pytest.raises(ExportError, match="was not exported by kresnet or is damaged"):
        read_metadata(content, file)


def test_a_file_has_no_thresholds_beside_a_temperature(run, calibrated):
    file = run.exports / FILE
    card = read_metadata(file.read_bytes(), file)
    content = replace_confidence(file.read_bytes(), replace(card.confidence, temperature=2.0), file)
    with pytest.raises(ExportError, match="was not exported by kresnet or is damaged"):
        read_metadata(content, file)
    with pytest.raises(ValueError, match="score threshold must be 0 to 1"):
        Confidence(score_thresholds=(0.5, float("nan")))


def test_every_runtime_refuses_a_forged_file(run, calibrated, images, kresnet, capsys, tmp_path):
    folder = shutil.copytree(run.exports, tmp_path / "exports")
    file = folder / FILE
    labels, details = texts_of(file.read_bytes())
    cells, image = details["cells"], shutil.copy(images[0], tmp_path)
    for forged in ({"score_thresholds": [0.5] * 5 + ["1"]}, {"cells": [cells[0] + 1, *cells[1:]]}, {"resize": "large"}):
        file.write_bytes(with_texts(file.read_bytes(), labels, json.dumps(details | forged)))
        code, _, err = kresnet("predict", file, image)
        assert code == 1 and "Traceback" not in "".join(err)
        assert cli.main(["predict", str(file), image]) == 1
        assert len(capsys.readouterr().err.splitlines()) == 1
        script = [sys.executable, "detect.py", file.name, image]
        done = subprocess.run(script, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 1 and done.stderr.splitlines()[-1].startswith(
            f"cannot read {file.name}, or it is not as "
        )
        assert "Traceback" not in done.stderr and not Path(image).with_suffix(".found.json").exists()


@pytest.mark.slow
def test_the_page_shows_the_same_objects(litert, run, calibrated, images):
    from browsing import DROP, chromium, opened

    from keras_resnet.export.demo.page import build_site

    with chromium() as browser, opened(browser, build_site(run, silent)) as page:
        assert page.locator("#fitted").is_checked() and page.inner_text("#threshold-value") == "by class"
        contents = [base64.b64encode(Path(image).read_bytes()).decode() for image in images[:8]]
        for threshold in (None, 0.2):
            if threshold is not None:
                page.fill("#threshold", "20")
                assert not page.locator("#fitted").is_checked() and page.inner_text("#threshold-value") == "20%"
            for image, of_both in zip(images, page.evaluate(DROP, contents), strict=False):
                for answer in of_both:
                    predictor = kr.Run(run).files[answer["file"].removesuffix(".tflite")]
                    theirs = predictor.predict(image, threshold=threshold).predictions
                    assert [each["label"] for each in answer["predictions"]] == [each["label"] for each in theirs]
        page.check("#fitted")
        assert page.inner_text("#threshold-value") == "by class"


@pytest.mark.parametrize(
    ("task", "annotations", "losses", "said"),
    [
        ("localize", "object", {}, "run other is trained for localization"),
        (
            "multilabel",
            "label_sets",
            {"loss": "bce"},
            "multi-label classification; its thresholds were fitted when its training ended",
        ),
    ],
)
def test_other_tasks_are_refused(segmented, kresnet, tmp_path, task, annotations, losses, said):
    other = Run(shutil.copytree(segmented.folder, tmp_path / "other"))
    document = json.loads(other.spec_file.read_text())
    document["spec"]["task"] = task
    document["spec"]["data"]["annotations"] = annotations
    document["spec"]["training"].update(losses)
    document["spec"]["augment"] = asdict(AugmentSpec())
    other.spec_file.write_text(json.dumps(document))
    code, _, err = kresnet("calibrate", other.folder)
    assert code == 2 and said in err[-1] and not other.confidence_file.exists(), err


def test_a_label_set_has_its_thresholds_marked_on_its_curves():
    rows = [
        {"label": "dog", "threshold": 0.4, "recall": 0.8, "precision": 0.5, "f1": 0.6},
        {"label": "cat", "threshold": 0.7, "recall": 0.1, "precision": None, "f1": 0.2},
    ]
    curves = {"dog": [0.5] * 101, "cat": [0.25] * 101}
    on_curve, chosen = charts.list_chosen_points(rows)
    shown = charts.choose_classes(rows, curves)
    precision_recall = charts.precision_recall_chart(curves, shown, False, on_curve)
    f1 = charts.f1_chart(curves, shown, chosen)
    points = {each.name: list(zip(each.x, each.y, strict=True)) for each in (precision_recall.series[-1],)}
    assert points == {"chosen": [(80, 50)]}
    assert (f1.series[-1].x, f1.series[-1].y) == ([40, 70], [60, 20]) and "dog 40.0%, cat 70.0%" in f1.description
    unfitted = [{"label": "dog", "AP": 0.5}]
    assert charts.list_chosen_points(unfitted) == ({}, {})
    assert [each.name for each in charts.f1_chart(curves, shown, {}).series] == ["all classes", "dog", "cat", "best"]
