"""Reports: one page that needs nothing else and says what was measured; runs side by side."""

import base64
import html.parser
import io
import json
import shlex

import numpy as np
import pytest
from PIL import Image

from keras_resnet.config.given_options import parse_assignment
from keras_resnet.evaluation.evaluate import load_model
from keras_resnet.reporting.page import training_command
from keras_resnet.reporting.recommend import recommend_file
from keras_resnet.run import Run
from keras_resnet.tasks import default_config


class Page(html.parser.HTMLParser):
    """What a browser would fetch, and what can be read."""

    def __init__(self, text):
        super().__init__()
        self.fetched, self.pictures, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        source = values.get("src") or (values.get("href") if tag in ("link", "a") else None)
        if source and source.startswith("data:image/png;base64,"):
            self.pictures.append(Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))))
        elif source:
            self.fetched.append(source)

    def handle_data(self, text):
        self.words.append(text)


def test_a_report_tells_what_was_measured(exported, kresnet, runs):
    run, verdicts = exported
    code, out, _ = kresnet("report", run.name, "--runs", runs)
    assert code == 0 and out.strip() == str(run.report_file)
    text = run.report_file.read_text()
    page = Page(text)
    assert page.fetched == [] and "@import" not in text and "url(http" not in text
    words = " ".join(page.words)
    for verdict in verdicts.values():
        assert verdict.file in words and f"{100 * verdict.value:.2f}%" in words
    assert f"{100 * run.metrics()['value']:.2f}%" in words and "Expected calibration error" in words
    found = run.analysis()
    matrix = np.array(found["confusion"])
    assert matrix.sum() == run.metrics()["samples"]
    assert np.trace(matrix) / matrix.sum() == pytest.approx(run.metrics()["value"])
    assert sum(each["images"] for each in found["by_class"]) == run.metrics()["samples"]
    wrong = int(matrix.sum() - np.trace(matrix))
    assert len(page.pictures) == len(found["samples"]) == min(12, wrong)
    assert "prefers-color-scheme: dark" in text and text.count("<svg") >= 4


def test_the_command_trains_the_same(trained):
    """What it sets makes the run's very spec."""
    command = shlex.split(training_command(trained.spec()))
    assert command[:2] == ["kresnet", "train"]
    spec = default_config("classify")
    for flag, value in zip(command[2::2], command[3::2], strict=True):
        assert flag == "--set"
        spec = spec.override(*parse_assignment(value))
    assert spec == trained.spec()


def test_the_recommended_file():
    def row(file, milliseconds, size, verdict="PASSED"):
        return {"file": file, "scheme": file, "latency_ms": milliseconds, "bytes": size, "verdict": verdict}

    floats = row("float32", 10.0, 400)
    assert recommend_file([row("float32", 1, 1, "FAILED")]) is None
    assert recommend_file([floats])["why"] == "the only one within the budget"
    best = recommend_file([floats, row("int8", 2.0, 100), row("dynamic", 2.2, 90), row("tiny", 5.0, 10)])
    assert best["file"] == "dynamic" and "4.5× the speed" in best["why"] and "4.4× smaller" in best["why"]


def test_a_report_of_objects(segmented, kresnet):
    home = segmented.folder.parent
    code, _, err = kresnet("report", segmented.name, "--runs", home)
    assert code == 0, err
    page = Page(segmented.report_file.read_text())
    found = segmented.analysis()
    assert page.fetched == [] and len(page.pictures) == 12 and set(found["curves"]) <= set(segmented.classes())
    assert [part["part"] for part in found["parts"]] == [
        "stem",
        "stage1",
        "stage2",
        "stage3",
        "stage4",
        "neck",
        "heads",
    ]
    assert sum(part["parameters"] for part in found["parts"]) == load_model(segmented).count_params()
    assert all(len(curve) == 101 and min(curve) >= 0 and max(curve) <= 1 for curve in found["curves"].values())
    metric = np.mean([row["AP"] for row in found["by_class"]])
    assert metric == pytest.approx(segmented.metrics()["value"], abs=1e-6)


def test_runs_side_by_side(exported, segmented, kresnet, tmp_path, monkeypatch):
    """At 80 columns, and as a page."""
    run, _ = exported
    names = [str(run.folder), str(segmented.folder), str(run.folder)]
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = kresnet("compare", *names, "--save", tmp_path / "compared.html")
    assert code == 0, err
    assert run.name in out and "mask mAP" in out and f"{run.metrics()['value']:.2%}" in out
    page = Page((tmp_path / "compared.html").read_text())
    assert page.fetched == [] and segmented.name in page.words
    code, out, _ = kresnet("compare", *names, "--json")
    rows = json.loads(out)
    assert [row["run"] for row in rows] == [run.name, segmented.name, run.name] and rows[0] == rows[2]


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
