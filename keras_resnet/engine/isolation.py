"""A network that only the workers of one launch are in. Imports no TensorFlow.

TensorFlow's runtime for several workers takes connections on all addresses of the machine, whatever TF_CONFIG says, and
asks nobody who they are.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import struct
import subprocess
import sys
from pathlib import Path

from keras_resnet.weights.sources import is_named

# From <linux/sched.h>, <linux/sockios.h> and <linux/if.h>.
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000
_SET_FLAGS, _IS_UP = 0x8914, 1
# What a training is asked for that needs the network.
NEEDING = ("--download", "--track")


def obstacle(arguments: list[str]) -> str | None:
    """Why workers with `arguments` cannot have a network of their own; None if they can."""
    for each in arguments:
        if each.startswith(NEEDING) or is_named(each.removeprefix("--from=")):
            return f"{each} needs the network"
    if shutil.which("nvidia-smi"):
        return "GPUs of several workers look for a network device"
    try:
        subprocess.run([sys.executable, "-c", ""], preexec_fn=new_network, check=True)
    except (OSError, subprocess.SubprocessError):
        return "this system does not allow it"
    return None


def new_network() -> None:
    """Move this process, which must have one thread only, into a new network with nothing but 127.0.0.1.

    Anybody but root needs a user namespace for that (user_namespaces(7)), in which the same user has the same files.
    Raises OSError where the system does not allow it.
    """
    user, group = os.geteuid(), os.getegid()
    _call("unshare", _NEW_NETWORK if user == 0 else _NEW_USER | _NEW_NETWORK)
    if user != 0:
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh22x", b"lo", _IS_UP))


def join_network(process: int) -> None:
    """Move this process into the network of another one of ours."""
    for kind in ("user", "net"):
        theirs = f"/proc/{process}/ns/{kind}"
        if os.readlink(theirs) != os.readlink(f"/proc/self/ns/{kind}"):
            with open(theirs, "rb") as namespace:
                _call("setns", namespace.fileno(), 0)


def _call(name: str, *arguments: int) -> None:
    """Python has os.unshare and os.setns from 3.12 on."""
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
