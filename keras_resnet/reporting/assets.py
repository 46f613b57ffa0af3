"""Read what every page carries in itself: style sheets, scripts, and the policy that keeps a browser to these."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import TypedDict

# Apache ECharts (Apache-2.0), in vendor/ as scripts/vendor-echarts puts it there.
ECHARTS_VERSION = "6.1.0"
HOME = Path(__file__).parent
ECHARTS = "vendor/echarts.common.min.js"


class Assets(TypedDict):
    """style: CSS. scripts: of the page, in order. policy: its Content-Security-Policy."""

    style: str
    scripts: list[str]
    policy: str
    echarts_version: str


@cache
def read_asset(name: str) -> str:
    """Read one of the files beside this."""
    return (HOME / name).read_text(encoding="utf-8")


def read_assets(has_charts: bool) -> Assets:
    """Return what a page carries; the plots' library only where there are any.

    By the policy nothing is fetched and no other script is run, whatever a class or a file is called.
    """
    scripts = [read_asset(ECHARTS)] * has_charts + [read_asset("report.js")]
    allowed = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {allowed}"
    style = read_asset("style.css") + read_asset("report.css")
    return {"style": style, "scripts": scripts, "policy": policy, "echarts_version": ECHARTS_VERSION}


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
