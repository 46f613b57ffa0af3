"""The precision that a training computes in, chosen with a reason."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from keras_resnet.machine.processor import read_processor_flags
from keras_resnet.native_logs import quiet

if TYPE_CHECKING:
    import keras

# bfloat16 costs digits; a gain within the noise of a short measurement is not worth them.
WORTHWHILE_SPEEDUP = 1.15
# Speeds that differ by less are called the same.
EQUAL = 0.1
TURNS = 6
# NVIDIA compute capabilities: tensor cores from 7.0 (float16), bfloat16 in them from 8.0.
FLOAT16_CAPABILITY = (7, 0)
BFLOAT16_CAPABILITY = (8, 0)
# On x86, oneDNN, by which TensorFlow computes, has bfloat16 kernels for processors with AVX-512, and for those with
# AVX-NE-CONVERT, which have AVX-VNNI too (https://uxlfoundation.github.io/oneDNN/dev_guide_data_types.html). By their
# names in Linux, which does not list AVX-NE-CONVERT.
BFLOAT16_FLAGS = {"avx512f": "AVX-512", "avx_vnni": "AVX-VNNI"}


@quiet
def choose_precision(
    build: Callable[[str], keras.Model], image_size: int, batch_size: int, channels: int = 3
) -> tuple[str, str]:
    """Return a Keras dtype policy and the reason for it.

    On GPUs it follows from the hardware, and on a CPU that does not compute in bfloat16. On others training steps of
    `build(policy)`, a small model of the network's kind, are timed in float32 and in mixed_bfloat16 by turns: what else
    the machine does then slows down both.
    """
    if known := choose_by_hardware():
        return known
    shape = (batch_size, image_size, image_size, channels)
    full, mixed = _time_by_turns([_prepare_step(build(policy), shape) for policy in ("float32", "mixed_bfloat16")])
    return choose_cpu_precision(full / mixed)


def choose_by_hardware() -> tuple[str, str] | None:
    """Return the policy and the reason where no trial is needed: on GPUs, and on an x86 CPU without bfloat16."""
    import tensorflow as tf

    if gpus := tf.config.get_visible_devices("GPU"):
        return choose_gpu_precision([tf.config.experimental.get_device_details(gpu) for gpu in gpus])
    flags = read_processor_flags()
    if flags and platform.machine() == "x86_64" and not flags & set(BFLOAT16_FLAGS):
        names = " nor ".join(BFLOAT16_FLAGS.values())
        return "float32", f"this CPU has neither {names}, without which it is slower in bfloat16"
    return None


def choose_cpu_precision(speedup: float) -> tuple[str, str]:
    """Return the policy and the reason for a CPU on which mixed_bfloat16 is `speedup` times as fast as float32."""
    ran = f"in a trial on this CPU mixed_bfloat16 ran at {speedup:.2f} times the speed of float32"
    if abs(speedup - 1) <= EQUAL:
        return "float32", f"{ran}, which is about the same, and float32 is more precise"
    policy = "mixed_bfloat16" if speedup >= WORTHWHILE_SPEEDUP else "float32"
    return policy, f"{ran}; it is chosen where it reaches {WORTHWHILE_SPEEDUP} times"


def choose_gpu_precision(details: list[dict[str, Any]]) -> tuple[str, str]:
    """Return the policy and the reason for GPUs with these details (`tf.config.experimental.get_device_details`)."""
    capabilities = [tuple(each["compute_capability"]) for each in details if "compute_capability" in each]
    if len(capabilities) < len(details):
        return "float32", "TensorFlow does not say which compute capability this GPU has"
    capability = min(capabilities)
    version = ".".join(map(str, capability))
    if capability >= BFLOAT16_CAPABILITY:
        return "mixed_bfloat16", f"compute capability {version} has bfloat16 tensor cores"
    if capability >= FLOAT16_CAPABILITY:
        return "mixed_float16", f"compute capability {version} has float16 tensor cores"
    return "float32", f"compute capability {version} has no tensor cores"


def _prepare_step(model: keras.Model, shape: tuple[int, ...]) -> Callable[[], object]:
    """Return what runs a training step of `model` on images of `shape`; the first one, which traces it, is done."""
    import keras
    import numpy as np

    x = np.random.default_rng(0).uniform(0, 255, shape).astype("float32")
    y = np.zeros(shape[0], "int64")
    model.compile("sgd", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.train_on_batch(x, y)
    return lambda: model.train_on_batch(x, y)


def _time_by_turns(functions: Sequence[Callable[[], object]]) -> list[float]:
    """Return the least time, in seconds, that each of the `functions` takes: all run in turn, TURNS times."""
    times: list[list[float]] = []
    for _ in range(TURNS):
        times.append([])
        for function in functions:
            start = time.perf_counter()
            function()
            times[-1].append(time.perf_counter() - start)
    return [min(column) for column in zip(*times, strict=True)]
