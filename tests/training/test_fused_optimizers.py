"""Updates by one kernel for each variable are those of Keras' optimizers, decay and learning rate included."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.config.spec import OptimizerSpec, Spec, TrainingSpec
from keras_resnet.training.optimizers import OPTIMIZERS, create_learning_rate_schedule, create_optimizer

SHAPES = {"kernel": (3, 3, 4, 5), "gamma": (5,), "bias": (7,)}
STEPS = 6
OPTIONS = {
    "sgd": {"momentum": 0.9},
    "nesterov": {"momentum": 0.9, "nesterov": True},
    "no momentum": {"momentum": 0.0},
    "adamw": {"name": "adamw", "beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-6},
}


def spec_of(kind, decay):
    options = {"learning_rate": 0.1, "warmup_epochs": 1.0, "weight_decay": decay, "weight_decay_mode": "decoupled"}
    return Spec(optimizer=OptimizerSpec(**options | OPTIONS[kind]), training=TrainingSpec(epochs=3))


def of_keras(spec):
    """The optimizer of Keras itself with the settings of `spec`."""
    options = spec.optimizer
    given = {"weight_decay": options.weight_decay or None}
    if options.name == "sgd":
        made = keras.optimizers.SGD
        given |= {"momentum": options.momentum, "nesterov": options.nesterov}
    else:
        made = keras.optimizers.Adam
        given |= {"beta_1": options.beta_1, "beta_2": options.beta_2, "epsilon": options.epsilon}
    optimizer = made(create_learning_rate_schedule(spec, 2), **given)
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    return optimizer


def updated(optimizer, wrap, kind):
    """The variables after some steps, and what the optimizer keeps of each."""
    rng = np.random.default_rng(0)
    variables = [keras.Variable(rng.normal(size=shape).astype("float32"), name=name) for name, shape in SHAPES.items()]
    optimizer.build(variables)
    step = wrap(lambda *gradients: optimizer.apply(list(gradients), variables))
    for _ in range(STEPS):
        step(*(tf.cast(rng.normal(size=shape), kind) for shape in SHAPES.values()))
    return [np.asarray(each) for each in (*variables, *optimizer.variables)]


@pytest.mark.parametrize("decay", [0.0, 0.05])
@pytest.mark.parametrize("kind", OPTIONS)
@pytest.mark.parametrize(
    ("wrap", "gradients"),
    [
        (lambda call: call, "float32"),
        (tf.function, "float32"),
        (tf.function, "bfloat16"),
        (lambda call: tf.function(call, jit_compile=True), "float32"),
    ],
    ids=["eager", "graph", "bfloat16", "XLA"],
)
def test_updates_are_those_of_keras(kind, decay, wrap, gradients):
    spec = spec_of(kind, decay)
    ours = updated(create_optimizer(spec, 2), wrap, gradients)
    theirs = updated(of_keras(spec), wrap, gradients)
    assert len(ours) == len(theirs) > len(SHAPES)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize(("decay", "mode"), [(0.0, "decoupled"), (0.0, "l2"), (0.1, "l2"), (0.1, "decoupled")])
def test_each_optimizer_does_with_and_without_decay(name, decay, mode):
    """A kernel without a gradient stays as it is, or moves towards zero; where the rate is 1, by its decay."""
    options = {"name": name, "learning_rate": 1.0, "warmup_epochs": 0.0, "weight_decay": decay}
    optimizer = create_optimizer(Spec(optimizer=OptimizerSpec(**options, weight_decay_mode=mode)), 2)
    kernel = keras.Variable(np.ones((3, 3, 4, 5), "float32"), name="kernel")
    optimizer.apply([tf.zeros(kernel.shape)], [kernel])
    values = np.asarray(kernel)
    assert (values == 1).all() if not decay else (values < 1).all()
    if decay and mode == "decoupled":
        np.testing.assert_allclose(values, 0.9, rtol=1e-6)


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_a_variable_takes_one_operation(kind):
    """But for the decay of the kernel: else the kernels of TensorFlow are not used at all."""
    optimizer = create_optimizer(spec_of(kind, 0.0), 2)
    variables = [keras.Variable(np.zeros(shape, "float32"), name=name) for name, shape in SHAPES.items()]
    optimizer.build(variables)
    graph = tf.function(lambda *gradients: optimizer.apply(list(gradients), variables)).get_concrete_function(
        *(tf.TensorSpec(shape) for shape in SHAPES.values())
    )
    kinds = [each.type for each in graph.graph.get_operations()]
    kernel = {"sgd": "ResourceApplyKerasMomentum", "adamw": "ResourceApplyAdam"}[kind]
    assert kinds.count(kernel) == len(SHAPES)
    # The count of steps alone.
    assert sum("Assign" in each for each in kinds) == 1
