"""What a training needs before its first step: the model, the optimizer, the averages, and the trainer of them."""

from __future__ import annotations

import keras

from keras_resnet.config.spec import Spec
from keras_resnet.data import pipeline
from keras_resnet.data.class_sampling import create_sampler
from keras_resnet.data.load import DatasetSplits
from keras_resnet.data.pipeline import TrainPipeline
from keras_resnet.data.service import require_files
from keras_resnet.tasks import Task, get_task
from keras_resnet.training.distribute import Devices
from keras_resnet.training.methods import create_training_method
from keras_resnet.training.optimizers import count_total_steps, create_optimizer
from keras_resnet.training.resolve import training_layers
from keras_resnet.training.train_state import ExponentialMovingAverage, TrainState
from keras_resnet.training.trainer import Trainer


def build_train_pipeline(spec: Spec, data: DatasetSplits, task: Task) -> TrainPipeline:
    """Return the training images of a resolved `spec` and their targets, in batches of all processes."""
    training = spec.training
    assert training.batch_size is not None, "resolve the spec first"
    require_files(spec.data, data.splits["train"])
    return TrainPipeline(
        data.splits["train"],
        data.image_size,
        training.batch_size,
        training.seed,
        task.encode_targets,
        augment=spec.augment,
        fit=data.fit,
        service=spec.data.service,
        sampler=create_sampler(data.splits["train"].labels, training.sampling),
    )


def build_trainer(
    spec: Spec, data: DatasetSplits, devices: Devices, constant_learning_rate: float | None = None
) -> Trainer:
    """Return the trainer of the resolved `spec`, with `constant_learning_rate` instead of its schedule if given.

    Writes nothing: a request that turns out to be impossible here leaves no run behind. Raises UsageError.
    """
    training = spec.training
    assert training.batch_size is not None, "resolve the spec first"
    devices.require_divisible(training.batch_size, training.accumulate_steps)
    task = get_task(spec, data.classes)
    method = create_training_method(spec, task)
    method.require_processes(devices.world_size)
    steps = pipeline.steps_per_epoch(data.splits["train"], training.batch_size)
    layers = training_layers(training.precision, devices.replicas, devices.kind)
    keras.utils.set_random_seed(training.seed)
    with devices.strategy.scope():
        model = method.build_model(layers, count_total_steps(spec, steps))
        optimizer = create_optimizer(spec, steps, constant_learning_rate)
        optimizer.build(model.trainable_variables)
        ema = None if training.ema is None else ExponentialMovingAverage(model, training.ema)
        state = TrainState(model, optimizer, ema)
        return Trainer(spec, task, state, devices, method)
