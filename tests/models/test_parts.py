"""Every task starts from every kind of weights: what is placed, what is new, what trains, and how fast."""

import functools
from dataclasses import replace

import keras
import numpy as np
import pytest
from safetensors.numpy import save_file
from samples import finding, silent
from torch_files import torch_state
from trainings import interrupt_after

import keras_resnet
from keras_resnet.compression.quantization.quantize import quantize
from keras_resnet.config.spec import DataSpec, HeadSpec, NetworkSpec, Spec, StartSpec
from keras_resnet.data.sources import shapes
from keras_resnet.errors import TrainingInterrupted, UsageError, WeightsError
from keras_resnet.models.layers import Layers
from keras_resnet.models.names import parse_model_name
from keras_resnet.models.parts import get_part, group_by_part
from keras_resnet.pretrained.load import assign_weights, fetch_weights, load_weights
from keras_resnet.run import Run
from keras_resnet.tasks import get_task, parts_of
from keras_resnet.training import train
from keras_resnet.training.initialize import freeze, initialize, require_parts
from keras_resnet.training.optimizers import create_optimizer
from keras_resnet.training.spec_request import build_spec

TASKS = ("classify", "localize", "detect", "segment")
# Those that find objects share their code: detection stands for all in every run.
ONE_OF_THREE = [pytest.param(task, marks=[] if task == "detect" else pytest.mark.slow) for task in TASKS[1:]]
ORIGINS = ("run", "keras", "h5", "torchvision", "timm")
SIX, TWO = tuple("abcdef"), ("round", "square")
FOUND_ON_THE_PYRAMID = ("cls_tower", "box_tower", "scores", "distances", "lateral", "p3", "p4", "p5")
NET = NetworkSpec(10, width=0.25, stem="imagenet")
DEEP = replace(NET, resnet_d=True, stem="deep", squeeze_excitation=True)


def job(task, network=NET):
    """A spec of `task`, small."""
    if task == "classify":
        return Spec(network=network, data=DataSpec(image_size=64, fit="crop", channels=3))
    return replace(finding(task), network=network)


def decided(spec):
    """The spec as a run has it, which leaves nothing open."""
    for key, value in (
        *(("data.image_size", 64), ("data.resize", 64), ("training.batch_size", 8)),
        *(("training.checkpoint_every", 10), ("optimizer.warmup_epochs", 0.0)),
    ):
        spec = spec.override(key, value)
    return spec


@functools.cache
def _built(task, classes, network):
    return get_task(job(task, network), classes).build_model(Layers(keras), job(task, network))


@functools.cache
def _beginning(task, classes, network):
    """Random, so that no layer equals another by chance."""
    rng = np.random.default_rng([len(task), len(classes)])
    return [
        (rng.uniform(0.5, 1.5, w.shape) if w.ndim == 1 else rng.normal(0, 0.1, w.shape)).astype("float32")
        for w in _built(task, classes, network).get_weights()
    ]


def model_of(task, classes=SIX, network=NET):
    """A model with all parts trainable and its own random weights."""
    model = _built(task, classes, network)
    for layer in model.layers:
        layer.trainable = True
    model.set_weights(_beginning(task, classes, network))
    return model


def weights_of(model):
    return {layer.name: layer.get_weights() for layer in model.layers if layer.weights}


def is_body(name):
    return name.startswith(("stem", "stage"))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("origins")


def written(home, origin, task="classify", classes=SIX):
    """(what is typed after --weights, the weights by layer of a finished model of `task`)."""
    network = DEEP if origin == "timm" else NET
    model = model_of(task, classes, network)
    if origin == "run":
        name = f"{task}{len(classes)}"
        run = Run.find(home, name) if (home / name).exists() else Run.create(home, decided(job(task)), classes, name)
        model.save(run.model_file)
        return name, weights_of(model)
    file = home / f"{task}{len(classes)}-{origin}.{origin if origin in ('keras', 'h5') else 'safetensors'}"
    if origin in ("keras", "h5"):
        model.save(file)
    else:
        save_file(torch_state(model, deep=origin == "timm"), file)
    return str(file), weights_of(model)


def started(home, task, origin, classes=SIX, network=NET, **given):
    """(the network of the request, its weights before, what was told) after it was started."""
    asked = {"task": task, "weights": origin, "image_size": 64, "settings": (f"network.width={network.width}",)}
    spec = build_spec(asked | given, home, silent)
    spec = replace(spec, network=replace(spec.network, stem=network.stem))
    assert spec.network == network
    model = model_of(task, classes, network)
    before, said = weights_of(model), []
    initialize(model, spec, said.append)
    return model, before, "\n".join(said)


def assert_changed(model, before, theirs, filled):
    """Exactly the layers of the names `filled` hold `theirs`; the others what they held `before`."""
    for name, values in weights_of(model).items():
        expected = theirs[name] if name in filled else before[name]
        for ours, other in zip(values, expected, strict=True):
            np.testing.assert_array_equal(ours, other, err_msg=name)


# Each task and each origin in every run, all pairs with -m slow.
PAIRS = [
    pytest.param(task, origin, marks=[] if task == "classify" or origin == "run" else pytest.mark.slow)
    for task in TASKS
    for origin in ORIGINS
]


@pytest.mark.parametrize(("task", "origin"), PAIRS)
def test_a_classifier_is_where_any_task_starts(task, origin, home):
    where, theirs = written(home, origin)
    network = DEEP if origin == "timm" else NET
    given = {"depth": 10} if origin in ("keras", "h5") else {}
    model, before, said = started(home, task, where, TWO, network, **given)
    filled = {name for name in weights_of(model) if is_body(name)}
    assert len(filled) > 20
    assert_changed(model, before, theirs, filled)
    if task == "classify":
        assert "stage4; the classifier is new" in said
    else:
        assert "stage4; the neck and the heads are new; not placed: the classifier" in said


@pytest.mark.parametrize(
    "origin", ["run", pytest.param("keras", marks=pytest.mark.slow), pytest.param("h5", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("task", ONE_OF_THREE)
def test_other_classes_get_new_scores_on_what_was_learned(task, origin, home):
    where, theirs = written(home, origin, task)
    given = {} if origin == "run" else {"depth": 10}
    model, before, said = started(home, task, where, TWO, **given)
    new = {name for name in weights_of(model) if name.startswith("scores")}
    assert len(new) == (2 if task == "localize" else 3)
    assert_changed(model, before, theirs, set(weights_of(model)) - new)
    assert (
        f"of the class head {'scores4 and scores5' if task == 'localize' else 'scores3, scores4 and scores5'} are new"
        in said
    )
    model, before, said = started(home, task, where, SIX, **given)
    assert_changed(model, before, theirs, set(weights_of(model)))
    assert "new" not in said


@pytest.mark.parametrize("task", ONE_OF_THREE)
def test_a_classifier_starts_from_what_finds(task, home):
    where, theirs = written(home, "run", task)
    model, before, said = started(home, "classify", where, TWO)
    assert_changed(model, before, theirs, {name for name in weights_of(model) if is_body(name)})
    assert "the classifier is new; not placed: " in said and "the neck" in said.partition("not placed")[2]


@pytest.mark.parametrize(
    ("theirs", "ours", "kept", "words"),
    [
        ("detect", "segment", FOUND_ON_THE_PYRAMID, "the mask head is new"),
        pytest.param("segment", "detect", FOUND_ON_THE_PYRAMID, "not placed: the mask head", marks=pytest.mark.slow),
        ("localize", "detect", (), "the neck and the heads are new"),  # its pyramid begins a level higher
        pytest.param("segment", "localize", (), "the neck and the heads are new", marks=pytest.mark.slow),
    ],
)
def test_from_one_way_to_find_to_another(theirs, ours, kept, words, home):
    where, weights = written(home, "run", theirs)
    model, before, said = started(home, ours, where)
    filled = {name for name in weights_of(model) if is_body(name) or name.startswith(kept or ("-",))}
    assert_changed(model, before, weights, filled)
    assert words in said


@pytest.mark.slow
def test_heads_are_made_as_those_of_the_run(home):
    """What the weights were trained with, unless another was asked for: then those heads are new."""
    spec = replace(job("segment"), head=HeadSpec(convs=3, masks="yolact"))
    run = Run.create(home, decided(spec), SIX, "three")
    get_task(spec, SIX).build_model(Layers(keras), spec).save(run.model_file)
    said = []
    found = build_spec({"task": "segment", "weights": "three"}, home, said.append)
    assert found.head == spec.head and "heads: 3 convolutions per tower, masks by yolact (of the weights)" in said
    assert build_spec({"task": "detect", "weights": "three"}, home, silent).head == HeadSpec(convs=3)
    asked = build_spec({"task": "segment", "weights": "three", "masks": "condinst"}, home, silent)
    assert asked.head == HeadSpec(convs=3)
    placed = assign_weights(
        get_task(asked, SIX).build_model(Layers(keras), asked), fetch_weights(str(run.model_file)), "three"
    )
    assert {get_part(name).name for name in placed.new} == {"mask_head"}
    assert build_spec({"weights": "three"}, home, silent).head == HeadSpec()


@pytest.mark.parametrize("task", TASKS)
def test_the_body_is_frozen_and_slowed_alone(task):
    model = model_of(task)
    others = {name for name in weights_of(model) if not is_body(name)}
    freeze(model, StartSpec(freeze=("backbone",)))
    assert {variable.path.split("/")[0] for variable in model.trainable_variables} == others
    model = model_of(task)
    freeze(model, StartSpec(freeze=("stem", "stage1")))
    left = {variable.path.split("/")[0] for variable in model.trainable_variables}
    assert left == {name for name in weights_of(model) if not name.startswith(("stem", "stage1"))}
    model = model_of(task)
    spec = replace(job(task), start=StartSpec(backbone_lr_scale=0.1))
    for key, value in {"name": "sgd", "warmup_epochs": 0.0, "learning_rate": 0.1, "momentum": 0.0}.items():
        spec = spec.override(f"optimizer.{key}", value)
    spec = spec.override("optimizer.weight_decay", 0.0)
    before = [variable.numpy() for variable in model.trainable_variables]
    gradients = [np.ones(variable.shape, "float32") for variable in model.trainable_variables]
    create_optimizer(spec, 10).apply(gradients, model.trainable_variables)
    for variable, old in zip(model.trainable_variables, before, strict=True):
        step = 0.01 if is_body(variable.path) else 0.1
        np.testing.assert_allclose(old - variable.numpy(), step, rtol=1e-3, err_msg=variable.path)


def test_outputs_are_not_muons():
    """Keras asks for the names of output layers; a detector has more than one."""
    spec = job("segment").override("optimizer.name", "muon").override("optimizer.warmup_epochs", 0.0)
    model, optimizer = model_of("segment"), create_optimizer(spec, 10)
    kernels = [variable for variable in model.trainable_variables if variable.path.endswith("kernel")]
    spared = {each.path.split("/")[0] for each in kernels if optimizer._should_use_adamw(each)}
    assert spared == {f"{kind}{level}" for kind in ("scores", "distances", "coefficients") for level in (3, 4, 5)} | {
        "prototypes"
    }


@pytest.mark.parametrize("task", TASKS)
def test_the_declared_parts_are_those_of_the_network(task):
    model = model_of(task)
    found = group_by_part(weights_of(model))
    assert {part.name for part in found} == set(parts_of(job(task)))
    assert sum(map(len, found.values())) == len(weights_of(model)), "a layer belongs to no part, or to two"
    copy = quantize(model)
    assert {part.name for part in group_by_part(layer.name for layer in copy.layers if layer.weights)} == {
        part.name for part in found
    }


@pytest.mark.parametrize("name", ["vgg11_bn", "plain20", "resnet20v2", "wrn16_4"])
def test_other_families_are_frozen_by_their_parts(name):
    model = keras_resnet.create_model(name, classes=3, input_shape=(32, 32, 3))
    spec = Spec(network=parse_model_name(name), start=StartSpec(freeze=("backbone",)))
    require_parts(spec)
    freeze(model, spec.start)
    assert {variable.path.split("/")[0] for variable in model.trainable_variables} == {"logits"}
    first = parts_of(spec)[0]
    assert first == ("block1" if name.startswith("vgg") else "stem")
    assert ("final" in parts_of(spec)) == name.endswith(("v2", "_4"))


@pytest.mark.parametrize(
    ("task", "start", "words"),
    [
        (
            "detect",
            {"freeze": ("logits",)},
            "--freeze: resnet10, to detect, has no part 'logits'. Known: stem, stage1, stage2, stage3,",
        ),
        ("segment", {"freeze": ("fc1",)}, "has no part 'fc1'"),
        ("localize", {"freeze": ("mask_head",)}, "has no part 'mask_head'"),
        ("detect", {"freeze": ("haeds",)}, "Did you mean 'heads'?"),
        ("classify", {"freeze": ("neck",)}, "has no part 'neck'"),
        ("detect", {"freeze": ("backbone", "neck", "heads")}, "leaves nothing to train"),
        (
            "detect",
            {"freeze": ("backbone",), "backbone_lr_scale": 0.1},
            "--backbone-lr-scale has no effect where the backbone is frozen",
        ),
        (
            "classify",
            {"freeze": ("stem", "stage1", "stage2", "stage3", "stage4"), "backbone_lr_scale": 0.5},
            "has no effect where the backbone",
        ),
        (
            "classify",
            {"backbone_lr_scale": float("inf")},
            "--backbone-lr-scale must be a finite number. Received: inf",
        ),
    ],
)
def test_parts_are_checked_before_the_data(task, start, words, tmp_path, monkeypatch, kresnet):
    monkeypatch.setattr(train, "load_data_chief_first", lambda *_: pytest.fail("the data were read"))
    start = {key: ",".join(value) if isinstance(value, tuple) else value for key, value in start.items()}
    given = [item for key, value in start.items() for item in (f"--{key.replace('_', '-')}", value)]
    code, out, err = kresnet("train", "--task", task, "--depth", 10, "--runs", tmp_path, *given)
    assert code == 2 and out == "" and words in err[-1], err
    assert list(tmp_path.iterdir()) == []


def test_a_rate_is_not_looked_for_without_the_part(tmp_path, monkeypatch, kresnet):
    from keras_resnet.training import finder

    monkeypatch.setattr(finder, "load_data_chief_first", lambda *_: pytest.fail("the data were read"))
    code, _, err = kresnet("train", "--task", "detect", "--freeze", "logits", "--find-lr", "--runs", tmp_path)
    assert code == 2 and "has no part 'logits'" in err[-1]


def test_a_body_with_more_or_fewer_layers_is_refused(home):
    """Also where everything that the network wants would be there."""
    deeper = keras_resnet.ResNet14 if hasattr(keras_resnet, "ResNet14") else functools.partial(keras_resnet.resnet, 14)
    deeper(classes=3, input_shape=(16, 16, 3)).save(home / "deeper.keras")
    model = keras_resnet.ResNet8(classes=3, input_shape=(16, 16, 3))
    before = model.get_weights()
    with pytest.raises(WeightsError, match="not of resnet8: they have 12 layers more, stage1_unit2_conv1 first"):
        load_weights(model, home / "deeper.keras")
    for ours, theirs in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(WeightsError, match="hold nothing for 12 of its layers"):
        model.save(home / "shallow.keras")
        load_weights(deeper(classes=3, input_shape=(16, 16, 3)), home / "shallow.keras")


def test_a_model_of_ones_own_on_our_body(home):
    """Its head is left as it is; a model that has nothing of ours is refused."""
    where, theirs = written(home, "keras")
    body = keras_resnet.create_backbone(NET, input_shape=(64, 64, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(body.output["c5"])
    mine = keras.Model(body.input, keras.layers.Dense(2, name="mine")(pooled))
    before = weights_of(mine)
    placed = load_weights(mine, where)
    assert placed.new == ("mine",) and "mine is new; not placed: the classifier" in str(placed)
    assert_changed(mine, before, theirs, set(before) - {"mine"})
    foreign = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="other")])
    with pytest.raises(WeightsError, match="takes no weights: it has no stem, stages or blocks"):
        load_weights(foreign, where)


def test_weights_of_a_training_with_8_bits_start_an_ordinary_one(home):
    model = model_of("detect")
    quantize(model).save(home / "quantized.keras")
    theirs = weights_of(model)
    other = model_of("detect", TWO)
    before = weights_of(other)
    load_weights(other, home / "quantized.keras")
    assert_changed(other, before, theirs, {name for name in before if not name.startswith("scores")})


def few_shapes(monkeypatch):
    monkeypatch.setattr(shapes, "TRAIN", 16)
    monkeypatch.setattr(shapes, "VALIDATION", 8)


@pytest.mark.slow
@pytest.mark.parametrize(
    "task",
    ["detect", pytest.param("localize", marks=pytest.mark.slow), pytest.param("segment", marks=pytest.mark.slow)],
)
def test_a_detector_trains_on_a_frozen_body(task, home, tmp_path, monkeypatch, kresnet):
    few_shapes(monkeypatch)
    _, theirs = written(home, "run")
    run = ["--runs", home, "--data-dir", tmp_path, "--name", f"frozen-{task}", "--precision", "float32"]
    steps = ["--steps", 2, "--batch-size", 4]
    code, _, err = kresnet("train", "--task", task, "--weights", "classify6", "--freeze", "backbone", *steps, *run)
    assert code == 0, "\n".join(err[-9:])
    assert any("the neck and the heads are new" in line for line in err)
    assert any(
        "frozen: stem, stage1, stage2, stage3, stage4; in training: neck, class_head, box_head" in e for e in err
    )
    trained = keras.saving.load_model(Run.find(home, f"frozen-{task}").model_file, compile=False)
    fresh = weights_of(get_task(Run.find(home, f"frozen-{task}").spec(), SIX).build_model(Layers(keras), job(task)))
    for name, values in weights_of(trained).items():
        if is_body(name):
            for ours, other in zip(values, theirs[name], strict=True):
                np.testing.assert_array_equal(ours, other, err_msg=name)
        elif name.endswith("norm"):
            assert not np.array_equal(values[2], fresh[name][2]), f"{name} has seen nothing"


@pytest.mark.slow
@pytest.mark.parametrize("task", ["classify", "detect"])
def test_frozen_parts_resume_to_the_same_bits(task, quick_spec, tmp_path, monkeypatch):
    few_shapes(monkeypatch)
    base = quick_spec if task == "classify" else finding(task).override("data.data_dir", str(tmp_path / "tfds"))
    size = 64 if task == "classify" else base.training.batch_size
    training = replace(base.training, epochs=2, batch_size=size, deterministic=True)
    spec = replace(base, start=StartSpec(freeze=("stem", "stage1"), backbone_lr_scale=0.3), training=training)
    whole = train.train(spec, tmp_path, "whole", log=silent)
    interrupt_after(1, monkeypatch)
    with pytest.raises(TrainingInterrupted):
        train.train(spec, tmp_path, "cut", log=silent)
    monkeypatch.undo()
    few_shapes(monkeypatch)
    cut = train.resume(Run.find(tmp_path, "cut"), log=silent)
    models = [keras.saving.load_model(run.model_file, compile=False) for run in (whole, cut)]
    for ours, theirs in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_vgg_is_no_body_of_a_detector(tmp_path):
    with pytest.raises(UsageError, match=r"network\.family must be resnet or plain for detect"):
        build_spec({"task": "detect", "model": "vgg11"}, tmp_path, silent)
