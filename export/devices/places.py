"""The devices that --on names, each with how files are run on it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from keras_resnet.errors import UsageError, require_one_of
from keras_resnet.export.device_settings import DeviceSettings
from keras_resnet.export.devices import find_device
from keras_resnet.export.devices.base import ACCELERATORS, CPU, RUNTIMES, Device, RunSettings

_WITH_ACCELERATOR = re.compile(rf"(?P<where>.+):(?P<accelerator>{'|'.join(ACCELERATORS)})")


@dataclass(frozen=True)
class Place:
    """A device, and how files are run on it."""

    device: Device
    settings: RunSettings


def find_places(settings: DeviceSettings) -> list[Place]:
    """Return the devices that --on names, each with its accelerator. Raises UsageError for what is no device, or asks
    for what a device does not have."""
    require_one_of("--accelerator", settings.accelerator, ACCELERATORS)
    require_one_of("--runtime", settings.runtime, RUNTIMES)
    places: list[Place] = []
    devices: dict[str, Device] = {}
    for word in settings.on:
        match = _WITH_ACCELERATOR.fullmatch(word)
        where, accelerator = (match["where"], match["accelerator"]) if match else (word, settings.accelerator)
        wanted = RunSettings(**{**vars(settings), "accelerator": accelerator})
        # With another accelerator it is the same device.
        device = devices.setdefault(where, find_device(where))
        device.require_possible(wanted)
        places.append(Place(device, wanted))
    _require_used(settings, places)
    return places


def _require_used(settings: DeviceSettings, places: list[Place]) -> None:
    """Raise UsageError for settings that none of `places` has."""
    defaults = DeviceSettings()
    for kinds, names in (("machines that a command reaches", ("keep", "install")), ("browsers", ("host", "port"))):
        for name in names:
            is_given = getattr(settings, name) != getattr(defaults, name)
            if places and is_given and not any(name in place.device.own_settings for place in places):
                raise UsageError(f"{settings.key(name)} is for {kinds}; none of --on is one")
    if places and settings.allow_fallback and all(place.settings.accelerator == CPU for place in places):
        raise UsageError("--allow-fallback has an effect only with a GPU or an NPU, as in --on local:gpu")
