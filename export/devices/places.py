"""The devices that --on names, each with how files are run on it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

from keras_resnet.errors import UsageError, require_one_of
from keras_resnet.export.device_settings import DeviceSettings
from keras_resnet.export.devices import DEVICES, find_device
from keras_resnet.export.devices.base import (
    ACCELERATORS,
    CPU,
    RUNTIMES,
    Device,
    NoAcceleratorError,
    RunSettings,
    UnreachableDeviceError,
    UnusableDeviceError,
)
from keras_resnet.export.devices.commands import CommandDevice
from keras_resnet.progress import Log, show_activity
from keras_resnet.runtime.tflite_model import TFLiteModel

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
    for word in chain.from_iterable(map(_split, settings.on)):
        match = _WITH_ACCELERATOR.fullmatch(word)
        where, accelerator = (match["where"], match["accelerator"]) if match else (word, settings.accelerator)
        wanted = RunSettings(**{**vars(settings), "accelerator": accelerator})
        # With another accelerator it is the same device.
        device = devices.setdefault(where, find_device(where))
        device.require_possible(wanted)
        places.append(Place(device, wanted))
    _require_used(settings, places)
    return places


def _split(word: str) -> list[str]:
    """Return the devices that `word` names, with commas between; a command with commas in it is one."""
    parts = [part.strip() for part in word.split(",")]
    names = [match["where"] if (match := _WITH_ACCELERATOR.fullmatch(part)) else part for part in parts]
    are_devices = all(any(kind.recognizes(name) for kind in DEVICES if kind is not CommandDevice) for name in names)
    return parts if are_devices else [word]


@dataclass(frozen=True)
class UsablePlaces:
    """places: those whose device can be used. failures: why no file can be run on the others, a sentence for each."""

    places: tuple[Place, ...] = ()
    failures: tuple[str, ...] = ()

    @classmethod
    def test(cls, places: Sequence[Place], log: Log, is_alone: bool = True) -> UsablePlaces:
        """Try to reach each device of `places`, once. is_alone: whether nothing is left to do where none can be used;
        then UnusableDeviceError is raised."""
        failures: dict[Device, str] = {}
        for device, place in {place.device: place for place in reversed(places)}.items():
            try:
                with show_activity(f"connecting to {device.where}"):
                    device.require_usable(place.settings, log)
            except UnreachableDeviceError as error:
                failures[device] = f"{device.where} could not be reached: {error}"
            except UnusableDeviceError as error:
                failures[device] = f"no file can be run on {device.where}: {error}"
        usable = tuple(place for place in places if place.device not in failures)
        return cls._of(usable, tuple(failures.values()), log, is_alone)

    def with_accelerators(self, model: TFLiteModel, log: Log, is_alone: bool = True) -> UsablePlaces:
        """Return those of the places whose device has the accelerator that is asked for, as the file of `model` shows.
        is_alone: see `test`."""
        usable: list[Place] = []
        failures: list[str] = []
        for place in self.places:
            try:
                with show_activity(f"looking for the {place.settings.accelerator.upper()} of {place.device.where}"):
                    place.device.require_accelerator(model, place.settings)
                usable.append(place)
            except NoAcceleratorError as error:
                failures.append(describe_missing_accelerator(place, error))
        if not failures:
            return self
        found = self._of(tuple(usable), tuple(failures), log, is_alone)
        return replace(found, failures=(*self.failures, *found.failures))

    @classmethod
    def _of(cls, usable: tuple[Place, ...], failures: tuple[str, ...], log: Log, is_alone: bool) -> UsablePlaces:
        if failures and not usable and is_alone:
            raise UnusableDeviceError("; ".join(failures))
        for failure in failures:
            log(failure)
        return cls(usable, failures)


def describe_missing_accelerator(place: Place, error: NoAcceleratorError) -> str:
    """Return why no file can be run on the accelerator of a place, and what can."""
    where = f"{place.device.where}, {place.settings.accelerator.upper()}"
    return f"no file can be run on {where}: {str(error).rstrip('.')}; --accelerator cpu runs files on its CPU"


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
