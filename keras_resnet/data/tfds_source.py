"""Any TFDS classification data set. What is prepared is read without a network; a download only when asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from keras_resnet.data.images import read_image, to_pixels
from keras_resnet.data.split import Data, Say, Split, choose_sizes, collect, fits_memory
from keras_resnet.errors import DataError, UsageError, did_you_mean
from keras_resnet.spec import DataSpec

PROBE_SECONDS = 4
DEFAULT_HOST = "https://storage.googleapis.com"
# Sets of signs that change or lose their meaning in a mirror.
NO_FLIPS = ("digits", "mnist", "emnist", "kmnist", "binary_alpha_digits", "svhn_cropped", "omniglot", "gtsrb")


def open_tfds(spec: DataSpec, say: Say) -> Data:
    """The TFDS data set `spec.source` (a name, or a folder that holds a prepared one).

    Raises UsageError for an unknown name, DataError where it is not prepared and not to be
    downloaded, cannot be downloaded, or has no images with class labels.
    """
    builder = _builder(spec)
    if not builder.data_path.exists():
        _prepare(builder, spec, say)
    image_key, label_key = _keys(builder)
    label = builder.info.features[label_key]
    shape = builder.info.features[image_key].shape
    native = min(shape[:2]) if all(shape[:2]) else None
    size, resize = choose_sizes(spec.image_size, spec.resize, native, say)
    splits = {
        name: _read(builder, name, part, (image_key, label_key), resize, say)
        for name, part in _parts(builder, spec.val_fraction, say).items()
    }
    flips = builder.name not in NO_FLIPS
    say(f"augmentation: random crop{' and flip' if flips else f', no flip: {builder.name} would change meaning'}")
    return Data(builder.name, tuple(label.names), splits, flips, size, resize)


def _builder(spec: DataSpec) -> Any:
    import tensorflow_datasets as tfds

    from keras_resnet.data import digits  # noqa: F401 - registers the builder

    tfds.disable_progress_bar()
    folder = Path(spec.source).expanduser()
    if (folder / "dataset_info.json").is_file():
        return tfds.builder_from_directory(folder)
    try:
        return tfds.builder(spec.source, data_dir=spec.data_dir, try_gcs=False)
    except (tfds.core.registered.DatasetNotFoundError, ValueError) as error:  # ValueError: not a name at all
        known = ["digits", *tfds.list_builders()]
        raise UsageError(
            f"--data must be digits, a TFDS data set or a folder of images."
            f"{did_you_mean(spec.source, known)} Received: {spec.source!r}"
        ) from error


def _prepare(builder: Any, spec: DataSpec, say: Say) -> None:
    import tensorflow_datasets as tfds

    bundled = builder.name == "digits"
    if not bundled and not spec.download:
        raise DataError(
            f"data set {spec.source!r} is not prepared in {builder.data_path.parent.parent};"
            " add --download to download it, or say with --data-dir where it is"
        )
    if not bundled:
        _require_network(builder)
    say(f"preparing {builder.name} in {builder.data_path}")
    config = tfds.download.DownloadConfig(try_download_gcs=False)
    try:
        builder.download_and_prepare(download_config=config)
    except OSError as error:
        raise DataError(f"cannot prepare {builder.name} in {builder.data_path}: {error.strerror or error}") from error
    except Exception as error:  # downloads, checksums and extraction fail in many ways
        raise DataError(f"cannot prepare {builder.name}: {' '.join(str(error).split())}") from error


def _require_network(builder: Any) -> None:
    """Raises DataError within seconds when offline; TFDS itself would retry for minutes."""
    import requests

    urls = list(builder.url_infos or {}) or [DEFAULT_HOST]
    host = "{0.scheme}://{0.netloc}".format(urlsplit(urls[0]))
    try:
        requests.head(host, timeout=PROBE_SECONDS)
    except requests.RequestException as error:
        raise DataError(f"cannot download {builder.name}: {host} cannot be reached; is this machine online?") from error


def _keys(builder: Any) -> tuple[str, str]:
    import tensorflow_datasets as tfds

    features = builder.info.features
    image = [key for key, kind in features.items() if isinstance(kind, tfds.features.Image)]
    label = [key for key, kind in features.items() if isinstance(kind, tfds.features.ClassLabel)]
    supervised = builder.info.supervised_keys
    if supervised and supervised[0] in image and supervised[1] in label:
        return supervised[0], supervised[1]
    if len(image) != 1 or len(label) != 1:
        raise DataError(
            f"data set {builder.name!r} has no images with one class label each; it has: {', '.join(features)}"
        )
    return image[0], label[0]


def _parts(builder: Any, val_fraction: float, say: Say) -> dict[str, str]:
    """Our split names → TFDS split expressions."""
    present = set(builder.info.splits)
    if "train" not in present:
        raise DataError(f"data set {builder.name!r} has no train split; it has: {', '.join(sorted(present))}")
    parts = {"train": "train"}
    if held_out := sorted(present & {"validation", "val"}):
        parts["validation"] = held_out[0]
    else:
        percent = round(100 * (1 - val_fraction))
        parts = {"train": f"train[:{percent}%]", "validation": f"train[{percent}%:]"}
        say(f"validation: the last {100 - percent}% of train ({builder.name} has no validation split)")
    return parts | ({"test": "test"} if "test" in present else {})


def _read(builder: Any, name: str, part: str, keys: tuple[str, str], resize: int, say: Say) -> Split:
    """One split, in memory if it fits. Images are decoded by `read_image`, as everywhere."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    image_key, label_key = keys

    def stream() -> Any:
        raw = builder.as_dataset(
            split=part,
            decoders={image_key: tfds.decode.SkipDecoding()},
            read_config=tfds.ReadConfig(interleave_cycle_length=1),
        )
        return raw.map(decode, tf.data.AUTOTUNE)

    def decode(example: dict[str, Any]) -> tuple[Any, Any]:
        pixels = tf.numpy_function(
            lambda encoded: to_pixels(read_image(encoded), resize), [example[image_key]], tf.uint8, stateful=False
        )
        return tf.ensure_shape(pixels, (resize, resize, 3)), tf.cast(example[label_key], tf.int64)

    count = builder.info.splits[part].num_examples
    if fits_memory(count, resize):
        return collect(name, stream().as_numpy_iterator())
    say(f"{name}: {count} images do not fit in memory and are read from disk")
    raw = builder.as_dataset(
        split=part,
        decoders=tfds.decode.PartialDecoding({label_key: True}),
        read_config=tfds.ReadConfig(interleave_cycle_length=1),
    )
    labels = np.fromiter((example[label_key] for example in raw.as_numpy_iterator()), np.int64, count)
    return Split(name, labels, stream=stream)
