"""What steps do on one device, on two mirrored ones and in two workers, written to a .npz for tests to judge.

python parallel_checks.py devices OUT CASE…    # one process that has two logical CPUs; the cases are listed below
python parallel_checks.py worker OUT CASE…     # one of several, as TF_CONFIG says; writes OUT-<rank>
"""

import sys
from dataclasses import replace

import numpy as np
import tensorflow as tf

if __name__ == "__main__" and sys.argv[1] == "devices":
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

from keras_resnet.config.spec import DataSpec, NetworkSpec, OptimizerSpec, Spec, StartSpec, TrainingSpec
from keras_resnet.data.dataset import DatasetSplits, Split
from keras_resnet.tasks import get_task
from keras_resnet.training import distribute
from keras_resnet.training.build_trainer import build_trainer
from keras_resnet.training.distribute import Devices

SIZE, CLASSES, BATCH = 8, 4, 16
SPEC = Spec(
    network=NetworkSpec(depth=8, zero_gamma=False),
    data=DataSpec(image_size=SIZE, fit="crop", channels=3),
    optimizer=OptimizerSpec(learning_rate=0.1, warmup_epochs=0.0),
    training=TrainingSpec(batch_size=BATCH, precision="float32"),
)

SEGMENTING = Spec(
    task="segment",
    network=SPEC.network,
    data=DataSpec(image_size=16, fit="pad", channels=3, annotations="masks"),
    optimizer=SPEC.optimizer,
    training=SPEC.training,
)

CASES = {
    # Averages change no weight: they are looked at beside them.
    "plain": SPEC.override("training.ema", 0.5),
    "clipped": SPEC.override("optimizer.clip_grad_norm", 0.05),
    "adamw": SPEC.override("optimizer.name", "adamw").override("optimizer.learning_rate", 1e-3),
    "lamb": SPEC.override("optimizer.name", "lamb").override("optimizer.learning_rate", 1e-2),
    "muon": SPEC.override("optimizer.name", "muon").override("optimizer.learning_rate", 1e-2),
    "segment": SEGMENTING,
    "recomputed": SPEC.override("training.recompute", True),
}


def batches(count, spec):
    """Random images and random truths, of images that differ in how many objects they show."""
    rng = np.random.default_rng(0)
    size = spec.data.image_size
    for _ in range(count):
        images = rng.uniform(0, 255, (BATCH, size, size, 3)).astype("float32")
        truth = rng.integers(CLASSES, size=BATCH)
        if spec.task == "segment":
            corners = np.sort(rng.uniform(0, 1, (BATCH, 3, 2, 2)), axis=2)
            truth = {
                "labels": np.where(rng.random((BATCH, 3)) < 0.6, rng.integers(CLASSES, size=(BATCH, 3)), -1),
                "boxes": corners.reshape(BATCH, 3, 4).astype("float32"),
                "iscrowd": rng.random((BATCH, 3)) < 0.1,
                "ids": rng.integers(4, size=(BATCH, size, size)).astype("uint8"),
            }
        encoded = get_task(spec, tuple("abcd")).encode_targets(truth)
        yield images, tf.nest.map_structure(np.asarray, encoded)


def untrained(here, spec):
    """The trainer before its first step."""
    labels = np.arange(BATCH) % CLASSES
    size = spec.data.image_size
    splits = {name: Split(name, labels) for name in ("train", "validation")}
    return build_trainer(spec, DatasetSplits("random", tuple("abcd"), splits, False, size, size), here)


def trained(here, spec, steps, spoiled=0, before_each=lambda trainer: None):
    """The trainer after so many steps; the last image of each of the first `spoiled` batches holds an infinity."""
    trainer = untrained(here, spec)
    step = trainer.make_train_function()
    share = BATCH // here.replicas
    for number, (images, targets) in enumerate(batches(steps, spec)):
        if number < spoiled:
            images[-1] = np.inf
        mine = slice(here.rank * BATCH // here.world_size, (here.rank + 1) * BATCH // here.world_size)
        part = tf.nest.map_structure(lambda each, mine=mine: each[mine], (images, targets))
        dataset = tf.data.Dataset.from_tensors(part).rebatch(share)
        before_each(trainer)
        step(*next(iter(here.strategy.distribute_datasets_from_function(lambda c, d=dataset: d))), np.float32(0))
    return trainer


def flat(variables):
    return np.concatenate([np.ravel(variable.numpy()).astype("float64") for variable in variables])


def compare(one, two, names, out):
    """Each named case on one device and on two."""
    for name in names:
        for count, here in (("one", one), ("two", two)):
            states = []

            def note(trainer, states=states):
                states.append(
                    (flat(trainer.model.weights), flat(trainer.state.ema.averages) if trainer.state.ema else None)
                )

            note(trained(here, CASES[name], 5, before_each=note))
            for steps in (1, 5):
                out[f"{name}-{steps}-{count}"], averages = states[steps]
                if averages is not None:
                    out[f"averages-{steps}-{count}"] = averages


def accumulate(one, two, out):
    """Batches at once on one device, and in two parts on one and on two."""
    frozen = replace(SPEC, start=StartSpec(freeze_bn=True))
    for parts, count, here in ((1, "one", one), (2, "one", one), (2, "two", two)):
        spec = frozen.override("training.accumulate_steps", parts)
        out[f"accumulated-{parts}-{count}"] = flat(trained(here, spec, 2).model.weights)


def overflow(two, out):
    """An infinity on the second replica only, then a batch without one."""
    spec, weights = SPEC.override("training.precision", "mixed_float16"), []
    trainer = trained(
        two, spec, 2, spoiled=1, before_each=lambda trainer: weights.append(flat(trainer.model.trainable_variables))
    )
    out["overflow-before"], out["overflow-after"] = weights
    out["no-overflow-after"] = flat(trainer.model.trainable_variables)
    out["overflow-scale"] = trainer.optimizer.dynamic_scale.numpy()
    out["overflow-first-scale"] = trainer.optimizer.initial_scale


def of_workers(names, out):
    """The named cases in one of two workers."""
    here = distribute.setup("auto")
    assert here.world_size == 2
    for name in names:
        states = []

        def note(trainer, states=states):
            states.append(flat(trainer.model.weights))

        note(trained(here, CASES[name], 5, before_each=note))
        out[f"{name}-1-workers"], out[f"{name}-5-workers"] = states[1], states[5]
    out["told"] = here.broadcast(f"by rank {here.rank}: ü")
    return here.rank


def main():
    kind, path, *names = sys.argv[1:]
    out = {}
    if kind == "devices":
        one, two = Devices(tf.distribute.get_strategy(), "one"), distribute.setup("auto")
        assert two.replicas == 2
        compare(one, two, names, out)
        if "plain" in names:
            accumulate(one, two, out)
            overflow(two, out)
    else:
        path = f"{path}-{of_workers(names, out)}"
    np.savez(path, **out)


if __name__ == "__main__":
    main()
