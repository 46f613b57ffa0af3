"""Which outputs `kresnet verify` verifies, by --outputs: each setting is declared once.

Imports nothing that a command's help can do without.
"""

from __future__ import annotations

from pydantic.dataclasses import dataclass

from keras_resnet.config.option_groups import DEVICE
from keras_resnet.config.section import STRICT, OptionsSection
from keras_resnet.config.settings import Option, setting
from keras_resnet.errors import UsageError


@dataclass(frozen=True, config=STRICT)
class OutputsSettings(OptionsSection):
    """Outputs that something else computed, and what computed them."""

    outputs: tuple[str, ...] = setting(
        (),
        "Verify outputs that were computed elsewhere: a .npz, .npy or .csv file, or a folder of .npy files (see"
        " kresnet bundle); repeatable.",
        Option("--outputs", DEVICE, metavar="RESULTS"),
    )
    where: tuple[str, ...] = setting(
        (),
        "What computed --outputs, such as 'Pixel 9, GPU'; repeatable, in the same order.",
        Option("--where", DEVICE, "the file's name", metavar="NAME"),
    )

    def pairs(self) -> list[tuple[str, str]]:
        """Return each of the outputs with what computed it, "" where that is not said. Raises UsageError for names
        that are not as many."""
        if self.where and not self.outputs:
            raise UsageError("--where says what computed outputs: name these with --outputs")
        if self.where and len(self.where) != len(self.outputs):
            raise UsageError(
                f"--where must be given once for each of --outputs. Received: {len(self.where)} for {len(self.outputs)}"
            )
        return list(zip(self.outputs, self.where or [""] * len(self.outputs), strict=True))
