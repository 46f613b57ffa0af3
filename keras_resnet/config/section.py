"""The base of a spec's sections: frozen, checked when they are made, with errors of one sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, ClassVar, Self, TypeVar

from pydantic import ConfigDict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from keras_resnet.config.settings import Setting, find_setting, iterate_settings
from keras_resnet.errors import SettingError, UnknownKeyError, UsageError, find_nearest, one_of_sentence
from keras_resnet.runtime.shares import suggest_share

# Nothing is converted but whole numbers to float: "3" is no number, and an unknown key is an error.
STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
# Whole numbers of a spec are below this, as those of arrays are.
LARGEST_INTEGER = 2**63
S = TypeVar("S", bound="Section")


class _Explaining(type):
    """Make sections raise SettingError, in one sentence, where pydantic raises ValidationError.

    A validator cannot do that: what it raises becomes a part of the ValidationError, UsageError being a ValueError.
    """

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        section: type[Section] = cls  # type: ignore[assignment]
        given = dict(zip(section.__pydantic_fields__, args, strict=False)) | kwargs
        for name, value in given.items():
            if isinstance(value, int) and abs(value) >= LARGEST_INTEGER:
                # Its digits may be more than Python writes.
                received = f"one of {value.bit_length()} bits"
                raise SettingError(f"{section.key(name)} must be a whole number below 2**63. Received: {received}")
        try:
            return super().__call__(*args, **kwargs)
        except ValidationError as error:
            raise _explain(section, error.errors(include_url=False)[0], given) from None


class Section(metaclass=_Explaining):
    """A part of a spec. Subclasses are pydantic dataclasses of settings; `dataclasses.replace` checks its copy.

    PATH: the section's dotted key from the top of the spec, "" for the spec itself.
    """

    PATH: ClassVar[str] = ""
    __dataclass_fields__: ClassVar[dict[str, Any]]
    __pydantic_fields__: ClassVar[dict[str, FieldInfo]]

    @classmethod
    def key(cls, name: str) -> str:
        """Return the dotted key of the section's setting `name`."""
        return f"{cls.PATH}.{name}" if cls.PATH else name

    @classmethod
    def take(cls, options: Mapping[str, Any]) -> tuple[Self, dict[str, Any]]:
        """Return the section of its settings among `options`, and the other options."""
        names = {field.name for field in fields(cls)}
        section = cls(**{name: value for name, value in options.items() if name in names})
        return section, {name: value for name, value in options.items() if name not in names}


class OptionsSection(Section):
    """A section whose settings are no part of a spec: messages call each by its option."""

    @classmethod
    def key(cls, name: str) -> str:
        """Return the option of a setting."""
        return f"--{name.replace('_', '-')}"


def not_allowed(key: str, received: object, allowed: str, hint: str = "") -> SettingError:
    """Return the error for a value that is not what is `allowed`, in words, for the setting `key`. hint: what else to
    say."""
    return SettingError(f"{key} must be {allowed}. Received: {received!r}{hint}")


def override(section: S, changes: Mapping[str, object], prefix: str = "") -> S:
    """Return a copy of `section` with other values at dotted keys, all at once; `prefix` is the key of the section,
    for errors. Raises SettingError for an unknown key, naming the nearest, and for a value that is not allowed."""
    known = [field.name for field in fields(section)]
    values: dict[str, Any] = {}
    deeper: dict[str, dict[str, object]] = {}
    for path, value in changes.items():
        name, _, rest = path.partition(".")
        if name not in known:
            raise _unknown_key(
                prefix + path, known, prefix, {each.key: each for each in iterate_settings(type(section), prefix)}
            )
        if rest and not isinstance(getattr(section, name), Section):
            raise SettingError(f"{prefix + path!r} reaches into {name!r}, which is a plain value")
        if rest:
            deeper.setdefault(name, {})[rest] = value
        else:
            values[name] = value
    for name, inner in deeper.items():
        values[name] = override(values.get(name, getattr(section, name)), inner, f"{prefix}{name}.")
    return replace(section, **values)


def parse_section(kind: type[S], raw: object, prefix: str = "") -> S:
    """Return the section `kind` of a JSON object; `prefix` is its dotted key, for errors. Raises SettingError."""
    if not isinstance(raw, dict):
        what = prefix.removesuffix(".") or "top level"
        raise SettingError(f"the spec's {what} must be a JSON object. Received: {type(raw).__name__}")
    values: dict[str, Any] = {}
    for name, value in raw.items():
        field = kind.__pydantic_fields__.get(name)
        inner = field.annotation if field else None
        if isinstance(inner, type) and issubclass(inner, Section):
            values[name] = parse_section(inner, value, f"{prefix}{name}.")
        else:
            values[name] = tuple(value) if isinstance(value, list) else value
    return kind(**values)


def flatten(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested dictionaries as one, with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in document.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def _explain(section: type[Section], error: ErrorDetails, given: Mapping[str, object]) -> UsageError:
    """Return the error of one sentence for pydantic's first one about a `section` made of what was `given`."""
    raised = error.get("ctx", {}).get("error")
    if isinstance(raised, UsageError):
        return raised
    known = list(section.__pydantic_fields__)
    place = error["loc"][0]
    # An argument by position is named by its place.
    name = known[place] if isinstance(place, int) and place < len(known) else str(place)
    if name not in known:
        key = section.key(name)
        return _unknown_key(key, known, key.removesuffix(name) if "." in key else "")
    # Of a list, the value that is out of bounds.
    is_of_list = len(error["loc"]) > 1 and not error["type"].endswith(("_type", "finite_number"))
    received = error["input"] if is_of_list else given.get(name, error["input"])
    if error["type"] == "dataclass_exact_type":
        return not_allowed(section.key(name), received, "a group of settings, one of which --set KEY=VALUE names")
    setting = find_setting(section, name)
    if error["type"] == "literal_error":
        return SettingError(one_of_sentence(section.key(name), error["input"], setting.choices))
    if isinstance(received, float) and not math.isfinite(received):
        return not_allowed(section.key(name), received, "a finite number")
    hint = suggest_share(received) if setting.is_share else ""
    if error["type"].endswith("_type"):
        words = f"{setting.type_words}, {setting.bounds}" if setting.bounds else setting.type_words
        return not_allowed(section.key(name), received, words, hint)
    return not_allowed(section.key(name), received, setting.bounds or setting.type_words, hint)


def _unknown_key(
    key: str, known: list[str], prefix: str, deeper: Mapping[str, Setting] | None = None
) -> UnknownKeyError:
    """Return the error for a `key` that is none of those `known`, the settings of the section `prefix`; one of the
    settings further down, in `deeper` by key, may be meant by its own name."""
    name = key.rpartition(".")[2]
    meant = next((each for path, each in (deeper or {}).items() if path.rpartition(".")[2] == name), None)
    if meant:
        option = f" (or {meant.option.flag})" if meant.option else ""
        return UnknownKeyError(f"unknown key {key!r} in the spec. Did you mean {meant.key!r}{option}?")
    whole = {path.rpartition(".")[2]: path for path in deeper or {}} | {each: f"{prefix}{each}" for each in known}
    near = find_nearest(name, whole)
    suggestion = "" if near is None else f" Did you mean {whole[near]!r}?"
    listed = ", ".join(f"{prefix}{each}" for each in known)
    return UnknownKeyError(f"unknown key {key!r} in the spec.{suggestion} Known: {listed}")
