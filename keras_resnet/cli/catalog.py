"""`kresnet runs`, `kresnet models` and `kresnet recipes`: what there is."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from keras_resnet.cli import console
from keras_resnet.cli.command import Command, format_examples
from keras_resnet.cli.options import json_option, runs_option
from keras_resnet.errors import UsageError
from keras_resnet.runtime.plurals import format_large

if TYPE_CHECKING:
    from keras_resnet.models.summary import ModelSummary

# Published accuracies of the two kinds.
_ACCURACIES = ("top-1, 1 crop", "top-1, 10 crops")


@click.command("runs", cls=Command, epilog=format_examples("kresnet runs", "kresnet runs --json"))
@runs_option
@json_option
def list_runs(runs: str | None, as_json: bool) -> None:
    """List the runs, newest first."""
    from keras_resnet.metrics.labels import metric_label
    from keras_resnet.run import Run, describe_no_runs, runs_home

    home = runs_home(runs)
    if runs is not None and not home.is_dir():
        raise UsageError(f"--runs {runs}: no such folder")
    rows = [run.summary() for run in Run.all(home)]
    if as_json:
        console.emit_json(rows)
    elif not rows:
        console.log(describe_no_runs(home))
    else:
        columns = ["run", "created", "network", "data", "epochs", "state", "metric", "value", "exports"]
        rows = [{**row, "metric": metric_label(row["metric"] or "")} for row in rows]
        cells = [[_format_cell(row[column]) for column in columns] for row in rows]
        console.print_table(
            str(home),
            columns,
            cells,
            prose=["network", "exports"],
            spare=["network", "data", "epochs", "metric", "exports", "created"],
        )


def _format_cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2%}"
    return ", ".join(value) if isinstance(value, list) else "" if value is None else str(value)


@click.command(
    cls=Command,
    epilog=format_examples("kresnet models --depth 50", "kresnet models --classes 5 --image-size 96 --json"),
)
@click.option("--depth", type=int, help="List only networks of this depth.")
@click.option(
    "--classes",
    type=click.IntRange(2),
    help="Compute the numbers for N classes [default: 1000, or 10 for CIFAR networks].",
)
@click.option(
    "--image-size",
    type=int,
    help="Compute the numbers for images of N pixels a side [default: 224, or 32 for CIFAR networks].",
)
@json_option
def models(depth: int | None, classes: int | None, image_size: int | None, as_json: bool) -> None:
    """List the networks, with parameters and accuracy.

    Parameters, multiply-adds and the size in int8 are computed. The accuracies are published ones, for one crop of
    each image or for ten; do not compare one kind with the other.
    """
    from keras_resnet.models.summary import summarize_models

    rows = summarize_models(depth, classes, image_size)
    if as_json:
        console.emit_json(rows)
        return
    columns = ["network", "pixels, classes", "parameters", "multiply adds", "int8", *_ACCURACIES, "on", "sources"]
    cells = [[row["network"], *_format_counts(row), *_format_accuracies(row)] for row in rows]
    console.print_table("", columns, cells, spare=["on", "sources"])


def _format_counts(row: ModelSummary) -> list[str]:
    return [
        f"{row['image_size']}, {row['classes']}",
        f"{row['parameters']:,}",
        format_large(row["multiply_adds"]),
        f"{row['int8_bytes'] / 1e6:.2f} MB",
    ]


def _format_accuracies(row: ModelSummary) -> list[str]:
    shares = (f"{share:.2f}%" if share else "" for share in (row["top1"], row["top1_10crop"]))
    return [*shares, row["data"] or "", "; ".join(filter(None, (row["source"], row["source_10crop"])))]


@click.command(cls=Command, epilog=format_examples("kresnet recipes"))
@json_option
def recipes(as_json: bool) -> None:
    """List the recipes: published ways to train.

    Use one of them with kresnet train --recipe NAME.
    """
    from keras_resnet.config.recipes import RECIPES

    if as_json:
        console.emit_json(
            [
                {
                    "recipe": name,
                    "about": each.about,
                    "source": each.source,
                    "published": each.published,
                    "spec": asdict(each.spec),
                }
                for name, each in RECIPES.items()
            ]
        )
        return
    columns = ["recipe", "what it does", "top-1 published", "source"]
    rows = [[name, each.about, each.published, each.source] for name, each in RECIPES.items()]
    console.print_table("", columns, rows, prose=columns[1:], folds=True)
    console.emit("kresnet train --recipe NAME [--quick] [--set KEY=VALUE]; other options change the recipe too")
