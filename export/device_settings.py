"""Where `kresnet verify` and `kresnet export` run files, by --on: each setting is declared once.

Imports nothing that a command's help can do without.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic.dataclasses import dataclass

from keras_resnet.config.option_groups import DEVICE
from keras_resnet.config.section import STRICT, OptionsSection
from keras_resnet.config.settings import Option, setting
from keras_resnet.errors import UsageError

Accelerator = Literal["cpu", "gpu", "npu"]
Runtime = Literal["interpreter", "compiled-model", "openvino"]


@dataclass(frozen=True, config=STRICT)
class DeviceSettings(OptionsSection):
    """Where files are run, and how."""

    on: tuple[str, ...] = setting(
        (),
        "Run the files there: local, tflm, chromium, browser, ssh://USER@HOST or a command; repeatable, and with an"
        " accelerator behind it, as in local:gpu.",
        Option("--on", DEVICE, metavar="WHERE"),
    )
    accelerator: Accelerator = setting(
        "cpu", "What computes on the device, unless --on names it, as local:gpu does.", Option("--accelerator", DEVICE)
    )
    runtime: Runtime = setting(
        "interpreter",
        "What runs a TFLite file: LiteRT's interpreter or compiled-model API (GPUs and NPUs always use the latter), or"
        " openvino.",
        Option("--runtime", DEVICE),
    )
    threads: int | None = setting(None, "Threads on the CPU of the device.", Option("--threads", DEVICE, "all"), ge=1)
    minutes: float = setting(
        0.0,
        "Go on measuring for X minutes, to see whether the device slows down as it gets warm.",
        Option("--minutes", DEVICE),
        ge=0,
    )
    timeout: float = setting(
        300.0, "Seconds without an answer after which a device is taken to be gone.", Option("--timeout", DEVICE), gt=0
    )
    allow_fallback: bool = setting(
        False,
        "Accept operators on the CPU though an accelerator was asked for.",
        Option("--allow-fallback", DEVICE),
    )
    keep: bool = setting(False, "Leave the file on the device, so that it is not sent again.", Option("--keep", DEVICE))
    install: bool = setting(
        False,
        "Install LiteRT on the device, by pip in a folder of its own, where it is missing.",
        Option("--install", DEVICE),
    )
    host: str = setting(
        "127.0.0.1",
        "Address that a browser's page is served at; 0.0.0.0 lets other machines open it.",
        Option("--host", DEVICE, metavar="ADDRESS"),
    )
    port: int | None = setting(
        None, "Port that a browser's page is served at.", Option("--port", DEVICE, "a free one"), ge=1, le=65535
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
        for name in sorted(vars(defaults)):
            if getattr(self, name) != getattr(defaults, name):
                raise UsageError(
                    f"{self.key(name)} is for files that run on devices: name one, such as this machine: --on local"
                )
