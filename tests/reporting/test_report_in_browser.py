"""Reports in a browser: with scripts and without them, with names that want to be code, on a phone and on paper."""

import hashlib
import json
import re
import shutil

import pytest
from accessibility import grave_findings, looked_at
from browsing import chromium
from device_verdicts import put_at_chance, put_on_device
from robustness_documents import robustness_document

from keras_resnet.reporting import assets
from keras_resnet.reporting.compare import render_comparison
from keras_resnet.reporting.compared_models import describe_run
from keras_resnet.reporting.page import render_report
from keras_resnet.run import Run

# What npm has as echarts, of the version that assets.py names.
ECHARTS_SHA256 = "61f13280aba3161f77fc801bf5f9c786f55f10432153a0683fc5cc0700b013d5"
CODE = "window.hurt = true"
HOSTILE = [
    f"<img src=x onerror='{CODE}'>",
    f"</script><script>{CODE}</script>",
    f'" onmouseover="{CODE}" x="',
    "<!--<script>",
    f"javascript:{CODE}",
    "{{ 7 * 7 }}",
    "\u2028a & b",
    "$a_$",
    "]]>",
    f"</title></svg><svg onload='{CODE}'>",
]
# Height in pixels on the screen of the smallest letters, of HTML and SVG.
SMALLEST = """() => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), sizes = [];
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || parent.closest('script, style, title, dialog')) continue;
    const box = parent.getBoundingClientRect();
    if (!box.width || !box.height) continue;
    const matrix = parent.getScreenCTM ? parent.getScreenCTM() : null;
    const scale = matrix ? Math.hypot(matrix.a, matrix.b) : 1;
    sizes.push([scale * parseFloat(getComputedStyle(parent).fontSize), walker.currentNode.textContent]);
  }
  return sizes.sort((a, b) => a[0] - b[0])[0];
}"""

# Height in pixels of what the lines of a plot's vertical axis span.
FRAME = """(plot) => {
  const sides = [...plot.querySelectorAll('svg path')].filter((path) => path.getAttribute('fill') === 'none')
    .map((path) => path.getBoundingClientRect()).filter(({ width, height }) => width < 2 && height > 50);
  return Math.max(...sides.map(({ height }) => height));
}"""


# In how many lines the cells of a column are.
LINES = """(label) => [...document.querySelectorAll(`td[data-label="${label}"]`)].map((cell) => {
  const range = document.createRange();
  range.selectNodeContents(cell);
  return new Set([...range.getClientRects()].map(({ top }) => Math.round(top))).size;
})"""


@pytest.fixture(scope="module")
def browser():
    with chromium() as one:
        yield one


@pytest.fixture(scope="module")
def hostile(exported, tmp_path_factory):
    """A copy of the exported run in which all names are code."""
    run = Run(shutil.copytree(exported[0].folder, tmp_path_factory.mktemp("runs") / "<b>run"))
    labels = [name.replace("\u2028", "") for name in HOSTILE]
    run.write_text(run.labels_file, "".join(f"{label}\n" for label in labels))
    found = run.analysis()
    found["curves"] = found["f1_curves"] = {label: [0.5] * 101 for label in labels}
    for row, label in zip(found["by_class"], labels, strict=False):
        row["label"] = label
    # The run may have fewer mistakes than there are names.
    (sample, *_) = found["samples"]
    found["samples"] = [
        {**sample, "caption": f"predicted {label}", "file": f"{label}.png", "ground_truth": sample["image"]}
        for label in HOSTILE
    ]
    for group in found["heat_maps"]:
        for heat_map, label in zip(group["maps"], HOSTILE, strict=False):
            heat_map["label"] = heat_map["caption"] = heat_map["file"] = label
    run.write_json(run.analysis_file, found)
    rows = run.verdicts()
    rows[0]["worst_class"] = HOSTILE[1]
    run.write_json(run.verdicts_file, rows)
    run.write_json(run.robustness_file, robustness_document(HOSTILE[0], HOSTILE[2]))
    run.report_file.write_text(render_report(run), encoding="utf-8")
    return run


def opened(browser, file, **options):
    """(page, what it fetched or complained of)."""
    page, troubles = browser.new_page(**options), []
    page.on("request", lambda request: troubles.append(request.url) if request.url.startswith("http") else 0)
    page.on("console", lambda message: troubles.append(message.text) if message.type in ("error", "warning") else 0)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("dialog", lambda dialog: troubles.append(dialog.message))
    page.goto(file.as_uri())
    return page, troubles


def test_names_are_text_everywhere(browser, hostile):
    page, troubles = opened(browser, hostile.report_file)
    page.wait_for_selector("html[data-ready=true]")
    plots = page.locator("figure[data-chart]").count()
    assert plots >= 9 and page.locator(".plot svg").count() == plots
    for number in range(plots):  # hints under the pointer
        box = page.locator(".plot").nth(number)
        box.scroll_into_view_if_needed()
        box.hover()
    for number in range(2):
        page.locator("button.enlarge").nth(number).click()
        page.locator("dialog .close").click()
    assert page.evaluate("window.hurt") is None and troubles == []
    assert all(page.get_by_text(f"predicted {label}", exact=False).count() for label in HOSTILE[:6])
    curves = page.locator("figure[data-chart=precision-recall] .plot")
    assert HOSTILE[1] in curves.locator("svg").text_content() + curves.inner_text()
    page.close()


def test_another_script_would_not_run(browser, hostile, tmp_path):
    """Even if one got in: the policy names those that may."""
    text, file = hostile.report_file.read_text(), tmp_path / "page.html"
    file.write_text(text.replace("</main>", f"<script>{CODE}</script><img src=x onerror='{CODE}'></main>"))
    page, troubles = opened(browser, file)
    page.wait_for_selector("html[data-ready=true]")
    assert page.evaluate("window.hurt") is None and len(troubles) >= 2
    page.close()


def test_tables_sort_images_enlarge_commands_are_copied(browser, hostile):
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page, troubles = opened(context, hostile.report_file)
    page.wait_for_selector("html[data-ready=true]")
    sizes = "Array.from(document.querySelectorAll('.exports tbody tr'), (row) => Number(row.cells[4].dataset.value))"
    head = page.locator(".exports thead button").nth(4)
    head.click()
    ascending = page.evaluate(sizes)
    assert ascending == sorted(ascending) and len(set(ascending)) > 1
    assert page.locator(".exports th[aria-sort=ascending]").count() == 1
    head.click()
    assert page.evaluate(sizes) == ascending[::-1]
    page.locator("button.enlarge").first.click()
    small, large = (page.locator(f"{place} img").first.bounding_box()["width"] for place in (".sample", "dialog"))
    assert page.locator("dialog[open] img").count() == 2 and large > 2 * small
    page.keyboard.press("Escape")
    command = page.locator(".command").last
    command.locator("button").click()
    assert page.evaluate("navigator.clipboard.readText()") == command.locator("code").text_content()
    assert troubles == []
    context.close()


@pytest.mark.parametrize("scripts", [True, False])
@pytest.mark.parametrize("width", [1280, 390])
def test_letters_are_large_enough_and_nothing_is_cut(browser, exported, tmp_path, scripts, width):
    file = tmp_path / "report.html"
    file.write_text(render_report(exported[0]), encoding="utf-8")
    context = browser.new_context(java_script_enabled=scripts, viewport={"width": width, "height": 900})
    page, troubles = opened(context, file)
    if scripts:
        page.wait_for_selector("html[data-ready=true]")
    charts = page.locator("figure[data-chart]").count()
    assert charts >= 5 and page.locator("figure[data-chart] .static svg:visible").count() == (0 if scripts else charts)
    size, words = page.evaluate(SMALLEST)
    assert size >= 9, words
    inner = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert inner == [width, width] and troubles == []
    if width == 390:
        verdict, tiles = (page.locator(each).bounding_box()["y"] for each in (".verdict", ".tiles"))
        assert verdict < 250 < tiles
    context.close()


@pytest.mark.parametrize("width", [1280, 800, 390])
def test_tiles_and_plots_fill_the_width(browser, exported, tmp_path, width):
    """Tiles are of one width, or of two, and leave no gap; a plot has no empty half beside it."""
    file = tmp_path / "report.html"
    file.write_text(render_report(exported[0]), encoding="utf-8")
    context = browser.new_context(viewport={"width": width, "height": 900})
    page, _ = opened(context, file)
    page.wait_for_selector("html[data-ready=true]")
    whole, tiles = page.locator(".tiles.led").bounding_box(), boxes(page.locator(".tiles.led .tile"))
    sides = [round(each["width"]) for each in tiles]
    assert all(abs(side - min(sides)) < 2 or abs(side - 2 * min(sides) - 12) < 2 for side in sides)
    area = sum((each["width"] + 12) * (each["height"] + 12) for each in tiles)
    assert area == pytest.approx((whole["width"] + 12) * (whole["height"] + 12), rel=0.02)
    for charts in page.locator(".charts, .beside").all():
        whole, parts = charts.bounding_box(), boxes(charts.locator("> *"))
        for box in parts:
            beside = [
                each for each in parts if each["y"] < box["y"] + box["height"] and box["y"] < each["y"] + each["height"]
            ]
            end = max(each["x"] + each["width"] for each in beside)
            assert end == pytest.approx(whole["x"] + whole["width"], abs=2)
    context.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_tables_of_files_are_seen_whole(browser, exported, tmp_path, width):
    """Where the files are proven or not, and ran on this machine or on a phone that a long command reaches."""
    run = Run(shutil.copytree(exported[0].folder, tmp_path / "run"))
    put_at_chance(run, "unclear")
    put_on_device(run)
    file = tmp_path / "report.html"
    file.write_text(render_report(run), encoding="utf-8")
    context = browser.new_context(viewport={"width": width, "height": 900})
    page, _ = opened(context, file)
    tables = page.locator(".cards")
    assert tables.evaluate_all("all => all.map(each => each.scrollWidth - each.clientWidth)") == [0, 0]
    assert page.evaluate(LINES, "p50 / p90 / p99, ms") == [1]
    if width == 1280:
        verdicts = page.locator("td[data-label=verdict]")
        assert verdicts.evaluate_all("all => all.map(each => getComputedStyle(each).textAlign)") == ["start"] * 2
    context.close()


def test_commands_break_between_their_options(browser, exported, tmp_path):
    """On a phone, but for one that is longer than a line; what is copied is the command."""
    file, long = tmp_path / "report.html", f"--data /photos/{'long' * 20}"
    command = f"kresnet train --depth 8 {long} --image-size 96 --epochs 6 --label-smoothing 0.1"
    words = "".join(f"<span>{each}</span> " for each in re.split(" (?=--)", command))
    page_text = render_report(exported[0])
    shown = re.findall(r"<code>(.*?)</code></pre>", page_text)
    assert all(re.sub("</?span>", "", each).startswith("kresnet ") for each in shown) and "<span>--" in shown[-1]
    file.write_text(page_text.replace(shown[-1], words.strip()), encoding="utf-8")
    with looked_at(browser, file.as_uri(), "light", 390) as page:
        spans = page.locator(".command").last.locator("code span")
        heights = {text: box["height"] for text, box in zip(spans.all_text_contents(), boxes(spans), strict=True)}
        assert page.locator(".command").last.locator("code").text_content() == command
        assert min(heights.values()) * 1.5 < heights.pop(long) and len(set(heights.values())) == 1
        assert grave_findings(page) == []


def boxes(locator):
    """Where the elements are."""
    return [each.bounding_box() for each in locator.all()]


def test_curves_are_equally_high_whatever_their_legend(browser, exported, tmp_path):
    """Legends of many names take lines below the plots, none of the plots."""
    file = tmp_path / "report.html"
    run = Run(shutil.copytree(exported[0].folder, tmp_path / "run"))
    rows = [
        {**row, **{f"{side}one metric among {n}": 0.5 for n in "abc" for side in ("", "val_")}}
        for row in run.read_log()
    ]
    run.log_file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    file.write_text(render_report(run), encoding="utf-8")
    with looked_at(browser, file.as_uri(), "light", 1280) as page:
        page.wait_for_selector("html[data-ready=true]")
        plots = page.locator("#training ~ .charts .plot")
        frames = [page.evaluate(FRAME, plot.element_handle()) for plot in plots.all()]
        whole = [box["height"] for box in boxes(plots)]
    assert len(frames) == 3 and max(frames) - min(frames) < 2 and min(frames) > 190
    assert whole[1] > whole[0] + 60


def test_paper_gets_the_static_figures(browser, hostile):
    page, _ = opened(browser, hostile.report_file)
    page.wait_for_selector("html[data-ready=true]")
    page.emulate_media(media="print")
    assert page.locator(".plot:visible, .copy:visible").count() == 0
    assert page.locator(".static svg:visible").count() == page.locator("figure[data-chart]").count()
    page.close()


def test_a_comparison_has_plots_too(browser, exported, segmented, tmp_path):
    runs, file = [exported[0], segmented], tmp_path / "compared.html"
    file.write_text(render_comparison(runs, [describe_run(each, each.name) for each in runs]), encoding="utf-8")
    page, troubles = opened(browser, file, viewport={"width": 390, "height": 800})
    page.wait_for_selector("html[data-ready=true]")
    assert page.locator(".plot svg").count() >= 2 and troubles == []
    page.close()


def test_the_library_is_the_one_that_is_named():
    content = (assets.HOME / assets.ECHARTS).read_bytes()
    assert hashlib.sha256(content).hexdigest() == ECHARTS_SHA256
    assert f'version="{assets.ECHARTS_VERSION}"'.encode() in content or assets.ECHARTS_VERSION.encode() in content
    assert b"</script" not in content and b"Apache License" in (assets.HOME / "vendor" / "LICENSE").read_bytes()
