"""`kresnet bundle`: an exported file and the images it is verified on, in a folder for a test harness elsewhere."""

from __future__ import annotations

from pathlib import Path

import click

from keras_resnet.cli import console
from keras_resnet.cli.command import Command, format_examples
from keras_resnet.cli.options import runs_option
from keras_resnet.cli.targets import find_file
from keras_resnet.runtime.plurals import counted


@click.command(
    cls=Command,
    epilog=format_examples("kresnet bundle exports/int8.tflite", "kresnet bundle FILE --samples 200 --save for-phones"),
)
@click.argument("file", metavar="FILE", required=False, type=click.Path(path_type=Path))
@click.option(
    "--run",
    "of_run",
    metavar="RUN",
    help="Run whose images are taken [default: that of FILE's folder, or the one named in it].",
)
@click.option(
    "--save",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Name of the new folder [default: FILE's name and -bundle, in the current folder].",
)
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    help="Take only N validation images, the same ones as kresnet verify --samples [default: all].",
)
@runs_option
def bundle(file: Path | None, of_run: str | None, save: Path | None, samples: int | None, runs: str | None) -> None:
    """Write an exported FILE and its validation images into a folder.

    For phones, boards and test labs that kresnet cannot reach. The folder has examples in Python, C, Kotlin and Swift
    that run the file there and write its outputs, which kresnet verify FILE --outputs then verifies.
    """
    from keras_resnet.export.bundle import name_folder, require_new

    found = find_file(runs, file)
    folder = save or name_folder(found)
    require_new(folder)
    from keras_resnet.export.bundle import write_bundle
    from keras_resnet.export.evaluate import RunLookup
    from keras_resnet.run import runs_home

    manifest = write_bundle(found, folder, samples, RunLookup(runs_home(runs), of_run), console.log)
    images = counted(manifest["images"]["count"], "image")
    console.log(f"{manifest['model']['file']} and {images} for it; how to run them: {folder / 'README.md'}")
    console.emit(str(folder))
