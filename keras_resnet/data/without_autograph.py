"""Leave AutoGraph out of tf.data's functions, which do not need it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def without_autograph(make: Callable[P, T]) -> Callable[P, T]:
    """Decorate what makes a tf.data.Dataset of functions that do not branch on tensors: they are traced as they are.

    By default, AutoGraph first rewrites the source of each function and of all that it calls, which takes seconds.
    """

    @wraps(make)
    def call(*args: P.args, **options: P.kwargs) -> T:
        import tensorflow as tf

        made: T = tf.autograph.experimental.do_not_convert(make)(*args, **options)
        return made

    return call
