"""The documentation builds without a warning or a network, links to what is there, and states what is counted."""

import html
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from accessibility import HEIGHT, grave_findings, in_all_looks, looked_at
from browsing import chromium
from markdown_it import MarkdownIt

import keras_resnet
from keras_resnet.models.summary import summarize_models
from keras_resnet.runtime.plurals import format_large

ROOT = Path(__file__).parents[2]
BESIDE = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md", "saved_models/README.md")
# Sphinx in a process that no connection can leave.
OFFLINE = """
import socket, sys
from sphinx.cmd.build import main

def refuse(*_):
    raise OSError("the documentation is built without a network")

socket.socket.connect = socket.getaddrinfo = refuse
sys.exit(main(sys.argv[1:]))
"""
# Which attribute of an element makes a browser fetch something.
FETCHED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src"}
REMOTE = re.compile(r"^(https?:)?//")
# What users type into the search, and the pages of which one has to be among the first three results.
SEARCHES = {
    "transfer learning": "your-images networks training",
    "confusion matrix": "report",
    "quantize": "export compression",
    "overfitting": "training",
    "learning rate": "training",
    "imbalanced": "your-images",
    "duplicates": "check",
    "label errors": "check",
    "early stopping": "training",
    "mAP": "detection",
    "GPU out of memory": "gpu troubleshooting",
    "raspberry": "raspberry-pi",
    "esp32": "microcontroller",
    "arduino": "microcontroller",
    "coral": "export",
    "class weights": "your-images training",
    "data augmentation": "training your-images",
    "batch size": "training",
    "fine-tune": "your-images networks training",
    "custom dataset": "your-images",
    "validation split": "your-images",
    "resume": "training",
    "seed": "training",
    "mixed precision": "training",
    "distillation": "training",
    "pruning": "compression",
    "bounding box": "detection",
    "webcam": "edge browser demo",
    "iphone": "ios",
    "install": "quickstart",
    "cuda": "quickstart troubleshooting",
    "docker": "tf-serving",
    "slurm": "many-devices",
    "license": "index",
}
# The pages that axe-core looks at in every run.
LOOKED_AT = ("index", "quickstart", "training", "commands")
# The pages whose code has to fit into a window 1280 pixels wide; others may be scrolled.
NEWCOMERS = (
    "index",
    "quickstart",
    "your-images",
    "check",
    "choose",
    "python",
    "training",
    "export",
    "networks",
    "report",
    "demo",
    "api",
)
# By edge: the code that reaches beyond it, scrolled or not.
BEYOND = {
    "frame": """() => [...document.querySelectorAll('pre')]
        .filter((code) => code.scrollWidth > code.clientWidth).map((code) => code.textContent.slice(0, 60))""",
    "button": """() => [...document.querySelectorAll('button.copybtn')].map((button) => [button, button.parentElement])
        .filter(([button, block]) => (
            block.querySelector('pre').getBoundingClientRect().right > button.getBoundingClientRect().left))
        .map(([, block]) => block.textContent.slice(0, 60))""",
}
FIRST = """() => {
  const found = document.querySelectorAll('#search-results ul.search > li > a');
  const done = document.querySelector('#search-results .search-summary');
  return done && !/ing/.test(document.querySelector('#search-results h2').textContent) &&
    [...found].slice(0, 3).map((link) => link.getAttribute('href').replace(/[.]html.*/, ''));
}"""
STYLED = re.compile(r"""(?:url\(|@import)\s*["']?(?:https?:)?//""")


def built(pages, target):
    """Build the folder `pages` → (exit code, what was printed)."""
    options = ("-W", "--keep-going", "-n", "-q", "-b", "html")
    command = [sys.executable, "-c", OFFLINE, *options, str(pages), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built documentation."""
    target = tmp_path_factory.mktemp("site")
    assert built(ROOT / "docs", target) == (0, "")
    return target


class Page(HTMLParser):
    """What a page fetches."""

    def __init__(self, text):
        super().__init__()
        self.fetched = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        value = dict(attributes).get(FETCHED.get(tag))
        self.fetched += [value] if value else []


def remote_parts(text):
    """What an HTML page or a style sheet fetches from elsewhere."""
    return [address for address in Page(text).fetched if REMOTE.match(address)] + STYLED.findall(text)


def slug(heading):
    """The anchor that code hosts give a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def tokens_of(text):
    """The inline tokens of a Markdown page."""
    for block in MarkdownIt("commonmark").enable("table").parse(text):
        yield from block.children or ()


def anchors_of(text):
    """The anchors of a Markdown page's headings."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    headings = (inline for opening, inline in pairwise(tokens) if opening.type == "heading_open")
    return {slug("".join(part.content for part in inline.children)) for inline in headings}


def dead_links(file, text):
    """Relative links of the Markdown `text` of `file` to nothing."""
    dead = []
    for token in tokens_of(text):
        link = token.attrGet("href") or token.attrGet("src") or ""
        if not link or re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (file.parent / path).resolve() if path else file
        page = text if target == file else target.read_text() if target.suffix == ".md" and target.is_file() else ""
        if not target.exists() or (anchor and anchor not in anchors_of(page)):
            dead.append(link)
    return dead


def test_the_site_builds_without_warnings(site):
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} | {path.stem for path in (ROOT / "docs").glob("*.rst")}
    assert pages <= {path.stem for path in site.glob("*.html")}


def test_every_page_is_on_the_site(site):
    """Sphinx writes its own search.html and genindex.html over pages of these names."""
    missing = []
    for page in sorted((ROOT / "docs").glob("*.md")):
        title = re.search(r"^# (.+)$", page.read_text(), re.MULTILINE)[1]
        if f"<h1>{html.escape(title, quote=False)}<" not in (site / f"{page.stem}.html").read_text():
            missing.append(page.name)
    assert missing == []


@pytest.mark.parametrize(
    "line",
    [
        "[gone](gone.md)",
        "[gone](../gone.md)",
        "[gone](index.md#gone)",
        "![gone](gone.png)",
        "{py:class}`keras_resnet.gone`",
    ],
)
def test_a_dead_link_fails_the_build(tmp_path, line):
    shutil.copyfile(ROOT / "docs" / "conf.py", tmp_path / "conf.py")
    for name in ("_extensions", "_static"):
        shutil.copytree(ROOT / "docs" / name, tmp_path / name)
    (tmp_path / "index.md").write_text(f"# Page\n\n{line}\n")
    code, printed = built(tmp_path, tmp_path / "built")
    assert code != 0 and "gone" in printed


def test_every_public_name_is_documented(site):
    text = (site / "api.html").read_text()
    assert [name for name in keras_resnet.__all__ if f'id="keras_resnet.{name}"' not in text] == []


def test_fields_are_listed(site):
    text = re.sub("<[^>]+>", "", (site / "api.html").read_text())
    assert "\ndepth: Layers with weights" in text and "\nfamily: " in text and "\ndata_dir: Folder" in text


def test_nothing_is_fetched_from_elsewhere(site):
    pages = [*site.rglob("*.html"), *site.rglob("*.css")]
    assert len(pages) > 10
    assert {str(page): found for page in pages if (found := remote_parts(page.read_text()))} == {}


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://example.org/a.js"></script>',
        '<link rel="stylesheet" href="//example.org/a.css">',
        '<img src="http://example.org/a.png">',
        "@import 'https://example.org/a.css';",
        "src: url(https://example.org/a.woff)",
    ],
)
def test_the_check_sees_what_is_fetched(text):
    assert remote_parts(text) and not remote_parts(re.sub("(https?:)?//example.org/", "", text))


@pytest.mark.parametrize("name", [*BESIDE, *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))])
def test_links_of_pages_on_a_code_host(name):
    assert dead_links(ROOT / name, (ROOT / name).read_text()) == []


@pytest.mark.parametrize("link", ["gone.md", "README.md#gone", "#gone", "docs/gone.png"])
def test_the_check_sees_dead_links(link):
    assert dead_links(
        ROOT / "README.md", f"# Page\n\n[here](#page) [there](docs/export.md#the-verdict) [x]({link})"
    ) == [link]


def test_counts_are_those_of_the_catalog():
    page = (ROOT / "docs" / "choose.md").read_text()
    sizes = [96, 160, 224, 320]
    counted = {size: {row["network"]: row for row in summarize_models(classes=10, image_size=size)} for size in sizes}
    lines = re.findall(r"^\| (resnet\d+) \| ([\d,]+) \| (\S+) MB \| (.+) \|$", page, re.MULTILINE)
    assert len(lines) == 7
    for name, parameters, megabytes, work in lines:
        rows = [counted[size][name] for size in sizes]
        assert parameters == f"{rows[0]['parameters']:,}" and megabytes == f"{rows[0]['int8_bytes'] / 1e6:.2f}"
        assert work.split(" | ") == [format_large(row["multiply_adds"]) for row in rows]


def python_of_the_quick_start():
    """Its pieces of Python: with kresnet's functions, and with Keras' own."""
    text = (ROOT / "docs" / "quickstart.md").read_text()
    ours, of_keras = re.findall(r"^```python\n(.+?)^```", text, re.MULTILINE | re.DOTALL)
    return ours, of_keras


@pytest.mark.slow
def test_the_quick_start_trains_a_run(tmp_path, monkeypatch, capsys):
    code, _ = python_of_the_quick_start()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    made = {}
    exec(compile(code, "quickstart.md", "exec"), made)
    assert made["files"]["int8"].passed and made["run"].metrics["value"] > 0.95
    assert str(made["files"]["int8"].verdict) in capsys.readouterr().out


def test_the_quick_start_trains_with_keras(tmp_path, monkeypatch):
    import keras

    _, code = python_of_the_quick_start()
    monkeypatch.chdir(tmp_path)
    made = {}
    keras.utils.set_random_seed(0)
    exec(compile(code, "quickstart.md", "exec"), made)
    assert made["model"].evaluate(made["images"], made["labels"], verbose=0)[1] > 0.9
    assert (tmp_path / "digits.keras").is_file()


@pytest.fixture(scope="module")
def browser():
    with chromium() as one:
        yield one


def test_the_search_finds_the_words_of_users(site, browser):
    page, missed = browser.new_page(), {}
    for words, pages in SEARCHES.items():
        page.goto(f"{(site / 'search.html').as_uri()}?q={quote(words)}")
        first = page.wait_for_function(FIRST).json_value()
        if not {*pages.split()} & {*first}:
            missed[words] = first
    page.close()
    assert missed == {}


def test_commands_can_be_copied_and_what_they_print_cannot(site, browser):
    page = browser.new_page()
    page.goto((site / "quickstart.html").as_uri())
    page.wait_for_selector("button.copybtn")
    kinds = page.eval_on_selector_all(
        "button.copybtn", "all => all.map((one) => one.closest('[class*=highlight-]').className)"
    )
    page.close()
    assert {re.findall(r"highlight-(\w+)", kind)[0] for kind in kinds} == {"shell", "console", "python"}


def code_beyond(page, edge):
    """Of each piece of code of a page whose lines are right of an `edge`, the first words: "frame", the code's own, or
    "button", that of its copy button."""
    return page.evaluate(BEYOND[edge])


def test_the_code_that_newcomers_read_is_not_cut(site, browser):
    cut = []
    for name in NEWCOMERS:
        with looked_at(browser, (site / f"{name}.html").as_uri(), "light", 1280) as page:
            cut += [(name, code) for code in code_beyond(page, "frame")]
    assert cut == []


@pytest.mark.parametrize("width", [1280, 390])
def test_copy_buttons_stand_beside_the_code(site, browser, width):
    for name in ("quickstart", "python", "compression"):
        with looked_at(browser, (site / f"{name}.html").as_uri(), "light", width) as page:
            page.wait_for_selector("button.copybtn")
            assert code_beyond(page, "button") == []


# Options, and options with a short value, that go on in a second line.
BROKEN = """() => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
  while (walker.nextNode()) {
    for (const each of walker.currentNode.textContent.matchAll(/--[a-z][a-z-]*[a-z]/g)) {
      const range = document.createRange();
      range.setStart(walker.currentNode, each.index);
      range.setEnd(walker.currentNode, each.index + each[0].length);
      if (new Set([...range.getClientRects()].map(({ top }) => Math.round(top))).size > 1) found.push(each[0]);
    }
  }
  for (const each of document.querySelectorAll('code.literal')) {
    if (!/^--[a-z-]+ [^-/\\s]\\S{0,15}$/.test(each.textContent)) continue;
    if (new Set([...each.getClientRects()].map(({ top }) => Math.round(top))).size > 1) found.push(each.textContent);
  }
  return found;
}"""


@pytest.mark.parametrize(
    "name", ["quickstart", *(pytest.param(name, marks=pytest.mark.slow) for name in ("api", "check", "commands"))]
)
def test_no_line_breaks_within_an_option(site, browser, name):
    found = []
    with looked_at(browser, (site / f"{name}.html").as_uri(), "light", 320) as page:
        for width in range(320, 420, 7):
            page.set_viewport_size({"width": width, "height": HEIGHT})
            found += page.evaluate(BROKEN)
    assert found == []


def grave_by_page(browser, site, pages, scheme, width):
    """{page: serious and critical findings of axe-core}, of pages that have some."""
    found = {}
    for name in pages:
        with looked_at(browser, (site / f"{name}.html").as_uri(), scheme, width) as page:
            found[name] = grave_findings(page)
    return {name: grave for name, grave in found.items() if grave}


@pytest.mark.parametrize(("scheme", "width"), [pytest.param("light", 1280, marks=pytest.mark.slow), ("dark", 390)])
def test_pages_have_0_serious_or_critical_findings(browser, site, scheme, width):
    assert grave_by_page(browser, site, LOOKED_AT, scheme, width) == {}


@pytest.mark.slow
@in_all_looks
def test_all_pages_have_0_serious_or_critical_findings(browser, site, scheme, width):
    assert grave_by_page(browser, site, sorted(path.stem for path in site.glob("*.html")), scheme, width) == {}
