"""What `kresnet robustness` and `Run.robustness` measure: each setting is declared once.

Imports nothing that a command's help can do without.
"""

from __future__ import annotations

from pydantic.dataclasses import dataclass

from keras_resnet.config.option_groups import OTHER
from keras_resnet.config.section import STRICT, OptionsSection
from keras_resnet.config.settings import Option, setting
from keras_resnet.config.training import MAX_SEED
from keras_resnet.errors import UsageError

# Images, each of which is evaluated nearly a hundred times by each model.
DEFAULT_SAMPLES = 200
NO_FILES = "none"
LEAST, MOST = 1, 5


def require_alone(files: tuple[str, ...]) -> None:
    """Raise UsageError where "none" stands among other names of files."""
    if NO_FILES in files and len(files) > 1:
        raise UsageError(f"--files {NO_FILES} leaves all files out; it goes with no other name")


@dataclass(frozen=True, config=STRICT)
class RobustnessSettings(OptionsSection):
    """Which corruptions of which images to evaluate a run's model and files on."""

    corruptions: tuple[str, ...] = setting(
        (),
        "Corruptions, or groups: noise,blur,weather,digital,geometry,camera.",
        Option("--corruptions", OTHER, "all", "NAMES"),
    )
    severities: tuple[int, ...] = setting(
        (), "How bad images are, 1 to 5: 1,3,5.", Option("--severities", OTHER, "all five", "NUMBERS")
    )
    samples: int = setting(
        DEFAULT_SAMPLES, "Validation images, drawn by a fixed seed.", Option("--samples", OTHER), ge=1
    )
    seed: int = setting(0, "Seed of the corruptions' chance.", Option("--seed", OTHER), ge=0, le=MAX_SEED)
    files: tuple[str, ...] = setting(
        (),
        "Exported files of RUN: int8,float32.tflite; none: the Keras model alone.",
        Option("--files", OTHER, "all that passed", "NAMES"),
    )

    def __post_init__(self) -> None:
        for severity in self.severities:
            if not LEAST <= severity <= MOST:
                raise UsageError(f"--severities must be whole numbers, {LEAST} to {MOST}. Received: {severity}")
        require_alone(self.files)

    @property
    def chosen_severities(self) -> tuple[int, ...]:
        """The severities in order, each once."""
        return tuple(sorted(set(self.severities))) or tuple(range(LEAST, MOST + 1))
