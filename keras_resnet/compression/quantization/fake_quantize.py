"""Round to 8 bits in training, as TensorFlow's operators do, and bit-identically each time where that is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

# Steps of 8 bits.
LAST_STEP = 255


def fake_quantize(values: tf.Tensor, low: tf.Tensor, high: tf.Tensor, narrow_range: bool = False) -> tf.Tensor:
    """Return float32 `values` (…, C) rounded to the 256 steps from `low` to `high`, numbers or one for each channel
    (C,); 255 steps with `narrow_range`. The gradient passes straight through where nothing was clipped.

    The kernels of TensorFlow's gradients refuse to run on GPUs while operators have to be deterministic, because of the
    gradients of the range that they sum (fake_quant_ops.cc). Here nothing trains a range, so that what is left is a
    choice of each value alone; it is written out then, and has the same bits.
    """
    import tensorflow as tf
    from tensorflow.python.framework.config import is_op_determinism_enabled

    quantization = tf.quantization
    is_per_channel = len(low.shape) == 1
    rounding = (
        quantization.fake_quant_with_min_max_vars_per_channel
        if is_per_channel
        else quantization.fake_quant_with_min_max_vars
    )
    if not is_op_determinism_enabled():
        return rounding(values, low, high, narrow_range=narrow_range)

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def quantize(values: tf.Tensor, low: tf.Tensor, high: tf.Tensor) -> tuple[tf.Tensor, object]:
        def differentiate(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            least, most = _nudge(low, high, narrow_range)
            passes = (values >= least) & (values <= most)
            return tf.where(passes, upstream, tf.zeros_like(upstream)), tf.zeros_like(low), tf.zeros_like(high)

        return rounding(values, low, high, narrow_range=narrow_range), differentiate

    return quantize(values, low, high)


def _nudge(low: tf.Tensor, high: tf.Tensor, narrow_range: bool) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the range that values are clipped to: `low` to `high`, moved so that 0 is a step of it, by the formulas of
    `Nudge` in TensorFlow's fake_quant_ops_functor.h."""
    import tensorflow as tf

    first, last = float(narrow_range), float(LAST_STEP)
    scale = (high - low) / (last - first)
    # Rounded away from 0 where it is halfway, which tf.round does not do.
    zero_point = tf.clip_by_value(tf.floor(first - low / scale + 0.5), first, last)
    return (first - zero_point) * scale, (last - zero_point) * scale
