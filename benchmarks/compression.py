"""Every way to compress one run, side by side: what it costs in accuracy, what it saves in bytes and milliseconds.

    python benchmarks/compression.py RUN [--runs DIR] [--max-drop POINTS]

RUN is a finished float run. Runs and files that are there already are not made again. The int8 file of each is judged
on all validation images against RUN's own model: converted after training, or with the ranges learned where a run was
trained with 8 bits. Training speed is that of the best epoch.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

from keras_resnet.run import Run, runs_home

# Name behind RUN's, the run that it starts from, and how.
WAYS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("-shrunk50", "", ("--shrink", "0.5")),
    ("-pruned80", "", ("--prune", "0.8")),
    ("-2to4", "", ("--pattern", "2:4")),
    ("-clustered16", "", ("--cluster", "16")),
    ("-qat", "", ("--qat",)),
    ("-qat-tfmot", "", ("--qat", "tfmot")),
    ("-pruned80-qat", "-pruned80", ("--qat",)),
    ("-pcqat", "-pruned80", ("--cluster", "16", "--qat", "tfmot")),
)
HEAD = ("run", "top-1", "of the model", "zeros", "weights shared", "MB", "gzip", "ms", "agreement", "images/s trained")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--runs")
    parser.add_argument("--max-drop", default="100", help="Budget of a file; the table tells what it lost.")
    options = parser.parse_args()
    home = runs_home(options.runs)
    first = Run.find(home, options.run)
    for suffix, parent, how in WAYS:
        if not Run(home / f"{first.name}{suffix}").is_finished:
            _kresnet(home, "compress", f"{first.name}{parent}", *how, "--name", f"{first.name}{suffix}")
    rows = [_row(home, Run(home / f"{first.name}{suffix}"), options.max_drop) for suffix in ("", *(w[0] for w in WAYS))]
    print("\n".join(f"| {' | '.join(row)} |" for row in (HEAD, ("---",) * len(HEAD), *rows)))


def _row(home: Path, run: Run, max_drop: str) -> tuple[str, ...]:
    scheme = "qat" if run.spec().compress.is_qat else "int8"
    if not _verdict(run, scheme):
        _kresnet(home, "export", run.name, "--tflite", "--quantize", scheme, "--max-drop", max_drop)
    verdict, metrics = _verdict(run, scheme), run.metrics()
    zeros, clusters = metrics.get("sparsity"), metrics.get("clusters")
    return (
        f"{run.name}, {scheme}",
        f"{verdict['value']:.2%}",
        f"{metrics['value']:.2%}",
        f"{zeros:.0%}" if zeros else "",
        str(clusters or ""),
        f"{verdict['bytes'] / 1e6:.2f}",
        f"{verdict['gzip_bytes'] / 1e6:.2f}",
        f"{verdict['cost']['latencies'][-1]['p50']:.2f}",
        f"{verdict['agreement']:.2%}",
        f"{max(row['images_per_second'] for row in run.read_log()):.0f}",
    )


def _verdict(run: Run, scheme: str) -> dict[str, Any]:
    found = [row for row in run.verdicts() if row["scheme"] == scheme]
    return found[0] if found else {}


def _kresnet(home: Path, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "keras_resnet", *arguments, "--runs", str(home)], check=True)


if __name__ == "__main__":
    main()
