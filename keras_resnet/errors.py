"""The errors that kresnet raises on purpose.

::

    KresnetError            exit code 1: the work could not be done
    ├── UsageError          exit code 2: the request itself is wrong
    │   └── SettingError          a value of the spec that is not allowed, or an unknown key
    ├── DataError           images or datasets that cannot be used
    ├── WeightsError        weights that cannot be fetched, read or placed
    ├── RunError            a run folder that is missing, unfinished or unreadable
    ├── MissingFileError    a file of a run that has not been exported; a KeyError too
    ├── TrainingError       training had to stop, e.g. the loss became NaN
    │   ├── TrainingInterrupted   Ctrl-C; exit code 130, as shells expect
    │   ├── TrainingStopped       SIGTERM; the state is saved, exit code 0
    │   └── TrainingPruned        a search ended it for better ones; the state is saved
    ├── SearchError         no network is within the budget of a search
    ├── HubError            the Hugging Face hub cannot be reached, or does not take a run
    └── ExportError         a file that could not be converted, written or read
        └── VerdictError          a file that is not within its budget, where that was asked to raise

The command line prints the message of each as one sentence, without a traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from keras_resnet.runtime.errors import DataError, ExportError, KresnetError, UsageError

__all__ = [
    "DataError",
    "ExportError",
    "HubError",
    "KresnetError",
    "MissingFileError",
    "RunError",
    "SearchError",
    "SettingError",
    "TrainingError",
    "TrainingInterrupted",
    "TrainingPruned",
    "TrainingStopped",
    "UnknownKeyError",
    "UsageError",
    "VerdictError",
    "WeightsError",
    "describe_received",
    "did_you_mean",
    "find_nearest",
    "one_of_sentence",
    "require_one_of",
]

# Longer values are described by their type alone.
_SHOWN = 60


class SettingError(UsageError):
    """A value of the spec that is not allowed, or an unknown key; its sentence names the dotted key."""


class UnknownKeyError(SettingError):
    """A key that the spec has not; its sentence lists keys as --set takes them."""


class WeightsError(KresnetError):
    """Weights that cannot be fetched, read or placed."""


class RunError(KresnetError):
    """A run folder that is missing, unfinished or unreadable."""


class VerdictError(ExportError):
    """A file is not within its budget, and the caller wanted an error for that; the message is its verdict."""


class MissingFileError(KresnetError, KeyError):
    """There is no exported file of that name; the message says how it is written, and which there are."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError quotes it


class TrainingError(KresnetError):
    """Training had to stop."""


class TrainingInterrupted(TrainingError):
    """Training was stopped from the keyboard and can be resumed."""

    exit_code = 130


class TrainingStopped(TrainingError):
    """Training was stopped by SIGTERM, which schedulers send, and can be resumed."""

    exit_code = 0


class TrainingPruned(TrainingError):
    """Training was ended after an epoch, because others do better; it can be resumed."""


class SearchError(KresnetError):
    """No network is within the budget of a search."""


class HubError(KresnetError):
    """The Hugging Face hub cannot be reached, or does not take what is published there."""


def find_nearest(word: str, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """Return a known word that begins with `word`, or the nearest whose ratio of difflib is `likeness` or more; None
    where there is none."""
    words = list(known)
    begun = [each for each in words if word and each.startswith(word)]
    near = begun or [each for each in difflib.get_close_matches(word, words, 3, likeness) if _is_mistyped(word, each)]
    return near[0] if near else None


def did_you_mean(word: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """Return " Did you mean X?" for the known word that `find_nearest` finds; "" where there is none."""
    near = find_nearest(word, known, likeness)
    return "" if near is None else f" Did you mean {near!r}?"


def _is_mistyped(word: str, known: str) -> bool:
    """Return whether `word` may be meant as a `known` one that has its letters: it is a part of it, about as long, or
    like its beginning. "rain" is not "rotation"."""
    is_as_long = min(len(word), len(known)) > 0.5 * max(len(word), len(known))
    begins = difflib.SequenceMatcher(None, word, known[: len(word)]).ratio() >= 0.75
    return word in known or is_as_long or begins


def one_of_sentence(name: str, received: object, allowed: Sequence[str]) -> str:
    """Return what to say where `received` is none of the `allowed` words, with the nearest."""
    near = did_you_mean(str(received), allowed)
    return f"{name} must be one of {', '.join(allowed)}. Received: {received!r}{near and '.'}{near}"


def require_one_of(name: str, received: str, allowed: Sequence[str]) -> None:
    """Raise UsageError, naming the nearest, unless `received` is one of `allowed`."""
    if received not in allowed:
        raise UsageError(one_of_sentence(name, received, allowed))


def describe_received(value: object) -> str:
    """Return a value as Python writes it, text alone and others with their type, "3 (int)"; of a long one the type."""
    if isinstance(value, str):
        return repr(value)
    shown, kind = repr(value), type(value)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return f"{shown} ({name})" if len(shown) <= _SHOWN and "\n" not in shown else name
