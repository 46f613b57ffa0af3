"""The tables of the documentation are those of benchmarks/results; benchmarks/all.py writes both."""

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
# A benchmark that takes no time.
QUICK = """
import argparse
from result_tables import Column, Table, add_json_option, publish

parser = argparse.ArgumentParser()
parser.add_argument("--rounds", type=int)
parser.add_argument("--torch-python")
add_json_option(parser)
options = parser.parse_args()
rows = [["kresnet", 1234.5678, None], ["another", 0.25, 3]]
columns = [Column("case"), Column("images/s", ",.1f"), Column("count")]
publish([Table("quick", "Quick", columns, rows, ("numpy",), "Once.", options.rounds)], options.json)
"""


@pytest.fixture
def benchmark_modules(monkeypatch):
    """Return the modules of benchmarks/ by name; forget them afterwards."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    names = ("result_tables", "machine", "results_page", "all")
    for name in names:
        spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
        monkeypatch.setitem(sys.modules, name, importlib.util.module_from_spec(spec))
        spec.loader.exec_module(sys.modules[name])
    return {name: sys.modules[name] for name in names}


@pytest.fixture
def page(benchmark_modules):
    """Return the module that holds results and pages together."""
    return benchmark_modules["results_page"]


def test_pages_show_what_the_results_are(page):
    assert page.find_differences(page.read_results()) == []
    assert len(list(page.list_regions())) >= 8


def copy_of(page, folder):
    """Copy results and pages to `folder`; return where each of them lies."""
    results, pages = folder / "results", folder / "docs"
    shutil.copytree(page.RESULTS, results)
    pages.mkdir()
    for file in page.PAGES.glob("*.md"):
        shutil.copy(file, pages)
    return results, pages


@pytest.mark.parametrize(
    "change, difference",
    [
        (("docs", "| PyTorch, float32 | 5.0 |", "| PyTorch, float32 | 4.0 |"), "a table of results.md is not that of"),
        (
            ("docs", "PyTorch 2.14.1, torchvision", "PyTorch 2.15.0, torchvision"),
            "a table of results.md is not that of",
        ),
        (("docs", "<!-- table: input, before-avx2 -->", ""), "no page has the table input of before-avx2"),
        (
            ("docs", "table: input, before-avx2", "table: inputs, before-avx2"),
            "there are no results of the table inputs",
        ),
        (("results", '["PyTorch, float32", 5.0,', '["PyTorch, float32", 5.1,'), "a table of results.md is not that of"),
        (("results", '"revision": null', '"revision": "0123"'), "a table of results.md is not that of"),
    ],
)
def test_a_change_by_hand_is_a_difference(page, tmp_path, change, difference):
    results, pages = copy_of(page, tmp_path)
    where, before, after = change
    file = {"docs": pages / "results.md", "results": results / "before-avx512-bfloat16.json"}[where]
    text = file.read_text(encoding="utf-8")
    assert before in text
    text = text.replace('"date": null', '"date": "2026-11-28"') if "revision" in before else text
    file.write_text(text.replace(before, after, 1), encoding="utf-8")
    assert any(difference in each for each in page.find_differences(page.read_results(results), pages))


def test_one_command_measures_stores_and_writes_the_page(benchmark_modules, monkeypatch, tmp_path, capfd):
    command, page = benchmark_modules["all"], benchmark_modules["results_page"]
    script, results, pages = tmp_path / "quick.py", tmp_path / "results", tmp_path / "docs"
    script.write_text(f"import sys\nsys.path[:0] = [{str(BENCHMARKS)!r}, {str(ROOT)!r}]\n{QUICK}", encoding="utf-8")
    pages.mkdir()
    text = "# Results\n\n<!-- table: quick, MACHINE -->\nold\n<!-- end of table -->\n\nEnd.\n"
    monkeypatch.setattr(command, "BENCHMARKS", {"quick": command.Benchmark(str(script), peers="--torch-python")})
    for module in (command, page):
        monkeypatch.setattr(module, "RESULTS", results)
        monkeypatch.setattr(module, "PAGES", pages)
    monkeypatch.setattr(command, "read_results", lambda: page.read_results(results))
    monkeypatch.setattr(command, "find_differences", lambda known: page.find_differences(known, pages))
    arguments = ["all.py", "--rounds", "2", "--torch-python", sys.executable, "--write-page"]
    monkeypatch.setattr(sys, "argv", arguments)

    assert command.main() == 1  # there is no place for the table yet
    (file,) = results.glob("*.json")
    assert f"no page has the table quick of {file.stem}" in capfd.readouterr().err

    (pages / "results.md").write_text(text.replace("MACHINE", file.stem), encoding="utf-8")
    assert command.main() == 0
    lines = (pages / "results.md").read_text(encoding="utf-8").splitlines()
    assert lines[5:8] == ["| case | images/s | count |", "|---|---|---|", "| **kresnet** | 1,234.6 |  |"]
    assert "| another | 0.2 | 3 |" in lines and "old" not in lines and lines[-1] == "End."
    document = json.loads(file.read_text(encoding="utf-8"))
    measured = document["measurements"]["quick"]
    assert measured["table"]["rows"] == [["kresnet", 1234.5678, None], ["another", 0.25, 3]]
    assert measured["table"]["command"] == "python benchmarks/quick.py --rounds 2 --torch-python PYTHON"
    assert measured["versions"].keys() == {"Python", "numpy"} and measured["revision"] and measured["date"]
    assert {"processor", "flags", "cores", "memory_gib", "system"} <= document["details"].keys()

    document["details"]["cores"] += 1
    file.write_text(json.dumps(document), encoding="utf-8")
    assert command.main() == 2
    assert "has results of another machine" in capfd.readouterr().err


def test_unknown_benchmarks_are_usage_errors(benchmark_modules, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["all.py", "--only", "train,inputs"])
    with pytest.raises(SystemExit) as error:
        benchmark_modules["all"].main()
    assert error.value.code == 2
    assert (
        "must be some of train, profile, own-layers, edge" in (message := capsys.readouterr().err)
        and "Received: inputs" in message
    )


@pytest.mark.parametrize(
    ("processor", "flags", "name"),
    [
        ("AMD EPYC", ["avx2"], "amd-epyc-avx2-2"),
        ("Intel(R) Xeon(R) Processor", ["avx2", "avx512f"], "intel-xeon-avx-512-2"),
        ("Intel(R) Core(TM) i7-8700 CPU @ 3.20GHz", ["avx2"], "intel-core-i7-8700-cpu-3-20ghz-avx2-2"),
    ],
)
def test_a_machine_gives_its_results_a_name(benchmark_modules, processor, flags, name):
    details = {"processor": processor, "flags": flags, "cores": 2}
    assert benchmark_modules["machine"].name_machine(details) == name


def test_versions_of_other_libraries_are_pinned(benchmark_modules):
    pins = benchmark_modules["machine"].read_pins(BENCHMARKS / "peers.txt")
    assert {"torch", "torchvision", "timm", "ncnn", "executorch"} <= pins.keys() and all(pins.values())
    assert "@" in (BENCHMARKS / "browser-peers.txt").read_text(encoding="utf-8")


def test_tables_have_a_cell_for_each_column(benchmark_modules):
    tables = benchmark_modules["result_tables"]
    with pytest.raises(ValueError, match="a row has not 2 cells"):
        tables.Table("name", "title", [tables.Column("a"), tables.Column("b")], [["only one"]])
