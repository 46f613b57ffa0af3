"""The notebooks run from top to bottom in a kernel, offline, and what is stored in them is what such a run gave."""

import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
NOTEBOOKS = sorted(file.name for file in EXAMPLES.glob("*.ipynb"))
MAX_BYTES = 400_000
# Other values of the first cell of code, for a run of seconds.
SHORT_LESSON = {
    "IMAGENET_EPOCHS": 1,
    "IMAGENET_WIDTH": 0.1,
    "SHALLOW": 8,
    "DEEP": 14,
    "EPOCHS": 1,
    "FIRST_EPOCHS": 1,
    "FURTHER_EPOCHS": 1,
}
# Read by each Python that starts: kernels talk to their client on this machine, and nothing else has a network.
LOOPBACK_ONLY = """
import socket
connect = socket.socket.connect
def refuse(self, address):
    if self.family == socket.AF_INET and address[0] != "127.0.0.1" or self.family == socket.AF_INET6:
        raise OSError(f"no network here: {address}")
    return connect(self, address)
socket.socket.connect = refuse
"""


def read(name):
    return nbformat.read(EXAMPLES / name, 4)


@pytest.fixture
def execute(tmp_path, monkeypatch):
    """Runs a notebook in an empty folder, as it is or with other `parameters`, and returns it. Raises the error of a
    cell: their assertions are the claims of the text."""
    (tmp_path / "offline").mkdir()
    (tmp_path / "offline" / "sitecustomize.py").write_text(LOOPBACK_ONLY)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'offline'}{os.pathsep}{ROOT}")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    monkeypatch.delenv("KRESNET_RUNS", raising=False)

    def run(name, parameters=None):
        notebook = read(name)
        if parameters:
            (place,) = [n for n, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", ())]
            known = re.findall(r"\b[A-Z_]+\b(?=.*? = )", re.sub(r"#.*", "", notebook.cells[place].source))
            assert parameters.keys() <= set(known)
            values = "\n".join(f"{key} = {value!r}" for key, value in parameters.items())
            notebook.cells.insert(place + 1, nbformat.v4.new_code_cell(values))
        (tmp_path / "work").mkdir()
        resources = {"metadata": {"path": str(tmp_path / "work")}}
        NotebookClient(notebook, timeout=3000, resources=resources).execute()
        return notebook

    return run


def outputs(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", ())]


def printed(notebook):
    return "".join(output.get("text", "") for output in outputs(notebook) if output.output_type == "stream")


def figures(notebook):
    return sum(bool({"image/png", "image/jpeg"} & output.get("data", {}).keys()) for output in outputs(notebook))


# What the text of each claims, in what its cells print, and how many figures they draw.
CLAIMS = {
    "lesson.ipynb": (r"plain: from 20 to 56 layers, the training error changes by \+", 7),
    "own_photos_to_phone.ipynb": (r"PASSED[^\n]*int8[\s\S]*16 of 16 reference predictions as expected", 1),
    "detector_to_browser.ipynb": (r"int8-float-io-nms: PASSED", 2),
    "microcontroller.ipynb": (
        r"PASSED[\s\S]*largest moment: [\d.]+ kB[\s\S]*16 of 16 reference predictions as expected",
        3,
    ),
}


def check_claims(name, notebook):
    claim, drawn = CLAIMS[name]
    assert re.search(claim, printed(notebook)), printed(notebook)[-3000:]
    assert figures(notebook) == drawn


def test_every_notebook_has_claims():
    assert list(CLAIMS.keys() & set(NOTEBOOKS)) and set(NOTEBOOKS) == CLAIMS.keys()
    table = (EXAMPLES / "README.md").read_text()
    assert all(f"[{name}]({name})" in table for name in NOTEBOOKS)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_stored_outputs(name):
    """Those of a whole run, in order, without an error, and small."""
    notebook = read(name)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not [output for output in outputs(notebook) if output.output_type == "error"]
    assert (EXAMPLES / name).stat().st_size < MAX_BYTES
    content = (EXAMPLES / name).read_text()
    assert not re.search(r"/(tmp|home|root|work|Users)/", content), "a path of the machine that it ran on"
    check_claims(name, notebook)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_links_lead_somewhere(name):
    text = "\n".join(cell.source for cell in read(name).cells if cell.cell_type == "markdown")
    for link in re.findall(r"\]\(((?!https?:)[^)#]+)", text):
        assert (EXAMPLES / link).is_file(), link


@pytest.mark.slow
def test_the_lesson_runs(execute):
    notebook = execute("lesson.ipynb", SHORT_LESSON)
    assert figures(notebook) == CLAIMS["lesson.ipynb"][1]
    assert "the outputs differ by at most 0.0\n" in printed(notebook)


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook(name, execute):
    check_claims(name, execute(name))
