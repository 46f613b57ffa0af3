"""Keywords of the functions for Python, made of the settings that they set: their types, and the words of `help`.

`scripts/python-options` writes the types down in options.py, where type checkers and editors read them.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar, get_type_hints

from keras_resnet.api.session import in_python_words
from keras_resnet.config.given_options import COMPRESS_SETTINGS, SETTINGS
from keras_resnet.config.option_groups import COMMON, FIRST, GROUPS, OTHER
from keras_resnet.config.readable_signature import ReadableSignature
from keras_resnet.config.settings import Setting, iterate_settings
from keras_resnet.export.confidence_settings import CalibrationSettings
from keras_resnet.export.device_settings import DeviceSettings
from keras_resnet.export.publish_settings import PublishSettings
from keras_resnet.export.robustness_settings import RobustnessSettings
from keras_resnet.export.settings import ExportSettings
from keras_resnet.network_search.settings import PLACE_SETTINGS, SearchSettings

F = TypeVar("F", bound=Callable[..., Any])
PATH = "StrPath"
# Settings that are paths, or names of runs.
PATHS = ("runs", "data_dir", "weights", "deepen", "teacher", "calibration_data", "unknown")
# Settings of an export that a verification takes.
VERIFY_SETTINGS = ("max_drop", "require_proof", "samples")
# What keywords are called where all are of one group, whose name would say nothing.
ONLY_GROUP = "Options"
# What is given by position.
NAMED_APART = ("data", "quantize")


@dataclass(frozen=True)
class Keyword:
    """One keyword. annotation: its type, as Python writes it. help: a sentence or two. group: of option_groups."""

    name: str
    annotation: str
    help: str
    group: str = COMMON

    @classmethod
    def of(cls, name: str, setting: Setting) -> Keyword:
        """Return the keyword that sets `setting`."""
        assert setting.option is not None
        words = in_python_words(setting.help)
        if setting.default_words:
            words = f"{words.removesuffix('.')} [default: {in_python_words(setting.default_words)}]."
        return cls(name, f"{_annotation(name, setting)} | None", words, setting.option.group)


def _annotation(name: str, setting: Setting) -> str:
    kind = PATH if name in PATHS else setting.annotation or setting.kind.__name__
    if setting.choices:
        kind = f"Literal[{', '.join(map(repr, setting.choices))}]"
    if not setting.is_list:
        return kind
    return f"Sequence[{kind}] | {'str' if setting.kind is str else kind}"


_RUN = (
    Keyword("name", "str | None", "Name of the new run [default: made from network and data]."),
    Keyword("runs", f"{PATH} | None", "Folder of the runs [default: KRESNET_RUNS, else saved_models/].", OTHER),
)
_SET = Keyword(
    "set", "Mapping[str, object] | None", "Any other settings by their keys, such as {'optimizer.momentum': 0.8}."
)
TRAIN = (
    Keyword(
        "model",
        "str | None",
        "Network by its name, in place of depth: resnet50, plain34, vgg19, … (kresnet models lists them).",
    ),
    Keyword(
        "recipe",
        "str | None",
        "Train with published settings: torchvision-v2, timm-a2, … (kresnet recipes lists them).",
    ),
    Keyword("quick", "bool | None", "Use the short form of the recipe: minutes on the digits."),
    *(Keyword.of(name, setting) for name, setting in SETTINGS.items() if name not in NAMED_APART),
    _SET,
    *_RUN,
    Keyword(
        "resume",
        f"{PATH} | None",
        "Continue this interrupted run with the settings that it was started with; takes no other option but"
        " data_changed and runs.",
    ),
    Keyword("data_changed", "bool | None", "With resume: continue although the data have changed.", OTHER),
)
COMPRESS = (
    Keyword(
        "shrink", "float | None", "Remove this share of the filters inside residual units; a multiple of 8 remains."
    ),
    Keyword("prune", "float | None", "Make this share of the weights zero."),
    Keyword("pattern", "Literal['2:4'] | None", "Make two of every four weights zero, instead of weights anywhere."),
    Keyword("cluster", "int | None", "Share weights: leave this many different values in each kernel."),
    Keyword(
        "qat",
        "bool | Literal['native', 'tfmot'] | None",
        "Train with 8-bit rounding (quantization-aware training): True, or 'tfmot' for tensorflow-model-optimization.",
    ),
    *(Keyword.of(name, setting) for name, setting in COMPRESS_SETTINGS.items()),
    _SET,
    *_RUN,
)
_FILES = tuple(
    Keyword.of(setting.key, setting)
    for setting in iterate_settings(ExportSettings)
    if setting.option and setting.key not in NAMED_APART
)
_DEVICES = tuple(Keyword.of(setting.key, setting) for setting in iterate_settings(DeviceSettings))
EXPORT = (*_FILES, *_DEVICES)
VERIFY = (
    *(each for each in _FILES if each.name in VERIFY_SETTINGS),
    *_DEVICES,
)
# Positional, and for the command alone.
_OF_SEARCH = ("data", "budget", "dry_run")
SEARCH = (
    *(Keyword.of(each.key, each) for each in iterate_settings(SearchSettings) if each.key not in _OF_SEARCH),
    *(each for each in _DEVICES if each.name in PLACE_SETTINGS),
)
CALIBRATE = tuple(Keyword.of(each.key, each) for each in iterate_settings(CalibrationSettings))
PUSH = tuple(Keyword.of(each.key, each) for each in iterate_settings(PublishSettings))
ROBUSTNESS = tuple(Keyword.of(each.key, each) for each in iterate_settings(RobustnessSettings))


def _sort(keywords: Iterable[Keyword]) -> tuple[Keyword, ...]:
    """Return keywords as the command's help has its options: by group, in each the most usual ones first."""
    first = [flag.removeprefix("--").replace("-", "_") for flag in FIRST]

    def place(each: Keyword) -> tuple[int, int]:
        return GROUPS.index(each.group), first.index(each.name) if each.name in first else len(first)

    return tuple(sorted(keywords, key=place))


# By the name of the TypedDict.
KEYWORDS = {
    name: _sort(keywords)
    for name, keywords in {
        "PlaceOptions": tuple(each for each in _DEVICES if each.name in PLACE_SETTINGS),
        "TrainOptions": TRAIN,
        "CompressOptions": COMPRESS,
        "ExportOptions": EXPORT,
        "VerifyOptions": VERIFY,
        "SearchOptions": SEARCH,
        "RobustnessOptions": ROBUSTNESS,
        "CalibrateOptions": CALIBRATE,
        "PushOptions": PUSH,
    }.items()
}


def names(keywords: Iterable[Keyword]) -> tuple[str, ...]:
    """Return the names of `keywords`."""
    return tuple(each.name for each in keywords)


def document_options(options: type) -> Callable[[F], F]:
    """Give a function that takes `options`, a TypedDict, by Unpack, a signature and a docstring with each of them."""

    def document(function: F) -> F:
        keywords = KEYWORDS[options.__name__]
        function.__signature__ = _signature(function, options, keywords)  # type: ignore[attr-defined]
        function.__doc__ = f"{inspect.cleandoc(function.__doc__ or '')}\n\n{_describe(keywords)}"
        return function

    return document


def _signature(function: Callable[..., Any], options: type, keywords: Iterable[Keyword]) -> inspect.Signature:
    """Return the signature of `function` with `keywords` in place of the last parameter, which takes them all."""
    own = inspect.signature(function)
    hints = get_type_hints(options)
    returned = getattr(inspect.unwrap(function), "__globals__", {}).get(
        str(own.return_annotation), own.return_annotation
    )
    spread = [
        inspect.Parameter(each.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=hints[each.name])
        for each in keywords
    ]
    parameters = [*list(own.parameters.values())[:-1], *spread]
    return ReadableSignature(parameters, return_annotation=returned)


def _describe(keywords: tuple[Keyword, ...]) -> str:
    """Return a list of the keywords by group, in reStructuredText."""
    groups = {group: [each for each in keywords if each.group == group] for group in GROUPS}
    parts = []
    for group, members in groups.items():
        lines = [textwrap.indent(textwrap.fill(f"{each.name}: {each.help}", 116), "  ") for each in members]
        items = [f"- {line[2:]}" for line in lines]
        title = ONLY_GROUP if len({each.group for each in keywords}) == 1 else group
        parts += [f"{title}:\n\n" + "\n".join(items)] if members else []
    return "\n\n".join(parts)
