"""Finished runs with files and verdicts, made without a training, as they are published."""

import json
import zipfile

import h5py
import numpy as np
from exports import ONE

from keras_resnet.config.spec import DataSpec, NetworkSpec, OptimizerSpec, Spec
from keras_resnet.run import Run

# Of ResNet-8 for colors, but for the numbers of filters.
SHAPES = {
    "stem_conv": (3, 3, 3, 16),
    **{f"stage{s}_unit1_conv{c}": (3, 3, 8 * 2**s, 8 * 2**s) for s in (1, 2, 3) for c in (1, 2)},
    "logits": (64, 2),
}


def write_model(path, shapes=SHAPES, side=8):
    """A .keras file with kernels of these shapes; returns them by layer."""
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()}
    weights = path.with_suffix(".h5")
    with h5py.File(weights, "w") as file:
        for number, (name, array) in enumerate(arrays.items()):
            group = file.create_group(f"layers/layer_{number}/vars")
            group.attrs["name"] = name
            group["0"] = array
    layer = {"class_name": "InputLayer", "config": {"name": "pixels", "batch_shape": [None, side, side, 3]}}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps({"class_name": "Functional", "config": {"layers": [layer]}}))
        archive.write(weights, "model.weights.h5")
    weights.unlink()
    return arrays


def verdict(file, size, **changes):
    """A row of verdicts.json."""
    row = {
        "file": file,
        "scheme": "int8",
        "bytes": size,
        "gzip_bytes": size,
        "metric": "top1",
        "value": 0.96,
        "model_value": 0.97,
        "details": {"top1": 0.96, "macro_recall": 0.95},
        "samples": 360,
        "drop_metric": "top1",
        "drop": 0.01,
        "drop_interval": [-0.002, 0.012],
        "drops": {"top1": {"drop": 0.01, "interval": [-0.002, 0.012]}},
        "further_drops": {},
        "agreement": 0.98,
        "own_agreement": 0.98,
        "worst_class": "cat",
        "worst_class_drop": 0.02,
        "largest_difference": 0.5,
        "mean_difference": 0.1,
        "operators": {"CONV_2D": 7},
        "dtypes": {"INT8": 30},
        "cost": {"latencies": [{"threads": 1, "p50": 1.5, "p90": 1.6, "p99": 1.7}], "first_ms": 3.0, "peak_mib": 9.0},
        "latency_ms": 1.5,
        "machine": "A Processor (x86_64)",
        "baselines": [],
        "data_changed": "",
        "max_drop": ONE,
        "require_proof": False,
        "images_to_settle": 900,
        "calibration_sha256": None,
        "micro": None,
        "simulator": "",
        "verdict": "NOT PROVEN",
    }
    return {**row, **changes}


def make_run(home, name="cats", source="digits", **records):
    """A finished ResNet-8 that tells cats and dogs: int8.tflite of it passed, and float16.tflite did not."""
    spec = Spec(
        network=NetworkSpec(depth=8, stem="cifar"),
        data=DataSpec(source=source, image_size=8, resize=8, fit="crop", channels=3),
        optimizer=OptimizerSpec(warmup_epochs=0.0),
    )
    run = Run.create(
        home,
        spec.override("training.batch_size", 32).override("training.checkpoint_every", 1),
        ("cat", "dog"),
        name,
        records,
    )
    write_model(run.model_file)
    run.write_json(run.metrics_file, {"split": "validation", "metric": "top1", "value": 0.97, "samples": 360})
    run.rejected.mkdir(parents=True)
    (run.exports / "int8.tflite").write_bytes(b"TFL3" * 100)
    (run.rejected / "float16.tflite").write_bytes(b"TFL3" * 90)
    bad = verdict("rejected/float16.tflite", 360, scheme="float16", drop=0.3, verdict="FAILED")
    run.write_json(run.verdicts_file, [verdict("int8.tflite", 400), bad])
    return run
