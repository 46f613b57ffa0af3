"""How gradients are summed over devices: on GPUs by NCCL, which has to be asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import tensorflow as tf

BY_NCCL = ", gradients summed by NCCL"


def choose_cross_device_ops(kind: Literal["CPU", "GPU"]) -> tuple[tf.distribute.CrossDeviceOps, str]:
    """Return what sums over several devices of one process, and words for the reason of `Devices`.

    TensorFlow's default, collective operations, fails with a second model in the process, on GPUs too: those of both
    have the same keys (tensorflow/tensorflow#62790). NCCL cannot take one GPU twice, as logical devices do.
    """
    import tensorflow as tf

    if kind == "GPU" and len(tf.config.list_logical_devices(kind)) <= len(tf.config.list_physical_devices(kind)):
        return tf.distribute.NcclAllReduce(), BY_NCCL
    return tf.distribute.ReductionToOneDevice(), ""


def choose_communication(kind: Literal["CPU", "GPU"]) -> tf.distribute.experimental.CommunicationOptions:
    """Return how several processes sum.

    Left to itself, TensorFlow sums over workers by its own ring through the CPU, even where there are GPUs:
    `AssignCollectiveType` in its collective_param_resolver_local.cc takes NCCL only where it is asked to.
    """
    import tensorflow as tf

    means = tf.distribute.experimental.CommunicationImplementation
    return tf.distribute.experimental.CommunicationOptions(implementation=means.NCCL if kind == "GPU" else means.AUTO)
