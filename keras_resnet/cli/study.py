"""`kresnet study …`: the experiments on the command line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from keras_resnet.cli import console
from keras_resnet.cli.command import Group, format_examples
from keras_resnet.cli.options import json_option, runs_option
from keras_resnet.cli.setting_options import set_option
from keras_resnet.config.dependencies import require_effect
from keras_resnet.config.given_options import name_options, read_settings, select_given
from keras_resnet.config.provenance import Provenance, use_provenance
from keras_resnet.config.recipes import get_recipe, with_epochs
from keras_resnet.config.spec import Spec

F = TypeVar("F", bound=Callable[..., Any])
# Of a quick study of identities: on the digits a longer training leaves the shallow network nothing to improve.
IDENTITY_EPOCHS = 5
STUDY_OPTIONS = (
    click.option("--quick", is_flag=True, help="Train for minutes on the bundled digits, instead of as in the paper."),
    click.option(
        "--recipe",
        metavar="NAME",
        default="he2015-cifar",
        show_default=True,
        help="Recipe by which each network is trained.",
    ),
    click.option(
        "--data", metavar="DATA", help="Images to train on: what kresnet train --data takes [default: the recipe's]."
    ),
    click.option("--data-dir", metavar="DIR", help="Folder of prepared TFDS datasets."),
    click.option("--download", is_flag=True, default=None, help="Download a TFDS dataset that is not there yet."),
    click.option("--epochs", type=click.IntRange(1), help="Passes over the training images [default: the recipe's]."),
    set_option,
    runs_option,
    json_option,
)


@click.group(cls=Group, epilog=format_examples("kresnet study degradation --quick", "kresnet study identity --quick"))
def study() -> None:
    """Run an experiment of the ResNet paper."""


def _add_study_options(command: F) -> F:
    """Add what every study takes to a click command."""
    for option in reversed(STUDY_OPTIONS):
        command = option(command)
    return command


@study.command(
    short_help="Does a deeper network train worse?",
    epilog=format_examples("kresnet study degradation --quick", "kresnet study degradation --quick --data cifar10"),
)
@click.option(
    "--models",
    metavar="NAMES",
    default="plain20,plain56,resnet20,resnet56",
    show_default=True,
    help="Names of the networks to compare.",
)
@click.option(
    "--seeds",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Train each network N times, each time with another seed.",
)
@_add_study_options
def degradation(models: str, seeds: int, as_json: bool, **options: Any) -> None:
    """Does a deeper network train worse, with shortcuts and without?

    Repeats figure 6 of He et al. 2015, and also shows gradients and a conclusion in words.
    """
    chosen = tuple(name.strip() for name in models.split(","))
    base, folder = _study(options, "degradation", chosen)
    from keras_resnet.studies.degradation import degradation as run_study

    summary = run_study(base, chosen, seeds, folder, console.log)
    if as_json:
        console.emit_json({"folder": str(folder), **summary})
        return
    columns = ["network", "parameters", "seeds", "training error", "validation error"]
    done = [row for row in summary["networks"] if row["seeds"]]
    cells = [[row["network"], f"{row['parameters']:,}", str(row["seeds"]), *_errors(row)] for row in done]
    console.print_table("", columns, cells)
    _conclude(summary, folder)


@study.command(
    short_help="Make a trained network deeper by identities.",
    epilog=format_examples("kresnet study identity --quick"),
)
@click.option("--shallow", metavar="NAME", default="resnet20", show_default=True, help="Network to start with.")
@click.option("--deep", metavar="NAME", default="resnet56", show_default=True, help="Deeper network that it becomes.")
@_add_study_options
def identity(shallow: str, deep: str, as_json: bool, **options: Any) -> None:
    """Make a trained network deeper by identities: the same outputs, and no worse when trained on.

    Repeats the argument of section 1 of He et al. 2015.
    """
    base, folder = _study(options, "identity", (shallow, deep), IDENTITY_EPOCHS)
    from keras_resnet.studies.identity import identity as run_study

    summary = run_study(base, shallow, deep, folder, console.log)
    if as_json:
        console.emit_json({"folder": str(folder), **summary})
    else:
        _conclude(summary, folder)


def _study(
    options: dict[str, Any], kind: str, networks: Sequence[str], quick_epochs: int | None = None
) -> tuple[Spec, Path]:
    """The spec that a study's `networks` share, and the folder of its runs. quick_epochs: those of a quick one, in
    place of the recipe's. Raises UsageError for a name of no network, and DataError for data that are not there, before
    TensorFlow is imported."""
    from keras_resnet.data.load import require_source
    from keras_resnet.models.names import parse_model_name
    from keras_resnet.run import runs_home
    from keras_resnet.training.spec_request import trace_options

    for name in networks:
        parse_model_name(name)
    base = get_recipe(options["recipe"], options["quick"])
    base = with_epochs(base, quick_epochs) if options["quick"] and quick_epochs else base
    base = with_epochs(base, options["epochs"]) if options["epochs"] else base
    given = select_given({name: options[name] for name in ("data", "data_dir", "download", "settings")})
    with name_options(given):
        base = base.override_all(read_settings(given))
        require_effect(base, read_settings(given))
    require_source(base.data)
    source = Path(base.data.source).expanduser().name
    choices = Provenance(f"of recipe {options['recipe']}", trace_options(given))
    click.get_current_context().with_resource(use_provenance(choices))
    return base, runs_home(options["runs"]) / f"{kind}-{source}{'-quick' if options['quick'] else ''}"


def _errors(row: dict[str, Any]) -> list[str]:
    """Training and validation error in words, with their deviation over seeds where it is known."""
    cells = []
    for key in ("training_error", "validation_error"):
        deviation = row[f"{key}_deviation"]
        cells.append(f"{row[key]:.2f}%" + (f" ± {deviation:.2f}" if deviation is not None else ""))
    return cells


def _conclude(summary: dict[str, Any], folder: Path) -> None:
    for words in summary["words"]:
        console.emit(words)
    console.emit(f"figures, tables and runs: {folder}")
