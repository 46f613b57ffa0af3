"""What `kresnet calibrate` and `Run.calibrate` fit: each setting is declared once.

Imports nothing that a command's help can do without.
"""

from __future__ import annotations

from typing import Literal

from pydantic.dataclasses import dataclass

from keras_resnet.config.option_groups import OTHER
from keras_resnet.config.section import STRICT, OptionsSection
from keras_resnet.config.settings import Option, setting
from keras_resnet.config.training import MAX_SEED

DEFAULT_ACCEPT = 0.95
# Settings of what is fitted to classifiers alone.
OF_CLASSIFIERS = ("accept", "score", "unknown")
ScoreName = Literal["energy", "max-logit"]


@dataclass(frozen=True, config=STRICT)
class CalibrationSettings(OptionsSection):
    """By what rule images are rejected, and on which images all that is fitted is fitted."""

    accept: float = setting(
        DEFAULT_ACCEPT,
        "Of classifiers: share of the validation images that the rule for unknown images accepts.",
        Option("--accept", OTHER),
        gt=0,
        le=1,
    )
    score: ScoreName = setting(
        "energy",
        "Of classifiers: what the rule looks at: energy, of all logits, or max-logit.",
        Option("--score", OTHER),
    )
    unknown: str | None = setting(
        None,
        "Of classifiers: folder of images that are of none of the classes, to measure the rule on.",
        Option("--unknown", OTHER, "generated ones", "DIR"),
    )
    samples: int | None = setting(
        None, "Validation images, drawn by a fixed seed.", Option("--samples", OTHER, "all"), ge=2
    )
    seed: int = setting(
        0, "Seed of the halves of the check, and of generated images.", Option("--seed", OTHER), ge=0, le=MAX_SEED
    )
