"""From a DataSpec to images: the bundled digits, a TFDS data set or a folder."""

from __future__ import annotations

import os
from collections.abc import Collection

from keras_resnet.config.spec import DataSpec
from keras_resnet.data.dataset import DatasetSplits, Split
from keras_resnet.data.duplicates import tell_copies
from keras_resnet.errors import DataError
from keras_resnet.progress import Log
from keras_resnet.runtime.image_files import path_of

__all__ = ["DatasetSplits", "Split", "open_data"]


def open_data(spec: DataSpec, log: Log, only: Collection[str] | None = None) -> DatasetSplits:
    """Open what `spec.source` names; choices and skipped files are told to `log`.

    only: the names of the splits to read, of "train", "validation" and "test"; None reads all. It does not change which
    images belong to a split.

    What is bundled is meant by its name. What starts with a path separator, "." or "~", is an existing folder, or has a
    separator in it is a path, but for the configurations of TFDS data sets ("coco/2017"); anything else is a TFDS name.
    Images that the training split holds too are warned of. Raises UsageError or DataError.
    """
    data = _opened(spec, log, only)
    tell_copies(data, log)
    return data


def _opened(spec: DataSpec, log: Log, only: Collection[str] | None) -> DatasetSplits:
    from keras_resnet.data.sources.tfds import BUNDLED

    path = path_of(spec.source)
    bundled = spec.source.partition("/")[0] in BUNDLED
    if bundled and path.exists():
        log(f"data: the bundled {spec.source}; the folder of that name here is ./{spec.source}")
    looks_like_path = spec.source.startswith((".", "~", os.sep))
    if not looks_like_path and os.sep in spec.source and not path.exists():
        from keras_resnet.data.sources.tfds import is_known

        looks_like_path = not is_known(spec.source.partition(os.sep)[0])
    if looks_like_path and not path.exists():
        raise DataError(f"--data {spec.source}: there is no such folder")
    if (looks_like_path or (spec.source and not bundled and path.is_dir())) and not (
        path / "dataset_info.json"
    ).is_file():
        if spec.annotations != "labels":
            from keras_resnet.data.sources.detection_folder import open_annotated

            return open_annotated(spec, log, only)
        from keras_resnet.data.sources.image_folder import open_folder

        try:
            return open_folder(spec, log, only)
        except DataError as error:
            from keras_resnet.data.sources.detection_folder import is_annotated

            if not is_annotated(path):
                raise
            raise DataError(f"{error}; its boxes of objects are for --task localize, detect or segment") from error
    from keras_resnet.data.sources.tfds import open_tfds

    return open_tfds(spec, log, only)
