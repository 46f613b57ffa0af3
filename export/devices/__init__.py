"""Devices: where written files are run. To add one, write a subclass of `Device` and add it to `DEVICES`."""

from __future__ import annotations

import re
import shlex

from keras_resnet.errors import UsageError, did_you_mean
from keras_resnet.export.devices.base import Device
from keras_resnet.export.devices.browser import BrowserDevice, ChromiumDevice
from keras_resnet.export.devices.commands import CommandDevice, LocalDevice, MicroDevice, SSHDevice

# In the order in which they are asked whether --on names one of them; the last takes any command.
DEVICES: tuple[type[Device], ...] = (
    LocalDevice,
    MicroDevice,
    BrowserDevice,
    ChromiumDevice,
    SSHDevice,
    CommandDevice,
)

# What people type who mean a machine that ssh reaches.
HOST = re.compile(r"[\w.-]+@[\w.-]+")
# What people type who mean a phone.
PHONE = re.compile(r"(usb|adb)(:.*)?|.*(phone|pixel|galaxy|android|\bios|ipad|tablet|mobile).*", re.IGNORECASE)
# What people type who mean an accelerator of this machine.
ACCELERATOR_PLACES = {"cpu": "local:cpu", "gpu": "local:gpu", "cuda": "local:gpu", "npu": "local:npu"}


def find_device(where: str) -> Device:
    """Return the device that `where`, as --on has it, names. Raises UsageError if there is none."""
    if where == "ssh" or HOST.fullmatch(where):
        host = where if "@" in where else "USER@HOST"
        raise UsageError(f"--on names another machine as ssh://{host}. Received: {where!r}")
    for kind in DEVICES:
        if kind.recognizes(where):
            return kind(where)
    if PHONE.fullmatch(where):
        raise UsageError(
            "--on reaches a phone or a tablet by its browser: --on browser --host 0.0.0.0 prints an address, and a QR"
            f" code for its camera, to open there. Received: {where!r}"
        )
    names = [kind.name for kind in DEVICES if kind.recognizes(kind.name)]
    near = did_you_mean(where, [*names, *ACCELERATOR_PLACES.values()])
    if where in ACCELERATOR_PLACES:
        near = f" Did you mean {ACCELERATOR_PLACES[where]!r}?"
    places = ", ".join(kind.help for kind in DEVICES[:-1])
    wanted = f"--on must be {places}, or {DEVICES[-1].help}"
    if program := _find_program(where):
        wanted = f"--on starts a command, and there is no program {program!r} here"
    raise UsageError(f"{wanted}. Received: {where!r}.{near}".rstrip("."))


def _find_program(where: str) -> str:
    """Return the program of what is written as a command: several words, or a path; "" where it is not."""
    try:
        words = shlex.split(where)
    except ValueError:  # a quotation mark without the other
        return ""
    is_command = len(words) > 1 or "/" in where
    return words[0] if is_command and not where.startswith("-") else ""
