"""Which image files could be read, remembered from one command to the next.

An entry holds as long as the file has its size and its time of change, and Pillow and kresnet their versions. It saves
looking at a file again; where pixels are wanted, the file is decoded in any case.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import PIL

from keras_resnet import __version__
from keras_resnet.atomic_write import write_atomically
from keras_resnet.errors import KresnetError

FORMAT = 1
# Of the cache as a whole; the documents that were written longest ago go first.
MAX_CACHE_BYTES = 256 * 2**20
MAX_CACHE_FILES = 100


class FileStamp(NamedTuple):
    """By what a file is known to be as it was: bytes, and nanoseconds of its last change."""

    size: int
    changed: int


@dataclass
class ReadabilityCache:
    """What is known of the images of the dataset at `root`. entries: a file's path below it → its stamp, and why it
    cannot be read ("": it can)."""

    root: Path
    document: Path | None = None
    entries: dict[str, tuple[FileStamp, str]] = field(default_factory=dict)
    is_changed: bool = False

    @classmethod
    def load(cls, root: Path, channels: int = 3) -> ReadabilityCache:
        """Return what is remembered of the dataset at `root`, read with so many `channels`; nothing where that cannot
        be read."""
        folder = cache_folder()
        if folder is None:
            return cls(root)
        # Gray or in colors any image can be had, of other channels only those that have them.
        kind = b"" if channels in (1, 3) else b"\0%d" % channels
        name = hashlib.sha256(os.fsencode(os.path.realpath(root)) + kind).hexdigest()[:32]
        known = cls(root, folder / f"{name}.json")
        assert known.document is not None
        # A damaged document is none.
        with suppress(OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
            saved = json.loads(known.document.read_text(encoding="utf-8"))
            if saved["decoder"] == describe_decoder():
                files = saved["files"].items()
                known.entries = {path: (FileStamp(int(size), int(at)), str(why)) for path, (size, at, why) in files}
        return known

    def find_error(self, path: Path, stamp: FileStamp | None) -> str | None:
        """Return why the file `path` cannot be read, "" if it can, or None where that is not known of its `stamp`."""
        known = self.entries.get(self._key(path))
        return known[1] if known and known[0] == stamp else None

    def note(self, path: Path, stamp: FileStamp | None, why: str) -> None:
        """Remember of `path` with that `stamp`, taken before it was read, `why` it cannot be read, or "" if it can."""
        if stamp is not None and self.entries.get(self._key(path)) != (stamp, why):
            self.entries[self._key(path)] = (stamp, why)
            self.is_changed = True

    def keep(self, listed: Iterable[Path]) -> None:
        """Write what is known of the files `listed`, whole or not at all; where that is not possible it is let be."""
        if self.document is None or not self.is_changed:
            return
        known = ((key, self.entries.get(key)) for key in map(self._key, listed))
        files = {key: (*entry[0], entry[1]) for key, entry in known if entry}
        text = json.dumps({"decoder": describe_decoder(), "files": files}, separators=(",", ":"))
        if len(text) > MAX_CACHE_BYTES:
            return
        with suppress(OSError, KresnetError):
            with write_atomically(self.document) as temporary:
                temporary.write_text(text, encoding="utf-8")
            _prune(self.document.parent)
        self.is_changed = False

    def _key(self, path: Path) -> str:
        return os.path.relpath(path, self.root)


def stamp_file(path: Path) -> FileStamp | None:
    """Return the stamp of a file; None where it cannot be had."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return FileStamp(found.st_size, found.st_mtime_ns)


def cache_folder() -> Path | None:
    """Return where documents lie: kresnet/readable in the user's cache; None without a home."""
    home = cache_home()
    return None if home is None else home / "readable"


def cache_home() -> Path | None:
    """Return kresnet's folder in the user's cache: in XDG_CACHE_HOME, else in ~/.cache; None without a home."""
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    try:
        home = Path(chosen) if os.path.isabs(chosen) else Path.home() / ".cache"
    except RuntimeError:
        return None
    return home / "kresnet"


def describe_decoder() -> str:
    """On what it depends, beside the file, whether an image can be read."""
    limit = os.environ.get("KRESNET_MAX_MEGAPIXELS", "")
    return (
        f"kresnet {__version__}, Pillow {PIL.__version__}, tifffile {'there' if find_spec('tifffile') else 'missing'},"
        f" format {FORMAT}, at most {limit or 'the usual'} megapixels"
    )


def _prune(folder: Path) -> None:
    """Remove the oldest documents beyond what the cache may hold."""
    documents = [(file, file.stat()) for file in folder.glob("*.json")]
    size = 0
    for number, (file, status) in enumerate(sorted(documents, key=lambda each: each[1].st_mtime, reverse=True)):
        size += status.st_size
        if size > MAX_CACHE_BYTES or number >= MAX_CACHE_FILES:
            file.unlink(missing_ok=True)
