"""Where `kresnet verify` and `kresnet export` run files, by --on: each setting is declared once.

Imports nothing that a command's help can do without.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic.dataclasses import dataclass

from keras_resnet.config.option_groups import DEVICE
from keras_resnet.config.section import STRICT, OptionsSection
from keras_resnet.config.settings import Option, iterate_settings, setting
from keras_resnet.errors import UsageError
from keras_resnet.runtime.plurals import join_words
from keras_resnet.runtime.threads import MAX_THREADS

Accelerator = Literal["cpu", "gpu", "npu"]
Runtime = Literal["interpreter", "compiled-model", "openvino"]


@dataclass(frozen=True, config=STRICT)
class DeviceSettings(OptionsSection):
    """Where files are run, and how."""

    on: tuple[str, ...] = setting(
        (),
        "Run the TFLite files on this device: ssh://USER@HOST, local (this machine), chromium, browser, tflm (a"
        " microcontroller's kernels) or a command that starts Python; repeatable. local:gpu names an accelerator, too.",
        Option("--on", DEVICE, metavar="WHERE"),
    )
    accelerator: Accelerator = setting(
        "cpu",
        "Accelerator of the device to use, unless --on names it, as in local:gpu.",
        Option("--accelerator", DEVICE),
    )
    runtime: Runtime = setting(
        "interpreter",
        "Runtime of TFLite files: interpreter or compiled-model, both of LiteRT (GPUs and NPUs always use the latter),"
        " or openvino.",
        Option("--runtime", DEVICE),
    )
    threads: int | None = setting(
        None,
        "Number of threads on the CPU of the device.",
        Option("--threads", DEVICE, "all"),
        ge=1,
        le=MAX_THREADS,
    )
    minutes: float = setting(
        0.0,
        "Measure for X minutes, to see whether the device slows down as it gets warm.",
        Option("--minutes", DEVICE),
        ge=0,
    )
    timeout: float = setting(
        300.0, "Give up on a device that has not answered for X seconds.", Option("--timeout", DEVICE), gt=0
    )
    allow_fallback: bool = setting(
        False,
        "Accept that some operators run on the CPU although you asked for an accelerator.",
        Option("--allow-fallback", DEVICE),
    )
    keep: bool = setting(
        False, "Leave the file on the device, so that it does not have to be sent again.", Option("--keep", DEVICE)
    )
    install: bool = setting(
        False,
        "Install LiteRT on the device if it is missing: with pip, into a folder of its own.",
        Option("--install", DEVICE),
    )
    host: str = setting(
        "127.0.0.1",
        "Address at which a browser's page is served; with 0.0.0.0, other machines can open it.",
        Option("--host", DEVICE, metavar="ADDRESS"),
    )
    port: int | None = setting(
        None, "Port at which a browser's page is served.", Option("--port", DEVICE, "a free one"), ge=1, le=65535
    )

    @classmethod
    def take(cls, options: Mapping[str, Any]) -> tuple[Self, dict[str, Any]]:
        """Return the settings among `options`, and the other options. Raises UsageError for settings of a device where
        none is named."""
        settings, others = super().take(options)
        settings.require_used()
        return settings, others

    def require_used(self) -> None:
        """Raise UsageError for settings of a device where none is named."""
        if self.on:
            return
        defaults = DeviceSettings()
        choices = {each.key: each.choices for each in iterate_settings(DeviceSettings)}
        for name in sorted(vars(defaults)):
            if getattr(self, name) != getattr(defaults, name):
                allowed = f" ({join_words(choices[name], 'or')})" if choices[name] else ""
                raise UsageError(
                    f"{self.key(name)}{allowed} is for files that run on devices: name one, such as this machine: --on"
                    " local"
                )
