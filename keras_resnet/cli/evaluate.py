"""`kresnet evaluate`: the metrics of a run's model, or of a file."""

from __future__ import annotations

import click

from keras_resnet.cli import console
from keras_resnet.cli.command import Command, format_examples
from keras_resnet.cli.options import complete_run_names, json_option, runs_option, tta_option
from keras_resnet.cli.targets import find_target, log_newest
from keras_resnet.errors import require_one_of


@click.command(cls=Command, epilog=format_examples("kresnet evaluate", "kresnet evaluate exports/int8.tflite --json"))
@click.argument("target", metavar="[RUN|FILE]", required=False, shell_complete=complete_run_names)
@click.option(
    "--split",
    default="validation",
    show_default=True,
    metavar="NAME",
    help="Images to evaluate on: train, validation or test.",
)
@click.option(
    "--run",
    "of_run",
    metavar="RUN",
    help="Run whose data FILE is evaluated on [default: that of its folder, or the one named in it].",
)
@tta_option
@runs_option
@json_option
def evaluate(target: str | None, split: str, of_run: str | None, tta: str, runs: str | None, as_json: bool) -> None:
    """Evaluate a run's model, or an exported FILE, on the run's data.

    Evaluates the model of the newest run by default.
    """
    from keras_resnet.export.evaluate import RunLookup, evaluate_target, require_split
    from keras_resnet.export.tta import KINDS
    from keras_resnet.metrics.labels import list_shown_details, metric_label
    from keras_resnet.metrics.outcome import format_value
    from keras_resnet.run import runs_home

    require_one_of("--tta", tta, KINDS)
    found, split = find_target(runs, target, of_run), require_split(split, console.log)
    log_newest(found, target)
    result = evaluate_target(found, split, RunLookup(runs_home(runs), of_run), console.log, tta)
    if as_json:
        console.emit_json(result)
    else:
        metrics, metric = result["metrics"], str(result["metric"])
        names = [metric, *list_shown_details(metrics, metric)]
        values = [format_value(metrics[name], result["intervals"].get(name)) for name in names]
        model = f"{result['model']}, tta: {result['tta']}" if result["tta"] != "none" else str(result["model"])
        row = [model, str(result["split"]), str(result["samples"]), *values]
        console.print_table("", ["model", "split", "images", *map(metric_label, names)], [row])
