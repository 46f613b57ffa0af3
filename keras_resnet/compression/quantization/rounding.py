"""Where a file rounds: which results of steps it stores, and which are a part of the next operator."""

from __future__ import annotations

import keras

from keras_resnet.compression.quantization.steps import Kind, Part, Step, Steps

# Whose operators in a file can cut off their results.
FUSING = (Kind.KERNEL, Kind.NORM, Kind.ARITHMETIC)
ROUNDED = (*FUSING, Kind.RELU, Kind.RESULT, Kind.JOIN)


def needs_range(step: Step, steps: Steps) -> bool:
    """Whether the file rounds what `step` gives: not where the next operation is fused into this one."""
    if step.kind not in ROUNDED:
        return False
    if step.kind is Kind.RELU or step.part.fixed or step.is_output or not step.followers:
        return True
    if all(_joins(each) for each in step.followers):
        return False  # a file keeps what it joins in one range
    return len(step.followers) > 1 or not _is_fused(step.followers[0], step, steps)


def is_folded(norm: Part, steps: Steps) -> bool:
    """Whether the batch norm's scale can be a part of the kernel before it, at each of its calls. Not of a dense one,
    which has one step for all of its outputs."""
    calls = [step for step in steps.steps if step.part is norm]
    return norm.source.axis in (-1, 3) and all(_can_fold(step.inputs[0]) for step in calls)


def is_normalized(pixels: Step) -> bool:
    """Whether the input of the model is only read by a normalization of pixels, which rounds them itself."""
    following = pixels.followers
    passed = all(
        each.kind is Kind.NORMALIZE or (each.kind is Kind.IDENTITY and is_normalized(each)) for each in following
    )
    return passed and bool(following) and not pixels.is_output


def _can_fold(before: Step) -> bool:
    kernel = before.kind is Kind.KERNEL and not isinstance(before.part.source, keras.layers.Dense)
    return kernel and len(before.followers) == 1 and not before.is_output


def _is_fused(follower: Step, step: Step, steps: Steps) -> bool:
    """Whether `follower`, the only one, is a part of the operator that computes `step`."""
    if follower.kind is Kind.NORM:
        return step.kind is Kind.KERNEL and is_folded(follower.part, steps)
    return follower.kind is Kind.RELU and step.kind in FUSING


def _joins(step: Step) -> bool:
    """Whether the values that `step` is given become a part of joined ones."""
    moved = step.kind is Kind.PASS and not step.is_output and bool(step.followers)
    return step.kind is Kind.JOIN or (moved and all(map(_joins, step.followers)))
