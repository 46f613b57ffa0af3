"""What a training's data are, in a few numbers: whether they have changed since can be asked."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from keras_resnet.data.dataset import DatasetSplits, Split
from keras_resnet.run.files import Digest, Fingerprint
from keras_resnet.runtime.plurals import counted

# Classes that are named where the numbers of images changed.
NAMED = 3
# A run's model has seen these.
SPLITS = ("train", "validation")


def fingerprints(data: DatasetSplits) -> dict[str, Fingerprint]:
    """Of each split that a training uses, see `fingerprint_of`."""
    return {name: fingerprint_of(data.splits[name], data.classes) for name in SPLITS}


def fingerprint_of(split: Split, classes: tuple[str, ...]) -> Fingerprint:
    """{"images": how many, "labels": how many of each class, "truth": the SHA-256 of labels, boxes and masks}, with
    that of the "pixels" which are in memory, or of the names and sizes of the "files" that are read in training."""
    found = Fingerprint(images=split.count, truth=_sha256(_truth_bytes(split)))
    if not split.objects:
        counts = np.bincount(split.labels[split.labels >= 0], minlength=len(classes))
        found["labels"] = {name: int(count) for name, count in zip(classes, counts, strict=True)}
    if split.pixels is not None:
        found["pixels"] = _sha256([np.ascontiguousarray(split.pixels).data])
    elif files := getattr(split.images, "files", None):
        found["files"] = _sha256(f"{os.path.basename(file)} {os.path.getsize(file)}\n".encode() for file in files)
    return found


def digest_of(found: Fingerprint) -> Digest:
    """What a fingerprint says in one number for people, the "sha256", and "of" what that is."""
    if "pixels" not in found:
        return Digest(images=found["images"], of="annotations", sha256=found["truth"])
    both = _sha256([found["truth"].encode(), found["pixels"].encode()])
    return Digest(images=found["images"], of="annotations and pixels", sha256=both)


def _truth_bytes(split: Split) -> Iterator[bytes]:
    """Labels, boxes and masks."""
    truth = split.truth if isinstance(split.truth, dict) else {"labels": split.truth}
    for name in sorted(truth):
        yield b"".join(truth[name].ravel()) if truth[name].dtype == object else truth[name].tobytes()


def changes(before: Mapping[str, Fingerprint], now: Mapping[str, Fingerprint]) -> str:
    """What differs, in words; '' where nothing does. Pixels and files are compared where both are known."""
    return "; ".join(words for name in SPLITS if name in before for words in _changed(name, before[name], now[name]))


def _changed(name: str, before: Fingerprint, now: Fingerprint) -> Iterator[str]:
    if before["images"] != now["images"]:
        theirs, ours = before.get("labels", {}), now.get("labels", {})
        moved = [each for each in ours if theirs and theirs.get(each, 0) != ours[each]]
        counts = [f"{each} {ours[each]:,}, had {theirs.get(each, 0):,}" for each in moved[:NAMED]]
        more = [f"{counted(len(moved) - NAMED, 'more class', plural='more classes')}"] * (len(moved) > NAMED)
        of = f" ({'; '.join(counts + more)})" if counts else ""
        yield f"{name} has {counted(now['images'], 'image', ',')}, had {before['images']:,}{of}"
    elif before["truth"] != now["truth"]:
        yield f"{name} has other labels or annotations, or another order"
    elif before.get("pixels", now.get("pixels")) != now.get("pixels", before.get("pixels")):
        yield f"images of {name} have other pixels"
    elif before.get("files", now.get("files")) != now.get("files", before.get("files")):
        yield f"files of {name} have other names or sizes"


def _sha256(parts: Iterable[bytes | memoryview]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
