"""axe-core has 0 serious or critical findings on reports and the demo; docs/test_docs.py asks it of the docs."""

import shutil

import pytest
from accessibility import LOOKS, findings_by_impact, grave_findings, in_all_looks, looked_at
from browsing import chromium, served
from samples import silent

from keras_resnet.export.demo.page import build_site
from keras_resnet.run import Run

PAGE = """<!doctype html><html lang="en"><head><title>Page</title>
<meta name="viewport" content="width=device-width"></head><body><main><h1>Page</h1>{}</main></body></html>"""
CONTRAST = (
    """<style>@media (prefers-color-scheme: {}) {{ p {{ color: #777; background: #888; }} }}</style><p>Faint</p>"""
)
FAULTS = {
    "image-alt": '<img src="data:,">',
    "button-name": "<button></button>",
    "label": "<input>",
    "color-contrast": '<p style="color: #aaa; background: #fff">Faint</p>',
}


@pytest.fixture(scope="module")
def browser():
    with chromium() as one:
        yield one


@pytest.fixture(scope="module")
def classified(exported, tmp_path_factory):
    """A copy of the exported run: its report is written here."""
    return copied(exported[0], tmp_path_factory)


def copied(run, tmp_path_factory):
    return Run(shutil.copytree(run.folder, tmp_path_factory.mktemp("runs") / run.name))


def reported(run, kresnet):
    assert kresnet("report", run.name, "--runs", run.folder.parent)[0] == 0
    return run.report_file.as_uri()


@pytest.mark.parametrize("rule", FAULTS)
def test_a_planted_fault_is_found(browser, tmp_path, rule):
    file = tmp_path / "page.html"
    for body in ("<p>Fine</p>", FAULTS[rule]):
        file.write_text(PAGE.format(body))
        with looked_at(browser, file.as_uri(), "light", 1280) as page:
            found = grave_findings(page)
        assert [rule in each for each in found] == [True] * (body == FAULTS[rule])


def test_a_fault_in_one_look_is_found_there(browser, tmp_path):
    """Faint letters in the dark, and a table that is too wide for a phone."""
    file, dark, narrow = tmp_path / "page.html", CONTRAST.format("dark"), '<p style="width: 600px">Wide</p>'
    found = {}
    for name, body in (("dark", dark), ("narrow", narrow)):
        file.write_text(PAGE.format(body))
        for look in LOOKS:
            with looked_at(browser, file.as_uri(), *look) as page:
                found[name, look] = bool(grave_findings(page))
    assert {look for name, look in found if name == "dark" and found[name, look]} == {("dark", 1280), ("dark", 390)}
    assert {look for name, look in found if name == "narrow" and found[name, look]} == {("light", 390), ("dark", 390)}


def test_findings_are_by_impact(browser, tmp_path):
    file = tmp_path / "page.html"
    file.write_text(PAGE.format('<img src="data:,"><p style="color: #aaa">Faint</p>'))
    with looked_at(browser, file.as_uri(), "light", 1280) as page:
        found = findings_by_impact(page)
    assert {impact: [each.partition(":")[0] for each in places] for impact, places in found.items()} == {
        "critical": ["image-alt"],
        "serious": ["color-contrast"],
    }


@in_all_looks
@pytest.mark.parametrize("task", ["classified", pytest.param("segmented", marks=pytest.mark.slow)])
def test_reports_have_0_serious_or_critical_findings(browser, request, kresnet, task, scheme, width):
    run = request.getfixturevalue(task)
    address = run.report_file.as_uri() if run.report_file.is_file() else reported(run, kresnet)
    with looked_at(browser, address, scheme, width) as page:
        assert grave_findings(page) == []


@in_all_looks
def test_the_demo_has_0_serious_or_critical_findings(litert, browser, exported, scheme, width):
    """Also after predictions: of an image, and of all samples."""
    with served(build_site(exported[0], silent)) as address, looked_at(browser, address, scheme, width) as page:
        page.wait_for_selector("html[data-ready=true]")
        assert grave_findings(page) == []
        page.click("#all")
        page.wait_for_selector("#all:enabled")
        assert grave_findings(page) == []
