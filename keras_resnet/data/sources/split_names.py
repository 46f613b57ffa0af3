"""Recognize folders that are named for splits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

SPLITS = {
    "train": ("train", "training", "trn", "trainval"),
    "validation": ("val", "valid", "validation", "validate", "validating", "dev", "devel", "eval", "evaluation"),
    "test": ("test", "testing", "tst"),
}
_SPLIT_NAMES = {name: split for split, names in SPLITS.items() for name in names}
_SET = re.compile(r"[ _-]?(set|split|data|images|imgs)$")


def split_of(folder: str) -> str | None:
    """Return which split a folder of that name usually is: "train", "validation", "test" or None."""
    return _SPLIT_NAMES.get(_SET.sub("", folder.casefold()))


def find_inner_splits(folder: Path, files: Sequence[Path]) -> list[str]:
    """Return the names of the folders of several splits that lie in `folder`, with some of `files` in them; none where
    those are of one split: a vehicle's parts may be called train."""
    depth = len(folder.parts)
    names = sorted({file.parts[depth] for file in files if len(file.parts) > depth + 1})
    splits = {name: split for name in names if (split := split_of(name))}
    return list(splits) if len(set(splits.values())) > 1 else []
