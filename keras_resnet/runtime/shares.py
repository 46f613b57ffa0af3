"""Shares, 0 to 1, that are given as percentages. Imports nothing: it goes to devices too."""

from __future__ import annotations

# Below it, a number is as likely a share that is too large as a percentage.
LEAST_PERCENT = 2


def suggest_share(received: object) -> str:
    """Return ". Did you mean 0.95?" for a value `received` where a share is wanted that is a percentage, such as 95 or
    "95%"; "" for any other."""
    text = str(received).strip()
    try:
        percent = float(text.removesuffix("%"))
    except ValueError:
        return ""
    is_percent = text.endswith("%") or percent >= LEAST_PERCENT
    return f". Did you mean {percent / 100:.10g}?" if is_percent and 0 < percent < 100 else ""
