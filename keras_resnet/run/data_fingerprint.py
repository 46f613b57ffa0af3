"""Fingerprint the data of a training, to say later whether and how they have changed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from keras_resnet.data.dataset import TRAINING_SPLITS, DatasetSplits, Split
from keras_resnet.run.documents import Fingerprint, SplitDigest
from keras_resnet.runtime.plurals import counted

# Classes that are named where the numbers of images changed.
MAX_NAMED_CLASSES = 3


def fingerprint_splits(data: DatasetSplits) -> dict[str, Fingerprint]:
    """Return the fingerprint of each split that a training uses."""
    return {name: fingerprint_split(data.splits[name], data.classes) for name in TRAINING_SPLITS}


def fingerprint_split(split: Split, classes: tuple[str, ...]) -> Fingerprint:
    """Return {"images": how many, "labels": how many of each class, "ground_truth": the SHA-256 of labels, boxes and
    masks}, with that of the "pixels" which are in memory, or of the names and sizes of the "files" that are read in
    training."""
    fingerprint = Fingerprint(images=split.count, ground_truth=_sha256(_ground_truth_bytes(split)))
    if not split.objects:
        fingerprint["labels"] = dict(zip(classes, split.count_labels(len(classes)).tolist(), strict=True))
    if split.pixels is not None:
        fingerprint["pixels"] = _sha256([np.ascontiguousarray(split.pixels).data])
    elif files := getattr(split.images, "files", None):
        fingerprint["files"] = _sha256(f"{os.path.basename(file)} {os.path.getsize(file)}\n".encode() for file in files)
    return fingerprint


def digest_fingerprint(fingerprint: Fingerprint) -> SplitDigest:
    """Return what a fingerprint says in one number for people, the "sha256", and "of" what that is."""
    if "pixels" not in fingerprint:
        return SplitDigest(images=fingerprint["images"], of="annotations", sha256=fingerprint["ground_truth"])
    both = _sha256([fingerprint["ground_truth"].encode(), fingerprint["pixels"].encode()])
    return SplitDigest(images=fingerprint["images"], of="annotations and pixels", sha256=both)


def _ground_truth_bytes(split: Split) -> Iterator[bytes]:
    """Yield labels, boxes and masks as bytes."""
    truth = split.ground_truth if isinstance(split.ground_truth, dict) else {"labels": split.ground_truth}
    for name in sorted(truth):
        yield b"".join(truth[name].ravel()) if truth[name].dtype == object else truth[name].tobytes()


def describe_changes(before: Mapping[str, Fingerprint], now: Mapping[str, Fingerprint]) -> str:
    """Say what differs; '' where nothing does. Pixels and files are compared where both are known."""
    return "; ".join(
        words
        for name in TRAINING_SPLITS
        if name in before
        for words in _describe_split_changes(name, before[name], now[name])
    )


def _describe_split_changes(name: str, before: Fingerprint, now: Fingerprint) -> Iterator[str]:
    counts = _describe_count_changes(before.get("labels", {}), now.get("labels", {}))
    if before["images"] != now["images"]:
        yield f"{name} has {counted(now['images'], 'image', ',')}, had {before['images']:,}{counts}"
    elif before["ground_truth"] != now["ground_truth"]:
        yield f"{name} has other labels{counts or ' or annotations, or another order'}"
    elif before.get("pixels", now.get("pixels")) != now.get("pixels", before.get("pixels")):
        yield f"images of {name} have other pixels"
    elif before.get("files", now.get("files")) != now.get("files", before.get("files")):
        yield f"files of {name} have other names or sizes"


def _describe_count_changes(before: Mapping[str, int], now: Mapping[str, int]) -> str:
    """Say in brackets how many images of which class there are; "" where that is not known, or as it was."""
    changed = [name for name in now if before and before.get(name, 0) != now[name]]
    counts = [f"{name} {now[name]:,}, had {before.get(name, 0):,}" for name in changed[:MAX_NAMED_CLASSES]]
    more = len(changed) - MAX_NAMED_CLASSES
    if more > 0:
        counts.append(counted(more, "more class", plural="more classes"))
    return f" ({'; '.join(counts)})" if counts else ""


def _sha256(parts: Iterable[bytes | memoryview]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
