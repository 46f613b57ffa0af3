"""The command line: one short function per command. TensorFlow is imported only inside those that need it."""

from __future__ import annotations

import io
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from keras_resnet import __version__, progress
from keras_resnet.atomic_write import reason
from keras_resnet.cli import console
from keras_resnet.cli.demo import demo
from keras_resnet.cli.export import diagnose, export, inspect, verify
from keras_resnet.cli.options import Commands, examples, json_option, run_names, runs_option
from keras_resnet.cli.report import compare, report
from keras_resnet.cli.study import study
from keras_resnet.cli.train import compress, launch, train
from keras_resnet.config.chosen import Choices, chosen
from keras_resnet.errors import KresnetError, UsageError
from keras_resnet.metrics.labels import metric_label
from keras_resnet.native_logs import hushed
from keras_resnet.run import Run, runs_home
from keras_resnet.runtime.plurals import counted
from keras_resnet.signals import Ended, ending_tidily

EXIT_CODES = (
    "Exit codes: 0 done, also a training that SIGTERM ended, its state saved; 1 it failed, or a verdict did; 2 the"
    " request was wrong; 128 and the signal's number where a signal ended it: 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP.\n\n"
    "Runs live in saved_models/ of the current folder, in --runs DIR, or in KRESNET_RUNS."
)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"{EXIT_CODES}\n\n{examples('kresnet train --depth 50', 'kresnet export --tflite', 'kresnet runs')}",
)
@click.option("-v", "--verbose", is_flag=True, help="Show what TensorFlow prints, and tracebacks.")
@click.version_option(__version__, prog_name="kresnet")
def cli(verbose: bool) -> None:
    """Train residual networks and ship them to devices with proof that they still work."""
    click.get_current_context().with_resource(chosen(Choices("as the run was trained")))


for command in (train, compress, launch, study, export, verify, inspect, diagnose, report, compare, demo):
    cli.add_command(command)


@cli.command(epilog=examples("kresnet evaluate RUN", "kresnet evaluate exports/int8.tflite --json"))
@click.argument("target", metavar="RUN|FILE", shell_complete=run_names)
@click.option("--split", default="validation", show_default=True, help="Split of the data to score.")
@click.option("--run", "of_run", help="The run whose data a FILE is scored on [default: its folder's, or its own].")
@runs_option
@json_option
def evaluate(target: str, split: str, of_run: str | None, runs: str | None, as_json: bool) -> None:
    """Score a run's Keras model, or a .tflite file, on the run's data."""
    from keras_resnet.export.evaluate import score

    result = score(target, of_run, split, runs_home(runs), console.log)
    if as_json:
        console.emit_json(result)
    else:
        row = [str(result["model"]), split, str(result["samples"]), f"{result['value']:.2%}"]
        console.table("", ["model", "split", "images", metric_label(str(result["metric"]))], [row])


@cli.command(
    epilog=examples(
        "kresnet predict RUN photo.jpg",
        "kresnet predict exports/int8.tflite photo.jpg --top 3 --json",
        "kresnet predict RUN street.mp4 --save found.mp4",
    )
)
@click.argument("target", metavar="RUN|FILE", shell_complete=run_names)
@click.argument("images", nargs=-1, metavar="IMAGE|FOLDER|VIDEO...")
@click.option("--camera", metavar="NUMBER", help="The frames of a camera instead, by its number or address.")
@click.option("--top", type=click.IntRange(1), help="How many classes, or objects, to name [default: 5, or all].")
@click.option("--every", type=click.IntRange(1), default=1, show_default=True, help="Take each so-many-th frame.")
@click.option("--frames", type=click.IntRange(1), help="Take so many frames [default: until there are no more].")
@click.option(
    "--save", type=click.Path(path_type=Path), help="Draw the answers into a copy; of several files, a folder."
)
@runs_option
@json_option
def predict(
    target: str, images: tuple[str, ...], camera: str | None, save: Path | None, runs: str | None, **options: Any
) -> None:
    """Name what images show, and where, with a run's Keras model or a .tflite file (which needs no TensorFlow).

    Of a folder all images in it. One that is damaged is named and left out; the exit code is then 1.
    Videos and cameras need OpenCV (extra: video).
    """
    from keras_resnet.export.predict import PredictOptions, predict_files, predict_video, predictor_of, sources_of
    from keras_resnet.runtime.predictions import format_predictions

    if bool(images) == bool(camera):
        raise UsageError("say what to look at: images or videos, or --camera NUMBER")
    if camera and save and not options["frames"]:
        raise UsageError("--save of a camera needs --frames: how many of them make the video")
    sources = sources_of(images, save) if images else []
    one, taken = (
        predictor_of(target, runs_home(runs)),
        PredictOptions(options["top"], options["every"], options["frames"]),
    )
    answers = predict_video(one, camera, taken, save) if camera else predict_files(one, sources, taken, console.log)
    for answer in answers:
        if options["as_json"]:
            console.emit_json_line(answer)
        else:
            frame = f", {answer['seconds']:.2f} s" if "frame" in answer else ""
            console.emit(f"{answer['image']}{frame}: {format_predictions(answer['predictions'])}")


@cli.command(epilog=examples("kresnet models --depth 50", "kresnet models --classes 5 --image-size 96 --json"))
@click.option("--depth", type=int, help="Only networks of this depth.")
@click.option("--classes", type=click.IntRange(2), help="Count with so many classes [default: 1000, or 10 for CIFAR].")
@click.option("--image-size", type=int, help="Count for images of this size [default: 224, or 32 for CIFAR].")
@json_option
def models(depth: int | None, classes: int | None, image_size: int | None, as_json: bool) -> None:
    """List the networks: parameters, multiply-adds, size in int8, published accuracy. All counts are computed."""
    from keras_resnet.models.summary import summarize_models

    rows = summarize_models(depth, classes, image_size)
    if as_json:
        console.emit_json(rows)
        return
    columns = ["network", "pixels, classes", "parameters", "multiply adds", "int8", "top-1", "on", "source"]
    cells = [
        [
            row["network"],
            f"{row['image_size']}, {row['classes']}",
            f"{row['parameters']:,}",
            f"{row['multiply_adds'] / 1e9:.3g} G",
            f"{row['int8_bytes'] / 1e6:.2f} MB",
            f"{row['top1']:.2f}%" if row["top1"] else "",
            row["data"] or "",
            row["source"] or "",
        ]
        for row in rows
    ]
    console.table("", columns, cells, prose=["source"], spare=["on", "source"])


@cli.command(epilog=examples("kresnet recipes"))
@json_option
def recipes(as_json: bool) -> None:
    """List the recipes: published ways to train, for kresnet train --recipe NAME."""
    import dataclasses

    from keras_resnet.config.recipes import RECIPES

    if as_json:
        console.emit_json(
            [
                {
                    "recipe": name,
                    "about": each.about,
                    "source": each.source,
                    "published": each.published,
                    "spec": dataclasses.asdict(each.spec),
                }
                for name, each in RECIPES.items()
            ]
        )
        return
    columns = ["recipe", "what it does", "top-1 published", "source"]
    rows = [[name, each.about, each.published, each.source] for name, each in RECIPES.items()]
    console.table("", columns, rows, prose=columns[1:], spare=["source"])
    console.emit("kresnet train --recipe NAME [--quick] [--set KEY=VALUE]; other options change the recipe too")


@cli.command(epilog=examples("kresnet env"))
@runs_option
@json_option
def env(runs: str | None, as_json: bool) -> None:
    """What there is to work with: machine, packages, devices, and which precision would be chosen, and why."""
    from keras_resnet.training.environment import environment

    found = environment(runs)
    if as_json:
        console.emit_json(found)
        return
    words = {
        **{"machine": f"{found['machine']}, {counted(found['cores'], 'core')}, {found['memory_gib']} GiB"},
        **{"python": found["python"], **found["versions"]},
        **{f"extra: {name}": "installed" if there else "not installed" for name, there in found["extras"].items()},
        **{key: found[key] for key in ("devices", "precision", "runs")},
    }
    console.table("", ["", ""], [[key, str(value)] for key, value in words.items()], prose=[""])


@cli.command(epilog=examples("kresnet completion bash"))
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a script that completes kresnet's commands and options in SHELL.

    It goes into ~/.bashrc as eval "$(kresnet completion bash)", for fish into
    ~/.config/fish/completions/kresnet.fish.
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(cli, {}, "kresnet", "_KRESNET_COMPLETE").source())


@cli.command("runs", epilog=examples("kresnet runs", "kresnet runs --json"))
@runs_option
@json_option
def list_runs(runs: str | None, as_json: bool) -> None:
    """List runs, newest first."""
    home = runs_home(runs)
    rows = [run.summary() for run in Run.all(home)]
    if as_json:
        console.emit_json(rows)
    elif not rows:
        console.log(f"there are no runs in {home}; make one with: kresnet train")
    else:
        columns = ["run", "created", "network", "data", "epochs", "state", "metric", "value", "exports"]
        rows = [{**row, "metric": metric_label(row["metric"] or "")} for row in rows]
        cells = [[_cell(row[column]) for column in columns] for row in rows]
        console.table(str(home), columns, cells, prose=["network", "exports"], spare=["metric", "exports", "created"])


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.2%}"
    return ", ".join(value) if isinstance(value, list) else "" if value is None else str(value)


def _main(arguments: list[str]) -> int:
    shown = progress.shown_by(console.bar)
    try:
        cli.main(arguments, prog_name="kresnet", standalone_mode=False)
    except click.ClickException as error:
        told = io.StringIO()
        error.show(told)
        for line in told.getvalue().rstrip("\n").split("\n"):
            console.log(line)
        return error.exit_code
    except click.Abort:
        console.log("interrupted")
        return 130
    except KresnetError as error:
        console.log(f"kresnet: {error}")
        return error.exit_code
    except BrokenPipeError:
        console.close_output()
        return 1
    except Ended as ended:
        console.log(f"kresnet: ended by {ended.name}")
        return ended.exit_code
    except OSError as error:
        console.log(f"kresnet: {error.filename or 'input or output'}: {reason(error)}")
        return 1
    finally:
        progress.shown_by(shown)
    return 0


def main() -> None:
    """Entry point: quiet unless -v, one sentence per error, exit code 2 for usage and 1 for failure. A program that
    calls it has its standard error back afterwards."""
    arguments = sys.argv[1:]
    console.prepare_output()
    verbose = any(flag in arguments for flag in ("-v", "--verbose"))
    with ending_tidily(), nullcontext() if verbose else hushed():
        code = _main(arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        console.close_output()
        code = 1
    sys.exit(code)
