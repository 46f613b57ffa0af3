"""How a training starts: from weights, from a run, from a shallower run, with parts frozen."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from torch_reference import Reference
from trainings import interrupt_after

import keras_resnet
from keras_resnet.config.recipes import get_recipe
from keras_resnet.config.spec import NetworkSpec, Spec, StartSpec
from keras_resnet.errors import RunError, TrainingInterrupted, UsageError, WeightsError
from keras_resnet.models.names import parse_model_name
from keras_resnet.pretrained.load import fetch_weights
from keras_resnet.run import Run
from keras_resnet.training.initialize import deepen, freeze
from keras_resnet.training.optimizers import create_learning_rate_schedule, create_optimizer
from keras_resnet.training.spec_request import build_spec
from keras_resnet.training.train import resume, train

GOLDEN = Path(__file__).parents[1] / "golden"


def silent(message):
    pass


def spec_of(home, **given):
    return build_spec(given, home, silent)


def test_weights_bring_network_and_preprocessing(tmp_path):
    from safetensors.numpy import save_file

    reference = Reference()
    reference.resnet(np.zeros((1, 32, 32, 3)), (1, 1, 1, 1), bottleneck=False)
    file = tmp_path / "r10.safetensors"
    save_file({key: np.ascontiguousarray(value) for key, value in reference.state.items()}, file)
    spec = spec_of(tmp_path, weights=str(file), data="digits")
    assert (spec.network.depth, spec.network.stem, spec.data.image_size, spec.data.resize) == (10, "imagenet", 224, 256)
    np.testing.assert_allclose(spec.data.normalization.mean, (123.675, 116.28, 103.53))
    assert spec_of(tmp_path, weights=str(file), image_size=64).data.image_size == 64
    assert spec_of(tmp_path, weights=str(file), depth=10, drop_path=0.1).network.drop_path == 0.1
    with pytest.raises(UsageError, match=r"are of resnet10: network.depth is 10\. Received: 34"):
        spec_of(tmp_path, weights=str(file), depth=34)
    assert spec_of(tmp_path, weights=str(file), model="resnet10").network == spec.network
    with pytest.raises(UsageError, match=r"are of resnet10: network.squeeze_excitation is False\. Received: True"):
        spec_of(tmp_path, weights=str(file), model="seresnet10")


def test_fine_tuning_a_run_on_other_classes(trained, runs, tmp_path):
    from samples import paint

    paint(tmp_path / "colours", 30, size=8)
    given = {"weights": trained.name, "data": str(tmp_path / "colours"), "epochs": 12, "precision": "float32"}
    spec = build_spec(given | {"freeze": ("stem", "stage1"), "backbone_lr_scale": 0.1}, runs, silent)
    assert spec.network == trained.spec().network and spec.start.freeze == ("stem", "stage1")
    said = []
    run = train(spec, tmp_path, "tuned", log=said.append)
    assert any("the classifier is new" in line for line in said)
    before, after = (keras.saving.load_model(r.model_file, compile=False) for r in (trained, run))
    same = {
        layer.name: all(np.array_equal(a, b) for a, b in zip(layer.get_weights(), other.get_weights(), strict=True))
        for layer in before.layers
        if layer.weights and layer.name != "logits"
        for other in [after.get_layer(layer.name)]
    }
    assert {name for name, equal in same.items() if equal} == {n for n in same if n.startswith(("stem", "stage1"))}
    assert run.metrics()["value"] >= 0.9


@pytest.mark.slow
def test_a_resumed_run_needs_its_first_weights_no_more(quick_spec, trained, tmp_path, monkeypatch):
    copy = tmp_path / "first.keras"
    copy.write_bytes(trained.model_file.read_bytes())
    start = StartSpec(weights=str(copy))
    spec = replace(quick_spec, start=start, training=replace(quick_spec.training, epochs=2))
    interrupt_after(1, monkeypatch)
    with pytest.raises(TrainingInterrupted):
        train(spec, tmp_path, "cut", log=silent)
    monkeypatch.undo()
    copy.unlink()
    assert resume(Run.find(tmp_path, "cut"), log=silent).metrics()["value"] >= 0.95


def test_a_start_that_cannot_be_leaves_no_run_behind(quick_spec, tmp_path):
    for start, words in (
        (StartSpec(freeze=("stage9",)), r"no part 'stage9'.* Did you mean 'stage\d'.*logits, backbone"),
        (StartSpec(freeze=("backbone", "logits")), "leaves nothing to train"),
        (StartSpec(weights=str(GOLDEN / "resnet8.pth")), "not of resnet8"),
    ):
        with pytest.raises((UsageError, WeightsError), match=words):
            train(replace(quick_spec, start=start), tmp_path, log=silent)
    assert list(tmp_path.iterdir()) == []


def test_frozen_norms_keep_their_statistics():
    model = keras_resnet.ResNet8(classes=3, input_shape=(16, 16, 3))
    freeze(model, StartSpec(freeze_bn=True))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    norms = [layer for layer in model.layers if "norm" in layer.name and layer.weights]
    before = [layer.get_weights() for layer in norms]
    model.train_on_batch(np.random.default_rng(0).uniform(0, 255, (8, 16, 16, 3)), np.arange(8) % 3)
    for layer, old in zip(norms, before, strict=True):
        for a, b in zip(layer.get_weights(), old, strict=True):
            np.testing.assert_array_equal(a, b)
    assert model.get_layer("stage1_unit1_conv1").trainable


def stepped(backbone_lr_scale=1.0, **changes):
    """How far one step against gradients of 1 moves the body's kernel and gamma and the classifier's kernel, all 1."""
    spec = Spec(start=StartSpec(backbone_lr_scale=backbone_lr_scale))
    for key, value in ({"warmup_epochs": 0.0, "learning_rate": 0.1, "momentum": 0.0} | changes).items():
        spec = spec.override(f"optimizer.{key}", value)
    pixels = keras.Input((2,))
    x = keras.layers.BatchNormalization(name="stem_norm")(keras.layers.Dense(2, name="stem_conv")(pixels))
    model = keras.Model(pixels, keras.layers.Dense(2, name="logits")(x))
    for weight in model.trainable_weights:
        weight.assign(np.ones(weight.shape))
    optimizer = create_optimizer(spec, 10)
    gradients = [np.ones(w.shape, "float32") for w in model.trainable_weights]
    optimizer.apply(gradients, model.trainable_weights)
    moved = {w.path: float(1 - w.numpy().ravel()[0]) for w in model.trainable_weights}
    return [moved[path] for path in ("stem_conv/kernel", "stem_norm/gamma", "logits/kernel")]


def test_the_body_learns_at_its_own_rate():
    np.testing.assert_allclose(stepped(weight_decay=0.0), [0.1, 0.1, 0.1], rtol=1e-5)
    np.testing.assert_allclose(stepped(0.1, weight_decay=0.0), [0.01, 0.01, 0.1], rtol=1e-5)


def test_l2_is_added_to_the_gradient_of_kernels():
    np.testing.assert_allclose(stepped(weight_decay=0.5, weight_decay_mode="l2"), [0.15, 0.1, 0.15], rtol=1e-5)
    with_momentum = stepped(weight_decay=0.5, weight_decay_mode="l2", momentum=0.9, nesterov=False)
    np.testing.assert_allclose(with_momentum, [0.15, 0.1, 0.15], rtol=1e-5)


def test_step_create_learning_rate_schedule_the_paper():
    spec = get_recipe("he2015-cifar")
    rates = [
        float(create_learning_rate_schedule(spec, 351)(step)) for step in (0, 31_999, 32_001, 47_999, 48_001, 63_999)
    ]
    np.testing.assert_allclose(rates, [0.1, 0.1, 0.01, 0.01, 0.001, 0.001], rtol=1e-5)
    warm = create_learning_rate_schedule(spec.override("optimizer.warmup_epochs", 1.0), 100)
    np.testing.assert_allclose([float(warm(step)) for step in (0, 49, 100)], [0, 0.049, 0.1], rtol=1e-5)


@pytest.mark.parametrize(
    ("shallow", "deep"),
    [(NetworkSpec(8), NetworkSpec(20)), (NetworkSpec(11, preactivation=True), NetworkSpec(29, preactivation=True))],
)
def test_a_deepened_network_computes_the_same(shallow, deep, tmp_path):
    shape = (16, 16, 3)
    first = keras_resnet.create_model(shallow, classes=4, input_shape=shape)
    rng = np.random.default_rng(0)
    first.set_weights([rng.uniform(0.3, 0.7, w.shape) if w.ndim == 1 else w for w in first.get_weights()])
    first.save(tmp_path / "m.keras")
    second = keras_resnet.create_model(deep, classes=4, input_shape=shape)
    assert deepen(second, fetch_weights(str(tmp_path / "m.keras"))) == 6
    pixels = rng.uniform(0, 255, (4, *shape)).astype("float32")
    np.testing.assert_allclose(second(pixels), first(pixels), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("shallow", "deep", "words"),
    [
        (NetworkSpec(20), NetworkSpec(8), "not a part of resnet8"),
        pytest.param(
            NetworkSpec(8, shortcut="C"),
            NetworkSpec(14, shortcut="C"),
            "cannot be the identity",
            marks=pytest.mark.slow,
        ),
        (parse_model_name("plain8"), parse_model_name("plain14"), "cannot be the identity"),
        pytest.param(
            NetworkSpec(18), NetworkSpec(50), "cannot be the identity|not a part|other shapes", marks=pytest.mark.slow
        ),
    ],
)
def test_what_cannot_be_deepened(shallow, deep, words, tmp_path):
    shape = (16, 16, 3)
    keras_resnet.create_model(shallow, classes=4, input_shape=shape).save(tmp_path / "m.keras")
    with pytest.raises(WeightsError, match=words):
        deepen(keras_resnet.create_model(deep, classes=4, input_shape=shape), fetch_weights(str(tmp_path / "m.keras")))


def test_deepening_a_run(trained, runs, tmp_path):
    spec = spec_of(runs, deepen=trained.name, depth=14, epochs=1, learning_rate=1e-4)
    assert spec.network == replace(trained.spec().network, depth=14)
    said = []
    run = train(spec, tmp_path, "deep", log=said.append)
    assert any("3 units more, which start as the identity" in line for line in said)
    assert run.metrics()["value"] >= trained.metrics()["value"] - 0.01
    for given, words in (({}, "needs --depth"), ({"depth": 14, "model": "resnet14"}, "takes no --recipe, --model")):
        with pytest.raises(UsageError, match=words):
            spec_of(runs, deepen=trained.name, **given)
    with pytest.raises(RunError, match="no run called"):
        spec_of(runs, deepen="nothing", depth=14)


def test_settings_recipes_and_names(tmp_path):
    spec = spec_of(
        tmp_path, recipe="he2015-cifar", model="plain56", settings=("optimizer.momentum=0.8", "data.source=x")
    )
    assert (spec.network, spec.optimizer.momentum, spec.data.source) == (parse_model_name("plain56"), 0.8, "x")
    assert spec_of(tmp_path, recipe="he2015-cifar", model="resnet56").network.zero_gamma is False
    for given, words in (
        ({"model": "resnet50", "depth": 18}, "takes no --depth"),
        ({"recipe": "he2015"}, "Did you mean 'he2015-cifar'"),
        ({"settings": ("optimizer.momentun=0.8",)}, "Did you mean 'optimizer.momentum'"),
        ({"settings": ("momentum",)}, "KEY=VALUE"),
    ):
        with pytest.raises(UsageError, match=words):
            spec_of(tmp_path, **given)


@pytest.mark.slow
def test_a_training_counted_in_steps_ends_at_its_step(quick_spec, tmp_path):
    spec = replace(quick_spec, training=replace(quick_spec.training, steps=100, batch_size=32))
    said = []
    run = train(spec, tmp_path, "steps", log=said.append)
    assert run.spec().training.epochs == 3 and len(run.read_log()) == 3
    assert any("epochs: 3 (100 steps, 44 an epoch)" in line for line in said)
    np.testing.assert_allclose(run.read_log()[-1]["learning_rate"], 0, atol=1e-8)
    tried = train(spec.override("training.stop_after", 10), tmp_path, "tried", log=silent)
    assert len(tried.read_log()) == 1 and tried.read_log()[0]["learning_rate"] > 0.01
    assert Run.find(tmp_path, "tried").is_finished
