"""The rules of the house, read from the source: imports run one way only."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Each may import itself and what stands before it. A new module must be given its place here.
ORDER = [
    "errors",
    "plurals",
    "pixels",
    "judgement",
    "detections",
    "answers",
    "quiet",
    "signals",
    "progress",
    "chosen",
    "intervals",
    "printable",
    "outcomes",
    "tables",
    "console",
    "online",
    "writing",
    "fields",
    "training_spec",
    "spec",
    "recipes.recipe",
    "recipes.classify",
    "recipes.objects",
    "recipes",
    "bricks",
    "networks.residual",
    "networks.vgg",
    "networks.names",
    "networks.catalog",
    "networks.pyramid",
    "networks.parts",
    "networks.counting",
    "networks.published",
    "networks.listing",
    "networks.zoo",
    "weights.bounds",
    "weights.torch_file",
    "weights.hdf5_file",
    "weights.files",
    "weights.translate",
    "weights.sources",
    "weights.load",
    "data.boxes",
    "data.objects",
    "coco",
    "voc",
    "tasks.counted",
    "tasks.classify",
    "tasks.assign",
    "tasks.masks",
    "tasks.detect",
    "tasks.localize",
    "tasks.segment",
    "tasks",
    "data.files",
    "data.images",
    "data.labels",
    "data.readable",
    "data.read_errors",
    "data.split",
    "data.copies",
    "data.levels",
    "data.augment",
    "data.windows",
    "data.mixing",
    "data.records",
    "data.digits",
    "data.shapes",
    "data.layout",
    "data.folder",
    "data.memory",
    "data.label_files",
    "data.coco_layouts",
    "data.coco_masks",
    "data.coco_folder",
    "data.voc_layouts",
    "data.voc_folder",
    "data.annotated",
    "data.tfds_source",
    "data.sources",
    "data.pipeline",
    "data.mirroring",
    "drawing",
    "run_files",
    "data.fingerprint",
    "run_folders",
    "run_lock",
    "run",
    "quantization.layers",
    "quantization.steps",
    "quantization.calls",
    "quantization.activations",
    "quantization.kernels",
    "quantization.arithmetic",
    "quantization.lowering",
    "quantization.reading",
    "quantization.rounding",
    "quantization.rewrite",
    "quantization.freeze",
    "quantization.probe",
    "quantization.simulate",
    "quantization.equalize",
    "engine.gpus",
    "engine.devices",
    "engine.precision",
    "engine.fused_norm",
    "engine.optimizers",
    "engine.step",
    "engine.checkpoint",
    "engine.heartbeat",
    "engine.logs",
    "engine.loop",
    "engine.isolation",
    "engine.launch",
    "evaluate",
    "baselines",
    "shrink",
    "sparsity",
    "findings",
    "reporting",
    "reporting.figures",
    "reporting.recommend",
    "reporting.page",
    "reporting.compare",
    "start",
    "resolve",
    "compress",
    "train",
    "environment",
    "find",
    "options",
    "studies.plan",
    "studies.gradients",
    "studies.figures",
    "studies.degradation",
    "studies.identity",
    "studies.commands",
    "export.schemes",
    "export.processes",
    "export.leftovers",
    "export.card",
    "export.signature",
    "export.trial",
    "export.c_array",
    "export.twin",
    "export.prune",
    "export.cluster",
    "export.qat",
    "export.compressing",
    "export.calibrate",
    "export.contents",
    "export.saved_model",
    "export.onnx",
    "export.litert",
    "export.full",
    "export.tflite",
    "export.metadata",
    "export.convert",
    "export.native_log",
    "export.runtime",
    "export.given",
    "export.video",
    "export.web_server",
    "export.serving",
    "export.edge",
    "export.files",
    "export.measure",
    "export.verify",
    "export.targets",
    "export.folder",
    "export.classify",
    "export.detect",
    "export.exporting",
    "export.diagnose",
    "export.auto",
    "export.predicting",
    "export.scoring",
    "export.site",
    "export.demo",
    "export.blame",
    "export.scripted",
    "export",
    "reporting.commands",
    "demo_command",
    "training_commands",
    "export_commands",
    "commands",
    "__main__",
]
MAY_EXPORT = {"export", "commands", "training_commands", "export_commands", "demo_command"}
EMPTY = {"", "reporting", "quantization", "networks", "weights", "data", "engine", "studies"}
# Its meaning changes once tfmot has been imported.
AMBIGUOUS = {f"{name}.keras" for name in ("tf", "tensorflow")}
PACKAGES = EMPTY | {"tasks", "recipes", "export"}
LEGACY = {"tf_keras", "tensorflow_model_optimization"}
MAY_USE_LEGACY = {"export.twin", "export.qat", "export.prune", "export.cluster"}


def modules() -> dict[str, str]:
    """Dotted name below keras_resnet → source, `export/` included."""
    found = {}
    for top, prefix in ((ROOT / "keras_resnet", ()), (ROOT / "export", ("export",))):
        for file in top.rglob("*.py"):
            parts = (*prefix, *file.relative_to(top).with_suffix("").parts)
            if prefix or parts[0] != "export":
                found[".".join(p for p in parts if p != "__init__")] = file.read_text()
    return found


def violations(name: str, source: str) -> list[str]:
    """What `source`, the module called `name`, does against the rules."""
    bad = []
    known = set(ORDER) | EMPTY
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in AMBIGUOUS:
            bad.append(f"says {ast.unparse(node)}")
        for target in imported(node, name):
            top = target.split(".")[0]
            if top == "export":
                bad.append("imports export by its short name")
            if ".".join(target.split(".")[:2]) in AMBIGUOUS:
                bad.append(f"imports {target}")
            if top in LEGACY and name not in MAY_USE_LEGACY:
                bad.append(f"imports {top}")
            if top != "keras_resnet":
                continue
            inner = target.removeprefix("keras_resnet").strip(".")
            while inner not in known and "." in inner:
                inner = inner.rpartition(".")[0]
            if inner.split(".")[0] == "export" and name.split(".")[0] not in MAY_EXPORT:
                bad.append(f"imports {inner}")
            # The root only re-exports: it may name every room but export.
            elif name and inner in ORDER and (name not in ORDER or ORDER.index(inner) > ORDER.index(name)):
                bad.append(f"imports {inner}, which stands after it")
    return bad


def imported(node: ast.AST, name: str) -> list[str]:
    """Absolute names that `node`, in the module called `name`, imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            here = f"keras_resnet.{name}".strip(".").split(".")
            up = node.level - (name in PACKAGES)
            base = ".".join([*here[: len(here) - up], *base.split(".")]).strip(".")
        return [f"{base}.{alias.name}" for alias in node.names]
    return []


def test_every_module_has_its_place():
    assert set(modules()) == set(ORDER) | EMPTY


@pytest.mark.parametrize("name", sorted(set(ORDER) | EMPTY))
def test_module_keeps_the_rules(name):
    assert violations(name, modules()[name]) == []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("train", "from .run import Run"),
        ("tasks", "from .classify import Classification"),
        ("export.tflite", "from .calibrate import Calibration"),
        ("export.tflite", "from ..run import Run"),
        ("commands", "from keras_resnet.export import verify"),
        ("", "from keras_resnet.run import Run"),
        ("train", "import keras"),
    ],
)
def test_the_checker_lets_pass_what_is_allowed(name, source):
    assert violations(name, source) == []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("spec", "from keras_resnet.run import Run"),
        ("spec", "from keras_resnet import run"),
        ("train", "import keras_resnet.export.verify"),
        ("run", "def f():\n    from keras_resnet.export import verify"),
        ("train", "import tf_keras"),
        ("export.tflite", "import tensorflow_model_optimization as tfmot"),
        ("commands", "import export"),
        ("train", "import tensorflow as tf\nprint(tf.keras)"),
        ("train", "from tensorflow import keras"),
        ("train", "from tensorflow.keras import layers"),
        ("spec", "from .run import Run"),
        ("spec", "from . import run"),
        ("tasks", "from ..train import train"),
        ("data.images", "from ..train import train"),
        ("export.tflite", "from ..commands import main"),
        ("data", "from keras_resnet.data.sources import open_data"),
        ("", "from keras_resnet.export import verify"),
        ("", "from .export import verify"),
    ],
)
def test_the_checker_sees_violations(name, source):
    assert violations(name, source)
