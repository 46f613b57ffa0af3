"""The command `kresnet`: its table of commands, and how errors and signals end one."""

from __future__ import annotations

import atexit
import sys
from contextlib import nullcontext

import click

from keras_resnet import __version__, progress
from keras_resnet.api.session import within_command
from keras_resnet.atomic_write import describe_error
from keras_resnet.cli import console
from keras_resnet.cli.command import AnsweredError, LazyCommand, LazyGroup, format_examples
from keras_resnet.config.provenance import Provenance, use_provenance
from keras_resnet.errors import KresnetError
from keras_resnet.machine.garbage_collection import collect_rarely, skip_last_collection
from keras_resnet.native_logs import silence_native_logs
from keras_resnet.signals import SignalExit, end_at_once_on_interrupt, exit_on_signals

EXIT_CODES = (
    "Exit codes: 0 for success, also if a training saved its state on SIGTERM; 1 for a failure or a failed verdict; 2"
    " for a usage error; 128 plus the signal's number if a signal ended the command (130 for Ctrl-C, 143 for SIGTERM,"
    " 129 for SIGHUP).\n\n"
    "Runs are stored in saved_models/ in the current folder, unless --runs DIR or KRESNET_RUNS names another one."
)
ENDED_BY_SIGNAL = 128  # and above
TRAIN, SHIP, USE, COMPARE, LOOK_UP = "Train", "Ship", "Use", "Compare", "Look up"
# A new command gets a line here. Its module is imported when the command is used, so that --help stays fast.
COMMANDS = {
    "check": LazyCommand(
        "keras_resnet.cli.check:check",
        "Check DATA for duplicates, bad images, class imbalance and wrong labels.",
        TRAIN,
    ),
    "train": LazyCommand("keras_resnet.cli.train:train", "Train a residual network and save it as a run.", TRAIN),
    "compress": LazyCommand(
        "keras_resnet.cli.compress:compress", "Make a smaller or faster network from RUN, as a new run.", TRAIN
    ),
    "search": LazyCommand(
        "keras_resnet.cli.search:search", "Search for the most accurate network within a budget.", TRAIN
    ),
    "launch": LazyCommand("keras_resnet.cli.launch:launch", "Train with several processes on this machine.", TRAIN),
    "data-service": LazyCommand(
        "keras_resnet.cli.data_service:data_service", "Read training images for trainings on other machines.", TRAIN
    ),
    "study": LazyCommand("keras_resnet.cli.study:study", "Run an experiment of the ResNet paper.", TRAIN),
    "export": LazyCommand("keras_resnet.cli.export:export", "Export RUN and verify every file.", SHIP),
    "verify": LazyCommand(
        "keras_resnet.cli.verify:verify",
        "Verify exported files again, on this machine or on devices (--on).",
        SHIP,
    ),
    "bundle": LazyCommand(
        "keras_resnet.cli.bundle:bundle", "Write an exported FILE and its validation images into a folder.", SHIP
    ),
    "inspect": LazyCommand("keras_resnet.cli.verify:inspect", "Print what an exported FILE says about itself.", SHIP),
    "diagnose": LazyCommand(
        "keras_resnet.cli.diagnose:diagnose", "Rank the layers of RUN by the accuracy that 8 bits cost.", SHIP
    ),
    "demo": LazyCommand("keras_resnet.cli.demo:demo", "Try RUN's exported files in a browser.", SHIP),
    "push": LazyCommand("keras_resnet.cli.push:push", "Publish RUN and its files on the Hugging Face hub.", SHIP),
    "predict": LazyCommand("keras_resnet.cli.predict:predict", "Predict what images and videos show, and where.", USE),
    "evaluate": LazyCommand(
        "keras_resnet.cli.evaluate:evaluate", "Evaluate a run's model, or an exported FILE, on the run's data.", USE
    ),
    "calibrate": LazyCommand(
        "keras_resnet.cli.calibrate:calibrate",
        'Fit RUN\'s confidence, "unknown" and score thresholds.',
        USE,
    ),
    "robustness": LazyCommand(
        "keras_resnet.cli.robustness:robustness",
        "Score RUN's model and files, or a FILE, on corrupted images.",
        COMPARE,
    ),
    "report": LazyCommand("keras_resnet.cli.report:report", "Write the report of RUN, report.html.", COMPARE),
    "compare": LazyCommand(
        "keras_resnet.cli.compare:compare", "Compare runs, or exported files, on the same images.", COMPARE
    ),
    "runs": LazyCommand("keras_resnet.cli.catalog:list_runs", "List the runs, newest first.", COMPARE),
    "models": LazyCommand(
        "keras_resnet.cli.catalog:models", "List the networks, with parameters and accuracy.", LOOK_UP
    ),
    "recipes": LazyCommand("keras_resnet.cli.catalog:recipes", "List the recipes: published ways to train.", LOOK_UP),
    "env": LazyCommand(
        "keras_resnet.cli.environment:env", "Print the machine, its packages and devices, and the precision.", LOOK_UP
    ),
    "schema": LazyCommand("keras_resnet.cli.environment:schema", "Print the JSON schema of spec.json.", LOOK_UP),
    "completion": LazyCommand(
        "keras_resnet.cli.environment:completion", "Print a script that completes commands in a shell.", LOOK_UP
    ),
}


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"{EXIT_CODES}\n\n"
    + format_examples("kresnet train --data photos/ --depth 18", "kresnet export", "kresnet predict RUN photo.jpg"),
)
@click.option("-v", "--verbose", is_flag=True, help="Show what TensorFlow prints, and tracebacks.")
@click.version_option(__version__, prog_name="kresnet")
def cli(verbose: bool) -> None:
    """Train a ResNet on your images, export it for a phone, a browser or a microcontroller, and know how accurate the
    exported file is before you ship it."""
    click.get_current_context().with_resource(use_provenance(Provenance("as the run was trained")))


def run_command(arguments: list[str]) -> int:
    """Run the command of `arguments` and return its exit code; errors become one sentence on standard error."""
    shown = progress.set_display(console.show_bar)
    try:
        with within_command():
            cli.main(arguments, prog_name="kresnet", standalone_mode=False)
    except click.ClickException as error:
        _log_usage_error(error)
        return error.exit_code
    except click.Abort:
        console.log("kresnet: interrupted")
        return 130
    except KresnetError as error:
        console.log(f"kresnet: {error}")
        return error.exit_code
    except BrokenPipeError:
        console.close_output()
        return 1
    except SignalExit as ended:
        console.log(f"kresnet: ended by {ended.name}")
        return ended.exit_code
    except OSError as error:
        console.log(f"kresnet: {error.filename or 'input or output'}: {describe_error(error)}")
        return 1
    finally:
        progress.set_display(shown)
    return 0


def _log_usage_error(error: click.ClickException) -> None:
    """Log what is wrong with what was typed as one sentence, and where the help is if it does not say what to type."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        for line in error.format_message().rstrip("\n").split("\n"):
            console.log(line)
        return
    message = error.format_message()
    context = getattr(error, "ctx", None)
    is_clear = isinstance(error, (AnsweredError, click.BadParameter)) and not isinstance(error, click.MissingParameter)
    if context and not is_clear and "Did you mean" not in message:
        message = f"{message.rstrip('.')}. See: {context.command_path} --help"
    console.log(f"kresnet: {message}")


def main() -> None:
    """Run the command that was typed: quiet unless -v, one sentence per error, exit code 2 for usage and 1 for failure.

    A program that calls it has its standard error back afterwards.
    """
    arguments = sys.argv[1:]
    console.prepare_output()
    verbose = any(flag in arguments for flag in ("-v", "--verbose"))
    atexit.register(skip_last_collection)
    with exit_on_signals(), collect_rarely(), nullcontext() if verbose else silence_native_logs():
        code = run_command(arguments)
        if code > ENDED_BY_SIGNAL:
            end_at_once_on_interrupt()
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        console.close_output()
        code = 1
    sys.exit(code)
