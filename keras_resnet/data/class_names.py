"""Names of classes: what a label may be, and which one a folder's name is."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from keras_resnet.errors import DataError
from keras_resnet.progress import Log
from keras_resnet.runtime.image_files import readable_name
from keras_resnet.runtime.plurals import join_words


def label_from_folder(folder: Path) -> str:
    """Return the label that a class folder's name is: its bytes as UTF-8 whatever the locale, composed (NFC), since
    macOS writes é in two characters where others write it in one.

    Raises DataError for a name that is not UTF-8.
    """
    try:
        return unicodedata.normalize("NFC", os.fsencode(folder.name).decode())
    except UnicodeError as error:
        raise DataError(
            f"class folder {readable_name(folder)} has a name that is not UTF-8, as labels are; rename it"
        ) from error


def is_utf8(text: str) -> bool:
    """Return whether UTF-8 can hold `text`: not with half a letter in it, or a byte of a file's name that is none."""
    try:
        text.encode()
    except UnicodeError:
        return False
    return True


def log_similar_names(classes: Sequence[str], log: Log) -> None:
    """Warn by `log` of classes whose names differ in case, spaces, - or _ alone: one class in two, most likely."""
    by_sound: dict[str, list[str]] = {}
    for label in classes:
        by_sound.setdefault(re.sub(r"[\s_-]+", "", label.casefold()), []).append(label)
    for alike in by_sound.values():
        if len(alike) > 1:
            names = join_words([repr(each) for each in alike])
            log(f"warning: classes with almost the same name: {names}, which are learned as different ones")


class OneClassError(DataError):
    """Data of a single class: nothing that was logged of them matters beside that."""


def require_labels(labels: Sequence[str], of: str) -> None:
    """Raise DataError for labels that a file of one label a line cannot hold, that are empty, or there twice.

    of: whose they are, in words.
    """
    for label in labels:
        if not label.strip():
            raise DataError(f"{of}: a label must have a character that is seen. Received: {label!r}")
        if label.splitlines() != [label]:
            raise DataError(f"{of}: a label must be one line, without a line break of any kind. Received: {label!r}")
        if not is_utf8(label):
            raise DataError(f"{of}: a label must be text that UTF-8 can hold. Received: {label!r}")
    if twice := [label for label, times in Counter(labels).items() if times > 1]:
        raise DataError(f"{of}: each label must be there once. Received twice: {', '.join(map(repr, twice))}")
