"""What a search is asked for, by `kresnet search` or by `keras_resnet.search`: each setting is declared once.

Imports nothing that a command's help can do without.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from keras_resnet.config.data import Fit
from keras_resnet.config.network import MAX_CHANNELS
from keras_resnet.config.option_groups import COMMON, DATA, FILES, MODEL, OTHER, TRAINING, VERDICT
from keras_resnet.config.section import STRICT, OptionsSection
from keras_resnet.config.settings import OneOf, Option, setting
from keras_resnet.config.training import MAX_SEED
from keras_resnet.errors import UsageError
from keras_resnet.export.formats import FORMATS
from keras_resnet.export.settings import TFLITE

DEFAULT_TRIALS = 20
# Settings of devices that a search takes.
PLACE_SETTINGS = ("on", "accelerator", "runtime", "threads")
# Points of accuracy that a file may lose to its float model, as of an export.
MAX_DROP = 1.0


@dataclass(frozen=True, config=STRICT)
class SearchSettings(OptionsSection):
    """Within which budget to search, among which networks and for how long."""

    data: str = setting(
        "", "Images to train on: what kresnet train --data takes.", Option("--data", COMMON, metavar="DATA")
    )
    budget: str = setting(
        "",
        "Limits of the exported file: latency, size, memory, arena (RAM on a microcontroller) or macs (multiply-adds),"
        " as in 'latency<=20ms,size<=2MB'.",
        Option("--budget", COMMON, metavar="LIMITS"),
    )
    trials: int | None = setting(
        None, "End when N networks have been trained.", Option("--trials", COMMON, str(DEFAULT_TRIALS)), ge=1
    )
    hours: float | None = setting(
        None, "Begin no further training after H hours.", Option("--hours", COMMON, metavar="H"), "above 0", gt=0
    )
    dry_run: bool = setting(
        False, "Only estimate which networks are within the budget, and train none.", Option("--dry-run", COMMON)
    )
    name: str | None = setting(
        None, "Name of the search and of its runs.", Option("--name", COMMON, "made from the data")
    )
    model: tuple[str, ...] = setting(
        (),
        "Networks to choose among, such as resnet8,resnet20v2.",
        Option("--model", MODEL, "residual networks with at most twice the multiply-adds of the default", "NAMES"),
    )
    depth: tuple[int, ...] = setting(
        (),
        "Depths of ResNets to choose among, such as 8,14,20; in place of --model.",
        Option("--depth", MODEL, metavar="NUMBERS"),
    )
    width: tuple[Annotated[float, Field(gt=0)], ...] = setting(
        (),
        "Width factors to choose among, such as 0.5,1.",
        Option("--width", MODEL, "0.25,0.5,0.75,1,1.5", "NUMBERS"),
        "above 0",
    )
    image_size: tuple[str, ...] = setting(
        (),
        "Image sizes to choose among, such as 48,64 or 96x128.",
        Option("--image-size", DATA, "chosen from the data", "SIZES"),
    )
    channels: tuple[Annotated[int, Field(ge=1, le=MAX_CHANNELS)], ...] = setting(
        (),
        f"Numbers of channels to choose among, 1 to {MAX_CHANNELS}.",
        Option("--channels", DATA, "1,3, or those of the data", "NUMBERS"),
        f"1 to {MAX_CHANNELS}",
    )
    fit: tuple[Fit, ...] = setting(
        (),
        "Values of --fit (see kresnet train) to choose among, such as crop,pad.",
        Option("--fit", DATA, "chosen from the data", "NAMES"),
    )
    data_dir: str | None = setting(None, "Folder of prepared TFDS datasets.", Option("--data-dir", DATA, metavar="DIR"))
    epochs: int | None = setting(
        None,
        "Epochs of a training that is not ended early; half as many are tried, too.",
        Option("--epochs", TRAINING, "twice those of kresnet train"),
        ge=1,
    )
    sampler: Literal["tpe", "random"] = setting(
        "tpe",
        "Which sampler proposes networks and recipes: tpe (Bergstra et al. 2011) or random.",
        Option("--sampler", TRAINING),
    )
    seed: int = setting(0, "Seed of the proposals and of each training.", Option("--seed", TRAINING), ge=0, le=MAX_SEED)
    format: Annotated[str, OneOf(tuple(FORMATS))] = setting(
        TFLITE, "Format of the exported file.", Option("--format", FILES, metavar="NAME")
    )
    quantize: str = setting(
        "int8", "Quantization scheme of that file: see kresnet export.", Option("--quantize", FILES, metavar="SCHEME")
    )
    max_drop: float = setting(
        MAX_DROP,
        "Percentage points of accuracy that the file may lose to its model.",
        Option("--max-drop", VERDICT),
        "between 0 and 100 points",
        ge=0,
        le=100,
    )
    runs: str | None = setting(
        None, "Folder of the runs.", Option("--runs", OTHER, "KRESNET_RUNS, else saved_models/", "DIR")
    )

    def require_possible(self) -> None:
        """Raise UsageError for what is missing, or excludes each other."""
        if not self.data:
            raise UsageError("search needs --data: a folder of images, a table of their labels, or a dataset by name")
        if not self.budget:
            raise UsageError("search needs --budget: what the file may cost, as in --budget 'latency<=20ms,size<=2MB'")
        if self.trials is not None and self.hours is not None:
            raise UsageError("--trials and --hours both say when the search ends; give one of them")
        if self.model and self.depth:
            raise UsageError("--model names whole networks; it takes no --depth")
        if self.dry_run and (self.trials is not None or self.hours is not None):
            raise UsageError("--dry-run trains nothing; it takes no --trials and no --hours")
