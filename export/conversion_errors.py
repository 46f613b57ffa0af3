"""Which layers of a Keras model a failed conversion failed on, and what can be done about it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_resnet.errors import ExportError, KresnetError

# What TensorFlow's converter, Keras and our own check of a file say of operators, of what they cannot make again, and
# of numbers that stay floats.
_OPERATORS = re.compile(r"'tf\.(\w+)' op is neither|TF Select ops: ([\w, ]+)|Custom ops: ([\w, ]+)")
_UNKNOWN = re.compile(r"Could not locate (?:class|function) '(\w+)'")
_LAMBDA = "deserialization of a `Lambda` layer"
_FLOATS = re.compile(r"has tensors of [^:]*: (.+)")
# How the converter ends of a loop whose ranges it is to learn; and the operators that are loops.
_CRASH = re.compile(r"\(SIG(?:SEGV|ABRT|BUS|ILL|FPE)\)")
LOOPS = {"While", "StatelessWhile"}
NAMED = 3
UNROLL = "give recurrent layers unroll=True"
REBUILD = "write it with Keras' own layers or with keras.ops instead"
REPLACE = "put layers in its place that TFLite has operators for"
KEEP = "leave it out of the model and do its work before or after the file, or put another layer in its place"


def explained(error: KresnetError, model: Any, log: Path) -> KresnetError:
    """Return `error`, a conversion of `model` that failed and wrote `log`, with the layers that are the reason where
    they can be told; else as it is."""
    if not isinstance(error, ExportError):
        return error
    said = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    if found := _unknown(model, said):
        return _because(
            found, "holds code of your own, which the process that converts cannot make again", REBUILD, log
        )
    operators = {name for match in _OPERATORS.finditer(said) for name in _listed(match)}
    if operators:
        found = list(_layers_with(model, operators)) or [f"the operation {name}" for name in sorted(operators)]
        return _because(
            found, f"computes what TFLite has no operator for ({', '.join(sorted(operators))})", REPLACE, log
        )
    if _CRASH.search(str(error)) and (found := list(_layers_with(model, LOOPS))):
        return _because(found, "is a loop, which the converter cannot turn into 8 bits", UNROLL, log)
    match = _FLOATS.search(str(error))
    if match and (found := list(_named_in(model, match[1].split(", ")))):
        return _because(
            found,
            "works with floats, its own or those of the layer before it, which TFLite has no 8 bits for",
            KEEP,
            log,
        )
    return error


def _because(found: list[str], what: str, remedy: str, log: Path) -> ExportError:
    shown = ", ".join(found[:NAMED]) + (f" and {len(found) - NAMED} more" if len(found) > NAMED else "")
    return ExportError(
        f"the model cannot be converted because of {shown}: it {what}; {remedy}. The whole output: {log}"
    )


def _listed(match: re.Match[str]) -> Iterator[str]:
    return (name.strip() for group in match.groups() if group for name in group.split(","))


def _unknown(model: Any, said: str) -> list[str]:
    """The layers that Keras could not make again in another process."""
    names = set(_UNKNOWN.findall(said))
    lambdas = _LAMBDA in said

    def is_unknown(layer: Any) -> bool:
        function = getattr(getattr(layer, "function", None), "__name__", "")
        return type(layer).__name__ in names or function in names or (lambdas and function == "<lambda>")

    return [_told(layer) for layer in _layers(model) if is_unknown(layer)]


def _layers_with(model: Any, operators: set[str]) -> Iterator[str]:
    """The layers whose computation holds one of these `operators`."""
    import tensorflow as tf

    pixels = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32)
    graph = tf.function(lambda images: model(images, training=False)).get_concrete_function(pixels).graph
    return _named_in(model, [each.name for each in graph.get_operations() if each.type in operators])


def _named_in(model: Any, paths: list[str]) -> Iterator[str]:
    """The layers by whose names these `paths` of operations or tensors go, each once."""
    by_name = {layer.name: layer for layer in _layers(model)}
    # TensorFlow adds numbers to the names of scopes.
    parts = (part for path in paths for part in re.split("[/;]", path))
    names = (part if part in by_name else re.sub(r"_\d+$", "", part) for part in parts)
    found = dict.fromkeys(name for name in names if name in by_name)
    return (_told(by_name[name]) for name in found)


def _layers(model: Any) -> Iterator[Any]:
    """Those of a model and of the models in it."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _layers(layer)
        else:
            yield layer


def _told(layer: Any) -> str:
    return f"layer {layer.name!r} ({type(layer).__name__})"
