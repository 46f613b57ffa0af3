"""Tables as notebooks show them: HTML without a style sheet of its own."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

# Pixels of a thumbnail's longer side.
THUMBNAIL = 160


class Markup(str):
    """Text that is HTML already."""


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table, HTML; cells are escaped unless they are `Markup`."""
    head = "".join(f'<th scope="col" style="text-align: left">{html.escape(name)}</th>' for name in columns)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(text: str) -> str:
    return f'<td style="text-align: left">{text if isinstance(text, Markup) else html.escape(text)}</td>'


def thumbnail(image: Image.Image, alt: str = "") -> Markup:
    """Return a small copy of `image`, as HTML: a JPEG, because notebooks keep it."""
    small, buffer = image.convert("RGB"), io.BytesIO()
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    small.save(buffer, format="JPEG", quality=85)
    return _picture(buffer.getvalue(), "jpeg", alt)


def png(content: bytes, alt: str) -> Markup:
    """Return a PNG file as an image in HTML."""
    return _picture(content, "png", alt)


def _picture(content: bytes, kind: str, alt: str) -> Markup:
    data = base64.b64encode(content).decode()
    return Markup(f'<img alt="{html.escape(alt)}" src="data:image/{kind};base64,{data}" style="max-width: 100%">')


def bars(shares: Sequence[tuple[str, float | None]]) -> Markup:
    """Return labels with their probabilities, 0–1, each with a bar; a label alone where that is None."""
    lines = (
        html.escape(label) if share is None else f"{_meter(share)} {html.escape(label)} {share:.1%}"
        for label, share in shares
    )
    return Markup("<br>".join(lines) or "nothing")


def _meter(share: float) -> str:
    return f'<meter min="0" max="1" value="{share:.4f}" style="width: 6em"></meter>'


def outcome(words: str, passed: bool) -> Markup:
    """Return the outcome of a verdict, marked and in its color."""
    mark, color = ("✓", "#1a7f37") if passed else ("✗", "#cf222e")
    return Markup(f'<strong style="color: {color}">{mark}</strong> {html.escape(words)}')


def items(lines: Sequence[str]) -> str:
    """Return a list, HTML; "" of nothing."""
    return f"<ul>{''.join(f'<li>{html.escape(line)}</li>' for line in lines)}</ul>" if lines else ""
