"""What a verdict claims: three outcomes, and the interval always beside the drop."""

import hashlib
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from exports import ONE, copied, float32_only
from samples import silent

from keras_resnet.cli import verdict_tables
from keras_resnet.data.load import load_dataset
from keras_resnet.data.sources.arrays import in_memory
from keras_resnet.evaluation.evaluate import load_model
from keras_resnet.export import pipeline
from keras_resnet.export.benchmark import Latency
from keras_resnet.export.demo import page as demo
from keras_resnet.export.load import load_file
from keras_resnet.export.request import ExportRequest
from keras_resnet.export.verdict import MetricDrop, Verdict
from keras_resnet.export.verify import SEED, spread_images
from keras_resnet.metrics import outcome as outcomes
from keras_resnet.reporting.page import render_report
from keras_resnet.reporting.recommend import describe_verdicts, recommend_file
from keras_resnet.run import Run
from keras_resnet.run.verified_files import hash_file

# The words for what would settle 60 images on which file and model never differ.
PROOF = "add about 134 validation images of the same kind (194 in all) to prove it"


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
    (verdict,) = pipeline.export(run, ExportRequest(float32_only(), samples=60), silent)
    return run, verdict


@pytest.mark.slow
def test_an_unproven_file_is_within_and_says_so_everywhere(unproven, kresnet, on_terminal, tmp_path):
    run, verdict = unproven
    home = run.folder.parent
    assert (verdict.verdict, verdict.words, verdict.drop) == ("NOT PROVEN", "PASSED, not proven", 0)
    assert verdict.passed and not verdict.all_integer and (run.exports / "float32.tflite").is_file()
    assert run.summary()["exports"] == ["float32.tflite"]
    # 1.96 / (n + 2) is the upper end where the two never differ.
    assert verdict.images_to_settle == 194 and verdict.drop_interval[1] == pytest.approx(1.96 / 62, rel=1e-4)
    interval, words = "+0.00 [-3.16, +3.16]", "PASSED, not proven"
    card = (run.exports / "model_card.md").read_text()
    assert interval in card and words in card and PROOF in card
    page = render_report(run)
    assert interval.replace(", ", ",\u00a0") in page and re.search(rf'<td class="words open"[^>]*>{words}</td>', page)
    assert '<td class="words good"' not in page
    assert PROOF in page
    best = recommend_file(describe_verdicts(run))
    assert "too few validation images to prove" in best["why"]
    code, out, _ = kresnet("compare", run.name, run.name, "--runs", home)
    assert code == 0 and interval in out and words in out
    told = demo.describe_file("float32.tflite", load_file(run.exports / "float32.tflite"), describe_verdicts(run)[0])
    assert interval in told["drop"] and told["outcome"] == words
    assert str(verdict).startswith(f"{words}: float32.tflite, ") and interval in str(verdict)


def test_what_several_files_lack_is_said_once(unproven):
    row = unproven[1].as_dict()
    other = {**row, "file": "int8.tflite", "drop_interval": [-0.01, 0.07], "images_to_settle": 250}
    proven = {**row, "file": "int16x8.tflite", "drop_interval": [-0.01, 0.01], "verdict": "PASSED"}
    assert outcomes.list_remarks([row, other, proven]) == [
        "float32.tflite and int8.tflite: the measured drops of top-1 accuracy are within the budget of 1 point, but"
        " with only 60 validation images the true ones may be up to +7.00; add about 190 validation images of the same"
        " kind (250 in all) to prove it"
    ]
    (alone,) = outcomes.list_remarks([row])
    assert alone.startswith("float32.tflite: the measured drop of top-1 accuracy, +0.00, is within") and alone.endswith(
        PROOF
    )


def test_verify_passes_it_and_with_proof_required_fails(unproven, kresnet, on_terminal):
    """The interval stands in a table of 80 columns, and what would settle it below."""
    run, _ = unproven
    arguments = ("verify", run.exports / "float32.tflite", "--samples", "60", "--runs", run.folder.parent)
    code, text = on_terminal(*arguments)
    assert code == 0 and "[-3.16, +3.16]" in text and "".join(PROOF.split()) in "".join(text.split())
    assert "drop" in text and "\x1b[32mPASSED" not in text and "\x1b[33mPASSED" in text
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
    assert err[-1].endswith("not proven to be within 1 point: rejected/float32.tflite (rejected by --require-proof)")
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
    told = f"compared with the Keras model (top-1 accuracy {value:.2%} on 60 images)"
    assert told in " ".join(render_report(run).replace(f"{100 * value:.2f}%", f"{value:.2%}").split())
    assert f"| {value:.2%} | +0.00" in (run.exports / "model_card.md").read_text()
    provenance = load_file(run.exports / "float32.tflite").card.provenance
    assert provenance["keras_model"] == {"top1": value} and provenance["validation_images"] == 60
    verdict_tables.print_verdicts("", [verdict], as_json=False)
    assert f"the Keras model on the same images: top-1 accuracy {value:.2%}" in capsys.readouterr().out


BASELINE = {
    "baseline": "always predicting '1'",
    "trivial": False,
    "metric": "top1",
    "value": 0.9,
    "model_value": 0.91,
    "images": 60,
    "lead_interval": [-0.1, 0.1],
}


def test_the_drop_of_macro_recall_is_shown_and_does_not_decide(exported, capsys):
    """A class of few images is lost: one point of accuracy, many of macro recall."""
    verdict = next(iter(exported[1].values()))
    lost = replace(verdict, further_drops={"macro_recall": MetricDrop(0.2, (0.11, 0.29))})
    verdict_tables.print_verdicts("", [lost], as_json=False)
    value = f"macro recall (balanced accuracy) {lost.details['macro_recall']:.2%}"
    assert f"{lost.file}: {value} (drop +20.00 [+11.00, +29.00])\n" in capsys.readouterr().out
    assert verdict.drop_metric == "top1" and set(verdict.drops) == {"top1"}
    low, high = verdict.further_drops["macro_recall"].interval
    assert low <= verdict.further_drops["macro_recall"].drop <= high and high - low > 0


def test_an_export_ends_with_what_was_not_said_before(exported, capsys):
    """Not with the model's value, its baselines or a macro recall that dropped like top-1; but with a noisy latency."""
    verdict = next(iter(exported[1].values()))
    quiet = replace(verdict.cost, latencies=(Latency(2, 0.1, 0.11, 0.2, 50),))
    alike = replace(
        verdict, cost=quiet, further_drops={"macro_recall": MetricDrop(verdict.drop + 0.004, (-0.01, 0.01))}
    )
    baseline = {**BASELINE, "standing": "unclear"}
    verdict_tables.print_verdicts("", [replace(alike, baselines=(baseline,))], False, is_model_known=True)
    out = capsys.readouterr().out
    assert not any(words in out for words in ("Keras model", "macro recall", "not proven to be better", "noisy"))
    cost = replace(quiet, latencies=(Latency(2, 0.1, 0.31, 0.4, 50),))
    chance = replace(verdict, cost=cost, baselines=({**baseline, "trivial": True},))
    verdict_tables.print_verdicts("", [chance], False, is_model_known=True)
    out = capsys.readouterr().out
    assert "the model is not proven to be better than always" in out
    assert f"noisy latency: {verdict.file} (median 0.10, 90th percentile 0.31 ms)" in " ".join(out.split())


def test_a_drop_of_nothing_has_no_minus():
    assert outcomes.format_interval([-0.000001, 0.01]) == "[+0.00, +1.00]"


def test_the_table_names_the_metric_of_each_drop(exported, capsys):
    """In the heading where it is one for all and not the one shown, beside each drop where they differ."""
    verdicts = list(exported[1].values())[:2]
    masks = replace(verdicts[0], metric="mask mAP", drop_metric="mask mAP")
    boxes = replace(verdicts[1], metric="mask mAP", drop_metric="box mAP", drop=0.0075, drop_interval=(-0.0131, 0.0279))
    verdict_tables.print_verdicts("", [masks, masks], as_json=False)
    assert "drop of" not in capsys.readouterr().out
    verdict_tables.print_verdicts("", [boxes, boxes], as_json=False)
    assert "drop of box mAP" in capsys.readouterr().out
    verdict_tables.print_verdicts("", [masks, boxes], as_json=False)
    out = capsys.readouterr().out
    assert "+0.75 of box mAP" in out and "+0.00 of mask mAP" in out and "[-1.31, +2.79]" in out
    row = json.loads(json.dumps(boxes.as_dict()))
    assert row["drop_metric"] == "box mAP" and set(row["drops"]) == {"top1"}
    assert "drop of box mAP 0.75 points [95% CI -1.31, +2.79], 1 point allowed" in str(boxes)


def test_a_verdict_that_lacks_a_number_is_left_out_and_named(unproven, tmp_path):
    run = Run(shutil.copytree(unproven[0].folder, tmp_path / "edited"))
    (row,) = run.verdicts()
    lacking = {key: value for key, value in row.items() if key != "drop_metric"}
    run.write_json(run.verdicts_file, [lacking, row])
    lines = []
    assert run.verdicts(lines.append) == [row]
    assert len(lines) == 1 and "row 1: drop_metric: Field required" in lines[0]


def test_every_outcome_has_its_colour():
    from keras_resnet.cli.tables import _style_of

    cells = ("PASSED", "PASSED, not proven", "PASSED, at chance", "FAILED", "FAILED for lack of proof", "int8.tflite")
    assert [_style_of(cell) for cell in cells] == ["green", "yellow", "yellow", "red", "red", ""]


def test_verdicts_are_json(unproven):
    """As they stand in the file they are what Python has."""
    run, verdict = unproven
    (row,) = run.verdicts()
    assert set(row) == {*Verdict.__dataclass_fields__, "latency_ms"}
    assert outcomes.describe_outcome(row) == verdict.words and row == json.loads(json.dumps(verdict.as_dict()))


def test_golden_images_are_of_all_classes():
    """Also of a folder, which has its images class by class."""
    labels = np.repeat(np.arange(5), 30)
    images = np.broadcast_to(labels[:, None, None, None], (150, 8, 8, 3)).astype(np.uint8)
    data = in_memory((images, labels), (images, labels), "abcde")
    assert set(spread_images(data, 16)[:, 0, 0, 0]) == set(range(5))
    assert len(spread_images(data, 1000)) == 150


def damage(file):
    """Turn bits in the middle of a file, whose size stays."""
    content, half = bytearray(file.read_bytes()), file.stat().st_size // 2
    content[half : half + 2000] = bytes(255 - byte for byte in content[half : half + 2000])
    file.write_bytes(content)


@pytest.fixture
def damaged(exported, tmp_path):
    """A copy of a run with verdicts on two files, one of which has changed without another size."""
    run = Run(shutil.copytree(exported[0].folder, tmp_path / "damaged"))
    rows = [row for row in run.verdict_rows() if row["file"] in ("float32.tflite", "int8.tflite")]
    run.write_json(run.verdicts_file, rows)
    damage(run.exports / "int8.tflite")
    return run


SAID = "int8.tflite is not the file that was verified (it has changed since): kresnet verify "


def test_a_file_that_has_changed_has_no_verdict(damaged, kresnet):
    run, home = damaged, damaged.folder.parent
    assert [row["file"] for row in run.verdicts(silent)] == ["float32.tflite"]
    assert run.changed_files() == ["int8.tflite"]
    assert run.summary()["exports"] == ["float32.tflite", "int8.tflite"]  # which reads no files
    code, _, err = kresnet("report", "damaged", "--runs", home)
    page = run.report_file.read_text()
    assert code == 0 and [line for line in err if "verified" in line] == [f"{SAID}{run.folder}"]
    assert SAID.partition(":")[0] in page and "float32.tflite</a> is the recommended file" in page
    assert [row["file"] for row in describe_verdicts(run)] == ["float32.tflite"]
    files = (run.exports / "float32.tflite", run.exports / "int8.tflite")
    code, out, _ = kresnet("compare", *files, "--runs", home, "--json")
    former = run.verdict_rows()[0]["verdict"]
    assert code == 0 and [row.get("verdict") for row in json.loads(out)["models"]] == [former, None]


def test_verify_keeps_the_new_verdict_on_a_file_that_has_changed(damaged, kresnet):
    run, home = damaged, damaged.folder.parent
    former = {row["file"]: row for row in run.verdict_rows()}
    code, out, err = kresnet("verify", "damaged", "--samples", "200", "--runs", home)
    rows = {row["file"]: row for row in run.verdict_rows()}
    (new,) = [row for name, row in rows.items() if name.endswith("int8.tflite")]
    assert rows["float32.tflite"] == former["float32.tflite"] and new["sha256"] != former["int8.tflite"]["sha256"]
    assert (code, new["verdict"] == "FAILED", "rejected/" in new["file"]) in ((0, False, False), (1, True, True)), err
    assert (run.exports / new["file"]).is_file() and run.changed_files() == []
    assert f"{new['value']:.2%}" in out and any("had changed since it was verified" in line for line in err)


def test_a_verdict_of_an_earlier_version_is_on_a_file_of_its_size(damaged):
    rows = [{key: value for key, value in row.items() if key != "sha256"} for row in damaged.verdict_rows()]
    damaged.write_json(damaged.verdicts_file, rows)
    assert damaged.changed_files() == []
    file = damaged.exports / "int8.tflite"
    file.write_bytes(file.read_bytes() + b"0")
    assert damaged.changed_files() == ["int8.tflite"] and damaged.summary()["exports"] == ["float32.tflite"]


def test_the_hash_of_a_folder_is_of_its_files_and_names(tmp_path):
    """As `sha256sum` prints them."""
    folder = tmp_path / "saved_model"
    (folder / "variables").mkdir(parents=True)
    for name in ("b.pb", "a.pb", "variables/index"):
        (folder / name).write_text(name)
    lines = [f"{hashlib.sha256(name.encode()).hexdigest()}  {name}\n" for name in ("a.pb", "b.pb", "variables/index")]
    expected = hashlib.sha256("".join(lines).encode()).hexdigest()
    assert hash_file(folder) == expected
    (folder / ".DS_Store").touch()
    assert hash_file(folder) == expected
    (folder / "a.pb").rename(folder / "c.pb")
    assert hash_file(folder) != expected
