"""Explanation of a failed conversion: on which layers of the Keras model it failed, and what can be done about it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from keras_resnet.errors import ExportError, KresnetError

if TYPE_CHECKING:
    import keras

# What TensorFlow's converter, Keras and our own check of a file say of operators, of what they cannot make again, and
# of numbers that stay floats.
_OPERATORS = re.compile(r"'tf\.(\w+)' op is neither|TF Select ops: ([\w, ]+)|Custom ops: ([\w, ]+)")
_UNKNOWN = re.compile(r"Could not locate (?:class|function) '(\w+)'")
_LAMBDA = "deserialization of a `Lambda` layer"
_FLOATS = re.compile(r"has tensors of [^:]*: (.+)")
# How the converter ends of a loop whose ranges it is to learn; and the operators that are loops.
_CRASH = re.compile(r"\(SIG(?:SEGV|ABRT|BUS|ILL|FPE)\)")
LOOPS = {"While", "StatelessWhile"}
MAX_NAMED = 3
UNROLL = "give recurrent layers unroll=True"
REBUILD = "write it with Keras' own layers or with keras.ops instead"
REPLACE = "put layers in its place that TFLite has operators for"
KEEP = "leave it out of the model and do its work before or after the file, or put another layer in its place"


def explain_conversion_error(error: KresnetError, model: keras.Model, log: Path) -> KresnetError:
    """Return an error that names the layers of `model` that a conversion, which wrote `log`, failed on, and what to do;
    `error` itself where they are not known."""
    if not isinstance(error, ExportError):
        return error
    output = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    if layers := _unknown_layers(model, output):
        return _build_error(
            layers, "holds code of your own, which the process that converts cannot make again", REBUILD, log
        )
    operators = {name for match in _OPERATORS.finditer(output) for name in _split_names(match)}
    if operators:
        layers = list(_layers_with(model, operators)) or [f"the operation {name}" for name in sorted(operators)]
        return _build_error(
            layers, f"computes what TFLite has no operator for ({', '.join(sorted(operators))})", REPLACE, log
        )
    if _CRASH.search(str(error)) and (layers := list(_layers_with(model, LOOPS))):
        return _build_error(layers, "is a loop, which the converter cannot turn into 8 bits", UNROLL, log)
    match = _FLOATS.search(str(error))
    if match and (layers := list(_named_in(model, match[1].split(", ")))):
        return _build_error(
            layers,
            "works with floats, its own or those of the layer before it, which TFLite has no 8 bits for",
            KEEP,
            log,
        )
    return error


def _build_error(layers: list[str], reason: str, remedy: str, log: Path) -> ExportError:
    shown = ", ".join(layers[:MAX_NAMED]) + (f" and {len(layers) - MAX_NAMED} more" if len(layers) > MAX_NAMED else "")
    return ExportError(
        f"the model cannot be converted because of {shown}: it {reason}; {remedy}. The whole output: {log}"
    )


def _split_names(match: re.Match[str]) -> Iterator[str]:
    return (name.strip() for group in match.groups() if group for name in group.split(","))


def _unknown_layers(model: keras.Model, output: str) -> list[str]:
    """Return the layers that Keras could not make again in another process."""
    names = set(_UNKNOWN.findall(output))
    lambdas = _LAMBDA in output

    def is_unknown(layer: keras.Layer) -> bool:
        function = getattr(getattr(layer, "function", None), "__name__", "")
        return type(layer).__name__ in names or function in names or (lambdas and function == "<lambda>")

    return [_describe(layer) for layer in _layers(model) if is_unknown(layer)]


def _layers_with(model: keras.Model, operators: set[str]) -> Iterator[str]:
    """Return the layers whose computation holds one of these `operators`."""
    import tensorflow as tf

    pixels = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32)
    graph = tf.function(lambda images: model(images, training=False)).get_concrete_function(pixels).graph
    return _named_in(model, [each.name for each in graph.get_operations() if each.type in operators])


def _named_in(model: keras.Model, paths: list[str]) -> Iterator[str]:
    """Return the layers by whose names these `paths` of operations or tensors go, each once."""
    by_name = {layer.name: layer for layer in _layers(model)}
    # TensorFlow adds numbers to the names of scopes.
    parts = (part for path in paths for part in re.split("[/;]", path))
    names = (part if part in by_name else re.sub(r"_\d+$", "", part) for part in parts)
    layers = dict.fromkeys(name for name in names if name in by_name)
    return (_describe(by_name[name]) for name in layers)


def _layers(model: keras.Model) -> Iterator[keras.Layer]:
    """Yield the layers of a model and of the models in it."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _layers(layer)
        else:
            yield layer


def _describe(layer: keras.Layer) -> str:
    return f"layer {layer.name!r} ({type(layer).__name__})"
