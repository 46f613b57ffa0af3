"""What `kresnet push` and `Run.push` publish, and how: each setting is declared once.

Imports nothing that a command's help can do without.
"""

from __future__ import annotations

import re

from pydantic.dataclasses import dataclass

from keras_resnet.config.option_groups import OTHER
from keras_resnet.config.section import STRICT, OptionsSection, not_allowed
from keras_resnet.config.settings import Option, setting
from keras_resnet.export.robustness_settings import require_alone

_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]*")


@dataclass(frozen=True, config=STRICT)
class PublishSettings(OptionsSection):
    """What of a run goes to the Hugging Face hub, and who may see it."""

    private: bool = setting(
        False, "Show a new repository to nobody but you, or to your organization.", Option("--private", OTHER)
    )
    files: tuple[str, ...] = setting(
        (),
        "Exported files to publish: int8,model.onnx; none: only the Keras model.",
        Option("--files", OTHER, "all that passed", "NAMES"),
    )
    license: str | None = setting(
        None,
        "License of the model, as the hub names it: apache-2.0, mit, cc-by-4.0, …",
        Option("--license", OTHER, "none is stated", "NAME"),
    )
    message: str | None = setting(
        None, "Message of the commit.", Option("--message", OTHER, "names the run", "TEXT"), allowed="a line of text"
    )

    def __post_init__(self) -> None:
        require_alone(self.files)
        if self.license is not None and not _LICENSE.fullmatch(self.license):
            raise not_allowed("--license", self.license, "a name such as apache-2.0, mit or cc-by-4.0")
        if self.message is not None and not (self.message.strip() and self.message.isprintable()):
            raise not_allowed("--message", self.message, "a line of text")
