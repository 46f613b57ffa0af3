"""Say which option a training can be started without, where TensorFlow has no kernel for what was asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from keras_resnet.config.spec import Spec
from keras_resnet.errors import KresnetError, UsageError

if TYPE_CHECKING:
    from keras_resnet.training.distribute import Devices

# Characters of TensorFlow's message that are quoted.
MAX_QUOTED = 200


@contextmanager
def explain_missing_kernels(spec: Spec, devices: Devices) -> Iterator[None]:
    """Raise UsageError where an operator of the training step cannot be deterministic, or XLA cannot compile it. Both
    are known at the first step only, because operators are chosen then."""
    try:
        yield
    except KresnetError:
        raise
    except Exception as error:
        import tensorflow as tf

        if not isinstance(error, tf.errors.OpError):
            raise
        is_missing = spec.training.deterministic and isinstance(error, tf.errors.UnimplementedError)
        if is_missing and (said := _find_sentence("determini", str(error))):
            raise UsageError(f"--deterministic is not possible for this training: {said}") from error
        if devices.jit_compile and (said := _find_sentence("XLA", str(error))):
            raise UsageError(f"XLA cannot compile this training, so use --jit-compile off: {said}") from error
        raise


def _find_sentence(word: str, message: str) -> str | None:
    """Return the line of `message` that has `word`, without the number of the error."""
    line = next((line for line in message.splitlines() if word.lower() in line.lower()), None)
    return line and re.sub(r"^\s*(\(\d+\)\s*)?", "", line).rstrip()[:MAX_QUOTED]
