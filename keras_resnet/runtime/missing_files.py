"""Say of a file that is not there which ones are. Imports nothing beyond this folder: it goes to devices too."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from .plurals import join_words

MAX_NAMES = 8
# Of a kind of file, and not the end of a run's name such as "resnet20-rate0.1".
_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,11}")


def looks_like_file(name: str) -> bool:
    """Return whether a `name` that may be a run's is rather the path of a file: it has a separator or a suffix."""
    return os.sep in name or bool(_SUFFIX.fullmatch(Path(name).suffix))


def describe_missing(path: Path, is_alike: Callable[[Path], bool]) -> str:
    """Return that there is no file `path`, with the files of its folder that are alike, or the folder that is missing
    too."""
    words, folder = f"there is no file {path}", path.parent
    if not folder.is_dir():
        missing = next(each for each in reversed([folder, *folder.parents]) if not each.is_dir())
        return f"{words}, nor a folder {missing}"
    try:
        names = sorted(each.name for each in folder.iterdir() if not each.name.startswith(".") and is_alike(each))
    except OSError:  # a folder that may not be read
        return words
    if not names:
        return words
    more = len(names) - MAX_NAMES
    listed = join_words([*names[:MAX_NAMES], f"{more} more"] if more > 0 else names)
    return f"{words}; {'this folder' if folder == Path() else folder} has {listed}"
