"""Declare a setting once: type, default, constraints, help text and command-line option stand in one place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypedDict, Union, Unpack, get_args, get_origin

from pydantic import Field, GetCoreSchemaHandler
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, core_schema

_TYPE_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
_ITEM_WORDS = {int: "whole numbers", float: "numbers", str: "words"}


@dataclass(frozen=True)
class Option:
    """The command-line option of a setting.

    flag: as typed. group: its section in the help. default: words for what a default of None or "auto" comes to.
    metavar: what stands for the value in the help, where its type does not say enough.
    """

    flag: str
    group: str
    default: str = ""
    metavar: str = ""


@dataclass(frozen=True)
class OneOf:
    """Restrict a `str` to names, where a Literal does not do: a registry's, or what functions return as `str`."""

    names: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: type[str], handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.literal_schema(list(self.names))


@dataclass(frozen=True)
class Typed:
    """How a setting is given that no single type describes: `kind` on the command line, as `annotation` says in
    Python."""

    kind: type
    annotation: str


class Constraints(TypedDict, total=False):
    """Bounds of a number, as pydantic's `Field` takes them."""

    gt: float
    ge: float
    lt: float
    le: float


# Any, as the functions of `dataclasses` and pydantic that declare a field return it: it stands for any field's default.
def setting(
    default: object, help: str, option: Option | None = None, allowed: str = "", **constraints: Unpack[Constraints]
) -> Any:
    """Return the declaration of a setting, to stand behind its annotation.

    help: one sentence. allowed: what to say of the allowed values where the constraints do not tell.
    """
    extra: dict[str, Any] = {"allowed": allowed} if allowed else {}
    if option:
        extra |= {"option": option.flag, "group": option.group}
        extra |= {"default_words": option.default} if option.default else {}
        extra |= {"metavar": option.metavar} if option.metavar else {}
    return Field(default, description=help, json_schema_extra=extra or None, **constraints)


@dataclass(frozen=True)
class Setting:
    """One setting of a spec as declared. key: dotted, from the top of the spec. kind: its type, or that of the items
    of a list. choices: the words that it may be; () for anything else. annotation: as Python writes the type, where
    `kind` does not say it. is_share: whether it is a number from 0 to 1."""

    key: str
    kind: type
    is_list: bool
    is_optional: bool
    default: object
    help: str
    option: Option | None
    choices: tuple[str, ...]
    bounds: str
    annotation: str = ""
    is_share: bool = False

    @property
    def type_words(self) -> str:
        """The type in words."""
        if self.is_list:
            return f"a list of {_ITEM_WORDS.get(self.kind, 'values')}"
        return _TYPE_WORDS.get(self.kind, self.kind.__name__)

    @property
    def default_words(self) -> str:
        """The default as the help shows it, "" where it goes without saying."""
        if self.option and self.option.default:
            return self.option.default
        if self.default is None or self.default == () or isinstance(self.default, bool):
            return ""
        return f"{self.default:g}" if isinstance(self.default, (int, float)) else str(self.default)


def iterate_settings(section: type, prefix: str = "") -> Iterator[Setting]:
    """Yield every setting of a spec's `section`, and of the sections in it, in the order of their declaration."""
    for name, field in section.__pydantic_fields__.items():  # type: ignore[attr-defined]
        if is_dataclass(field.annotation):
            assert isinstance(field.annotation, type)
            yield from iterate_settings(field.annotation, f"{prefix}{name}.")
        else:
            yield _describe(prefix + name, field)


def find_setting(section: type, name: str) -> Setting:
    """Return one setting of `section` itself; its key is `name`."""
    return _describe(name, section.__pydantic_fields__[name])  # type: ignore[attr-defined]


def _describe(key: str, field: FieldInfo) -> Setting:
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    kind, choices, is_list, is_optional = _read_annotation(field.annotation)
    choices = next((each.names for each in field.metadata if isinstance(each, OneOf)), choices)
    typed = next((each for each in field.metadata if isinstance(each, Typed)), None)
    flag, *words = (str(extra.get(name, "")) for name in ("option", "group", "default_words", "metavar"))
    return Setting(
        key=key,
        kind=typed.kind if typed else kind,
        is_list=is_list,
        is_optional=is_optional,
        default=None if field.default is PydanticUndefined else field.default,
        help=field.description or "",
        option=Option(flag, *words) if flag else None,
        choices=choices,
        bounds=str(extra.get("allowed", "")) or _bounds_words(field.metadata),
        annotation=typed.annotation if typed else "",
        is_share=kind is float and not is_list and _is_within_one(field.metadata),
    )


def _read_annotation(annotation: Any) -> tuple[type, tuple[str, ...], bool, bool]:
    """Return (type, choices, whether a list, whether it may be None) of a setting's annotation."""
    is_list = is_optional = False
    if get_origin(annotation) in (Union, UnionType):
        is_optional = True
        annotation = next(each for each in get_args(annotation) if each is not NoneType)
    if get_origin(annotation) is tuple:
        is_list, annotation = True, get_args(annotation)[0]
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is Literal:
        return str, get_args(annotation), is_list, is_optional
    return annotation, (), is_list, is_optional


def _find_bounds(metadata: list[Any]) -> dict[str, float]:
    """Return the bounds of a number by their names in `Constraints`."""
    return {name: getattr(each, name) for each in metadata for name in ("gt", "ge", "lt", "le") if hasattr(each, name)}


def _is_within_one(metadata: list[Any]) -> bool:
    """Return whether a number has to be from 0 to 1."""
    bounds = _find_bounds(metadata)
    return 1 in (bounds.get("lt"), bounds.get("le")) and 0 in (bounds.get("gt"), bounds.get("ge"))


def _bounds_words(metadata: list[Any]) -> str:
    """Return the bounds of a number in words, "" where it has none."""
    bounds = _find_bounds(metadata)
    if "ge" in bounds and "le" in bounds:
        return f"{bounds['ge']} to {bounds['le']}"
    words = {"gt": "above {}", "ge": "{} or more", "lt": "below {}", "le": "at most {}"}
    return " and ".join(words[name].format(bounds[name]) for name in words if name in bounds)
