"""Training steps on GPUs, as far as TensorFlow's registry of kernels tells, which has those of GPUs here, too."""

from functools import cache

import numpy as np
import parallel_checks
import pytest
import tensorflow as tf
from tensorflow.python.framework import config, kernels

from keras_resnet.config.spec import Spec
from keras_resnet.training import xla
from keras_resnet.training.distribute import Devices

# Operators whose GPU kernels refuse to be deterministic: all sentences with "determini" in TensorFlow 2.21's library.
REFUSED = {
    "AdjustContrast",
    "AdjustContrastv2",
    "Bincount",
    "CropAndResizeGradBoxes",
    "CropAndResizeGradImage",
    "DenseBincount",
    "Dilation2DBackpropFilter",
    "Dilation2DBackpropInput",
    "FakeQuantWithMinMaxVarsGradient",
    "FakeQuantWithMinMaxVarsPerChannelGradient",
    "MaxPoolGradWithArgmax",
    "ResizeNearestNeighborGrad",
    "SoftmaxCrossEntropyWithLogits",
    "SparseSoftmaxCrossEntropyWithLogits",
    "SparseTensorDenseMatMul",
    "Svd",
}
# They are for functions, and run nothing themselves.
STRUCTURE = {"Placeholder", "NoOp", "StatefulPartitionedCall", "PartitionedCall"}


def trace(spec: Spec):
    """The operators of a training step: NodeDefs, those in functions too."""
    trainer = parallel_checks.untrained(Devices(tf.distribute.get_strategy(), "one"), spec)
    ((images, targets),) = parallel_checks.batches(1, spec)
    arguments = tf.nest.map_structure(tf.constant, (images, targets))
    graph = trainer.make_train_function().get_concrete_function(*arguments, np.float32(0)).graph.as_graph_def()
    return [*graph.node, *(node for function in graph.library.function for node in function.node_def)]


@cache
def gpu_kernels(op, *device_types):
    found = kernels.get_registered_kernels_for_op(op).kernel
    return [kernel for kernel in found if kernel.device_type in device_types]


def matches(kernel, node):
    """Whether a kernel is for the dtypes of a node."""
    for constraint in kernel.constraint:
        attribute = node.attr[constraint.name]
        allowed, kinds = (
            constraint.allowed_values.list.type,
            [attribute.type] if attribute.type else attribute.list.type,
        )
        if allowed and not set(kinds) <= set(allowed):
            return False
    return True


def lacking(nodes, *device_types):
    """The operators for which these devices have no kernel of their dtypes."""
    return sorted(
        {
            f"{node.op} {[tf.dtypes.as_dtype(each.type).name for each in node.attr.values() if each.type]}"
            for node in nodes
            if node.op not in STRUCTURE
            and not any(matches(kernel, node) for kernel in gpu_kernels(node.op, *device_types))
        }
    )


pytestmark = pytest.mark.skipif(not gpu_kernels("Conv2D", "GPU"), reason="this TensorFlow was built without GPUs")
QAT = parallel_checks.SPEC.override("compress.qat", "native")
SPECS = {"classify": parallel_checks.SPEC, "segment": parallel_checks.SEGMENTING, "8 bits": QAT}


def cases(*quick):
    """All combinations as parameters; those not named in `quick` are slow."""
    seconds = ("float32", "mixed_bfloat16", "mixed_float16") if isinstance(quick[0][1], str) else (False, True)
    return [
        pytest.param(name, second, marks=[] if (name, second) in quick else pytest.mark.slow)
        for name in SPECS
        for second in seconds
    ]


@pytest.mark.parametrize(("name", "precision"), cases(("classify", "mixed_bfloat16"), ("classify", "mixed_float16")))
def test_every_operator_of_a_step_has_a_kernel_for_gpus_and_one_of_xla(name, precision):
    """Else it would run on the CPU, and the GPU wait for it; and XLA would refuse it."""
    nodes = trace(SPECS[name].override("training.precision", precision))
    assert lacking(nodes, "GPU", "DEFAULT") == []
    assert xla.find_obstacle() is None  # which lets XLA register what it has
    assert lacking(nodes, "XLA_GPU_JIT") == []


@pytest.mark.parametrize(("name", "frozen"), cases(("classify", True), ("8 bits", False)))
def test_none_refuses_to_be_deterministic(name, frozen):
    spec = SPECS[name].override("training.deterministic", True).override("start.freeze_bn", frozen)
    tf.config.experimental.enable_op_determinism()
    try:
        nodes = trace(spec)
    finally:
        config.disable_op_determinism()
    assert sorted({node.op for node in nodes} & REFUSED) == []
    norms = [node for node in nodes if node.op == "FusedBatchNormGradV3"]
    assert all(node.attr["is_training"].b for node in norms) and bool(norms) != frozen


def test_an_operator_without_a_kernel_is_seen():
    with tf.Graph().as_default() as graph:
        tf.strings.length(tf.strings.as_string(tf.constant(1.0)))
    found = lacking(graph.as_graph_def().node, "GPU", "DEFAULT")
    assert [each.split()[0] for each in found] == ["AsString", "StringLength"]
