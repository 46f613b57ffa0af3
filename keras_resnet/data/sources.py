"""From a DataSpec to images: the bundled digits, a TFDS data set or a folder."""

from __future__ import annotations

import os
from collections.abc import Collection

from keras_resnet.data.copies import tell_copies
from keras_resnet.data.files import path_of
from keras_resnet.data.split import Data, Say, Split
from keras_resnet.errors import DataError
from keras_resnet.spec import DataSpec

__all__ = ["Data", "Split", "open_data"]


def open_data(spec: DataSpec, say: Say, only: Collection[str] | None = None) -> Data:
    """Open what `spec.source` names; choices and skipped files are told to `say`.

    only: the names of the splits to read, of "train", "validation" and "test"; None reads all. It does not change which
    images belong to a split.

    What is bundled is meant by its name. What starts with a path separator, "." or "~", is an existing folder, or has a
    separator in it is a path, but for the configurations of TFDS data sets ("coco/2017"); anything else is a TFDS name.
    Images that the training split holds too are warned of. Raises UsageError or DataError.
    """
    data = _opened(spec, say, only)
    tell_copies(data, say)
    return data


def _opened(spec: DataSpec, say: Say, only: Collection[str] | None) -> Data:
    from keras_resnet.data.tfds_source import BUNDLED

    path = path_of(spec.source)
    bundled = spec.source.partition("/")[0] in BUNDLED
    if bundled and path.exists():
        say(f"data: the bundled {spec.source}; the folder of that name here is ./{spec.source}")
    looks_like_path = spec.source.startswith((".", "~", os.sep))
    if not looks_like_path and os.sep in spec.source and not path.exists():
        from keras_resnet.data.tfds_source import is_known

        looks_like_path = not is_known(spec.source.partition(os.sep)[0])
    if looks_like_path and not path.exists():
        raise DataError(f"--data {spec.source}: there is no such folder")
    if (looks_like_path or (spec.source and not bundled and path.is_dir())) and not (
        path / "dataset_info.json"
    ).is_file():
        if spec.annotations != "labels":
            from keras_resnet.data.annotated import open_annotated

            return open_annotated(spec, say, only)
        from keras_resnet.data.folder import open_folder

        try:
            return open_folder(spec, say, only)
        except DataError as error:
            from keras_resnet.data.annotated import is_annotated

            if not is_annotated(path):
                raise
            raise DataError(f"{error}; its boxes of objects are for --task localize, detect or segment") from error
    from keras_resnet.data.tfds_source import open_tfds

    return open_tfds(spec, say, only)
