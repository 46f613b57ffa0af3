"""Devices: where written files are run. To add one, write a subclass of `Device` and add it to `DEVICES`."""

from __future__ import annotations

from keras_resnet.errors import UsageError
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


def find_device(where: str) -> Device:
    """Return the device that `where`, as --on has it, names. Raises UsageError if there is none."""
    for kind in DEVICES:
        if kind.recognizes(where):
            return kind(where)
    raise UsageError(f"--on must be {'; '.join(kind.help for kind in DEVICES)}. Received: {where!r}")
