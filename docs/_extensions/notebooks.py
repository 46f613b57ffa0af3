"""Show the notebooks of examples/ as pages: text, code and saved outputs, as Markdown in docs/tutorials/."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FOLDER = "tutorials"
FENCE = "````"
TEXT = f"{FENCE}text\n"


def write_pages(app: Any) -> None:
    """Write a page for each notebook. Called when Sphinx starts, before it looks for pages."""
    folder = Path(app.srcdir, FOLDER)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for notebook in sorted(EXAMPLES.glob("*.ipynb")):
        shutil.copyfile(notebook, folder / notebook.name)
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        parts = [part for number, cell in enumerate(cells) for part in _convert_cell(cell, number, folder, notebook)]
        # Below the title, where to get the notebook itself.
        parts.insert(1, f"This page is a notebook that you can run: [download {notebook.name}](path:{notebook.name}).")
        (folder / f"{notebook.stem}.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _convert_cell(cell: dict[str, Any], number: int, folder: Path, notebook: Path) -> list[str]:
    """Markdown of one cell, in parts: the first part of a page is its title."""
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        # Links lead from examples/ there, and from docs/tutorials/ here.
        source = source.replace("](../docs/", "](../")
        title, _, rest = source.partition("\n")
        return [title, _link_files(rest)] if title.startswith("# ") else [_link_files(source)]
    if cell["cell_type"] != "code" or not source.strip():
        return []
    language = "text" if re.search(r"^\s*[!%]", source, re.MULTILINE) else "python"
    outputs = [
        _convert_output(each, f"{notebook.stem}-{number}-{at}", folder) for at, each in enumerate(cell["outputs"])
    ]
    return [_fence(language, source), *_join_lines(filter(None, outputs))]


def _join_lines(outputs: Iterable[str]) -> list[str]:
    """`outputs` with lines that were printed one after another in one block."""
    joined: list[str] = []
    for each in outputs:
        if joined and joined[-1].startswith(TEXT) and each.startswith(TEXT):
            each = f"{joined.pop().removesuffix(FENCE)}{each.removeprefix(TEXT)}"
        joined.append(each)
    return joined


def _link_files(text: str) -> str:
    """Markdown whose links lead to the pages of notebooks, and to other files of examples/."""
    text = re.sub(r"\]\((\w+)\.ipynb\)", r"](../tutorials/\1.md)", text)
    return re.sub(r"\]\((?!\w+:|#|\.\./)([^)]+)\)", r"](path:../../examples/\1)", text)


def _convert_output(output: dict[str, Any], name: str, folder: Path) -> str:
    """Markdown of what a cell printed, returned or drew; nothing for what has no form here, such as progress bars."""
    if output["output_type"] == "stream":
        return _fence("text", re.sub(r"\x1b\[[\d;]*m", "", "".join(output["text"])))
    data = output.get("data", {})
    if "image/png" in data:
        (folder / f"{name}.png").write_bytes(base64.b64decode("".join(data["image/png"])))
        alternative = "".join(data.get("text/plain", "")).strip("<>").partition(" at 0x")[0]
        return f"![Output of the cell above: {alternative}]({name}.png)"
    if "text/html" in data:
        drawn = "".join(data["text/html"]).strip()  # a progress bar that is done leaves nothing
        return f"```{{raw}} html\n{drawn}\n```" if drawn else ""
    return _fence("text", "".join(data["text/plain"])) if "text/plain" in data else ""


def _fence(language: str, text: str) -> str:
    return f"{FENCE}{language}\n{text.rstrip()}\n{FENCE}" if text.strip() else ""


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True}
