"""A page about a dataset: what is in it and what is wrong with it, with the images."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from keras_resnet.atomic_write import write_atomically
from keras_resnet.checking.facts import read_original
from keras_resnet.checking.findings import KINDS, CheckedImage, CheckReport, Finding, name_commands
from keras_resnet.data.dataset import DatasetSplits
from keras_resnet.errors import DataError
from keras_resnet.progress import show_activity
from keras_resnet.reporting.templates import draw_charts, render_template
from keras_resnet.runtime.image import show_in_rgb
from keras_resnet.runtime.plurals import counted
from keras_resnet.runtime.printable import make_printable

# Findings of a kind that are shown with images, images of a group, and pixels of a picture's longer side.
MAX_SHOWN, MAX_GROUP, PICTURE_SIDE, QUALITY = 24, 6, 160, 70


def write_check_page(report: CheckReport, data: DatasetSplits, file: Path) -> None:
    """Write the page of `report` on `data` to `file`. Raises RunError where that cannot be written."""
    with show_activity(f"writing {file.name}"), write_atomically(file) as temporary:
        temporary.write_text(render_check_page(report, data), encoding="utf-8")


def render_check_page(report: CheckReport, data: DatasetSplits) -> str:
    """Return the page, HTML."""
    sections = [_describe_section(kind, found, report, data) for kind, found in report.by_kind.items()]
    classes = list(dict.fromkeys(label for counts in report.counts.values() for label in counts))
    values: dict[str, Any] = {
        "report": report,
        "sections": sections,
        "notes": list(_split_notes(report)),
        "classes": classes,
        "total": sum(len(found) for found in report.by_kind.values()),
    }
    return render_template("check.html", values | draw_charts([]))


def _split_notes(report: CheckReport) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the notes, each apart from the commands that it ends with."""
    commands = name_commands(report.commands)
    for note in report.notes:
        ends = bool(commands) and note.endswith(commands)
        yield (note.removesuffix(commands), report.commands) if ends else (note, ())


def _describe_section(kind: str, found: list[Finding], report: CheckReport, data: DatasetSplits) -> dict[str, Any]:
    """Return what the template shows of the findings of one kind in `report`."""
    shown = [
        {
            "note": make_printable(each.note),
            "pictures": list(_pictures(each, data, report.has_own_splits)),
            "hidden": counted(len(each.images) - MAX_GROUP, "more image") if len(each.images) > MAX_GROUP else "",
        }
        for each in found[:MAX_SHOWN]
    ]
    return {
        "id": kind,
        "title": KINDS[kind].title,
        "why": KINDS[kind].why,
        "count": len(found),
        "shown": shown,
        "more": max(0, len(found) - MAX_SHOWN),
    }


def _pictures(finding: Finding, data: DatasetSplits, has_splits: bool) -> Iterator[dict[str, Any]]:
    for image in finding.images[:MAX_GROUP]:
        known = ", ".join(filter(None, (image.split if has_splits else "", image.label)))
        caption = f"{image.title or image.name}{f' ({known})' if known else ''}"
        encoded, is_small = _encode(image, data)
        yield {"caption": make_printable(caption), "image": encoded, "is_small": is_small}


def _encode(image: CheckedImage, data: DatasetSplits) -> tuple[str, bool]:
    """Return a picture as base64 of a WebP file, "" where the image cannot be read any more; and whether it is smaller
    than the page shows it: such a one is kept without loss, for its pixels are seen."""
    try:
        picture = show_in_rgb(read_original(data.splits[image.split], image.row, data.levels)).copy()
    except DataError:
        return "", False
    is_small = max(picture.size) < PICTURE_SIDE
    picture.thumbnail((PICTURE_SIDE, PICTURE_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, format="WebP", lossless=is_small, quality=QUALITY)
    return base64.b64encode(buffer.getvalue()).decode(), is_small
