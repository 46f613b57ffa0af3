"""Images read by Python within a tf.data pipeline. TensorFlow hands on no more of an exception there than its text, so
the exception itself is kept for whoever runs the pipeline."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from keras_resnet.data.python_calls import PYTHON_CALLS
from keras_resnet.errors import DataError

_raised: list[DataError] = []


def numpy_function(read: Callable[..., Any], arguments: list[Any], dtype: Any) -> Any:
    """Return the tensor of `dtype` that `read` makes of the values of `arguments`, tensors, whenever a pipeline asks
    for it. A DataError that it raises fails the pipeline, and is there for `take_read_error`."""
    import tensorflow as tf

    @wraps(read)
    def keeping(*values: Any) -> Any:
        try:
            with PYTHON_CALLS.call():
                return read(*values)
        except DataError as error:
            _raised.append(error)
            raise

    return tf.numpy_function(keeping, arguments, dtype, stateful=False)


def keep_read_error(error: DataError) -> DataError:
    """Return `error`, which is to be raised within a pipeline, and keep it for `take_read_error`."""
    _raised.append(error)
    return error


def take_read_error(text: str = "") -> DataError | None:
    """Return the DataError whose message is in `text`, what TensorFlow says of a failed pipeline, else the first that a
    pipeline of this process met since this was last asked; None if it met none.

    Threads of an earlier pipeline, which read ahead, may meet theirs after that one has failed.
    """
    raised = [*_raised]
    _raised.clear()
    return next((error for error in raised if str(error) in text), raised[0] if raised else None)
