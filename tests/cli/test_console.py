"""What people see: bars and tables on a terminal, plain lines in a pipe."""

import re
import shutil

import pytest
from robustness_documents import robustness_document

from keras_resnet import progress, progress_bar
from keras_resnet.cli import console, main
from keras_resnet.cli.robustness import print_robustness
from keras_resnet.cli.tables import print_table
from keras_resnet.config.spec import DataSpec
from keras_resnet.data.load import load_dataset
from keras_resnet.run import Run

ERASED, CURSOR_BACK = "\x1b[2K", "\x1b[?25h"
COLOUR = re.compile(r"\x1b\[(?:\d+;)*[39]\d")
COLUMNS = ["network", "parameters", "what it does", "source"]
ROWS = [
    ["resnet50", "25,557,032", "a long sentence that says what it does", "He et al. 2015, arXiv:1512.03385"],
    ["[red]plain34[/red]", "1", "PASSED", "[-0.49, +1.04]"],
]


@pytest.fixture(autouse=True)
def nobody_is_told():
    yield
    progress.set_display(progress._show_nothing)


@pytest.fixture
def shown(on_terminal, monkeypatch):
    """What `action` leaves on a terminal of so many columns, without colours."""

    def call(action, columns=80, coloured=False):
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setattr(main, "cli", type("Typed", (), {"main": lambda *arguments, **options: action()}))
        code, text = on_terminal()
        assert code == 0
        return text if coloured else re.sub(r"\x1b\[[\d;]*m", "", text).replace("\r\n", "\n")

    return call


def in_stages():
    with progress.track(range(4), "verifying int8", "batches") as batches:
        for number in batches:
            if number == 2:
                with progress.show_activity("converting to int8"):
                    console.log("writing int8.tflite")
    with progress.show_progress(2, "steps", "epoch 1/2") as advance:
        advance(2, "epoch 2/2")


def test_bars_come_and_go(shown):
    text = shown(in_stages)
    for words in ("verifying int8", "4 batches", "converting to int8", "writing int8.tflite\n", "epoch 1/2"):
        assert words in text
    before, _, after = text.rpartition(ERASED)
    assert before and after.strip() == CURSOR_BACK


def test_a_bar_ends_with_the_command_that_fails(shown):
    def fails():
        with progress.show_activity("converting"):
            raise ValueError

    with pytest.raises(ValueError):
        shown(fails)
    assert progress_bar._display is None


def test_nothing_is_shown_in_a_pipe(kresnet, monkeypatch):
    monkeypatch.setattr(main, "cli", type("Typed", (), {"main": lambda *arguments, **options: in_stages()}))
    assert kresnet() == (0, "", ["writing int8.tflite"])


def test_nothing_is_shown_to_those_who_did_not_ask(capsys):
    in_stages()
    assert capsys.readouterr() == ("", "writing int8.tflite\n")


def test_a_table_in_a_pipe_is_plain(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    print_table("a title", COLUMNS, ROWS, prose=["what it does"], spare=["source"])
    title, *lines = capsys.readouterr().out.splitlines()
    assert title == "a title" and len(lines) == 3
    places = [lines[0].index(name) for name in COLUMNS]
    for line, row in zip(lines, [COLUMNS, *ROWS], strict=True):
        assert line.isprintable() and not re.search("[┃│━─]", line)
        assert [line[place:].startswith(cell) for place, cell in zip(places, row, strict=True)] == [True] * 4


def cells_of(text, columns):
    """The cells of each line below the headings, cut where the columns begin in a table with rows of its own."""
    lines = text.splitlines()
    rule = next(number for number, line in enumerate(lines) if line.startswith("──"))
    return [[line[start:end].strip() for start, end in columns] for line in lines[rule + 1 :] if line.strip()]


def test_a_table_folds_prose_and_no_number(shown):
    text = shown(lambda: print_table("", COLUMNS, ROWS, prose=["what it does"], spare=["source"]), columns=70)
    assert max(map(len, text.splitlines())) <= 70 and "hidden because the terminal is narrow: source" in text
    start = text.splitlines()[0].index("what it does")
    rows = cells_of(text.partition("hidden because")[0], [(0, 18), (18, start), (start, 80)])
    assert [row[1] for row in rows if row[1]] == ["25,557,032", "1"] and rows[-1][0] == "[red]plain34[/red]"
    assert " ".join(row[2] for row in rows).split() == f"{ROWS[0][2]} PASSED".split()
    wide = shown(lambda: print_table("", COLUMNS, ROWS, spare=["source"]), columns=140)
    lines = [line for line in wide.splitlines() if line.strip()]
    assert "left out" not in wide and len(lines) == 4
    assert [re.split("  +", line.strip()) for line in lines[2:]] == ROWS


def test_numbers_stand_below_each_other(shown):
    rows = [["a", "25,557,032", "1.81 G"], ["b", "1", "12.5 G"]]
    *_, first, second = shown(lambda: print_table("", ["name", "count", "size"], rows)).splitlines()
    assert [match.end() for match in re.finditer(r"\S+( G)?", first)] == [
        match.end() for match in re.finditer(r"\S+( G)?", second)
    ]


PATH = "/home/someone/projects/kresnet/saved_models/resnet18-photos/exports/rejected/int8.tflite"
LONG = f"resumed from {PATH} because the training was stopped before its last step; continue with: {PATH}"


@pytest.mark.parametrize("say", [console.log, console.emit])
def test_messages_are_folded_between_words(shown, say):
    text = shown(lambda: say(LONG))
    lines = text.splitlines()
    assert len(lines) > 2 and all(len(line) <= 80 or line.strip() == PATH for line in lines)
    assert " ".join(text.split()) == LONG and text.count(PATH) == 2


def test_messages_in_a_pipe_are_one_line(kresnet, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(main, "cli", type("Typed", (), {"main": lambda *arguments, **options: console.log(LONG)}))
    assert kresnet() == (0, "", [LONG])


def test_a_table_without_room_becomes_lines(shown):
    lines = shown(lambda: print_table("a title", COLUMNS, ROWS), columns=40).splitlines()
    assert lines[:3] == ["a title", "network: resnet50", "  parameters: 25,557,032"] and len(lines) == 11
    assert all(len(line) <= 40 for line in lines)


def test_corrupted_images_of_three_files_are_a_table_in_80_columns(shown):
    document = robustness_document("gaussian_noise")
    model, file = document["models"]
    names = ["float32.tflite", "int8.tflite", "model.onnx"]
    document["models"] = [model, *({**file, "name": name} for name in names)]
    text = shown(lambda: print_robustness("resnet20-digits", document))
    assert max(map(len, text.splitlines())) <= 80 and text.count("\ngaussian_noise ") == 1
    assert text.startswith("resnet20-digits: top-1 accuracy of 30 validation images, averaged over")
    hidden = " ".join(text.partition("narrow: ")[2].split())
    assert hidden.startswith("float32.tflite 95% CI, int8.tflite 95% CI, model.onnx 95% CI (")
    wide = shown(lambda: print_robustness("resnet20-digits", document), columns=180)
    # Three rows, and the sentence below.
    assert " ".join(wide.split()).count("[-10.00, +0.00]") == 3 * 3 + 1 and "hidden" not in wide


def test_the_list_of_runs_is_a_table(on_terminal, kresnet, tmp_path, trained):
    for name in ("a", "resnet18-photographs-of-traffic-signs-detect-qat-2"):
        shutil.copytree(trained.folder, tmp_path / name)
    code, text = on_terminal("runs", "--runs", tmp_path)
    lines = re.sub(r"\x1b\[[\d;]*m", "", text).splitlines()
    assert code == 0 and all(len(line) <= 80 for line in lines)
    rows = [line.split() for line in lines if line.startswith(("a ", "resnet18-"))]
    assert sorted(row[0] for row in rows) == ["a", "resnet18-photographs-of-traffic-signs-detect-qat-2"]
    assert all("finished" in row and row[-1].endswith("%") for row in rows)


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"NO_COLOR": "1", "FORCE_COLOR": "1"}])
def test_no_color(shown, monkeypatch, variables):
    assert COLOUR.search(shown(lambda: print_table("", COLUMNS, ROWS), columns=140, coloured=True))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    text = shown(lambda: print_table("", COLUMNS, ROWS), columns=140, coloured=True)
    assert "PASSED" in text and not COLOUR.search(text)


def test_force_color(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setenv("TERM", "xterm-256color")
    print_table("", COLUMNS, ROWS)
    out = capsys.readouterr().out
    assert COLOUR.search(out) and "──" in out


@pytest.mark.parametrize(
    "arguments", [["models"], ["recipes"], ["runs"], ["compare", *["RUN"] * 2], ["compare", *["RUN"] * 4]]
)
def test_what_is_listed_fits_80_columns(on_terminal, kresnet, trained, runs, arguments):
    arguments = [trained.name if each == "RUN" else each for each in arguments]
    arguments += ["--runs", runs] if arguments[0] in ("runs", "compare") else []
    code, text = on_terminal(*arguments)
    assert code == 0
    lines = re.sub(r"\x1b\[[\d;]*m", "", text).splitlines()
    assert all(len(line.rstrip()) <= 80 for line in lines if not line.startswith("  ") or "  " in line.strip())
    # Every number of the plain table that is shown at all is shown whole.
    _, out, err = kresnet(*arguments)
    numbers = set(re.findall(r"\d[\d.,:]*\d", " ".join([out, *err])))
    assert numbers and set(re.findall(r"\d[\d.,:]*\d", " ".join(lines))) <= numbers


def test_preparing_data_leaves_standard_output_to_results(tmp_path, capsys):
    data = load_dataset(DataSpec(data_dir=str(tmp_path)), console.log)
    out, err = capsys.readouterr()
    assert data.splits["train"].count > 1000 and out == "" and "preparing digits" in err


def gone(text, words):
    """Whether a bar that says so has been there and is there no more."""
    return words in text and words not in text.rpartition(ERASED)[2]


@pytest.mark.slow
def test_what_takes_long_shows_it(on_terminal, exported, tmp_path):
    runs = tmp_path / "runs"
    run = Run(shutil.copytree(exported[0].folder, runs / exported[0].name))
    code, text = on_terminal("evaluate", run.name, "--runs", runs)
    assert code == 0 and gone(text, "evaluating") and "batches" in text
    code, text = on_terminal("verify", run.exports / "int8.tflite", "--samples", "50", "--runs", runs)
    assert code == 0 and gone(text, "verifying int8") and gone(text, "timing one image")
    code, text = on_terminal("diagnose", run.name, "--samples", "20", "--runs", runs)
    assert code == 0 and gone(text, "rounding one layer alone") and gone(text, "ranges of layers") and "layers" in text
    code, text = on_terminal("report", run.name, "--again", "--runs", runs)
    assert code == 0 and gone(text, "evaluating")
    command = ("export", run.name, "--tflite", "--quantize", "float32", "--samples", "20", "--runs", runs)
    code, text = on_terminal(*command)
    assert code == 0 and gone(text, "converting to float32") and gone(text, "verifying float32")
