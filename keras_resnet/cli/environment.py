"""`kresnet env`, `kresnet schema` and `kresnet completion`: what kresnet is, here."""

from __future__ import annotations

import click

from keras_resnet.cli import console
from keras_resnet.cli.command import Command, format_examples
from keras_resnet.cli.options import json_option, runs_option
from keras_resnet.errors import UsageError


@click.command(cls=Command, epilog=format_examples("kresnet env", "kresnet env --selftest"))
@click.option(
    "--selftest",
    is_flag=True,
    help="Train, resume and export on the bundled digits, in each precision and on all GPUs, and print what worked, for"
    " a bug report. Takes a few minutes and leaves nothing behind.",
)
@runs_option
@json_option
def env(selftest: bool, runs: str | None, as_json: bool) -> None:
    """Print the machine, its packages and devices, and the precision.

    The precision is the one that --precision auto would choose, with the reason. With --selftest, the exit code is 1 if
    a check failed.
    """
    if selftest and runs is not None:
        raise UsageError("--selftest trains in a temporary folder; it takes no --runs")
    if selftest:
        from keras_resnet.cli.selftest import print_selftest

        print_selftest(as_json)
        return
    from keras_resnet.runtime.plurals import counted
    from keras_resnet.training.environment import describe_environment

    facts = describe_environment(runs)
    if as_json:
        console.emit_json(facts)
        return
    rows = [
        ["machine", f"{facts['machine']}, {counted(facts['cores'], 'core')}, {facts['memory_gib']} GiB"],
        ["python", facts["python"]],
        *([package, version] for package, version in facts["versions"].items()),
        *([f"extra: {name}", "installed" if there else "not installed"] for name, there in facts["extras"].items()),
        *([name, str(facts[name])] for name in ("devices", "onednn", "precision", "runs")),
    ]
    console.print_table("", ["", ""], rows, prose=[""])


@click.command(cls=Command, epilog=format_examples("kresnet schema > spec.schema.json"))
def schema() -> None:
    """Print the JSON schema of spec.json.

    It has every key that --set takes, with its type, default, bounds, help and option. spec.json in a run's folder
    holds all settings of the run.
    """
    from keras_resnet.config.spec import spec_schema

    console.emit_json(spec_schema())


@click.command(cls=Command, epilog=format_examples("kresnet completion bash"))
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a script that completes commands in a shell.

    It completes commands, options, names of runs and values. For bash, add this line to ~/.bashrc: eval "$(kresnet
    completion bash)"; for zsh, the same with zsh to ~/.zshrc. For fish, write the script to
    ~/.config/fish/completions/kresnet.fish.
    """
    from click.shell_completion import get_completion_class

    from keras_resnet.cli.main import cli

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(cli, {}, "kresnet", "_KRESNET_COMPLETE").source())
