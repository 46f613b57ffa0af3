"""Any TFDS classification dataset. What is prepared is read without a network; a download only when asked."""

from __future__ import annotations

import io
from collections.abc import Collection
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.config.data import FITS, Fit
from keras_resnet.config.image_size import ImageSize, height_and_width
from keras_resnet.config.spec import DataSpec
from keras_resnet.connectivity import describe_unreachable, get_host, is_reachable
from keras_resnet.data.annotations import pad_annotations, requires_object
from keras_resnet.data.class_names import require_labels
from keras_resnet.data.dataset import (
    DatasetSplits,
    Split,
    check_unreadable,
    describe_too_few,
    fits_in_memory,
    log_held_out,
    require_split,
)
from keras_resnet.data.image_size import choose_channels, choose_geometry
from keras_resnet.data.sources.annotation_files import subfolders
from keras_resnet.data.sources.manifest_table import READERS
from keras_resnet.data.sources.parallel_decode import decode_in_parallel
from keras_resnet.data.sources.tfds_examples import Examples, RecordFields, to_annotation
from keras_resnet.data.sources.tfds_features import find_fields
from keras_resnet.data.sources.tfrecord import Records, index_records
from keras_resnet.data.sources.yolo_config import SUFFIXES
from keras_resnet.errors import DataError, did_you_mean
from keras_resnet.progress import Log, show_activity
from keras_resnet.runtime.image import fit_picture, read_image, size_of
from keras_resnet.runtime.image_files import to_path
from keras_resnet.runtime.plurals import counted, verb

DEFAULT_HOST = "https://storage.googleapis.com"
# Made here, without a download.
BUNDLED = ("digits", "digit_pairs", "shapes")
WHAT_DATA_ARE = (
    f"Data are a folder of images, a table of them ({', '.join(READERS)}), a YOLO data{SUFFIXES[0]},"
    f" {', '.join(BUNDLED)}, or the name of a TFDS dataset"
)
# The likeness, by difflib, of a name that was mistyped to the one that is meant.
NEARLY_EQUAL = 0.8
# Sets of things that may stand either way, and sets of signs that change or lose their meaning in a mirror.
FLIP_SAFE = ("cifar10", "cifar100", "imagenet2012", "imagenet_v2", "imagenette", "imagewoof", "cats_vs_dogs", "shapes")
FLIP_UNSAFE = (
    *("digits", "digit_pairs", "mnist", "emnist", "kmnist", "binary_alpha_digits"),
    *("svhn_cropped", "omniglot", "gtsrb"),
)


class TFDS:
    """Datasets of tensorflow-datasets, by name or in the folder that one was prepared in."""

    layout = ""

    def recognizes(self, folder: Path | None, annotations: str) -> bool:
        """Return whether the dataset is named, or TFDS prepared it in `folder`."""
        return folder is None or (folder / "dataset_info.json").is_file()

    def require_classes(self, folder: Path | None, spec: DataSpec) -> None:
        """Leave it to `open`: nobody publishes a dataset of one class."""

    def open(self, spec: DataSpec, log: Log, only: Collection[str] | None = None) -> DatasetSplits:
        """Return the TFDS dataset `spec.source` (a name, or a folder that holds a prepared one): of its splits those
        in `only` (None: all).

        Raises DataError for an unknown name, and where it is not prepared and not to be downloaded, cannot be
        downloaded, or has no images with class labels.
        """
        builder = _builder(spec)
        if not builder.data_path.exists():
            _prepare(builder, spec, log)
        fields = find_fields(builder, spec.annotations)
        require_labels(fields.classes, f"dataset {builder.name!r}")
        parts = _split_expressions(builder, spec.val_fraction, log)
        require_split(only, parts, {})
        shape = builder.info.features[fields.image].shape
        shapes = [shape] if all(shape) else []
        if not (shapes or spec.fit or fields.objects):
            shapes = Examples(_index_records(builder, parts["train"]), fields, ()).sample_shapes()
        fit, size, resize = choose_geometry(spec, shape, shapes, bool(fields.objects), log)
        channels = choose_channels(spec.channels, [shape] if all(shape) else [], log)
        bad: list[str] = []
        splits = {
            name: _SplitReader(
                name, Examples(_index_records(builder, part), fields, spec.levels, channels), resize, fit, bad, log
            ).read(requires_object(name, spec.annotations))
            for name, part in parts.items()
            if only is None or name in only
        }
        check_unreadable(bad, len(bad) + sum(split.count for split in splits.values()), spec.max_unreadable, log)
        _require_labeled(splits, only, builder.name, log)
        labeled = {name: split for name, split in splits.items() if split.count}
        return DatasetSplits(
            *(builder.name, fields.classes, labeled, _is_flip_safe(builder.name, fields), size, resize, spec.levels),
            fit=fit,
            channels=channels,
        )


def _require_labeled(splits: dict[str, Split], only: Collection[str] | None, source: str, log: Log) -> None:
    """Raise DataError for a split without a single label that is needed; test images are needed when asked for."""
    for name, split in splits.items():
        if split.count:
            continue
        if name != "test" or only is not None:
            raise DataError(f"none of the {name} images of dataset {source!r} has a label")
        log("test: no image has a label, so nothing can be evaluated on them")


def _is_flip_safe(name: str, fields: RecordFields) -> bool | None:
    """Return whether the images of a set keep their labels in a mirror; None where that is not known."""
    if name in FLIP_UNSAFE:
        return False
    return True if fields.objects or name in FLIP_SAFE else None


def is_known(name: str) -> bool:
    """Return whether TFDS has a dataset of that name, ours included, or the name is one of a community ("owner:name"),
    for which TFDS itself has to look."""
    return name in BUNDLED or ":" in name or name in _list_names()


def _list_names() -> list[str]:
    """Return the names of all datasets that TFDS brings; those of communities would take TensorFlow and a network."""
    names: list[str] = _tfds().list_builders(with_community_datasets=False)
    return names


def _tfds() -> Any:
    """TFDS, with the builders of this package registered."""
    import tensorflow_datasets as tfds

    from keras_resnet.data.sources import digit_pairs, digits, shapes  # noqa: F401 - registers the builders

    return tfds


def _builder(spec: DataSpec) -> Any:
    tfds = _tfds()
    tfds.disable_progress_bar()
    if (spec.data_dir or "").startswith("gs://") and not is_reachable(get_host(DEFAULT_HOST)):
        raise DataError(f"--data-dir {spec.data_dir}: {describe_unreachable(get_host(DEFAULT_HOST))}")
    folder = to_path(spec.source)
    if (folder / "dataset_info.json").is_file():
        return tfds.builder_from_directory(folder)
    try:
        return tfds.builder(spec.source, data_dir=spec.data_dir, try_gcs=False)
    except (tfds.core.registered.DatasetNotFoundError, ValueError) as error:  # ValueError: not a name at all
        # TFDS has thousands of names, of which one is a little like any word.
        near = did_you_mean(spec.source, [*BUNDLED, *(folder.name for folder in subfolders(Path.cwd()))])
        near = near or did_you_mean(spec.source, _list_names(), NEARLY_EQUAL)
        raise DataError(
            f"--data {spec.source}: no such file or folder, and no dataset of that name.{near} {WHAT_DATA_ARE}"
        ) from error


def require_prepared(spec: DataSpec) -> None:
    """Raise DataError where TFDS has no dataset of that name, or it is neither here nor to be downloaded."""
    _require_download(_builder(spec), spec)


def _require_download(builder: Any, spec: DataSpec) -> None:
    """Raise DataError where the dataset is not here, and nobody has asked for its download."""
    if builder.name not in BUNDLED and not spec.download and not builder.data_path.exists():
        raise DataError(
            f"dataset {spec.source!r} is not prepared in {builder.data_path.parent.parent};"
            " add --download to download it, or name its folder with --data-dir"
        )


def _prepare(builder: Any, spec: DataSpec, log: Log) -> None:
    import tensorflow_datasets as tfds

    _require_download(builder, spec)
    if builder.name not in BUNDLED:
        _require_network(builder)
    log(f"preparing {builder.name} in {builder.data_path}")
    config = tfds.download.DownloadConfig(try_download_gcs=False)
    try:
        # Where TFDS tells of it, which is for results.
        with show_activity(f"preparing {builder.name}"), redirect_stdout(io.StringIO()):
            builder.download_and_prepare(download_config=config)
    except OSError as error:
        raise DataError(f"cannot prepare {builder.name} in {builder.data_path}: {error.strerror or error}") from error
    except Exception as error:  # downloads, checksums and extraction fail in many ways
        raise DataError(f"cannot prepare {builder.name}: {' '.join(str(error).split())}") from error


def _require_network(builder: Any) -> None:
    """Raise DataError within seconds when offline; TFDS itself would retry for minutes."""
    urls = list(builder.url_infos or {}) or [DEFAULT_HOST]
    host = get_host(urls[0])
    if not is_reachable(host):
        raise DataError(f"cannot download {builder.name}: {describe_unreachable(host)}")


def _split_expressions(builder: Any, val_fraction: float, log: Log) -> dict[str, str]:
    """Our split names → TFDS split expressions."""
    present = set(builder.info.splits)
    if "train" not in present:
        raise DataError(f"dataset {builder.name!r} has no train split; it has: {', '.join(sorted(present))}")
    parts = {"train": "train"}
    if held_out := sorted(present & {"validation", "val"}):
        parts["validation"] = held_out[0]
    else:
        count = int(builder.info.splits["train"].num_examples)
        if count < 2:
            raise DataError(describe_too_few(f"dataset {builder.name!r}", count, "training image"))
        last = min(max(1, round(count * val_fraction)), count - 1)
        first = count - last
        parts = {"train": f"train[:{first}]", "validation": f"train[{first}:]"}
        how = f"the last ones of train ({builder.name} has no validation split)"
        log_held_out(last, count, val_fraction, how, log, "an image")
    return parts | ({"test": "test"} if "test" in present else {})


@dataclass(frozen=True)
class _SplitReader:
    """Decodes one split; its pixels are kept if they fit in memory. What cannot be read is added to `bad`."""

    name: str
    examples: Examples
    resize: ImageSize
    fit: Fit
    bad: list[str]
    log: Log

    @cached_property
    def keep(self) -> bool:
        """Return whether the pixels are kept in memory."""
        return fits_in_memory(len(self.examples), self.resize, self.examples.channels)

    def read(self, shown: bool) -> Split:
        """Return the images of the split; those without a label, and those without an object where they have to have
        one `shown`, are left out and counted."""
        count, fields = len(self.examples), self.examples.fields
        if not self.keep:
            self.log(
                f"{self.name}: {counted(count, 'image')}"
                f" {verb(count, 'does not fit in memory and is', 'do not fit in memory and are')} read from disk"
            )
        decoded = decode_in_parallel(range(count), self._decode, f"reading {self.name}")
        self.bad.extend(map(str, decoded.errors))
        labeled = [(row, *value) for row, value in zip(decoded.rows, decoded.values, strict=True) if value]
        kept = [each for each in labeled if not shown or each[1].has_objects]
        self._log_left_out(count, len(decoded.rows) - len(labeled), len(labeled) - len(kept))
        truths = [truth for _, truth, _ in kept]
        objects = pad_annotations(truths, masks=bool(fields.ids)) if fields.objects else None
        if fields.sets:
            sets = np.reshape(truths, (-1, len(fields.classes))).astype(np.uint8)
            split = Split.with_label_sets(self.name, sets)
        else:
            labels = objects.labels[:, 0] if objects else np.asarray(truths, np.int64)
            split = Split(self.name, labels, objects=objects)
        split = replace(split, resize=self.resize, method=FITS[self.fit], channels=self.examples.channels)
        if self.keep:
            shape = (-1, *height_and_width(self.resize), self.examples.channels)
            stacked = np.reshape([pixels for *_, pixels in kept], shape)
            return replace(split, pixels=stacked.astype(np.uint8, copy=False))
        return replace(split, images=self.examples.subset([row for row, *_ in kept]))

    def _log_left_out(self, count: int, unlabeled: int, empty: int) -> None:
        if unlabeled:
            self.log(
                f"{self.name}: left out {unlabeled} of {counted(count, 'image')}, which"
                f" {verb(unlabeled, 'has', 'have')} no label (a number that is no class, as -1)"
            )
        if empty:
            self.log(
                f"{self.name}: left out {empty} of {counted(count, 'image')}, which {verb(empty, 'shows', 'show')} no"
                " object"
            )

    def _decode(self, row: int) -> tuple[Any, np.ndarray | None] | None:
        """Return the label or annotation of one image, and its pixels if they are kept; None if it has no label."""
        examples, fields = self.examples, self.examples.fields
        truth, encoded = examples.parse(row)
        if fields.label and not 0 <= truth < len(fields.classes):
            return None
        try:
            image = read_image(encoded, examples.levels, examples.channels)
            truth = to_annotation(truth, size_of(image)) if fields.objects else truth
        except DataError as error:
            raise DataError(str(error).replace("the image", examples.name(row), 1)) from error
        pixels = fit_picture(image, FITS[self.fit], self.resize, examples.channels) if self.keep else None
        return truth, pixels


def _index_records(builder: Any, part: str) -> Records:
    kind = builder.info.file_format
    if kind is not None and kind.value != "tfrecord":
        raise DataError(f"dataset {builder.name!r} is prepared as {kind.value}; kresnet reads tfrecord, TFDS' default")
    return index_records(builder.info.splits[part].file_instructions)
