"""The precision that a training computes in, chosen with a reason."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

# bfloat16 costs digits; a gain within the noise of a short measurement is not worth them.
WORTHWHILE_SPEEDUP = 1.15
# NVIDIA compute capabilities: tensor cores from 7.0 (float16), bfloat16 in them from 8.0.
FLOAT16_CAPABILITY = (7, 0)
BFLOAT16_CAPABILITY = (8, 0)


def choose_precision(
    build: Callable[[str], keras.Model], image_size: int, batch_size: int, channels: int = 3
) -> tuple[str, str]:
    """Return a Keras dtype policy and the reason for it.

    On GPUs it follows from the hardware. On a CPU one training step of `build(policy)`, a small model
    of the network's kind, is timed in float32 and in mixed_bfloat16.
    """
    import tensorflow as tf

    gpus = tf.config.get_visible_devices("GPU")
    if gpus:
        return choose_gpu_precision([tf.config.experimental.get_device_details(gpu) for gpu in gpus])
    seconds = {
        p: _time_step(build(p), (batch_size, image_size, image_size, channels)) for p in ("float32", "mixed_bfloat16")
    }
    speedup = seconds["float32"] / seconds["mixed_bfloat16"]
    policy = "mixed_bfloat16" if speedup >= WORTHWHILE_SPEEDUP else "float32"
    return policy, (
        f"in a trial on this CPU mixed_bfloat16 ran at {speedup:.2f} times the speed of float32;"
        f" it is chosen where it reaches {WORTHWHILE_SPEEDUP} times"
    )


def choose_gpu_precision(details: list[dict[str, Any]]) -> tuple[str, str]:
    """Return the policy and the reason for GPUs with these details (`tf.config.experimental.get_device_details`)."""
    capability = min(tuple(d.get("compute_capability", (0, 0))) for d in details)
    version = ".".join(map(str, capability))
    if capability >= BFLOAT16_CAPABILITY:
        return "mixed_bfloat16", f"compute capability {version} has bfloat16 tensor cores"
    if capability >= FLOAT16_CAPABILITY:
        return "mixed_float16", f"compute capability {version} has float16 tensor cores"
    return "float32", f"compute capability {version} has no tensor cores"


def _time_step(model: keras.Model, shape: tuple[int, ...]) -> float:
    """Return the best of five training steps, in seconds, after one to trace."""
    import keras
    import numpy as np

    x = np.random.default_rng(0).uniform(0, 255, shape).astype("float32")
    y = np.zeros(shape[0], "int64")
    model.compile("sgd", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.train_on_batch(x, y)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        model.train_on_batch(x, y)
        times.append(time.perf_counter() - start)
    return min(times)
