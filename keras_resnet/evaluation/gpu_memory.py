"""Let TensorFlow take the memory of GPUs as it needs it: by default it takes all of it at once, and the next process
finds none."""

from __future__ import annotations

import os

# TensorFlow's own variable, which it obeys before what a program says (tensorflow.org/guide/gpu).
VARIABLE = "TF_FORCE_GPU_ALLOW_GROWTH"


def share_gpu_memory() -> str:
    """Let the memory that this process takes of each GPU grow, unless the user or the program has decided otherwise.

    Returns what applies, in words; "" where TensorFlow sees no GPU. To be called before TensorFlow computes anything,
    because devices are fixed then.
    """
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return ""
    if os.environ.get(VARIABLE):
        return f"as {VARIABLE}={os.environ[VARIABLE]} says"
    if any(tf.config.get_logical_device_configuration(gpu) for gpu in gpus):
        return "as this program has divided its GPUs into logical devices"
    try:
        for gpu in gpus:  # all or none: TensorFlow refuses GPUs that differ
            tf.config.experimental.set_memory_growth(gpu, True)
    except RuntimeError:
        return "all of it, because TensorFlow had computed something in this process before kresnet could ask for less"
    return f"as much as is needed ({VARIABLE}=false takes all of it at once)"
