"""What a training's data are, in a few numbers: whether they have changed since can be asked."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping

from keras_resnet.data.split import Data, Split
from keras_resnet.run_files import Fingerprint

# A run's model has seen these.
SPLITS = ("train", "validation")


def fingerprints(data: Data) -> dict[str, Fingerprint]:
    """Of each split that a training uses, see `fingerprint_of`."""
    return {name: fingerprint_of(data.splits[name]) for name in SPLITS}


def fingerprint_of(split: Split) -> Fingerprint:
    """{"images": how many, "truth": the SHA-256 of labels, boxes and masks}, with that of the "pixels" which are in
    memory, or of the names and sizes of the "files" that are read in training."""
    found = Fingerprint(images=split.count, truth=_sha256(truth_bytes(split)))
    if split.pixels is not None:
        found["pixels"] = _sha256([split.pixels.tobytes()])
    elif files := getattr(split.images, "files", None):
        found["files"] = _sha256(f"{os.path.basename(file)} {os.path.getsize(file)}\n".encode() for file in files)
    return found


def truth_bytes(split: Split) -> Iterator[bytes]:
    """Labels, boxes and masks."""
    truth = split.truth if isinstance(split.truth, dict) else {"labels": split.truth}
    for name in sorted(truth):
        yield b"".join(truth[name].ravel()) if truth[name].dtype == object else truth[name].tobytes()


def changes(before: Mapping[str, Fingerprint], now: Mapping[str, Fingerprint]) -> str:
    """What differs, in words; '' where nothing does. Pixels and files are compared where both are known."""
    return "; ".join(words for name in SPLITS if name in before for words in _changed(name, before[name], now[name]))


def _changed(name: str, before: Fingerprint, now: Fingerprint) -> Iterator[str]:
    if before["images"] != now["images"]:
        yield f"{name} has {now['images']} images, had {before['images']}"
    elif before["truth"] != now["truth"]:
        yield f"{name} has other labels or annotations, or another order"
    elif before.get("pixels", now.get("pixels")) != now.get("pixels", before.get("pixels")):
        yield f"images of {name} have other pixels"
    elif before.get("files", now.get("files")) != now.get("files", before.get("files")):
        yield f"files of {name} have other names or sizes"


def _sha256(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
