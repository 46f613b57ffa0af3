"""`kresnet diagnose`: the layers of a run that lose most in 8 bits."""

from __future__ import annotations

import click

from keras_resnet.cli import console
from keras_resnet.cli.command import Command, format_examples
from keras_resnet.cli.options import json_option, optional_run_argument, runs_option
from keras_resnet.cli.targets import find_run, log_newest


@click.command(cls=Command, epilog=format_examples("kresnet diagnose RUN"))
@optional_run_argument
@click.option(
    "--samples",
    type=click.IntRange(1),
    default=200,
    show_default=True,
    help="Number of validation images to evaluate on.",
)
@click.option("--top", type=click.IntRange(1), default=10, show_default=True, help="Number of layers to print.")
@runs_option
@json_option
def diagnose(run: str | None, samples: int, top: int, runs: str | None, as_json: bool) -> None:
    """Rank the layers of RUN by the accuracy that 8 bits cost.

    Rounds one layer at a time to 8 bits and evaluates the whole network. Diagnoses the newest run by default.
    """
    of_run = find_run(runs, run)
    of_run.require_finished()
    log_newest(of_run.name, run)
    from keras_resnet.export.sensitivity import diagnose as diagnose_run

    layers = diagnose_run(of_run, samples, console.log)
    if as_json:
        console.emit_json([vars(layer) for layer in layers])
        return
    columns = ["layer", "same predictions", "outputs changed", "range", "widest channel"]
    rows = [
        [
            layer.layer,
            f"{layer.agreement:.2%}",
            f"{layer.error:.2%}",
            "" if layer.low is None else f"{layer.low:.3g} … {layer.high:.3g}",
            "" if layer.spread is None else f"{layer.spread:.1f} × median",
        ]
        for layer in layers[:top]
    ]
    title = f"{of_run.name}: each layer alone in 8 bits, the worst first"
    console.print_table(title, columns, rows, spare=["range"])
    console.emit(f"all {len(layers)}: {of_run.exports / 'diagnosis.json'}, plotted: {of_run.exports / 'diagnosis.png'}")
