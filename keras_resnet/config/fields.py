"""Nested frozen dataclasses made from JSON and changed by dotted keys; what is not allowed is said in one sentence."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import fields, replace
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from keras_resnet.errors import UsageError, did_you_mean

T = TypeVar("T")
# Whole numbers of a spec are below this, as those of arrays are.
LARGEST = 2**63


def require(holds: bool, name: str, received: Any, allowed: str) -> None:
    """Raises UsageError, saying what is allowed for `name`, unless `holds`."""
    if not holds:
        raise UsageError(f"{name} must be {allowed}. Received: {received}")


def one_of(name: str, received: str, allowed: tuple[str, ...]) -> None:
    """Raises UsageError unless `received` is one of `allowed`."""
    if received not in allowed:
        near = did_you_mean(str(received), allowed)
        raise UsageError(f"{name} must be one of {', '.join(allowed)}. Received: {received!r}{near and '.'}{near}")


def _unknown_key(key: str, known: list[str]) -> UsageError:
    return UsageError(
        f"unknown key {key!r} in the spec.{did_you_mean(key.rpartition('.')[2], known)} Known: {', '.join(known)}"
    )


def override(node: Any, path: list[str], value: Any, key: str) -> Any:
    """A copy of the dataclass `node` with another value at `path`; `key` is the whole dotted path, for errors."""
    known = [f.name for f in fields(node)]
    if path[0] not in known:
        raise _unknown_key(key, known)
    if len(path) > 1:
        child = getattr(node, path[0])
        if not dataclasses.is_dataclass(child):
            raise UsageError(f"{key!r} reaches into {path[0]!r}, which is a plain value")
        return replace(node, **{path[0]: override(child, path[1:], value, key)})
    _require_type(key, value, get_type_hints(type(node))[path[0]])
    return replace(node, **{path[0]: value})


def from_dict(kind: type[T], raw: Any, prefix: str) -> T:
    """The dataclass `kind` from a JSON object; `prefix` is the dotted path to it, for errors."""
    if not isinstance(raw, dict):
        raise UsageError(f"the spec's {prefix or 'top level'} must be a JSON object. Received: {type(raw).__name__}")
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for key, value in raw.items():
        if key not in hints:
            raise _unknown_key(prefix + key, list(hints))
        if dataclasses.is_dataclass(hints[key]):
            values[key] = from_dict(hints[key], value, f"{prefix}{key}.")
        else:
            values[key] = tuple(value) if isinstance(value, list) else value
            _require_type(prefix + key, values[key], hints[key])
    return kind(**values)


def _require_type(name: str, value: Any, hint: Any) -> None:
    if not _is_of(value, hint):
        if isinstance(value, (int, float)) and not abs(value) < LARGEST:
            if isinstance(value, float):
                raise UsageError(f"{name} must be a finite number. Received: {value}")
            # Its digits may be more than Python writes.
            raise UsageError(f"{name} must be a whole number below 2**63. Received: one of {value.bit_length()} bits")
        told = getattr(hint, "__name__", None) if not get_args(hint) else str(hint)
        raise UsageError(f"{name} must be of type {told}. Received: {value!r}")


def _is_of(value: Any, hint: Any) -> bool:
    """Whether `value` is what the annotation `hint` of a spec's field allows; whole numbers pass for float, and
    numbers that are not finite for nothing."""
    if isinstance(hint, UnionType):
        return any(_is_of(value, each) for each in get_args(hint))
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(_is_of(each, get_args(hint)[0]) for each in value)
    if isinstance(value, bool):
        return hint is bool
    if isinstance(value, int):
        return hint in (int, float) and abs(value) < LARGEST
    return isinstance(value, hint) and (hint is not float or math.isfinite(value))


def flat(document: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries as one, with dotted keys."""
    found: dict[str, Any] = {}
    for key, value in document.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found
