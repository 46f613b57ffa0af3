"""Whether XLA compiles the training step, decided with a reason.

Keras' `jit_compile="auto"` compiles where TensorFlow has a GPU, nothing is distributed and nothing has to be
deterministic (Trainer._resolve_auto_jit_compile and model_supports_jit of Keras 3.15); so does this. NVIDIA's figures
for a ResNet-50 on an A100 are 18 hours with XLA and 19.5 without, in mixed precision (DeepLearningExamples,
TensorFlow 1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_resnet.config.spec import Spec
from keras_resnet.errors import UsageError
from keras_resnet.native_logs import silence_in_main_thread
from keras_resnet.progress import Log

if TYPE_CHECKING:
    from keras_resnet.training.distribute import Devices

ON, OFF, AUTO = "on", "off", "auto"
# Of ResNets on x86-64, beside the same steps without XLA.
CPU_SPEED = "0.3 to 0.65 times the speed"
# Characters of TensorFlow's message that are quoted.
MAX_QUOTED = 160


def require_consistent(spec: Spec) -> None:
    """Raise UsageError if the spec asks for XLA and for what XLA cannot do."""
    if spec.training.jit_compile == ON and spec.training.deterministic:
        raise UsageError(
            "--jit-compile on does not go with --deterministic: XLA has no deterministic form of some operators, such"
            " as the gradient of max pooling on a GPU"
        )


def decide_jit_compile(spec: Spec, devices: Devices, log: Log) -> bool:
    """Return whether XLA compiles the steps of a training on `devices`, and log that and why, where it is a choice.

    Raises UsageError where it was asked for and is impossible.
    """
    requested = spec.training.jit_compile
    if requested == ON:
        _require_possible(devices)
        if devices.kind == "CPU":
            log(f"warning: XLA: on (--jit-compile on); on CPUs, training ran at {CPU_SPEED} that it has without XLA")
        else:
            log("XLA: on (--jit-compile on)")
        return True
    if devices.kind != "GPU":
        return False  # as TensorFlow has it
    compiles, reason = (False, "--jit-compile off") if requested == OFF else _decide(spec, devices)
    log(f"XLA: {'on' if compiles else 'off'} ({reason})")
    return compiles


def _decide(spec: Spec, devices: Devices) -> tuple[bool, str]:
    """Return whether XLA compiles on GPUs where that is left to kresnet, and why."""
    from tensorflow.python.framework.config import is_op_determinism_enabled

    if devices.replicas > 1:
        return False, "it compiles for one GPU only"
    if spec.training.deterministic or is_op_determinism_enabled():
        return False, "it is not deterministic"
    if spec.compress.uses_tfmot:
        return False, "tensorflow-model-optimization was not tried with it"
    if obstacle := find_obstacle():
        return False, f"it cannot compile here: {obstacle}"
    return True, "as Keras does on one GPU; --jit-compile off trains without it"


def _require_possible(devices: Devices) -> None:
    if devices.replicas > 1:
        raise UsageError(f"--jit-compile on compiles for one device only. Received: {devices.replicas} of them")
    if obstacle := find_obstacle():
        raise UsageError(f"--jit-compile on: XLA cannot compile here: {obstacle}")


def find_obstacle() -> str | None:
    """Return why XLA cannot compile on this machine; None if it can. On GPUs it needs files of CUDA (libdevice, ptxas)
    that TensorFlow works without."""
    import tensorflow as tf

    try:
        with silence_in_main_thread():
            compiled = tf.function(lambda x: tf.exp(x) ** 1.5, jit_compile=True)  # both are of libdevice
            compiled(tf.constant([0.0, 1.0])).numpy()
    except tf.errors.OpError as error:
        return " ".join(str(error).split())[:MAX_QUOTED]
    return None
