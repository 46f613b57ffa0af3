"""--install: LiteRT in a folder of its own on a device, by pip."""

import shlex
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
from samples import silent

from keras_resnet.errors import ExportError
from keras_resnet.export.devices import find_device
from keras_resnet.export.devices.base import RunSettings
from keras_resnet.export.load import load_file

# A pip that installs what this Python has; while the file FAILS is there, only a part.
PIP = """
import os, sys
target, packages = sys.argv[sys.argv.index("--target") + 1], os.environ["PACKAGES"]
os.makedirs(os.path.join(target, "ai_edge_litert"))
if os.path.exists(os.environ["FAILS"]):
    sys.exit("No space left on device")
os.rmdir(os.path.join(target, "ai_edge_litert"))
for name in os.listdir(packages):
    os.symlink(os.path.join(packages, name), os.path.join(target, name))
"""


@pytest.fixture(scope="module")
def model(exported):
    return load_file(exported[0].exports / "int8.tflite")


def require_same(where, model, pixels):
    """Fails unless the device `where` installs LiteRT and computes what this CPU does."""
    with find_device(where).open(model, RunSettings(install=True), silent) as session:
        np.testing.assert_array_equal(session(pixels), model(pixels))


@pytest.fixture
def installing(tmp_path, monkeypatch):
    """(--on of a Python, the folder into which its pip installs); the pip fails while the file `fails` is there."""
    (tmp_path / "stand-in").mkdir()
    (tmp_path / "stand-in" / "pip.py").write_text(PIP)
    for name, value in (
        ("PYTHONPATH", tmp_path / "stand-in"),
        ("PACKAGES", Path(np.__file__).parents[1]),
        ("FAILS", tmp_path / "fails"),
        ("XDG_CACHE_HOME", tmp_path),
    ):
        monkeypatch.setenv(name, str(value))
    return tmp_path / "kresnet" / "device"


def test_an_installation_that_broke_off_is_made_again(model, pixels, tmp_path, installing):
    venv.create(tmp_path / "bare", with_pip=False)
    where = str(tmp_path / "bare" / "bin" / "python")
    (tmp_path / "fails").touch()
    with pytest.raises(ExportError, match=r"ai-edge-litert cannot be installed into .*: No space left on device"):
        require_same(where, model, pixels)
    assert not installing.exists() or not list(installing.iterdir())
    (tmp_path / "fails").unlink()
    require_same(where, model, pixels)
    (folder,) = installing.iterdir()
    assert folder.name == f"python{sys.version_info[0]}.{sys.version_info[1]}"


def test_what_is_there_is_not_installed_again(model, pixels, installing):
    where = shlex.join(["env", sys.executable])
    require_same(where, model, pixels)
    assert not installing.exists()
