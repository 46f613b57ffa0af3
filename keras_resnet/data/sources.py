"""From a DataSpec to images: the bundled digits, a TFDS data set or a folder."""

from __future__ import annotations

import os
from pathlib import Path

from keras_resnet.data.split import Data, Say, Split
from keras_resnet.errors import DataError
from keras_resnet.spec import DataSpec

__all__ = ["Data", "Split", "open_data"]


def open_data(spec: DataSpec, say: Say) -> Data:
    """Open what `spec.source` names; choices and skipped files are told to `say`.

    A name that contains a path separator, starts with "." or "~", or is an existing folder is a
    path; anything else is a TFDS name. Raises UsageError or DataError.
    """
    path = Path(spec.source).expanduser()
    looks_like_path = os.sep in spec.source or spec.source.startswith((".", "~"))
    if looks_like_path and not path.exists():
        raise DataError(f"--data {spec.source}: there is no such folder")
    if (looks_like_path or (spec.source and path.is_dir())) and not (path / "dataset_info.json").is_file():
        from keras_resnet.data.folder import open_folder

        if spec.annotations != "labels":
            raise DataError(f"--data {spec.source}: a folder of images by class has no boxes of objects")

        return open_folder(spec, say)
    from keras_resnet.data.tfds_source import open_tfds

    return open_tfds(spec, say)
