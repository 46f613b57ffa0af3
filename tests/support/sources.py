"""Data opened for a test."""

import numpy as np
import tensorflow as tf

from keras_resnet.config.spec import AugmentSpec, DataSpec
from keras_resnet.data.load import load_dataset
from keras_resnet.data.pipeline import TrainPipeline


def opened(path, **options):
    said = []
    return load_dataset(DataSpec(source=str(path), **options), said.append), said


def spoil(folder, name, count):
    for index in range(count):
        (folder / name / f"broken{index}.png").write_text("this is text")


def stream_of(split, **options):
    settings = {
        "image_size": 12,
        "batch_size": 8,
        "seed": 5,
        "encode_targets": lambda labels: tf.cast(labels, tf.float32),
        "augment": AugmentSpec(flip=True),
    }
    return TrainPipeline(split, **(settings | options))


def whole(split, first_step=0, epochs=3, size=None, **options):
    stream = stream_of(split, **options)
    batches = stream.batches(first_step, epochs * stream.steps, size)
    return [(np.asarray(images), np.asarray(labels)) for images, labels in batches]
