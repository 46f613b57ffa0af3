"""The Accelerator interface: whether a chip takes a whole integer file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar


@dataclass(frozen=True)
class AcceleratorReport:
    """accepted: fraction of operators that the accelerator takes, 0–1. refused: the others, with the reason.
    estimates: of the compiler, with units in their names; compiled: its file. remark: what has to be known of it."""

    target: str
    file: str
    accepted: float
    refused: tuple[str, ...]
    estimates: dict[str, float]
    compiled: str | None = None
    remark: str = ""


class Accelerator(ABC):
    """One kind of chip, called `name`. is_for_microcontrollers: whether firmware runs its files."""

    is_for_microcontrollers: ClassVar[bool] = False

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def check(self, file: Path, folder: Path) -> AcceleratorReport:
        """Report on `file`, an integer .tflite; what a compiler writes goes to `folder`.

        Raises ExportError if the compiler fails, naming its log.
        """

    def require_installed(self) -> None:
        """Raise UsageError unless the compiler is installed; there may be none."""
        return
