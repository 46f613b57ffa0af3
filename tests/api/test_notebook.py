"""What a notebook shows: executed in a kernel of its own, without TensorFlow."""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
CELL = """
import keras_resnet as kr
from keras_resnet import progress
from keras_resnet.api.session import session

with session():
    with progress.track(range(4), "reading <images>", "batches") as batches:
        for number in batches:
            with progress.show_activity("decoding"):
                progress.log("resize it with --image-size")
"""


def executed(*cells):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    NotebookClient(notebook, timeout=120, kernel_name="python3", allow_errors=True).execute()
    return [cell.outputs for cell in notebook.cells]


def test_progress_is_one_output_and_messages_are_plain_lines(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    outputs, refused = executed(CELL, "kr.train('digits', lr=0.1)")
    shown = [each for each in outputs if each.output_type == "display_data"]
    assert len(shown) == 1 and shown[0].data["text/html"] == ""  # gone when the work is done
    text = "".join(each.text for each in outputs if each.output_type == "stream")
    assert text == "resize it with image_size\n" * 4
    assert {each.name for each in outputs if each.output_type == "stream"} == {"stdout"}
    (error,) = refused
    assert (error.ename, error.evalue) == ("UsageError", "train takes no keyword 'lr'. Use learning_rate.")
