"""What --on names: a device, several, or none; and the command that starts one."""

import shlex
import sys

import pytest

from keras_resnet.errors import UsageError
from keras_resnet.export.device_settings import DeviceSettings
from keras_resnet.export.devices import find_device
from keras_resnet.export.devices.commands import BOOT, CommandDevice
from keras_resnet.export.devices.places import find_places


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("ssh://", "--on must be ssh://USER@HOST or ssh://USER@HOST:PORT. Received: ssh://"),
        ("ssh://-oProxyCommand=true", "--on must be ssh://USER@HOST"),
        ("ssh://pi@host:port", "--on must be ssh://USER@HOST"),
        ("ssh://pi@host:0", "the port of ssh must be from 1 to 65535. Received: ssh://pi@host:0"),
        ("ssh://pi@host:65536", "the port of ssh must be from 1 to 65535. Received: ssh://pi@host:65536"),
        ("ssh", "--on names another machine as ssh://USER@HOST. Received: 'ssh'"),
        ("pi@raspberrypi.local", "--on names another machine as ssh://pi@raspberrypi.local."),
        ("", "--on must be local (this machine), tflm ("),
        ("-x", "--on must be local (this machine), tflm ("),
        ("sh 'x", "--on must be local (this machine), tflm ("),
        ("no-such-program x", "--on starts a command, and there is no program 'no-such-program' here. Received: 'no-"),
        ("/no/such/python3", "--on starts a command, and there is no program '/no/such/python3' here. Received: "),
        ("local gpu", "there is no program 'local' here. Received: 'local gpu'. Did you mean 'local:gpu'?"),
        ("chromum", "Did you mean 'chromium'?"),
        ("cuda", "Did you mean 'local:gpu'?"),
        ("pixel9", "by its browser: --on browser --host 0.0.0.0 prints an address, and a QR code"),
        ("usb://phone", "by its browser: --on browser --host 0.0.0.0 prints an address, and a QR code"),
    ],
)
def test_what_is_no_device_is_a_wrong_request(where, words):
    with pytest.raises(UsageError) as caught:
        device = find_device(where)
        assert isinstance(device, CommandDevice)
        device.command  # noqa: B018 (which parses it)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("on", "devices"),
    [
        (("local,tflm",), ["local", "tflm"]),
        (("local:gpu, local", "tflm"), ["local", "local", "tflm"]),
        # A command may have commas in it.
        ((f"{shlex.quote(sys.executable)} -c a,b",), [f"{shlex.quote(sys.executable)} -c a,b"]),
    ],
)
def test_several_devices_stand_with_commas_between(on, devices):
    assert [place.device.where for place in find_places(DeviceSettings(on=on))] == devices


def test_words_reach_the_shell_at_the_other_end(monkeypatch, tmp_path):
    """As ssh does: the words in one line, to a shell."""
    fake = tmp_path / "ssh"
    fake.write_text('#!/bin/sh\nshift\nexec sh -c "$*"\n')
    fake.chmod(0o755)
    device = find_device(shlex.join([str(fake), "host", sys.executable]))
    started = []
    monkeypatch.setattr("keras_resnet.export.devices.commands._start", lambda command, errors: started.append(command))
    with pytest.raises(AttributeError):  # of what was not started
        device.start(None)
    assert shlex.split(" ".join(started[0][2:])) == [sys.executable, "-c", BOOT]


@pytest.mark.parametrize(
    ("where", "emulated"),
    [
        ("qemu-aarch64 -cpu cortex-a76 -L root root/usr/bin/python3", True),
        ("docker run -i --platform linux/riscv64 image", True),
        ("docker run -i --platform=linux/riscv64 image", True),
        ("docker run -i image", False),
        ("ssh pi@raspberrypi.local", False),
    ],
)
def test_times_of_emulators_are_known_to_mean_nothing(where, emulated):
    assert CommandDevice(where).is_emulated is emulated
