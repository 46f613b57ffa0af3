"""A file that one process has opened is not tried again where a test opens a copy of it: each try starts a process, and
one for a SavedModel starts TensorFlow."""

import hashlib
from contextlib import contextmanager

import pytest

from keras_resnet.export.formats import saved_model
from keras_resnet.runtime import sandbox

MAX_BYTES = 2**24
_genuine = sandbox.start_check


@contextmanager
def tried_once():
    """Skip the process for files of which one with the same content was opened in this session."""
    opened = set()

    def start_check(file, kind):
        if not (content := digest(file)):
            return _genuine(file, kind)
        if (key := (kind, content)) in opened:
            return lambda: None
        wait = _genuine(file, kind)

        def wait_and_note():
            wait()
            opened.add(key)

        return wait_and_note

    with patched(start_check):
        yield


@contextmanager
def patched(start_check=_genuine):
    """Let files be tried by `start_check`; by that of the product where none is given."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (sandbox, saved_model):
            patch.setattr(module, "start_check", start_check)
        yield


def digest(file):
    """Of the names and contents below a folder, or of a file's content; "" of what is large or no ordinary file."""
    found, parts = hashlib.sha256(), sorted(file.rglob("*")) if file.is_dir() else [file]
    if any(not (each.is_file() or each.is_dir()) or each.stat().st_size > MAX_BYTES for each in parts):
        return ""
    for each in parts:
        found.update(f"{each.relative_to(file)}\0".encode(errors="surrogateescape"))
        found.update(each.read_bytes() if each.is_file() else b"")
    return found.hexdigest()
