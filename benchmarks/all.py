"""All benchmarks that need no run, one after another; their results as JSON, and as tables of the documentation.

    python -m venv peers && peers/bin/pip install -r benchmarks/peers.txt
    npm install --prefix browser-peers $(cat benchmarks/browser-peers.txt)
    python benchmarks/all.py --torch-python peers/bin/python --ort browser-peers --write-page
    python benchmarks/all.py --only train,edge --rounds 1

Each benchmark is a process of its own that runs its cases by turns. What it measured goes to
benchmarks/results/MACHINE.json as soon as it is done, in place of what was known of these tables; other tables stay.
--write-page then writes the tables between the marks of docs/*.md. Without --torch-python and --ort, other
libraries' rows are missing. Exits 1 if a benchmark failed, or if a table has no place on a page.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from machine import describe_machine, name_machine, read_pins, read_revision, read_versions
from result_tables import Table
from results_page import PAGES, RESULTS, MachineResults, Measurement, find_differences, read_results, write_tables

HERE = Path(__file__).resolve().parent
PINS = HERE / "peers.txt"
# By what a machine is known again, whose memory and system may change.
SAME = ("processor", "flags", "cores")
FIGURES = ("--figures", str(PAGES / "images"))


class Benchmark(NamedTuple):
    """A script with the options of each of its calls. has_rounds: whether it takes --rounds. peers: which option names
    the environment of the libraries that it compares with."""

    script: str
    calls: Sequence[Sequence[str]] = ((),)
    has_rounds: bool = True
    peers: str = ""


RESNET20 = ("--network", "resnet20", "--image-size", "32", "--batch-size", "128")
BENCHMARKS = {
    "train": Benchmark("train.py", ((), (*RESNET20, "--steps", "10")), peers="--torch-python"),
    "profile": Benchmark("profile_step.py", (FIGURES, (*RESNET20, *FIGURES)), False, "--torch-python"),
    "own-layers": Benchmark("own_layers.py", ((), RESNET20)),
    "edge": Benchmark("edge.py", peers="--torch-python"),
    "browser": Benchmark("browser.py", peers="--ort"),
    "detect": Benchmark("detect.py", peers="--torch-python"),
    "input": Benchmark("input.py", peers="--torch-python"),
    "scaling": Benchmark("scaling.py", (("--only", "resnet20"),)),
    "growth-depth": Benchmark("growth.py", (("--only", "depth", *FIGURES),)),
    "growth-input": Benchmark("growth.py", (("--only", "pixels,batch,classes", *FIGURES),)),
    "growth-data": Benchmark("growth.py", (("--only", "folder,similar,labels,objects,decode", *FIGURES),)),
    "commands": Benchmark("commands.py"),
    "memory": Benchmark("peak_memory.py", (("--only", "training"), ("--only", "export")), peers="--torch-python"),
}


def main() -> int:
    """Run the benchmarks, store what they measured, write the pages; return the exit code."""
    options = parse_options()
    description, details = describe_machine()
    file = options.json or RESULTS / f"{name_machine(details)}.json"
    results = MachineResults.read(file) if file.is_file() else MachineResults(description, details)
    if any(results.details[name] != details[name] for name in SAME):
        message = f"{file} has results of another machine, {results.description}; give another file: --json FILE"
        print(message, file=sys.stderr)
        return 2
    results.description, results.details = description, details
    warn_of_versions(options.torch_python)
    failed, revision = [], read_revision()
    for name in options.only:
        for arguments in BENCHMARKS[name].calls:
            tables, code = run(BENCHMARKS[name], arguments, options)
            failed += [name] if code else []
            for table in tables:
                results.measurements[table.name] = measure_of(table, options.torch_python, revision, options.remark)
            results.write(file)
    print(f"results: {file}")
    problems = [f"{name} failed" for name in failed]
    if options.write_page:
        problems += write_pages()
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def parse_options() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=choose, default=list(BENCHMARKS), help=f"some of {','.join(BENCHMARKS)}")
    parser.add_argument("--torch-python", help="a Python with the packages of peers.txt")
    parser.add_argument("--ort", help="a folder with the packages of browser-peers.txt")
    parser.add_argument("--rounds", type=int, help="rounds of each benchmark [default: its own]")
    parser.add_argument("--json", type=Path, metavar="FILE", help="[default: benchmarks/results/MACHINE.json]")
    parser.add_argument("--remark", default="", help='a sentence for the page, such as "Other jobs were running."')
    parser.add_argument("--write-page", action="store_true", help="write the tables of docs/*.md")
    return parser.parse_args()


def choose(names: str) -> list[str]:
    """Return the benchmarks that `--only` names. Raises argparse.ArgumentTypeError for one that there is not."""
    chosen = [name.strip() for name in names.split(",") if name.strip()]
    if not chosen or (unknown := [name for name in chosen if name not in BENCHMARKS]):
        received = ", ".join(unknown) if chosen else repr(names)
        raise argparse.ArgumentTypeError(f"must be some of {', '.join(BENCHMARKS)}. Received: {received}")
    return chosen


def warn_of_versions(python: str | None) -> None:
    """Print which packages of `python` are not those that peers.txt pins."""
    pins = read_pins(PINS)
    versions = read_versions(pins, python) if python else {}
    for name, pinned in pins.items():
        if python and versions.get(name) != pinned:
            print(f"{python} has {name} {versions.get(name, 'not at all')}; {PINS.name} pins {pinned}", file=sys.stderr)


def run(benchmark: Benchmark, arguments: Sequence[str], options: argparse.Namespace) -> tuple[list[Table], int]:
    """Run a benchmark; return the tables that it wrote, and its exit code. What it prints is printed."""
    more = [*arguments]
    if benchmark.has_rounds and options.rounds:
        more += ["--rounds", str(options.rounds)]
    peers = {"--torch-python": options.torch_python, "--ort": options.ort}.get(benchmark.peers)
    if peers:
        more += [benchmark.peers, peers]
    with tempfile.TemporaryDirectory() as folder:
        target, start = Path(folder) / "tables.json", time.monotonic()
        print(f"{benchmark.script} {' '.join(more)}", file=sys.stderr, flush=True)
        command = [sys.executable, str(HERE / benchmark.script), *more, "--json", str(target)]
        code = subprocess.run(command, check=False).returncode
        print(f"{benchmark.script}: {time.monotonic() - start:.0f} s, exit code {code}", file=sys.stderr, flush=True)
        documents: list[dict[str, Any]] = json.loads(target.read_text(encoding="utf-8")) if target.is_file() else []
    return [Table.from_json(document) for document in documents], code


def measure_of(table: Table, python: str | None, revision: str, remark: str) -> Measurement:
    """Return `table` with the versions of its packages, of this Python or else of the peers', the date of today, UTC,
    the revision and the remark."""
    versions = read_versions(table.packages)
    missing = [name for name in table.packages if name not in versions]
    if python and missing:
        versions |= read_versions(missing, python)
    ordered = {"Python": platform.python_version()}
    ordered |= {name: versions[name] for name in table.packages if name in versions}
    return Measurement(table, ordered, f"{datetime.now(UTC):%Y-%m-%d}", revision, remark)


def write_pages() -> list[str]:
    """Write the tables of all pages; return what is still different."""
    results = read_results()
    for page in sorted(PAGES.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        try:
            written = write_tables(text, results)
        except KeyError as missing:
            return [f"{page.name} has a place for results that are not there: {missing}"]
        if written != text:
            page.write_text(written, encoding="utf-8")
            print(f"written: {page}")
    return find_differences(results)


if __name__ == "__main__":
    sys.exit(main())
