"""`kresnet compress`: a smaller or faster network of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from keras_resnet.cli import console
from keras_resnet.cli.command import Command, GroupedOption, format_examples
from keras_resnet.cli.next_steps import EXPORT, is_at_chance, log_next_steps
from keras_resnet.cli.options import json_option, optional_run_argument, runs_option
from keras_resnet.cli.setting_options import add_compress_options
from keras_resnet.cli.targets import find_run, log_newest
from keras_resnet.config.given_options import select_given
from keras_resnet.config.option_groups import COMMON

if TYPE_CHECKING:
    from keras_resnet.run import Run


@click.command(
    cls=Command,
    epilog=format_examples("kresnet compress RUN --qat", "kresnet compress RUN --prune 0.8 --cluster 16 --qat tfmot"),
)
@optional_run_argument
@click.option(
    "--shrink",
    type=float,
    metavar="SHARE",
    help="Remove this share of the filters inside residual units; a multiple of 8 remains.",
    allowed="the share of filters to remove, between 0 and 1",
    is_share=True,
    cls=GroupedOption,
    group=COMMON,
)
@click.option(
    "--prune",
    type=float,
    metavar="SHARE",
    help="Make this share of the weights zero.",
    allowed="the share of weights that become zero, between 0 and 1",
    is_share=True,
    cls=GroupedOption,
    group=COMMON,
)
@click.option(
    "--pattern",
    type=click.Choice(["2:4"]),
    help="Make two of every four weights zero, instead of weights anywhere.",
    cls=GroupedOption,
    group=COMMON,
)
@click.option(
    "--cluster",
    type=int,
    metavar="N",
    help="Share weights: leave N different values in each kernel.",
    allowed="how many different weights a kernel has, 2 to 256",
    cls=GroupedOption,
    group=COMMON,
)
@click.option(
    "--qat",
    is_flag=False,
    flag_value="native",
    type=click.Choice(["native", "tfmot"]),
    help="Train with 8-bit rounding (quantization-aware training); --qat tfmot uses tensorflow-model-optimization.",
    cls=GroupedOption,
    group=COMMON,
)
@add_compress_options
@click.option(
    "--name",
    metavar="NAME",
    help="Name of the new run; of several, that of the last [default: RUN-qat, …].",
    cls=GroupedOption,
    group=COMMON,
)
@runs_option
@json_option
def compress(run: str | None, name: str | None, runs: str | None, as_json: bool, **options: Any) -> None:
    """Make a smaller or faster network from RUN, as a new run.

    The training continues from the weights of RUN, by default the newest run. Several methods are applied one after
    another, each in a run of its own: fewer filters, then zeros, shared weights and 8 bits.
    """
    from keras_resnet.api.functions import METHODS, compress_run, plan_steps
    from keras_resnet.compression.plan import plan_compression
    from keras_resnet.run import runs_home

    plan_compression(**{method: options[method] for method in METHODS})  # what is wrong with it comes first
    home, found, given = runs_home(runs), find_run(runs, run), select_given(options)
    plan_steps(found, given, home, name)
    log_newest(found.name, run)
    _print_result(compress_run(found, given, home, name), runs, as_json)


def _print_result(chain: list[Run], runs: str | None, as_json: bool) -> None:
    """Print the runs of a `chain`, each made of the one before it."""
    from keras_resnet.metrics.labels import metric_label

    first, last = chain[0], chain[-1]
    before, after = first.metrics(), last.metrics()
    if as_json:
        result = {"run": last.name, "parent": chain[-2].name, "folder": str(last.folder), **after}
        console.emit_json({**result, "before": before["value"], "runs": [each.name for each in chain[1:]]})
        return
    rows = [[each.name, f"{each.metrics()['value']:.2%}", each.network_summary, str(each.folder)] for each in chain]
    columns = ["run", metric_label(after["metric"]), "network", "folder"]
    console.print_table("", columns, rows, prose=["network"], spare=["folder"])
    export = () if is_at_chance(last) else ((f"export {last.name}", EXPORT),)
    log_next_steps(*export, (f"compare {first.name} {last.name}", "puts both side by side"), runs=runs)
