"""A network of their own for the workers of one launch. Imports no TensorFlow.

TensorFlow's distributed runtime accepts connections on all addresses of the machine, whatever TF_CONFIG says, without
authentication.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

from keras_resnet.pretrained.hub import is_hub_name
from keras_resnet.training import gpus

# From <linux/sched.h>, <linux/sockios.h> and <linux/if.h>.
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000
_SET_FLAGS, _IS_UP = 0x8914, 1
# The one that owns the other first: nobody else may enter that.
NAMESPACES = ("user", "net")
# What a training is asked for that needs the network.
NETWORK_OPTIONS = ("--download", "--track")


def find_obstacle(arguments: list[str]) -> str | None:
    """Return why workers with `arguments` cannot have a network of their own; None if they can, where the system allows
    it."""
    for argument in arguments:
        if argument.startswith(NETWORK_OPTIONS) or is_hub_name(argument.removeprefix("--weights=")):
            return f"{argument} needs the network"
    return "GPUs of several workers look for a network device" if gpus.list_visible_gpus() else None


class Network:
    """A network with nothing but 127.0.0.1, which exists until it is closed.

    Raises OSError if the system allows none.
    """

    def __init__(self) -> None:
        holder = [sys.executable, "-c", "input()"]
        try:
            with subprocess.Popen(holder, stdin=subprocess.PIPE, preexec_fn=enter_new_network) as process:
                self._namespaces = [os.open(f"/proc/{process.pid}/ns/{kind}", os.O_RDONLY) for kind in NAMESPACES]
                process.kill()
        except subprocess.SubprocessError as error:
            raise OSError(str(error)) from error

    def enter(self) -> None:
        """Move this process, which must have one thread only, into it."""
        for kind, namespace in zip(NAMESPACES, self._namespaces, strict=True):
            if os.fstat(namespace).st_ino != os.stat(f"/proc/self/ns/{kind}").st_ino:
                _call_libc("setns", namespace, 0)

    def close(self) -> None:
        """Let go of it; the processes in it keep it."""
        for namespace in self._namespaces:
            os.close(namespace)


def enter_new_network() -> None:
    """Move this process, which must have one thread only, into a new network with nothing but 127.0.0.1.

    Anybody but root needs a user namespace for that (user_namespaces(7)), in which the same user has the same files.
    Raises OSError where the system does not allow it.
    """
    user, group = os.geteuid(), os.getegid()
    _call_libc("unshare", _NEW_NETWORK if user == 0 else _NEW_USER | _NEW_NETWORK)
    if user != 0:
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh22x", b"lo", _IS_UP))


def _call_libc(name: str, *arguments: int) -> None:
    """Call a function that Python has as os.unshare and os.setns from 3.12 on. Raises OSError."""
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
