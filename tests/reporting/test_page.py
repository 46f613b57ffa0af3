"""Reports: one page that needs nothing else and says what was measured; runs side by side."""

import base64
import html.parser
import io
import json
import re
import shutil
import urllib.parse
from dataclasses import replace

import numpy as np
import pytest
from device_verdicts import put_at_chance, put_on_device
from PIL import Image

from keras_resnet.cli.next_steps import is_at_chance
from keras_resnet.evaluation.evaluate import load_model
from keras_resnet.export.artifacts import ModelCard
from keras_resnet.export.verdict import format_verdicts
from keras_resnet.metrics.outcome import describe_baseline, describe_drop, format_worst_class
from keras_resnet.reporting.charts import ShownClasses, choose_classes, compared_curves
from keras_resnet.reporting.compare import describe_difference
from keras_resnet.reporting.device_rows import describe_place, describe_runs, list_device_remarks
from keras_resnet.reporting.headline import Doubts, describe_headline
from keras_resnet.reporting.page import render_report
from keras_resnet.reporting.recommend import describe_verdicts, recommend_file
from keras_resnet.reporting.tables import choose_form, epoch_table
from keras_resnet.run import Run


class Page(html.parser.HTMLParser):
    """What a browser would fetch, where links lead, and what can be read."""

    def __init__(self, text):
        super().__init__()
        self.fetched, self.links, self.pictures, self.words, self.ids = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        source = values.get("src") or (values.get("href") if tag == "link" else None)
        if source and source.startswith("data:image/webp;base64,"):
            self.pictures.append(Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))))
        elif source:
            self.fetched.append(source)
        self.links += [values["href"]] if tag == "a" else []
        self.ids += [values["id"]] if "id" in values else []

    def files(self):
        """The files beside the page to which links lead."""
        return [urllib.parse.unquote(link) for link in self.links if not link.startswith(("#", "https://"))]

    def handle_data(self, text):
        self.words.append(text)


def count_heat_map_pictures(analysis):
    """Each heat map stands beside its image."""
    return 2 * sum(len(group["maps"]) for group in analysis["heat_maps"])


def copy_run(run, home):
    return Run(shutil.copytree(run.folder, home / run.name))


def test_a_report_tells_what_was_measured(exported, kresnet, runs):
    run, verdicts = exported
    code, out, _ = kresnet("report", run.name, "--runs", runs)
    assert code == 0 and out.strip() == str(run.report_file)
    text = run.report_file.read_text()
    page = Page(text)
    assert page.fetched == [] and "@import" not in text and "url(http" not in text
    words = " ".join(page.words)
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids) >= {"exports", "reproduce"}
    assert {"model.keras", "exports/int8.tflite", "exports/verdicts.json"} <= set(page.files())
    assert all((run.folder / file).exists() for file in page.files())
    for verdict in verdicts.values():
        assert verdict.file in words and f"{100 * verdict.value:.2f}%" in words
    assert f"{100 * run.metrics()['value']:.2f}%" in words and "Expected calibration error" in words
    found = run.analysis()
    matrix = np.array(found["confusion"])
    assert matrix.sum() == run.metrics()["samples"]
    assert np.trace(matrix) / matrix.sum() == pytest.approx(run.metrics()["value"])
    assert sum(each["images"] for each in found["by_class"]) == run.metrics()["samples"]
    wrong = int(matrix.sum() - np.trace(matrix))
    assert len(found["samples"]) == min(12, wrong)
    assert len(page.pictures) == len(found["samples"]) + count_heat_map_pictures(found)
    # Files that are equally accurate have one chart; others are also shown over their size and latency.
    charts = 5 if len({verdict.value for verdict in verdicts.values()}) == 1 else 7
    assert "prefers-color-scheme: dark" in text and text.count("<svg") >= charts
    assert all(f"{each['value']:.2%}" in words for each in found["baselines"]) and "majority class" in words
    assert all(f"labeled {label}" in words for label in {each["caption"].split()[-1] for each in found["samples"]})
    assert len(text) < 2_000_000


def test_the_headline_recommends_or_says_what_to_do_next(exported, trained, tmp_path):
    run, _ = exported
    rows = describe_verdicts(run)
    best = recommend_file(rows)
    shown = describe_headline("my run", rows, best)
    assert shown.file == best["file"] and shown.title.startswith(best["file"]) and shown.verdict == best["outcome"]
    assert [step.command for step in shown.steps] == ["kresnet demo 'my run'"]
    assert shown.cautions == ()
    weaker = ("a simple baseline does as well",)
    weak = describe_headline("my run", rows, best, Doubts(weaker))
    assert weak.cautions == (f"the file predicts what its model predicts, but {weaker[0]}",)
    assert (weak.state, weak.verdict) == (shown.state, shown.verdict)
    beaten = describe_headline("my run", rows, best, Doubts(weaker, is_beaten=True))
    assert (beaten.state, beaten.verdict, beaten.file) == ("unproven", f"{best['outcome']}, weak model", best["file"])
    assert describe_headline("r", [], None, Doubts(weaker, is_beaten=True)).cautions == weaker
    failed = [{**row, "verdict": "FAILED", "outcome": "FAILED"} for row in rows]
    shown = describe_headline("r", failed, None)
    assert (shown.state, shown.verdict, shown.file) == ("failed", "FAILED", None)
    assert [step.command for step in shown.steps][1] == "kresnet diagnose r"
    shown = describe_headline("r", [], None)
    assert shown.state == "missing" and [step.command for step in shown.steps] == ["kresnet export r --tflite"]


def test_a_gain_is_called_one_and_where_no_class_lost_none_is_named(exported, tmp_path):
    """In the report, on the model card and in a verdict's line."""
    run = copy_run(exported[0], tmp_path)
    better = {"drop": -0.0056, "drop_interval": [-0.0198, 0.0088], "worst_class": "9", "worst_class_drop": 0.0}
    run.write_json(run.verdicts_file, [{**row, **better} for row in run.verdicts()])
    page = " ".join(" ".join(Page(render_report(run)).words).split())
    said = (
        "gain of top-1 accuracy: 0.56 points over the Keras model (95% confidence interval [-0.88, +1.98]); a drop of"
    )
    assert said in page and "+0.00 (9)" not in page and "-0.56 points" not in page
    row = run.verdicts()[0]
    assert describe_drop(row) == "gain 0.56 points [95% CI -0.88, +1.98], a drop of 1 point allowed"
    assert describe_drop({**row, "drop": 0.0056}).startswith("drop 0.56 points [95% CI ")
    assert format_worst_class(row) == "none" and format_worst_class({**row, "worst_class_drop": 0.03}) == "+3.00 (9)"
    assert "| none |" in ModelCard(run, describe_verdicts(run)).render()


def test_a_model_that_a_baseline_beats_has_an_amber_verdict(exported, tmp_path):
    run = copy_run(exported[0], tmp_path)
    analysis, trees = (
        run.analysis(),
        {"standing": "not above", "value": 0.99, "lead": -0.3, "lead_interval": [-0.4, -0.2]},
    )
    constant, other = analysis["baselines"]
    run.write_json(run.analysis_file, {**analysis, "baselines": [constant, {**other, **trees}]})
    top, _, _ = render_report(run).partition('class="tiles')
    assert 'class="verdict unproven"' in top and ", weak model" in top and "does better: in top-1 accuracy on" in top
    assert "an extra-trees classifier of 50 trees on 8 × 8 pixels reaches 99.00%, and the model reaches only" in top


def test_outputs_from_elsewhere_are_not_said_to_have_run_on_a_device(exported, tmp_path):
    run = copy_run(exported[0], tmp_path)
    put_on_device(run)
    (ran,) = run.device_verdicts()
    assert describe_runs([ran]).startswith("Each file ran on the device, ")
    names = ("one.npz", "two.npz")
    given = [
        {**ran, "file": f"{name[:3]}.tflite", "device": {**ran["device"], "where": "board", "accelerator": "", **about}}
        for name, about in ((name, {"unit": f"outputs of {name}", "machine": "", "runtime": ""}) for name in names)
    ]
    assert "one.tflite and two.tflite were computed elsewhere" in describe_runs(given)
    assert "kresnet ran nothing on a device" in describe_runs(given) and "Each file ran" not in describe_runs(given)
    remarks = list_device_remarks(given)
    assert [line for line in remarks if line.startswith("board: ")] == [
        f"board: outputs of {name}, computed elsewhere with {name[:3]}.tflite" for name in names
    ]
    run.write_json(run.verdicts_file, [*run.verdicts(), ran, *given])
    page = " ".join("".join(Page(render_report(run)).words).split())
    assert f"On {describe_place(ran)}, the files themselves ran." in page and "Each file ran" not in page


@pytest.mark.parametrize(
    ("standing", "title"),
    [
        ("unclear", "No file to recommend yet: the model is not proven to be better than chance"),
        ("not above", "No file to recommend yet: the model is at chance"),
    ],
)
def test_of_a_model_at_chance_no_file_is_recommended_and_warnings_are_said_once(exported, tmp_path, standing, title):
    run = copy_run(exported[0], tmp_path)
    put_at_chance(run, standing)
    put_on_device(run)
    assert recommend_file(describe_verdicts(run)) is None
    text = render_report(run)
    top, _, _ = text.partition('class="tiles')
    words = " ".join("".join(Page(top).words).split())
    assert title in words and "recommended file" not in words and "kresnet demo" not in words
    assert "What to change: " in words and "kresnet train " in words
    page = " ".join("".join(Page(text).words).split())
    (constant, *_), (device,) = run.analysis()["baselines"], run.device_verdicts()
    assert device["device"]["unit"] in page and page.count(describe_baseline(constant)[1:]) == 1
    assert page.count("to prove it") == 1
    assert ModelCard(run, describe_verdicts(run)).render().count(describe_baseline(constant)) == 1
    assert describe_headline("r", [], None, Doubts(chance="it is at chance")).title.startswith("No file to recommend")
    doubts = Doubts(chance="it is at chance", command="kresnet train", advised_command="kresnet train --epochs 9")
    assert [step.command for step in describe_headline("r", [], None, doubts).steps] == ["kresnet train --epochs 9"]


def test_of_a_detector_that_finds_hardly_anything_no_file_is_recommended(exported, tmp_path):
    run = copy_run(exported[0], tmp_path)
    run.write_json(run.metrics_file, {**run.metrics(), "metric": "box mAP", "value": 0.0095})
    words = " ".join("".join(Page(render_report(run)).words).split())
    assert "FINDS HARDLY ANYTHING" in words and "Box mAP is 0.95% on 360 validation images" in words
    assert "Train longer before you use a file." in words and "is the recommended file" not in words
    run.write_json(run.metrics_file, {**run.metrics(), "value": 0.06})
    assert "is the recommended file" in render_report(run)


def test_one_epoch_is_no_curve(exported, tmp_path):
    """And one file no scatter; the numbers stay."""
    run = copy_run(exported[0], tmp_path)
    run.write_text(run.log_file, run.log_file.read_text().splitlines()[0] + "\n")
    run.write_json(run.verdicts_file, run.verdicts()[:1])
    text = render_report(run)
    assert 'data-chart="loss"' not in text and 'data-chart="files-size"' not in text
    assert "One epoch, so there are no curves" in text and 'data-chart="calibration"' in text
    assert 'data-chart="files-drop"' not in text


def charts_in(text):
    return json.loads(text.partition('id="charts">')[2].partition("</script>")[0])


def test_drops_are_drawn_beside_the_budget_and_equal_metrics_over_nothing(exported, tmp_path):
    run = copy_run(exported[0], tmp_path)
    first, second = run.verdicts()[:2]
    changed = {"value": 0.5, "drop": 0.02, "drop_interval": [0.01, 0.03], "max_drop": 0.01, "verdict": "FAILED"}
    run.write_json(run.verdicts_file, [{**first, "value": 0.6}, {**second, **changed}])
    text = render_report(run)
    drops = charts_in(text)["files-drop"]
    assert drops["y"]["names"] == [first["file"], second["file"]] and "files-size" in charts_in(text)
    assert drops["series"][1]["x"] == pytest.approx([1, 2, 3]) and drops["series"][1]["symbol"] == "triangle"
    assert drops["series"][2]["name"] == "budget, 1 point" and drops["series"][2]["x"] == [1, 1]
    assert f"{second['file']} +2.00 [+1.00, +3.00]" in text and text.count("with 95% interval</text>") == 1
    run.write_json(run.verdicts_file, [{**first, "value": 0.6}, {**second, "value": 0.6}])
    text = render_report(run)
    assert "files-drop" in charts_in(text) and "files-size" not in charts_in(text)
    assert "Top-1 accuracy is 60.00% with each file, so compare size and latency." in text


def test_confidences_that_are_close_together_are_said_in_place_of_a_diagram(exported, tmp_path):
    run = copy_run(exported[0], tmp_path)
    assert "no reliability diagram" not in render_report(run)
    found = run.analysis()
    found["calibration"]["bins"] = [{"confidence": 0.35, "accuracy": 0.71, "images": 24}]
    run.write_json(run.analysis_file, found)
    text = render_report(run)
    assert 'data-chart="calibration"' not in text
    assert "all confidences are close together: 35% on average, with an accuracy of 71%." in text


def test_an_analysis_of_ten_bins_is_drawn(exported, tmp_path):
    """As earlier versions wrote them."""
    run = copy_run(exported[0], tmp_path)
    found = run.analysis()
    bins = [{"confidence": (n + 0.6) / 10, "accuracy": n / 10, "images": 9} for n in range(10)]
    found["calibration"] = {"error": 0.06, "bins": bins}
    run.write_json(run.analysis_file, found)
    text = render_report(run)
    assert len(charts_in(text)["calibration"]["series"][1]["x"]) == 10 and "Expected calibration error 6.00%" in text


def test_the_worst_class_is_marked(exported, tmp_path):
    run = copy_run(exported[0], tmp_path)
    found = run.analysis()
    found["by_class"][3]["recall"] = 0.001
    run.write_json(run.analysis_file, found)
    row = render_report(run).split('<tr class="worst">')
    assert len(row) == 2 and ">3 <span" in row[1].split("</tr>")[0]
    for each in found["by_class"]:
        each["recall"] = 1.0
    run.write_json(run.analysis_file, found)
    assert '<tr class="worst">' not in render_report(run)


def test_curves_are_of_the_classes_with_the_lowest_average_precision(exported, tmp_path):
    """And the page says which they are; all where they are few."""
    run = copy_run(exported[0], tmp_path)
    found = run.analysis()
    names = [f"class {number}" for number in range(24)]
    row = found["by_class"][0]
    found["by_class"] = [{**row, "label": name, "AP": 0.9 - number / 100} for number, name in enumerate(names)]
    found["curves"] = found["f1_curves"] = dict.fromkeys(names, [0.5] * 101)
    run.write_json(run.analysis_file, found)
    text = render_report(run)
    charts = charts_in(text)
    for name in ("precision-recall", "f1"):
        drawn = [series["name"] for series in charts[name]["series"] if series["has_line"]]
        assert drawn == ["all classes", *reversed(names[16:])]
    assert text.count("The 8 classes with the lowest average precision (AP) of 24, the lowest first") >= 2
    few = dict.fromkeys(names[:8], [0.5] * 101)
    assert choose_classes(found["by_class"], few) == ShownClasses(tuple(names[:8]))


def test_every_number_names_its_metric(exported, tmp_path):
    """Where several metrics are tested, the one that decides is not the one that is shown."""
    run = copy_run(exported[0], tmp_path)
    tested = {name: {"drop": 0.01, "interval": (0.0, 0.02)} for name in ("mAP", "macro F1", "micro F1")}
    values = {"metric": "mAP", "drop_metric": "micro F1", "drop": 0.01, "drops": tested, "verdict": "PASSED"}
    details = {"mAP": 0.9, "macro F1": 0.8, "micro F1": 0.7}
    rows = [{**row, **values, "value": 0.9, "details": details, "worst_class": "3"} for row in run.verdicts()]
    run.write_json(run.verdicts_file, rows)
    described = describe_verdicts(run)
    sentence = describe_headline("r", described, recommend_file(described)).sentences[0]
    assert sentence.startswith("mAP 90.00%, macro F1 80.00% and micro F1 70.00% on ")
    assert "; the drop that decides is that of micro F1: 1.00 points from the Keras model" in sentence
    page = " ".join(" ".join(Page(render_report(run)).words).split())
    tests = "each file is tested by mAP, macro F1 and micro F1; the drop that is shown is the one that decides"
    assert tests in page and "largest drop of a class’s AP, points" in page and " of micro F1 " in page
    card = ModelCard(run, described).render()
    assert tests in card and "drop of the worst class by AP" in card and "of micro F1 |" in card
    one = describe_headline("r", describe_verdicts(exported[0]), None).sentences[0]
    assert " of top-1 accuracy: " in one and "tested by" not in render_report(exported[0])


def test_options_in_sentences_are_code_in_which_no_line_breaks(exported, tmp_path):
    run = copy_run(exported[0], tmp_path)
    run.write_json(run.spec_file, {**run.document(), "messages": ["warning: <rare>: --class-weights helps, or x--y"]})
    marked = '&lt;rare&gt;: <code class="option">--class-weights</code> helps, or x--y.'
    assert marked in render_report(run)


def test_the_metric_on_top_has_its_interval(exported, tmp_path):
    run = copy_run(exported[0], tmp_path)
    low, high = run.metrics()["intervals"]["top1"]
    words = f"top-1 accuracy, 360 validation images, 95% CI [{100 * low:.1f}, {100 * high:.1f}]</span>"
    assert words in render_report(run)
    run.write_json(run.metrics_file, {key: each for key, each in run.metrics().items() if key != "intervals"})
    assert "top-1 accuracy, 360 validation images</span>" in render_report(run)


def test_the_sizes_of_points_are_explained(exported):
    text = render_report(exported[0])
    figure = text.split('data-chart="calibration"')[1].split("</figure>")[0]
    assert "The larger a point, the more images have about this confidence." in figure


def test_labels_of_few_images_are_named_beside_their_thresholds(exported, tmp_path):
    run = copy_run(exported[0], tmp_path)
    found = run.analysis()
    found["by_class"] = [{**row, "AP": 0.5, "threshold": 0.5} for row in found["by_class"]]
    run.write_json(run.analysis_file, found)
    assert "threshold of" not in render_report(run)
    found["by_class"][2]["images"], found["by_class"][7]["images"] = 9, 3
    run.write_json(run.analysis_file, found)
    words = "The thresholds of 2 labels are uncertain, because fewer than 10 validation images have the label: 7 (3), 2"
    assert f'<p class="note">{words}' in render_report(run)


def test_budgets_are_in_the_tables_where_they_differ(exported, tmp_path):
    """Of files, and of files on devices beside these."""
    run = copy_run(exported[0], tmp_path)
    put_on_device(run)
    rows = run.verdict_rows()

    def write(of_file, on_device):
        changed = [{**rows[0], "max_drop": of_file}, *rows[1:-1], {**rows[-1], "max_drop": on_device}]
        run.write_json(run.verdicts_file, changed)
        return render_report(run), ModelCard(run, describe_verdicts(run)).render()

    page, card = write(0.01, 0.01)
    assert "budget, points" not in page and "budget, points" not in card
    assert "top-1 accuracy may lose at most 1 point." in page
    page, card = write(0.025, 0.01)
    assert page.count('data-label="budget, points"') == len(rows) and card.count("| budget, points |") == 2
    assert page.count('data-label="budget, points" data-value="0.025">2.5</td>') == 1 and "| 2.5 |" in card
    assert "top-1 accuracy may lose at most the budget that the table shows for the file." in page
    page, _ = write(0.01, 0.0)
    assert page.count('data-label="budget, points"') == 1
    verdicts = list(exported[1].values())
    # Sentences below the table may say what the budget leaves open; no column may.
    assert "budget, points" not in format_verdicts(verdicts)
    assert "budget" not in format_verdicts(verdicts).splitlines()[0]
    differing = [replace(verdicts[0], max_drop=0.02), *verdicts[1:]]
    assert format_verdicts(differing).splitlines()[0].split("  ").count("budget, points") == 1


def file_row(file, size, milliseconds, p90=None, drop=0.0, noise=0.005, max_drop=0.01, verdict="PASSED"):
    """A verdict on a file that takes so long for an image in the median, and lost so much."""
    latency = {"threads": 2, "p50": milliseconds, "p90": p90 or milliseconds, "p99": p90 or milliseconds}
    return {
        "file": f"{file}.tflite",
        "scheme": file,
        "latency_ms": milliseconds,
        "cost": {"latencies": [latency] if milliseconds else []},
        "bytes": size,
        "megabytes": size / 1e6,
        "verdict": verdict,
        "drop": drop,
        "drop_interval": [drop - noise, drop + noise],
        "drop_metric": "top1",
        "max_drop": max_drop,
    }


@pytest.mark.parametrize(
    ("rows", "file", "reason"),
    [
        ([file_row("float32", 400, 10.0)], "float32", "it is the only file within the budget"),
        ([file_row("float32", 400, None), file_row("int8", 100, 2.0)], "int8", "the only file within the budget that"),
        # The times of one file spread more than those of two differ.
        (
            [file_row("float32", 1095, 0.131, 2.036), file_row("int8", 309, 0.169, 2.494)],
            "int8",
            "it is the smallest of the 2 files within the budget (3.5× smaller than float32.tflite). No other has a"
            " higher top-1 accuracy. Its time and that of float32.tflite vary too much to tell which is"
            " faster (0.17 against 0.13 ms an image); to measure again, export again when nothing else runs",
        ),
        (
            [file_row("float32", 400, 9.0, 9.3), file_row("int8", 100, 20.0, 21.0)],
            "float32",
            "it is the smallest of the files that are about as fast as the fastest (int8.tflite is clearly slower:"
            " 20.00 against 9.00 ms an image). No other has a higher top-1 accuracy. None is faster",
        ),
        (
            [file_row("float32", 400, 9.0, 9.3), file_row("int8", 100, 10.0, 10.1)],
            "int8",
            "by less than a quarter (10.00 against 9.00 ms an image)",
        ),
        (
            [file_row("float32", 400, 0.13, 1.0), file_row("int8", 100, 0.12, 1.0)],
            "int8",
            "Its time differs from that of float32.tflite by less than a quarter (0.12 against 0.13 ms an image)",
        ),
        (
            [file_row("float32", 400, 9.0), file_row("int8", 100, 2.0, drop=0.004)],
            "int8",
            "Its top-1 accuracy does not differ from that of float32.tflite beyond chance. It is the fastest: 4.5×"
            " as fast as float32.tflite",
        ),
        (
            [file_row("float32", 400, 9.0), file_row("int8", 100, 2.0, drop=0.008)],
            "int8",
            "Its top-1 accuracy is 0.80 points below that of float32.tflite, as the budget allows",
        ),
        # What one budget of several allows is too much for the others.
        (
            [file_row("float32", 400, 9.0), file_row("int8", 100, 2.0, drop=0.15, max_drop=0.2)],
            "float32",
            "it is the smallest of the files within the strictest of their budgets. No other has a higher",
        ),
        ([file_row("float32", 400, None), file_row("int8", 100, None)], "int8", "the smallest of the 2 files"),
        # Sizes that are about the same decide nothing.
        (
            [
                file_row("dynamic", 301_580, 0.15),
                file_row("int8", 309_207, 0.14),
                file_row("int8-float-io", 309_000, 0.13),
            ],
            "int8",
            "dynamic.tflite is hardly smaller (0.30 against 0.31 MB); this one has integers only, which NPUs need",
        ),
        (
            [file_row("dynamic", 301_580, 0.15), file_row("float16", 309_207, 0.14)],
            "float16",
            "dynamic.tflite is hardly smaller (0.30 against 0.31 MB); this one is no slower. No other",
        ),
    ],
)
def test_the_recommended_file_is_the_smallest_that_is_not_clearly_slower(rows, file, reason):
    best = recommend_file(rows)
    assert best["file"] == f"{file}.tflite" and reason in best["why"], best["why"]


def test_a_file_beyond_its_budget_is_not_recommended():
    assert recommend_file([file_row("float32", 1, 1, verdict="FAILED")]) is None
    unproven = recommend_file([file_row("int8", 1, 1, verdict="NOT PROVEN")])
    assert unproven["why"].endswith(". There are too few validation images to prove that its drop is within the budget")


def test_a_report_of_objects(segmented, kresnet):
    home = segmented.folder.parent
    code, _, err = kresnet("report", segmented.name, "--runs", home)
    assert code == 0, err
    page = Page(segmented.report_file.read_text())
    found = segmented.analysis()
    assert page.fetched == [] and len(page.pictures) == 24 + count_heat_map_pictures(found)
    assert set(found["curves"]) <= set(segmented.classes())
    assert set(found["f1_curves"]) == set(found["curves"])
    words = " ".join(page.words)
    assert "background" in words and "AP50" in words and "Best F1" in words and "ground truth" in words
    assert f"{found['metrics']['mask AP50']:.2%}" in page.words  # the tile, alone
    matrix, objects = np.array(found["confusion"]), {row["label"]: row["objects"] for row in found["by_class"]}
    assert {name: row.sum() for name, row in zip(segmented.classes(), matrix, strict=False) if row.sum()} == objects
    assert len(segmented.report_file.read_text()) < 2_000_000
    assert [part["part"] for part in found["parts"]] == [
        "stem",
        "stage1",
        "stage2",
        "stage3",
        "stage4",
        "neck",
        "heads",
    ]
    assert sum(part["parameters"] for part in found["parts"]) == sum(
        np.prod(weight.shape) for weight in load_model(segmented).trainable_weights
    )
    assert all(len(curve) == 101 and min(curve) >= 0 and max(curve) <= 1 for curve in found["curves"].values())
    metric = np.mean([row["AP"] for row in found["by_class"]])
    assert metric == pytest.approx(segmented.metrics()["value"], abs=1e-6)
    assert np.mean([row["AP50"] for row in found["by_class"]]) == pytest.approx(found["metrics"]["mask AP50"], abs=1e-6)


def test_what_was_chosen_is_kept_with_the_reasons_and_shown(trained):
    messages = trained.document()["messages"]
    for beginning in ("image size: 8 pixels (", "horizontal flips: off (", "batch size: 32 (", "precision: float32 ("):
        assert [line for line in messages if line.startswith(beginning)], messages
    words = "".join(Page(render_report(trained)).words)
    assert all(line in words for line in messages)


def test_warnings_of_training_stand_beside_the_metric_and_on_the_model_card(exported, tmp_path):
    """A validation image that was trained on, for one: not only among what was chosen."""
    run = copy_run(exported[0], tmp_path)
    document = run.document()
    told = "1 of 90 validation images is a copy of training images (a/1.png is b/1.png): results will look better"
    asked = "the brightest of 9 training images is 3 of 255: were they scaled?"
    document["messages"] += [f"warning: {told}", f"warning: {asked}"]
    run.write_json(run.spec_file, document)
    top, _, _ = render_report(run).partition("<nav")
    notes = "".join(Page(top.partition('class="tiles')[2]).words)
    assert f"{told}.\n" in notes and f"The {asked[4:]}\n" in notes and "batch size" not in notes
    card = ModelCard(run, describe_verdicts(run)).render()
    assert f"Warnings during training:\n\n- {told}\n- {asked}\n\nNot known: " in card
    assert "Warned of" not in ModelCard(exported[0], describe_verdicts(exported[0])).render()


def test_runs_side_by_side(exported, segmented, kresnet, tmp_path, monkeypatch):
    """At 80 columns, and as a page."""
    run, _ = exported
    names = [str(run.folder), str(segmented.folder), str(run.folder)]
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = kresnet("compare", *names, "--save", tmp_path / "compared.html")
    assert code == 0, err
    assert run.name in out and "mask mAP" in out and f"{run.metrics()['value']:.2%}" in out
    assert max(map(len, out.splitlines())) <= 80
    assert f"not comparable: the runs have different metrics ({run.name}: top-1 accuracy; " in " ".join(err)
    code, out, err = kresnet("compare", *names[::2], "--stored")
    low, high = run.metrics()["intervals"]["top1"]
    assert f"CI {100 * low:.1f}, {100 * high:.1f}]" in " ".join(out.split()) and "not comparable" not in out
    assert max(map(len, out.splitlines())) <= 80 and "(recommended)" in out and err == []
    assert re.search(r"^baselines beaten\s+(resnet8-digits: )?always predicting", out, re.MULTILINE)
    bare = copy_run(run, tmp_path)
    shutil.rmtree(bare.exports)
    assert kresnet("compare", bare.folder, bare.folder)[2][-1].startswith(f"next: kresnet export {bare.name}")
    code, out, err = kresnet("compare", *[str(segmented.folder)] * 2)
    assert f"warning: {segmented.folder} is named twice: there is nothing to compare" in err
    rows = [re.split(" {2,}", line.strip()) for line in out.splitlines()[2:]]
    assert "exported file" not in out and all(
        len(row) == 3 for row in rows if row[0] in ("network", "data", "validation images")
    )
    # Files of a model at chance are of no use.
    assert any(line.startswith("next: ") for line in err) != is_at_chance(segmented)
    page = Page((tmp_path / "compared.html").read_text())
    assert page.fetched == [] and segmented.name in page.words
    assert any(words.startswith("Not comparable: the runs have different metrics (") for words in page.words)
    code, out, _ = kresnet("compare", *names, "--json")
    rows = json.loads(out)["models"]
    assert [row["model"] for row in rows] == [run.name, segmented.name, run.name] and rows[0] == rows[2]
    recall = rows[0]["macro recall (balanced accuracy)"]
    low, high = run.metrics()["intervals"]["macro_recall"]
    interval = f"95% CI {100 * low:.1f}, {100 * high:.1f}"
    assert recall == f"{run.metrics()['macro_recall']:.2%} [{interval}]" and "macro" not in " ".join(rows[1])


def test_runs_of_other_validation_images_are_not_comparable(trained, tmp_path):
    other = Run(shutil.copytree(trained.folder, tmp_path / "other"))
    assert describe_difference([trained, other]) == ""
    document = other.document()
    document["data"]["validation"]["ground_truth"] = "0" * 64
    other.write_json(other.spec_file, document)
    said = describe_difference([trained, other])
    assert said.startswith("not comparable: the runs were evaluated on different validation images (")
    assert said.endswith(f"other: {document['data']['validation']['images']} of digits)")


def test_bad_requests(trained, tmp_path, kresnet):
    older = Run.create(tmp_path, trained.spec(), trained.classes(), "older")
    assert kresnet("report", "older", "--runs", tmp_path)[0] == 1
    older.write_json(older.metrics_file, trained.metrics())
    older.write_with(older.model_file, lambda path: path.write_bytes(trained.model_file.read_bytes()))
    code, out, err = kresnet("report", "older", "--runs", tmp_path)
    assert code == 1 and out == "" and "make it with: kresnet report older --again" in err[-1]
    assert kresnet("report", "older", "--again", "--runs", tmp_path)[0] == 0
    theirs, ours = older.analysis(), trained.analysis()
    assert theirs["confusion"] == ours["confusion"] and theirs["data"] == ours["data"]
    assert kresnet("compare", "--runs", tmp_path)[0] == 2


def test_a_column_of_the_epochs_has_one_number_of_decimals():
    losses = ((2.292, 0.05), (0.93384, 0.04937), (0.5, 0.00001))
    rows = [{"epoch": 1 + n, "loss": x, "val_loss": x, "learning_rate": rate} for n, (x, rate) in enumerate(losses)]
    shown = epoch_table(rows)["rows"]
    assert [row[1] for row in shown] == ["2.292", "0.934", "0.500"]
    assert [row[-1] for row in shown] == ["0.05000", "0.04937", "0.00001"]
    assert choose_form([float("nan"), None, 0.0]) == ".0f" and choose_form([12345.6]) == ".0f"


def test_the_name_of_a_single_curve_is_in_its_title():
    logs = {name: [{"epoch": n, "val_loss": 1 / n} for n in (1, 2)] for name in ("one", "two")}
    assert compared_curves({"one": logs["one"]}, "val_loss", "validation loss").title == "validation loss of one"
    assert compared_curves(logs, "val_loss", "validation loss").title == "validation loss"
