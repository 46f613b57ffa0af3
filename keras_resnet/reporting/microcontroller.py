"""Say what TensorFlow Lite Micro needs for a file: in the terminal, in reports, on model cards and in C headers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# "micro" of a row of verdicts.json: see `export.micro_needs.MicroNeeds`.
NeedsRow = Mapping[str, Any]
ARENA_NOTE = (
    "measured with reference kernels and 64-bit pointers: a 32-bit chip needs less, scratch memory of optimized"
    " kernels comes on top"
)


@dataclass(frozen=True)
class FileNeeds:
    """What microcontrollers need for one file, in words. code: lines of C++; a comment where an operator has no
    kernel."""

    file: str
    memory: str
    code: str


def list_needs(rows: Sequence[Mapping[str, Any]]) -> list[FileNeeds]:
    """List what microcontrollers need for the files of these verdicts, of those that they can run."""
    return [
        FileNeeds(row["file"], describe_memory(needs), "\n".join(needs["resolver"]) or f"// {describe_resolver(needs)}")
        for row in rows
        if (needs := row.get("micro"))
    ]


def list_notes(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """List how the arenas of these verdicts were measured, if any was."""
    measured = any(row["micro"]["arena_bytes"] for row in rows if row.get("micro"))
    return [f"arena: {ARENA_NOTE}"] if measured else []


def describe_all_needs(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Describe what microcontrollers need for the files of these verdicts: lines for each, and how it was measured."""
    lines = [line for row in rows if row.get("micro") for line in describe_needs(row["file"], row["micro"])]
    return [*lines, *list_notes(rows)]


def describe_needs(file: str, needs: NeedsRow) -> list[str]:
    """Describe what TensorFlow Lite Micro needs for `file`: a line about memory, and one about operators."""
    return [f"{file} in TensorFlow Lite Micro: {describe_memory(needs)}", f"{file}: {describe_resolver(needs)}"]


def describe_memory(needs: NeedsRow) -> str:
    """Describe RAM and flash in a line."""
    arena = f"{needs['arena_bytes']:,} bytes" if needs["arena_bytes"] else f"unknown, because {needs['arena_unknown']}"
    return f"flash {needs['flash_bytes']:,} bytes, and the kernels on top; arena {arena}"


def describe_resolver(needs: NeedsRow) -> str:
    """Return the C++ that registers the operators in a line; or which of them TensorFlow Lite Micro lacks."""
    if needs["unsupported"]:
        return f"TensorFlow Lite Micro has no kernel for {', '.join(needs['unsupported'])}"
    return " ".join(needs["resolver"])


def describe_in_header(needs: NeedsRow) -> list[str]:
    """Return the lines of a comment in C: memory, operators, and the C++ that registers them."""
    return [
        "For TensorFlow Lite Micro:",
        f"flash: {needs['flash_bytes']:,} bytes, and the kernels on top",
        f"arena: {needs['arena_bytes']:,} bytes" if needs["arena_bytes"] else f"arena: {needs['arena_unknown']}",
        *([f"  {ARENA_NOTE}"] if needs["arena_bytes"] else []),
        f"operators: {', '.join(needs['operators'])}",
        "",
        *(needs["resolver"] or [describe_resolver(needs)]),
    ]
