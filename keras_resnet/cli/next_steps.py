"""What a command says at its end: what can be done next, and what would make a weak result better."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from keras_resnet.cli import console

if TYPE_CHECKING:
    from keras_resnet.run import Run

LEAD, ADVICE = "next: ", "advice: "
EXPORT, DEMO = "files for devices, with verdicts", "see them in a browser"


def log_advice(run: Run, runs: str | None = None) -> None:
    """Log how to train better, where the result of a finished `run` is weak or a class is never found, and the command
    that does. runs: the home of runs, where that was given."""
    from keras_resnet.evaluation.advice import advise, advised_command

    advice = advise(run) if run.analysis_file.is_file() else []
    for each in advice:
        console.log(f"{ADVICE}{each}")
    command = advised_command(run, advice)
    if command and not any(command in each for each in advice):
        console.log(f"{' ' * len(ADVICE)}{command}{_name_home(runs)}")


def log_better_training(run: Run, runs: str | None = None) -> None:
    """Log the one thing to do next with a finished `run` whose files are of no use yet: train better, or see how."""
    from keras_resnet.evaluation.advice import advise, advised_command

    command = advised_command(run, advise(run))
    step = (
        (command.removeprefix("kresnet "), "train better")
        if command
        else (f"report {run.name} --open", "what to change")
    )
    log_next_steps(step, runs=runs)


def is_at_chance(run: Run) -> bool:
    """Return whether the model of a finished `run` is not proven to be better than a constant prediction: files of it
    are of no use yet."""
    from keras_resnet.metrics.outcome import find_unbeaten_constant

    return run.analysis_file.is_file() and find_unbeaten_constant(run.analysis().get("baselines", [])) is not None


def log_next_steps(*steps: tuple[str, str], runs: str | None = None, first: str = "") -> None:
    """Log commands to type next, a line each: (what follows `kresnet`, what it does). runs: the home of runs, where
    that was given. first: what to do before that, in words."""
    commands = [f"kresnet {words}{_name_home(runs)}" for words, _ in steps]
    width = max(map(len, commands))
    lines = [f"{command.ljust(width)}  {purpose}" for command, (_, purpose) in zip(commands, steps, strict=True)]
    for number, line in enumerate([first, *lines] if first else lines):
        console.log(f"{' ' * len(LEAD) if number else LEAD}{line}")


def _name_home(runs: str | None) -> str:
    return f" --runs {shlex.quote(runs)}" if runs else ""
