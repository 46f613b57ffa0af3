"""The errors that a device can meet; `keras_resnet.errors` has all of them."""

from __future__ import annotations


class KresnetError(Exception):
    """Base of all errors; `exit_code` is what the command line returns."""

    exit_code = 1


class UsageError(KresnetError, ValueError):
    """The request itself is wrong: a value out of range, an unknown name."""

    exit_code = 2


class DataError(KresnetError):
    """Images or datasets that cannot be used."""


class ExportError(KresnetError):
    """A file that could not be converted, written or read."""
