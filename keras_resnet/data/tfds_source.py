"""Any TFDS classification data set. What is prepared is read without a network; a download only when asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet import console
from keras_resnet.data.images import read_image, to_pixels
from keras_resnet.data.split import Data, Say, Split, choose_sizes, fits_memory, judge_bad
from keras_resnet.errors import DataError, UsageError, did_you_mean
from keras_resnet.online import host_of, reachable
from keras_resnet.spec import DataSpec

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
    bad: list[str] = []
    splits = {
        name: _read(builder, name, part, (image_key, label_key), resize, bad, say)
        for name, part in _parts(builder, spec.val_fraction, say).items()
    }
    judge_bad(bad, len(bad) + sum(split.count for split in splits.values()), spec.max_bad, say)
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
    urls = list(builder.url_infos or {}) or [DEFAULT_HOST]
    host = host_of(urls[0])
    if not reachable(host):
        raise DataError(f"cannot download {builder.name}: {host} cannot be reached; is this machine online?")


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
        count = builder.info.splits["train"].num_examples
        if count < 2:
            raise DataError(f"data set {builder.name!r} has {count} training images; splitting needs 2 or more")
        first = count - min(max(1, round(count * val_fraction)), count - 1)
        parts = {"train": f"train[:{first}]", "validation": f"train[{first}:]"}
        say(f"validation: the last {val_fraction:.1%} of train ({builder.name} has no validation split)")
    return parts | ({"test": "test"} if "test" in present else {})


def _read(builder: Any, name: str, part: str, keys: tuple[str, str], resize: int, bad: list[str], say: Say) -> Split:
    """Decode one split; keep the pixels if they fit in memory. What cannot be read is added to `bad`."""
    import tensorflow as tf

    examples = _examples(builder, part, keys, resize)
    count = builder.info.splits[part].num_examples
    keep = fits_memory(count, resize)
    if not keep:
        say(f"{name}: {count} images do not fit in memory and are read from disk")
    labels: list[int] = []
    kept: list[np.ndarray] = []
    with console.progress(count, "images") as advance:
        for pixels, label, trouble in examples().as_numpy_iterator():
            advance(1, f"reading {name}")
            if trouble:
                bad.append(trouble.decode())
            else:
                labels.append(label)
                kept += [pixels] if keep else []

    def stream() -> Any:
        readable = examples().filter(lambda pixels, label, trouble: tf.equal(trouble, ""))
        return readable.map(lambda pixels, label, trouble: (pixels, label), tf.data.AUTOTUNE)

    if not keep:
        return Split(name, np.asarray(labels, np.int64), stream=stream)
    pixels = np.reshape(kept, (-1, resize, resize, 3)).astype(np.uint8, copy=False)
    return Split(name, np.asarray(labels, np.int64), pixels=pixels)


def _examples(builder: Any, part: str, keys: tuple[str, str], resize: int) -> Callable[[], Any]:
    """A maker of tf.data of (uint8 (resize, resize, 3), int64 label, why it cannot be read or ""), decoded by
    `read_image`, as everywhere."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    def decode(encoded: bytes, name: bytes) -> tuple[np.ndarray, bytes]:
        try:
            return to_pixels(read_image(encoded), resize), b""
        except DataError as error:
            return np.zeros((resize, resize, 3), np.uint8), str(error).replace("the image", name.decode(), 1).encode()

    def of_example(example: dict[str, Any]) -> tuple[Any, Any, Any]:
        pixels, trouble = tf.numpy_function(
            decode, [example[keys[0]], example["tfds_id"]], (tf.uint8, tf.string), stateful=False
        )
        label = tf.cast(example[keys[1]], tf.int64)
        return tf.ensure_shape(pixels, (resize, resize, 3)), label, tf.ensure_shape(trouble, ())

    def make() -> Any:
        # In the order of the files, so that labels and images stay together; tfds_id names an image.
        order = tfds.ReadConfig(interleave_cycle_length=1, add_tfds_id=True)
        raw = builder.as_dataset(split=part, decoders={keys[0]: tfds.decode.SkipDecoding()}, read_config=order)
        return raw.map(of_example, tf.data.AUTOTUNE)

    return make
