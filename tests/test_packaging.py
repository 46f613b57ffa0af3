"""What is installed: one top-level name, export inside it, no TensorFlow at import."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import keras_resnet

ROOT = Path(__file__).parents[1]


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    return done.stdout


def test_the_wheel_has_one_top_level_name(tmp_path):
    copy = tmp_path / "copy"
    skip = shutil.ignore_patterns(".git", ".venv", "saved_models", "*.egg-info", "build", "__pycache__")
    shutil.copytree(ROOT, copy, symlinks=True, ignore=skip)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
        ".",
    ]
    subprocess.run(command, cwd=copy, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {n.split("/")[0] for n in names if ".dist-info" not in n} == {"keras_resnet"}
    ours = [*(ROOT / "export").rglob("*.py"), *(ROOT / "export" / "demo" / "web").iterdir()]
    expected = {f"keras_resnet/{file.relative_to(ROOT).as_posix()}" for file in ours}
    assert {n for n in names if n.startswith("keras_resnet/export/")} == expected
    assert "keras_resnet/py.typed" in names
    pages = [file for file in (ROOT / "keras_resnet" / "reporting").rglob("*") if file.suffix not in (".py", ".pyc")]
    assert {file.relative_to(ROOT).as_posix() for file in pages if file.is_file()} <= set(names)


def test_importing_keras_resnet_does_not_import_tensorflow():
    code = "import keras_resnet, sys, json; print(json.dumps([m for m in ('tensorflow','keras') if m in sys.modules]))"
    assert json.loads(python(code)) == []


def test_help_does_not_import_tensorflow():
    code = (
        "import sys; from click.testing import CliRunner; from keras_resnet.cli.main import cli\n"
        "assert CliRunner().invoke(cli, ['--help']).exit_code == 0\n"
        "print([m for m in ('tensorflow', 'keras', 'numpy', 'rich', 'pydantic') if m in sys.modules])"
    )
    assert python(code).strip() == "[]"


def test_public_names():
    networks = [f"ResNet{d}" for d in (8, 10, 18, 20, 32, 34, 44, 50, 56, 101, 110, 152, 200)]
    networks += [f"Plain{d}" for d in (18, 20, 34, 56)] + [f"VGG{d}" for d in (11, 13, 16, 19)]
    others = {
        "KresnetError",
        "NetworkSpec",
        "Normalization",
        "Run",
        "Spec",
        "callbacks",
        "check",
        "choose_precision",
        "compress",
        "export",
        "find_learning_rate",
        "load_weights",
        "open_run",
        "create_model",
        "create_backbone",
        "quantize",
        "resnet",
        "train",
    }
    assert set(keras_resnet.__all__) == others | set(networks)
    for name in keras_resnet.__all__:
        assert getattr(keras_resnet, name) is not None
