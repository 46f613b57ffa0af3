"""What is installed: one top-level name, export inside it, no TensorFlow at import."""

import email
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import keras_resnet

ROOT = Path(__file__).parents[1]


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel kresnet."""
    folder = tmp_path_factory.mktemp("wheel")
    skip = shutil.ignore_patterns(".git", ".venv", "saved_models", "*.egg-info", "build", "__pycache__")
    shutil.copytree(ROOT, folder / "copy", symlinks=True, ignore=skip)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder), "."]
    subprocess.run(command, cwd=folder / "copy", check=True)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def edge_wheel(tmp_path_factory):
    """The wheel kresnet-edge."""
    folder = tmp_path_factory.mktemp("edge")
    subprocess.run([sys.executable, str(ROOT / "scripts" / "build-edge"), str(folder)], check=True)
    (found,) = folder.glob("*.whl")
    return found


def requirements_of(wheel):
    """What a wheel requires without its extras: {name: which versions}."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        told = email.message_from_bytes(archive.read(name)).get_all("Requires-Dist")
    found = [Requirement(each) for each in told]
    return {canonicalize_name(each.name): each.specifier for each in found if not each.marker}


# Versions with known holes, or that break beside the others → the first sound one.
BROKEN = {
    "pillow": (("10.0.0", "11.3.0", "12.0.0", "12.99"), "13.0.0"),
    "ai-edge-litert": (("1.0.1", "1.4.0", "2.0.2", "2.0.3"), "2.1.0"),
    "keras": (("3.0.0", "3.11.2", "3.14.0", "3.15.0"), "3.15.1"),
    "tensorflow-datasets": (("4.9.3", "4.9.8", "4.9.9"), "4.9.10"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_versions_with_known_faults_are_refused(wheel, name):
    broken, sound = BROKEN[name]
    allowed = requirements_of(wheel)[name]
    assert [each for each in broken if allowed.contains(each, prereleases=True)] == [] and sound in allowed


@pytest.mark.parametrize("name", ["pillow", "ai-edge-litert"])
def test_on_devices_too(edge_wheel, name):
    broken, sound = BROKEN[name]
    allowed = requirements_of(edge_wheel)[name]
    assert [each for each in broken if allowed.contains(each, prereleases=True)] == [] and sound in allowed


def versions_in(constraints):
    lines = (line.partition(";")[0].strip() for line in constraints.splitlines() if "==" in line.partition(";")[0])
    pairs = (line.partition("==") for line in lines)
    return {canonicalize_name(name): Version(version) for name, _, version in pairs}


def test_the_pinned_and_the_lowest_versions_are_allowed(wheel):
    """Those of constraints.txt, by which tests run, and those of scripts/lowest, by which the main job runs once."""
    script = [sys.executable, str(ROOT / "scripts" / "lowest")]
    lowest = versions_in(subprocess.run(script, capture_output=True, text=True, check=True).stdout)
    pinned = versions_in((ROOT / "constraints.txt").read_text())
    for versions in (pinned, lowest):
        assert {name for name, allowed in requirements_of(wheel).items() if versions[name] not in allowed} == set()
    assert {name: lowest[name] for name in BROKEN} == {name: Version(sound) for name, (_, sound) in BROKEN.items()}


def test_the_wheel_has_one_top_level_name(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {n.split("/")[0] for n in names if ".dist-info" not in n} == {"keras_resnet"}
    pages = [file for room in ("demo", "devices") for file in (ROOT / "export" / room / "web").iterdir()]
    ours = [*(ROOT / "export").rglob("*.py"), *pages, *(ROOT / "export" / "bundle_examples").glob("*.txt")]
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
        "bundle",
        "callbacks",
        "check",
        "compare",
        "choose_precision",
        "compress",
        "explain",
        "export",
        "find_learning_rate",
        "verify_outputs",
        "load_weights",
        "open_run",
        "create_model",
        "create_backbone",
        "quantize",
        "resnet",
        "search",
        "train",
    }
    assert set(keras_resnet.__all__) == others | set(networks)
    for name in keras_resnet.__all__:
        assert getattr(keras_resnet, name) is not None
