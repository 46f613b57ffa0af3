"""Run folders that are damaged or edited by hand: every command answers, or says in one sentence why it cannot."""

import json
import random
import resource
import shutil
import time
import traceback
from collections import Counter

import pytest
from damaging import archive_edits_of, edits_of, file_edits_of, line_edits_of
from robustness_documents import robustness_document
from samples import silent

from keras_resnet.cli import main
from keras_resnet.errors import RunError, TrainingInterrupted
from keras_resnet.export.demo.page import LITERT_JS_VERSION
from keras_resnet.run import Run
from keras_resnet.training.checkpoint import manifests
from keras_resnet.training.train import train

SEED = 0
DIAGNOSIS = {
    "images": 30,
    "agreement_of_all": 0.9,
    "layers": [{"layer": "$stem_$", "agreement": 0.9, "error": 0.01, "low": -1.0, "high": 1.0, "spread": 2.0}],
}
# Commands on a finished run, the cheap ones first; of "predict" the image stands in the home.
CHEAP = [["runs"], ["report", "run"], ["compare", "run", "run"]]
COSTLY = [
    ["evaluate", "run"],
    ["predict", "run", "image.png"],
    ["export", "run", "--tflite", "--quantize", "float32", "--samples", "20"],
    ["compress", "run", "--qat", "--steps", "2", "--name", "smaller"],
    ["demo", "run", "--save", "site"],
    ["verify", "runs/run/exports/float32.tflite", "--samples", "20"],
    ["diagnose", "run", "--samples", "10"],
    ["report", "run", "--again"],
]
RESUME = ["train", "--resume", "run"]
# KiB by which no trial may make the process grow.
MOST = 2 * 2**20


@pytest.fixture(scope="module")
def finished(trained, tmp_path_factory):
    """A finished run with files, verdicts, a diagnosis and a robustness test."""
    from keras_resnet.export.pipeline import export
    from keras_resnet.export.request import ExportRequest
    from keras_resnet.export.tflite_options import build_tflite_options

    run = Run(shutil.copytree(trained.folder, tmp_path_factory.mktemp("finished") / "run"))
    export(run, ExportRequest(tflite=tuple(build_tflite_options(("float32",))), samples=20), silent)
    run.write_json(run.diagnosis_file, DIAGNOSIS)
    run.write_json(run.robustness_file, robustness_document("fog"))
    return run


@pytest.fixture(scope="module")
def begun(quick_spec, tmp_path_factory):
    """A run whose training was interrupted before its last steps."""
    spec = quick_spec.override("training.epochs", 2).override("training.checkpoint_every", 20)
    home = tmp_path_factory.mktemp("begun")

    def stop(self):
        if self.progress.step >= 70:
            raise TrainingInterrupted("here")

    with pytest.MonkeyPatch.context() as patch:
        from keras_resnet.training.loop import TrainingLoop

        patch.setattr(TrainingLoop, "_check_alive", stop)
        with pytest.raises(TrainingInterrupted):
            train(spec, home, "run", silent)
    run = Run(home / "run")
    assert len(manifests(run.checkpoints)) == 3 and len(run.read_log()) == 1
    return run


@pytest.fixture
def place(tmp_path, monkeypatch, finished):
    """Where each trial's copy stands, with what the commands need."""
    monkeypatch.chdir(tmp_path)
    from PIL import Image

    Image.new("RGB", (32, 32), (200, 30, 30)).save(tmp_path / "image.png")
    core = tmp_path / "web" / "node_modules" / "@litertjs" / "core"
    core.mkdir(parents=True)
    (core / "package.json").write_text(json.dumps({"version": LITERT_JS_VERSION}))
    (core.parent / "wasm-utils").mkdir()
    monkeypatch.setenv("KRESNET_WEB", str(tmp_path / "web"))
    return tmp_path


def damages_of(run, files):
    """(the file's path in the run, words, function) of all damages to these files."""
    for file in files:
        name = file.relative_to(run.folder)
        edits = file_edits_of(file)
        if file.suffix == ".json":
            edits += edits_of(file)
        elif file.suffix == ".jsonl":
            edits += line_edits_of(file)
        elif file.suffix == ".keras":
            edits += archive_edits_of(file)
        yield from ((name, words, change) for words, change in edits)


def of_finished(run):
    files = [run.spec_file, run.labels_file, run.log_file, run.metrics_file, run.analysis_file, run.model_file]
    return [*damages_of(run, [*files, run.verdicts_file, run.diagnosis_file, run.robustness_file])]


def of_begun(run):
    newest = manifests(run.checkpoints)[-1]
    return [
        *damages_of(run, [newest, newest.with_suffix(".safetensors"), run.spec_file, run.log_file, run.labels_file])
    ]


class Trials:
    """Counts of what became of commands on damaged runs."""

    def __init__(self, place, capsys):
        self.place, self.capsys, self.counts, self.bad = place, capsys, Counter(), []

    def __call__(self, run, damage, command):
        name, words, change = damage
        home = self.place / "runs"
        shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(self.place / "site", ignore_errors=True)
        shutil.copytree(run.folder, home / "run")
        change(home / "run" / name)
        if command[0] == "runs":  # a sound one stays in the list
            shutil.copytree(run.folder, home / "sound", ignore=shutil.ignore_patterns("exports"))
        self.counts["tried"] += 1
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            code = main.run_command([*command, *(["--runs", str(home)])])
        except BaseException:
            self.bad.append(f"{words} | {' '.join(command)}\n{traceback.format_exc()[-1500:]}")
            self.counts["tracebacks"] += 1
            self.capsys.readouterr()
            return
        out, err = self.capsys.readouterr()
        last = (err.strip().splitlines() or [""])[-1]
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
        if "Traceback" in err or grown > MOST or (code != 0 and not last.startswith("kresnet: ")):
            self.counts["other"] += 1
            self.bad.append(f"{words} | {' '.join(command)}: exit {code}, grew by {grown} KiB: {err[-600:]}")
        elif command[0] == "runs" and (code != 0 or "sound" not in out):
            self.counts["other"] += 1
            self.bad.append(f"{words} | the list of runs is broken: {code} {out[-300:]} {err[-300:]}")
        else:
            self.counts["answered" if code == 0 else "refused in a sentence"] += 1
        hidden = [path for path in home.rglob(".*")]
        if hidden:
            self.bad.append(f"{words} | {' '.join(command)} left {hidden}")

    def judge(self):
        print(dict(self.counts))
        assert not self.bad, f"{len(self.bad)} of {self.counts['tried']}:\n" + "\n".join(self.bad[:12])
        assert self.counts["tried"] == self.counts["answered"] + self.counts["refused in a sentence"] > 0
        assert self.counts["answered"]


@pytest.fixture
def trials(place, capsys):
    return Trials(place, capsys)


def sample(damages, count, seed=SEED):
    return random.Random(seed).sample(damages, count)


def test_labels_are_neither_formulas_nor_html(place, finished, kresnet):
    """In every figure and table of a report, and in a comparison of runs that are called so."""
    labels = ["$a_$", "<script>alert(1)</script>", "a & b", "\\\\frac{", "$$", "_hidden", *"6789"]
    run = Run(shutil.copytree(finished.folder, place / "runs" / "$run_$"))
    run.write_text(run.labels_file, "".join(f"{label}\n" for label in labels))
    found = run.analysis()
    found["curves"] = {label: [0.5] * 101 for label in labels}
    for row, label in zip(found["by_class"], labels, strict=False):
        row["label"] = label
    run.write_json(run.analysis_file, found)
    for arguments, page in (
        (["report", "$run_$"], run.report_file),
        (["compare", "$run_$", "$run_$", "--save", "compared.html"], place / "compared.html"),
    ):
        code, _, err = kresnet(*arguments, "--runs", place / "runs")
        assert code == 0, err
        text = page.read_text()
        assert "<script>" not in text and text.count("<svg") >= 1
        assert all(f">{label}</text>" in text for label in (labels[:1] if arguments[0] == "report" else ["$run_$"]))
    assert ">&lt;script&gt;alert(1)&lt;/script&gt;</text>" in run.report_file.read_text()


@pytest.mark.slow
def test_a_sample_of_damages(trials, finished, begun):
    cheap = sample(of_finished(finished), 40)
    for number, damage in enumerate(cheap):
        trials(finished, damage, CHEAP[number % len(CHEAP)])
    for damage, command in zip(sample(of_finished(finished), 3, 1), COSTLY, strict=False):
        trials(finished, damage, command)
    trials(begun, sample(of_begun(begun), 1)[0], RESUME)
    trials.judge()


@pytest.mark.slow
def test_every_damage_by_the_list_of_runs(trials, finished):
    for damage in of_finished(finished):
        trials(finished, damage, ["runs"])
    trials.judge()


@pytest.mark.slow
@pytest.mark.parametrize("command", CHEAP[1:], ids=lambda each: each[0])
def test_damages_by_reports(trials, finished, command):
    for damage in sample(of_finished(finished), 700, 2):
        trials(finished, damage, command)
    trials.judge()


@pytest.mark.slow
@pytest.mark.parametrize("command", COSTLY, ids=lambda each: f"{each[0]}{each[-1] * (each[-1] == '--again')}")
def test_damages_by_costly_commands(trials, finished, command):
    damages = of_finished(finished)
    whole = [each for each in damages if ":" in each[1] and each[0].name in ("spec.json", "model.keras", "labels.txt")]
    of_spec = [each for each in damages if each[0].name == "spec.json"]
    began = time.monotonic()
    for damage in [*whole, *sample(of_spec, 40, 3), *sample(damages, 30, 4)]:
        trials(finished, damage, command)
        if time.monotonic() - began > 700:  # a slow machine tries fewer
            break
    trials.judge()


@pytest.mark.slow
def test_damages_by_going_on(trials, begun):
    damages = of_begun(begun)
    of_checkpoint = [each for each in damages if each[0].parent.name == "checkpoints"]
    began = time.monotonic()
    for damage in [*sample(of_checkpoint, 60, 5), *sample(damages, 60, 6)]:
        trials(begun, damage, RESUME)
        if time.monotonic() - began > 700:
            break
    trials.judge()


def test_damaged_verdicts_say_how_to_get_new_ones(trained, tmp_path):
    run = Run(shutil.copytree(trained.folder, tmp_path / "run"))
    run.verdicts_file.parent.mkdir(exist_ok=True)
    run.verdicts_file.write_text("[{")
    with pytest.raises(RunError, match=r"verdicts.json: .*\. Remove it, and .* verdicts again: kresnet export run$"):
        run.verdicts()
