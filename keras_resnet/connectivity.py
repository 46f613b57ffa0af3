"""Check that a host can be reached before a download that would otherwise retry for minutes."""

from __future__ import annotations

import contextlib
import os
import threading
from urllib.parse import urlsplit

# Where one of these variables is set, nothing is asked for.
OFFLINE = ("KRESNET_OFFLINE", "HF_HUB_OFFLINE")
PROBE_SECONDS = 4
GIVE_UP_SECONDS = 8


def get_host(url: str) -> str:
    """Return scheme and host of `url`, "https://example.org"."""
    return "{0.scheme}://{0.netloc}".format(urlsplit(url))


def describe_unreachable(host: str) -> str:
    """Say that `host` cannot be reached, and why, or what to look at."""
    if name := _find_offline_variable():
        return f"{host} cannot be reached, because {name} is set"
    return f"{host} cannot be reached; is this machine online?"


def is_reachable(host: str) -> bool:
    """Return whether `host`, such as "https://example.org", answers within seconds and may be asked."""
    if _find_offline_variable():
        return False
    import requests

    reached: list[int] = []

    def probe() -> None:
        with contextlib.suppress(requests.RequestException):
            reached.append(requests.head(host, timeout=PROBE_SECONDS).status_code)

    # The timeout of requests does not bound the search for the host's address; a thread does.
    attempt = threading.Thread(target=probe, daemon=True)
    attempt.start()
    attempt.join(GIVE_UP_SECONDS)
    return bool(reached)


def _find_offline_variable() -> str | None:
    """Return the name of the variable that forbids all requests, if one is set."""
    return next((name for name in OFFLINE if os.environ.get(name, "") not in ("", "0")), None)
