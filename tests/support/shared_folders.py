"""Folders that take long to make, made once for all processes of a test run."""

import fcntl
import os
import shutil


def make_once(tmp_path_factory, name, make):
    """A folder of this process that holds what `make(folder)` makes: one process makes it, the others copy it."""
    own = tmp_path_factory.mktemp(name)
    if "PYTEST_XDIST_WORKER" not in os.environ:
        make(own)
        return own
    made = tmp_path_factory.getbasetemp().parent / f"made-{name}"
    with open(f"{made}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        finished = made / "finished"
        if not finished.exists():
            made.mkdir(exist_ok=True)  # what is made there may name the folder
            make(made)
            finished.touch()
    return shutil.copytree(made, own, dirs_exist_ok=True)
