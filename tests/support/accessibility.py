"""What axe-core finds wrong with a page, in the looks that a user may have: light or dark, wide or narrow."""

import hashlib
import os
from collections import defaultdict
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

# scripts/web installs this version, below KRESNET_WEB.
AXE_VERSION = "4.14.1"
AXE_SHA256 = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
AXE = "tests/node_modules/axe-core/axe.min.js"
LOOKS = [(scheme, width) for scheme in ("light", "dark") for width in (1280, 390)]
HEIGHT = 900
# Impacts that no page may have.
GRAVE = ("serious", "critical")
RUN = """async () => {
  const { violations } = await axe.run(document, { resultTypes: ['violations'] });
  return violations.map(({ id, impact, help, nodes }) => (
    { id, impact, help, places: nodes.map((node) => `${node.target.flat().join(' ')}: ${node.failureSummary}`) }));
}"""

# Each scheme and each width with every suite, all of them with -m slow.
in_all_looks = pytest.mark.parametrize(
    ("scheme", "width"),
    [
        pytest.param(*look, id=f"{look[0]}-{look[1]}px", marks=[] if index in (0, 3) else pytest.mark.slow)
        for index, look in enumerate(LOOKS)
    ],
)


@cache
def axe_source():
    """The text of axe-core. The test is skipped where it is not installed, but for CI; another version fails it."""
    file = Path(os.environ["KRESNET_WEB"]) / AXE
    if not file.is_file():
        message = f"there is no axe-core at {file}; scripts/web installs it"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    content = file.read_bytes()
    assert hashlib.sha256(content).hexdigest() == AXE_SHA256, f"{file} is not axe-core {AXE_VERSION}: run scripts/web"
    return content.decode()


@contextmanager
def looked_at(browser, address, scheme, width):
    """A page at `address` in one look; nothing moves."""
    page = browser.new_page(
        color_scheme=scheme, viewport={"width": width, "height": HEIGHT}, reduced_motion="reduce", device_scale_factor=1
    )
    try:
        page.goto(address)
        yield page
    finally:
        page.close()


def findings_by_impact(page):
    """What axe-core finds on a page: {impact: ["rule: help: element: how to mend it", …]}."""
    page.evaluate(axe_source())
    found = defaultdict(list)
    for each in page.evaluate(RUN):
        found[each["impact"]] += [f"{each['id']}: {each['help']}: {place}" for place in each["places"]]
    return dict(found)


def grave_findings(page):
    """The serious and critical ones, and whether the page is wider than the window, which axe-core does not ask."""
    found = findings_by_impact(page)
    grave = [f"{impact}: {each}" for impact in GRAVE for each in found.get(impact, [])]
    wide, window = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    return grave + [f"the page is {wide} pixels wide, the window {window}"] * (wide > window)
