"""Core ML packages, which only a Mac runs: written here, and never said to have passed."""

import json
import platform
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from samples import silent

from keras_resnet.errors import ExportError
from keras_resnet.export.formats import get_format
from keras_resnet.export.formats.coreml import PROBABILITIES
from keras_resnet.export.load import load_file

coremltools = pytest.importorskip("coremltools")
NAMES = ["coreml-float16.mlpackage", "coreml-dynamic.mlpackage"]


@pytest.fixture(scope="module")
def written(trained, tmp_path_factory):
    """A run with such files alone, and the result of its export."""
    from keras_resnet.export.pipeline import export_files
    from keras_resnet.export.request import ExportRequest
    from keras_resnet.run import Run

    run = Run(shutil.copytree(trained.folder, tmp_path_factory.mktemp("coreml") / "resnet8-digits"))
    shutil.rmtree(run.exports, ignore_errors=True)
    return run, export_files(run, ExportRequest(formats=("coreml",), samples=50), silent)


@pytest.mark.skipif(platform.system() == "Darwin", reason="a Mac verifies them")
def test_a_file_that_cannot_be_run_has_no_verdict(written):
    run, result = written
    assert not result.verdicts and not result.failures and [each.file for each in result.unverified] == NAMES
    assert not run.verdicts_file.exists() and not run.verdicts()
    for row, each in zip(run.unverified(), result.unverified, strict=True):
        assert row["verdict"] == "UNVERIFIED" and row == each.as_dict() and row["bytes"] > 10_000
        assert f"verify it there: kresnet verify {run.exports / each.file}" in str(each)
    card = (run.exports / "model_card.md").read_text()
    assert all(f"{name}, " in card for name in NAMES) and "PASSED" not in card
    with pytest.raises(ExportError, match="cannot be run here: Core ML is a part of macOS"):
        load_file(run.exports / NAMES[0])


def test_the_table_has_it_beside_the_files_with_a_verdict(exported, written, capsys):
    from keras_resnet.cli.verdict_tables import print_verdicts

    _, result = written
    print_verdicts("digits", [*exported[1].values()][:1], False, is_model_known=True, unverified=result.unverified)
    lines = capsys.readouterr().out.split("\n")
    for name in NAMES:
        assert [line for line in lines if name in line and "UNVERIFIED" in line and "PASSED" not in line]


def test_coremltools_own_warnings_stay_away():
    """It warns when it is imported, of all that only a Mac has."""
    code = (
        "import sys; from keras_resnet.native_logs import silence_native_logs\n"
        "with silence_native_logs():\n    import coremltools, logging\n"
        "    logging.getLogger('coremltools').warning('not supported')\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not ended.stderr


def test_the_report_and_python_name_it(written, kresnet):
    from keras_resnet.api.run import Run

    run, _ = written
    code, _, _ = kresnet("report", run.folder)
    assert code == 0 and "coreml-dynamic.mlpackage, 0." in run.report_file.read_text()
    files = Run(run).files
    assert not files and [each.file for each in files.unverified] == NAMES and "UNVERIFIED" in str(files)


def test_what_a_package_holds(written):
    run, _ = written
    sizes = []
    for name in NAMES:
        spec = coremltools.utils.load_spec(str(run.exports / name))
        (pixels,) = spec.description.input
        side = run.spec().data.image_size
        image = pixels.type.imageType
        assert pixels.name == "pixels" and (image.height, image.width) == (side, side)
        assert {output.name for output in spec.description.output} == {"classLabel", PROBABILITIES}
        assert spec.description.metadata.userDefined["labels.txt"].split() == list(run.classes())
        sizes.append(get_format("coreml").size(run.exports / name))
    assert sizes[1] < 0.8 * sizes[0]


def test_a_mac_runs_it(written, monkeypatch):
    run, _ = written
    spec = coremltools.utils.load_spec(str(run.exports / NAMES[0]))
    seen = []

    class Program:
        def __init__(self, path):
            assert path == str(run.exports / NAMES[0])
            self.user_defined_metadata = dict(spec.description.metadata.userDefined)

        def predict(self, inputs):
            (image,) = inputs.values()
            assert isinstance(image, Image.Image)
            seen.append(np.asarray(image))
            return {"classLabel": "3", PROBABILITIES: {str(n): 0.91 if n == 3 else 0.01 for n in range(10)}}

    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(coremltools.models, "MLModel", Program)
    images = np.random.default_rng(0).integers(
        0, 256, (2, *load_file(run.exports / NAMES[0]).card.input_shape), np.uint8
    )
    logits = load_file(run.exports / NAMES[0])(images)
    assert logits.shape == (2, 10) and logits.dtype == np.float32
    assert np.allclose(np.exp(logits[1, 3]) / np.exp(logits[1]).sum(), 0.91)
    assert np.array_equal(seen[1].squeeze(), images[1].squeeze())


def test_a_file_of_a_verdict_is_no_longer_unverified(written):
    from keras_resnet.export.unverified import keep_unverified

    run, result = written
    keep_unverified(run, verified=[NAMES[0]])
    assert [row["file"] for row in json.loads(run.unverified_file.read_text())] == NAMES[1:]
    keep_unverified(run, verified=[NAMES[1]])
    assert not run.unverified_file.exists() and run.unverified() == []
    keep_unverified(run, result.unverified)
