"""oneDNN's kernels in TensorFlow.

On Linux, TensorFlow uses them by default only on x86 processors with instructions for products of 8 or 16 bits
(AVX512-VNNI, AVX512-BF16, AVX-VNNI, AMX). On a processor that has AVX2 alone, they make training steps up to twice as
fast: see benchmarks/train.py.
"""

from __future__ import annotations

import os
import platform
import sys

from keras_resnet.machine.processor import read_processor_flags

VARIABLE = "TF_ENABLE_ONEDNN_OPTS"
# As TensorFlow reads it, in any case; with another value it decides itself.
ON, OFF = ("1", "true"), ("0", "false")
# Whether kresnet has turned oneDNN's kernels on, in this process.
_is_ours = False


def enable_onednn() -> None:
    """Have TensorFlow use oneDNN's kernels on x86 processors with AVX2, on Linux.

    A setting of the user stays as it is. Once TensorFlow is imported, this changes nothing: it has read the variable.
    """
    global _is_ours
    is_open = VARIABLE not in os.environ and "tensorflow" not in sys.modules
    if is_open and sys.platform == "linux" and platform.machine() == "x86_64" and "avx2" in read_processor_flags():
        os.environ[VARIABLE] = "1"
        _is_ours = True


def is_set() -> bool:
    """Return whether the user or kresnet has decided on oneDNN's kernels, and not TensorFlow."""
    return VARIABLE in os.environ


def lacks_avx512() -> bool:
    """Return whether TensorFlow uses oneDNN's kernels for AVX2, because the processor has no AVX-512."""
    flags = read_processor_flags()
    return os.environ.get(VARIABLE, "").lower() in ON and "avx2" in flags and "avx512f" not in flags


def has_amx() -> bool:
    """Return whether TensorFlow uses oneDNN's kernels for AMX, which compute in bfloat16: by default it does."""
    return os.environ.get(VARIABLE, "").lower() not in OFF and "amx_bf16" in read_processor_flags()


def describe_onednn() -> str:
    """Return whether oneDNN's kernels are on, and why."""
    value = os.environ.get(VARIABLE)
    if value is None:
        return "TensorFlow's default"
    if _is_ours:
        return f"on, because this CPU has AVX2 ({VARIABLE}=0 turns it off)"
    if value.lower() not in ON + OFF:
        return f"TensorFlow's default, because {VARIABLE}={value} is none of {', '.join(ON + OFF)}"
    return f"{'on' if value.lower() in ON else 'off'} ({VARIABLE}={value})"
