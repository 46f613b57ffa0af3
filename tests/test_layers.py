"""The rules of the house, read from the source: imports run one way only."""

import ast
import graphlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = list(tomllib.loads((ROOT / "docs" / "rooms.toml").read_text(encoding="utf-8"))["rooms"])
# Its meaning changes once tfmot has been imported.
AMBIGUOUS = {f"{name}.keras" for name in ("tf", "tensorflow")}
LEGACY = {"tf_keras", "tensorflow_model_optimization"}
# What runtime/ may import beside Python's own library and itself.
RUNTIME = {"", "numpy", "PIL", "ai_edge_litert", "cv2", "openvino", "tifffile"}


def sources() -> dict[str, tuple[str, bool]]:
    """Dotted name below keras_resnet → source, whether it is a package's own file; `export/` included."""
    found = {}
    for top, prefix in ((ROOT / "keras_resnet", ()), (ROOT / "export", ("export",))):
        for file in top.rglob("*.py"):
            parts = (*prefix, *file.relative_to(top).with_suffix("").parts)
            if prefix or parts[0] != "export":
                name = ".".join(part for part in parts if part != "__init__")
                found[name] = (file.read_text(encoding="utf-8"), file.name == "__init__.py")
    return found


SOURCES = sources()


def imported(node: ast.AST, name: str, package: bool) -> list[str]:
    """Absolute names that `node`, in the module called `name`, imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            here = f"keras_resnet.{name}".strip(".").split(".")
            up = node.level - package
            base = ".".join([*here[: len(here) - up], *base.split(".")]).strip(".")
        return [f"{base}.{alias.name}" for alias in node.names]
    return []


def inside(target: str) -> str:
    """The module of this project that `target` names, or names something in: "run.files"; "" for the root."""
    inner = target.removeprefix("keras_resnet").strip(".")
    while inner not in SOURCES:
        inner = inner.rpartition(".")[0]
    return inner


def violations(name: str, source: str, package: bool = False) -> list[str]:
    """What `source`, the module called `name`, does against the rules."""
    bad = []
    room = name.split(".")[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in AMBIGUOUS:
            bad.append(f"says {ast.unparse(node)}")
        for target in imported(node, name, package):
            top = target.split(".")[0]
            if top == "export":
                bad.append("imports export by its short name")
            if ".".join(target.split(".")[:2]) in AMBIGUOUS:
                bad.append(f"imports {target}")
            if top in LEGACY and not name.startswith("compression.tfmot"):
                bad.append(f"imports {top}")
            if room == "runtime" and top not in RUNTIME | sys.stdlib_module_names and "runtime" not in target:
                bad.append(f"imports {target}")
            if top != "keras_resnet":
                continue
            theirs = inside(target).split(".")[0]
            if theirs == "export" and room not in ("export", "network_search", "api", "cli", "__main__"):
                bad.append("imports export")
            # The root only re-exports: it may name every room but export.
            elif name and theirs and ROOMS.index(theirs) > ROOMS.index(room):
                bad.append(f"imports {theirs}, which stands after {room}")
    return bad


def test_every_module_has_its_room():
    assert {name.split(".")[0] for name in SOURCES if name} == set(ROOMS)
    assert len([room for room in ROOMS if not (ROOT / "keras_resnet" / room).is_dir()]) <= 8


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_module_keeps_the_rules(name):
    assert violations(name, *SOURCES[name]) == []


def test_no_import_runs_in_a_circle():
    """Modules that import each other at their top, by whatever way round, are a CycleError here."""
    graph = {}
    for name, (source, package) in SOURCES.items():
        body = [node for node in ast.parse(source).body if isinstance(node, (ast.Import, ast.ImportFrom))]
        targets = [target for node in body for target in imported(node, name, package)]
        # A package's own file re-exports what is below it, so importing a module of the package is no circle.
        graph[name] = {inside(target) for target in targets if target.startswith("keras_resnet")} - {name, ""}
    assert list(graphlib.TopologicalSorter(graph).static_order())


def test_the_map_of_the_architecture_is_true():
    command = [sys.executable, str(ROOT / "scripts" / "architecture-page"), "--check"]
    assert subprocess.run(command, check=False).returncode == 0, "write it by scripts/architecture-page"


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("training.train", "from ..run import Run"),
        ("export.formats.tflite", "from ..calibration import Calibration"),
        ("export.formats.tflite", "from ...run import Run"),
        ("cli.main", "from keras_resnet.export import verify"),
        ("", "from keras_resnet.run import Run"),
        ("training.train", "import keras"),
        ("runtime.image", "from .errors import DataError"),
        ("compression.tfmot.qat", "import tf_keras"),
    ],
)
def test_the_checker_lets_pass_what_is_allowed(name, source):
    assert violations(name, source) == []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("config.spec", "from keras_resnet.run import Run"),
        ("config.spec", "from keras_resnet import run"),
        ("training.train", "import keras_resnet.export.verify"),
        ("run.run", "def f():\n    from keras_resnet.export import verify"),
        ("training.train", "import tf_keras"),
        ("export.formats.tflite", "import tensorflow_model_optimization as tfmot"),
        ("cli.main", "import export"),
        ("training.train", "import tensorflow as tf\nprint(tf.keras)"),
        ("training.train", "from tensorflow import keras"),
        ("training.train", "from tensorflow.keras import layers"),
        ("config.spec", "from ..run import Run"),
        ("tasks.detection", "from ..training.train import train"),
        ("export.formats.tflite", "from ...cli.main import main"),
        ("data.dataset", "from keras_resnet.tasks import get_task"),
        ("", "from keras_resnet.export import verify"),
        ("", "from .export import verify"),
        ("runtime.image", "import tensorflow"),
        ("runtime.image", "from keras_resnet.errors import DataError"),
    ],
)
def test_the_checker_sees_violations(name, source):
    assert violations(name, source)
