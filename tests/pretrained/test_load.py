"""Weights from elsewhere: equal logits, what does not fit is named, nothing in a file is run."""

import hashlib
import io
import pickle
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from safetensors.numpy import save_file
from torch_files import save_stream, save_zip, tensors, torch_state
from torch_reference import Reference

import keras_resnet
from keras_resnet.errors import UsageError, WeightsError
from keras_resnet.pretrained import hub
from keras_resnet.pretrained.key_mapping import map_keys
from keras_resnet.pretrained.load import assign_weights, fetch_weights, load_weights
from keras_resnet.pretrained.readers import read_weights

GOLDEN = Path(__file__).parents[1] / "golden"
UNITS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def pixels(count, size, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3)).astype("uint8")


def assert_close(ours, theirs):
    assert np.abs(theirs).max() > 0.01
    assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()


def ours_from(weights, size, classes):
    model = keras_resnet.create_model(
        weights.network, classes=classes, input_shape=(size, size, 3), normalization=weights.normalization
    )
    placed = assign_weights(model, weights, "reference")
    assert placed.new == () and placed.unused == ()
    return model


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *(
            pytest.param(
                f"resnet{depth}",
                {"units": UNITS[depth], "bottleneck": depth >= 50},
                marks=() if depth in (18, 50) else pytest.mark.slow,
            )
            for depth in UNITS
        ),
        ("resnext50_32x4d", {"units": UNITS[50], "bottleneck": True, "groups": 32, "base": 4}),
        *(
            pytest.param(name, {"units": UNITS[50], "bottleneck": True, **more}, marks=pytest.mark.slow)
            for name, more in (
                ("wide_resnet50_2", {"base": 128}),
                ("resnet50d", {"deep": True}),
                ("seresnet50", {"squeeze": True}),
            )
        ),
    ],
)
def test_torchvision_and_timm_residual_networks(name, options):
    reference, images = Reference(), pixels(2, 64)
    theirs = reference.resnet(images, **options)
    weights = map_keys(reference.state)
    model = ours_from(weights, 64, 10)
    assert model.name == name
    assert_close(model.predict(images, verbose=0), theirs)


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "batch_norm"), [(11, False), (16, True)])
def test_torchvision_vgg(depth, batch_norm):
    reference, images = Reference(), pixels(1, 224)
    theirs = reference.vgg(images, depth, batch_norm=batch_norm)
    model = ours_from(map_keys(reference.state), 224, 10)
    assert_close(model.predict(images, verbose=0), theirs)


def timm_names(state):
    """timm keeps VGG's hidden layers as convolutions."""
    names = {"classifier.0": "pre_logits.fc1", "classifier.3": "pre_logits.fc2", "classifier.6": "head.fc"}
    renamed = {}
    for key, value in state.items():
        module, _, part = key.rpartition(".")
        if part == "weight" and module == "classifier.0":
            value = value.reshape(-1, 512, 7, 7)
        elif part == "weight" and module == "classifier.3":
            value = value[:, :, None, None]
        renamed[f"{names.get(module, module)}.{part}"] = value
    return renamed


@pytest.mark.slow
def test_timm_vgg(tmp_path):
    reference, images = Reference(), pixels(1, 224)
    theirs = reference.vgg(images, 11, batch_norm=True)
    save_file(
        {k: np.ascontiguousarray(v) for k, v in timm_names(reference.state).items()}, tmp_path / "vgg.safetensors"
    )
    model = ours_from(fetch_weights(str(tmp_path / "vgg.safetensors")), 224, 10)
    assert_close(model.predict(images, verbose=0), theirs)


def shaken(model):
    """Random statistics, scales and offsets: those of a fresh network would hide mistakes."""
    rng = np.random.default_rng(0)
    for layer in model.layers:
        new = []
        for variable, value in zip(layer.weights, layer.get_weights(), strict=True):
            positive = variable.name in ("gamma", "moving_variance")
            drawn = rng.uniform(0.5, 1.5, value.shape) if positive else rng.normal(0, 0.1, value.shape)
            new.append(drawn if value.ndim == 1 else value)
        layer.set_weights(new)
    return model


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("ResNet50", ".weights.h5"),
        pytest.param("ResNet101", ".keras", marks=pytest.mark.slow),
        pytest.param("ResNet152", ".h5", marks=pytest.mark.slow),
        pytest.param("VGG16", ".weights.h5", marks=pytest.mark.slow),
        pytest.param("VGG19", ".keras", marks=pytest.mark.slow),
    ],
)
def test_keras_applications(name, suffix, tmp_path):
    theirs = shaken(getattr(keras.applications, name)(weights=None, classifier_activation=None))
    file = tmp_path / f"model{suffix}"
    if "weights" in suffix:
        theirs.save_weights(file)
    else:
        theirs.save(file)
    module = keras.applications.resnet if name.startswith("ResNet") else keras.applications.vgg19
    images = pixels(8, 224)
    expected = theirs.predict(module.preprocess_input(images.astype("float32")), verbose=0)
    model = ours_from(fetch_weights(str(file)), 224, 1000)
    assert_close(model.predict(images, verbose=0), expected)


def test_the_second_networks_of_keras_are_refused(tmp_path):
    keras.applications.ResNet50V2(weights=None).save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(WeightsError, match="stride elsewhere"):
        fetch_weights(str(tmp_path / "m.weights.h5"))


@pytest.mark.parametrize("file", ["resnet8.pth", "resnet8-stream.pth"])
def test_files_that_pytorch_wrote(file):
    golden = np.load(GOLDEN / "resnet8.npz")
    weights = fetch_weights(str(GOLDEN / file))
    assert (weights.network.depth, weights.network.width, weights.network.stem) == (8, 0.5, "cifar")
    model = keras_resnet.create_model(
        keras_resnet.NetworkSpec(8, width=0.5, shortcut="B"),
        classes=5,
        input_shape=(16, 16, 3),
        normalization=weights.normalization,
    )
    assert load_weights(model, GOLDEN / file).new == ()
    assert_close(model.predict(golden["pixels"], verbose=0), golden["logits"])


def evil(path, payload):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", payload)
        archive.writestr("archive/version", "3")


class Attack:
    def __reduce__(self):
        return Path.touch, (Path("attacked"),)


def test_nothing_in_a_file_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    evil(tmp_path / "zip.pth", pickle.dumps({"weight": Attack()}))
    (tmp_path / "stream.pth").write_bytes(pickle.dumps(Attack()))
    for name in ("zip.pth", "stream.pth"):
        with pytest.raises(WeightsError, match="which is not loaded: it may run code"):
            read_weights(tmp_path / name)
    assert not Path("attacked").exists()


def test_a_storage_is_as_large_as_its_tensors_say(tmp_path):
    content = io.BytesIO((GOLDEN / "resnet8.pth").read_bytes())
    with zipfile.ZipFile(content) as archive, zipfile.ZipFile(tmp_path / "x.pth", "w") as copy:
        for name in archive.namelist():
            data = archive.read(name)
            copy.writestr(name, data[:8] if name.endswith("/data/0") else data)
    with pytest.raises(WeightsError, match="its storages have other sizes than its tensors say"):
        read_weights(tmp_path / "x.pth")


@pytest.mark.parametrize("suffix", [".pth", ".h5", ".keras", ".safetensors", ".onnx"])
def test_damaged_and_unknown_files(tmp_path, suffix):
    file = tmp_path / f"x{suffix}"
    with pytest.raises(WeightsError, match="there is no file"):
        read_weights(file)
    file.write_bytes(b"this is not a file of weights")
    with pytest.raises(WeightsError, match=r"cannot read weights|must be one of"):
        read_weights(file)
    for good in ("resnet8.pth", "resnet8-stream.pth"):
        cut = tmp_path / good
        cut.write_bytes((GOLDEN / good).read_bytes()[:20_000])
        with pytest.raises(WeightsError, match="cannot read weights"):
            read_weights(cut)


WRAPPED = ("module.", "_orig_mod.", "model.", "backbone.", "encoder.", "module._orig_mod.", "model.backbone.encoder.")


def small_state():
    """(a network of ours with random weights, the same under torchvision's names)."""
    network = keras_resnet.NetworkSpec(10, width=0.25, stem="imagenet")
    model = shaken(keras_resnet.create_model(network, classes=3, input_shape=(32, 32, 3)))
    return model, torch_state(model)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors", "stream.pth", "wrapped.pth"])
def test_prefixes_are_taken_off_in_every_format(suffix, tmp_path):
    """However many stand one after another; what stands beside the network is named."""
    model, state = small_state()
    for number, prefix in enumerate(WRAPPED):
        prefixed = {f"{prefix}{name}": value for name, value in state.items()}
        prefixed["projector.0.weight"] = np.ones((2, 2), "float32")
        file = tmp_path / f"{number}{suffix}"
        if suffix == ".safetensors":
            save_file(prefixed, file)
        elif suffix == "stream.pth":
            save_stream(file, tensors(prefixed))
        else:
            loaded = tensors(prefixed)
            save_zip(file, {"net": {"state_dict": loaded}, "acc": 93.1} if suffix == "wrapped.pth" else loaded)
        weights = fetch_weights(str(file))
        assert weights.network == keras_resnet.NetworkSpec(10, width=0.25, stem="imagenet")
        assert weights.unused == ("projector.0",)
        assert set(weights.layers) == {layer.name for layer in model.layers if layer.weights}
        for layer in model.layers:
            for ours, theirs in zip(layer.get_weights(), weights.layers.get(layer.name, []), strict=True):
                np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("suffix", [".keras", ".h5", ".weights.h5"])
def test_a_model_in_a_model_is_read(suffix, tmp_path):
    """As people fine-tune: the network is one layer of theirs, whose name stands before the layers'."""
    inner = shaken(keras_resnet.create_backbone("resnet8", input_shape=(16, 16, 3)))
    last = keras.layers.GlobalAveragePooling2D()(inner(pixels := keras.Input((16, 16, 3)))["c4"])
    outer = keras.Model(pixels, keras.layers.Dense(2, name="mine")(last))
    file = tmp_path / f"outer{suffix}"
    (outer.save_weights if "weights" in suffix else outer.save)(file)
    model = keras_resnet.ResNet8(classes=5, input_shape=(16, 16, 3))
    placed = load_weights(model, file)
    assert placed.new == ("logits",) and placed.unused == ("mine",)
    for layer in inner.layers:
        for ours, theirs in zip(model.get_layer(layer.name).get_weights(), layer.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_a_file_of_so_many_names_that_keras_splits_them(tmp_path):
    """HDF5 keeps 64 kB in one attribute."""
    names = [f"{'long_' * 40}{number}" for number in range(350)]
    model = keras.Sequential([keras.Input((1,)), *(keras.layers.Dense(1, name=name) for name in names)])
    model.save(tmp_path / "many.h5")
    with h5py.File(tmp_path / "many.h5") as file:
        assert "layer_names" not in file["model_weights"].attrs
    found = read_weights(tmp_path / "many.h5")
    assert set(found) == set(names)
    np.testing.assert_array_equal(found[names[7]][0], model.get_layer(names[7]).get_weights()[0])


def without(state, *beginnings):
    return {name: value for name, value in state.items() if not name.startswith(beginnings)}


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        (("layer4",), "its classifier takes 128 values, and layer3, the last that is there, gives 64"),
        (("layer4", "fc"), "it begins as an ImageNet network does, and layer4 is missing"),
        (("layer2",), "it is incomplete: layer2 is missing"),
        (("layer3", "layer4"), "a network of 1-1 basic blocks is not in the catalog"),
        (("layer3", "layer4", "fc"), "a network of 1-1 basic blocks is not in the catalog"),
        (("layer3.0.conv2",), "hold nothing for 1 of its layers, stage3_unit1_conv2 first"),
        (("bn1",), "are incomplete: bn1 is missing"),
        (("conv1",), "are incomplete: conv1 is missing"),
    ],
)
def test_a_state_that_is_not_whole_is_no_other_network(missing, words, tmp_path):
    model, state = small_state()
    save_file(without(state, *missing), tmp_path / "cut.safetensors")
    with pytest.raises(WeightsError, match=words):
        load_weights(model, tmp_path / "cut.safetensors")


def test_units_between_others_are_missed():
    reference = Reference()
    reference.resnet(pixels(1, 32), UNITS[34], bottleneck=False)
    with pytest.raises(WeightsError, match=r"it is incomplete: layer3\.2 is missing"):
        map_keys(without(reference.state, "layer3.2"))
    with pytest.raises(WeightsError, match="a network of 3-4-5-3 basic blocks is not in the catalog"):
        map_keys(without(reference.state, "layer3.5"))
    even = without(reference.state, "layer4", "fc", "layer2.3", *(f"layer3.{unit}" for unit in (3, 4, 5)))
    even["conv1.weight"] = even["conv1.weight"][:, :, 2:5, 2:5]
    with pytest.raises(WeightsError, match="layer4 is missing"):  # as others have widened those for small images
        map_keys(even)


def test_a_vgg_that_lost_convolutions_is_no_smaller_one():
    """Without two of its convolutions VGG13 has the shapes of VGG11."""
    shapes = {0: (64, 3), 2: (64, 64), 5: (128, 64), 7: (128, 128), 10: (256, 128), 12: (256, 256), 15: (512, 256)}
    shapes |= {17: (512, 512), 20: (512, 512), 22: (512, 512)}
    state = {}
    for number, shape in shapes.items():
        state |= {f"features.{number}.weight": np.zeros((*shape, 3, 3)), f"features.{number}.bias": np.zeros(shape[0])}
    assert map_keys(state).network.depth == 13
    with pytest.raises(WeightsError, match="not numbered as those of VGG11"):
        map_keys(without(state, "features.2.", "features.7."))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("bn1.weight", np.float32(1), "have not the shapes of a network's"),
        ("conv1.weight", np.ones(3, "float32"), "have not the shapes of a network's"),
        ("layer1.0.conv2.weight", np.ones((3, 3, 3), "float32"), "have not the shapes of a network's"),
        ("layer1.999999999.conv1.weight", np.ones((1, 1, 1, 1), "float32"), "layer1.1 is missing"),
        ("layer999999999.0.conv1.weight", np.ones((1, 1, 1, 1), "float32"), "layer5 is missing"),
    ],
)
def test_names_with_other_arrays_end_in_a_sentence(name, value, words, tmp_path):
    model, state = small_state()
    save_file(state | {name: np.asarray(value)}, tmp_path / "odd.safetensors")
    with pytest.raises(WeightsError, match=words):
        load_weights(model, tmp_path / "odd.safetensors")


def test_two_networks_in_a_state_are_told_apart():
    _, state = small_state()
    both = {f"encoder_{half}.{name}": value for half in "qk" for name, value in state.items()}
    with pytest.raises(WeightsError, match=r"several networks are in it, .* encoder_k\. and encoder_q\.: keep one"):
        map_keys(both)
    teacher = state | {f"teacher.{name}": value for name, value in state.items()}
    assert len(map_keys(teacher).unused) == len({name.rpartition(".")[0] for name in state})


def test_shortcuts_with_weights_are_kept():
    """A network for small images has them where it was not built as He et al. did."""
    weights = fetch_weights(str(GOLDEN / "resnet8.pth"))
    model = keras_resnet.create_model(
        weights.network, classes=5, input_shape=(16, 16, 3), normalization=weights.normalization
    )
    assert load_weights(model, GOLDEN / "resnet8.pth").new == ()
    golden = np.load(GOLDEN / "resnet8.npz")
    assert_close(model.predict(golden["pixels"], verbose=0), golden["logits"])
    other = keras_resnet.create_model(keras_resnet.NetworkSpec(8, width=0.5), classes=5, input_shape=(16, 16, 3))
    with pytest.raises(WeightsError, match="they have 4 layers more, stage2_unit1_proj first"):
        load_weights(other, GOLDEN / "resnet8.pth")


def test_a_vgg_of_ours_without_a_classifier_is_not_taken_for_keras(tmp_path):
    """Whose channels are turned around."""
    body = keras_resnet.create_backbone("vgg11_bn", input_shape=(32, 32, 3))
    body.save(tmp_path / "body.keras")
    weights = fetch_weights(str(tmp_path / "body.keras"))
    np.testing.assert_array_equal(weights.layers["block1_conv1"][0], body.get_layer("block1_conv1").get_weights()[0])


def test_what_does_not_fit_is_named():
    reference = Reference()
    reference.resnet(pixels(1, 32), UNITS[18], bottleneck=False)
    weights = map_keys(reference.state | {"extra.weight": np.zeros((3, 3), "float32")})
    model = keras_resnet.ResNet18(classes=3, input_shape=(32, 32, 3), stem="imagenet")
    before = model.get_layer("logits").get_weights()
    placed = assign_weights(model, weights, "x")
    assert placed.new == ("logits",) and placed.unused == ("extra",)
    assert "the classifier is new; not placed: extra" in str(placed)
    np.testing.assert_array_equal(model.get_layer("logits").get_weights()[0], before[0])
    other = keras_resnet.ResNet34(classes=3, input_shape=(32, 32, 3), stem="imagenet")
    untouched = other.get_weights()
    with pytest.raises(
        WeightsError, match=r"not of resnet34: they hold nothing for 32 of its layers, stage1_unit3_conv1"
    ):
        assign_weights(other, weights, "x")
    for ours, theirs in zip(other.get_weights(), untouched, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(WeightsError, match="1 layer has another shape, stem_conv first"):
        assign_weights(keras_resnet.ResNet18(classes=3, input_shape=(32, 32, 3), stem="cifar"), weights, "x")
    del reference.state["bn1.running_var"]
    with pytest.raises(KeyError):
        map_keys(reference.state)
    with pytest.raises(WeightsError, match="the names are not those of"):
        map_keys({"a.weight": np.zeros(3)})


@pytest.mark.parametrize(
    ("origin", "words"),
    [
        ("keras:resnet51", "keras has no weights 'resnet51'. Did you mean 'resnet50'"),
        ("torchvision:resnet19", "Did you mean 'resnet18'"),
        ("torchvision:resnet18.v2", "torchvision:resnet18 has no weights 'v2'"),
        ("timm:rsenet50.a1_in1k", "unknown network 'rsenet50'"),
    ],
)
def test_unknown_names(origin, words):
    with pytest.raises(UsageError, match=words):
        fetch_weights(origin)


@pytest.mark.parametrize("origin", ["keras:resnet50", "torchvision:resnet18", "timm:resnet50.a1_in1k"])
def test_without_a_network_named_sources_fail_at_once(origin, tmp_path, monkeypatch):
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub, "is_reachable", lambda host: False)
    monkeypatch.delenv("KRESNET_OFFLINE")
    with pytest.raises(
        WeightsError, match=r"cannot download .*: https://.* cannot be reached; is this machine online\?"
    ):
        fetch_weights(origin)


def test_the_newest_recipe_of_torchvision_is_meant():
    assert hub.resolve_recipe("torchvision:resnet50") == "torchvision:resnet50.v2"
    assert hub.resolve_recipe("torchvision:resnet18") == "torchvision:resnet18.v1"
    assert hub.resolve_recipe("torchvision:resnet50.v1") == "torchvision:resnet50.v1"
    assert hub.resolve_recipe("timm:resnet50.a1_in1k") == "timm:resnet50.a1_in1k"


def test_a_kept_download_is_checked_and_used(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    kept = tmp_path / "models"
    kept.mkdir()
    content = (GOLDEN / "resnet8.pth").read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:8]
    monkeypatch.setitem(hub.TORCHVISION_HASHES, "resnet18", (digest,))
    (kept / f"resnet18-{digest}.pth").write_bytes(content)
    weights = fetch_weights("torchvision:resnet18")
    assert (weights.network.depth, weights.resize) == (8, 256)
    (kept / f"resnet18-{digest}.pth").write_bytes(content[:-1])
    with pytest.raises(WeightsError, match="damaged on the way"):
        fetch_weights("torchvision:resnet18")
    assert list(kept.iterdir()) == []


def test_a_download_leaves_standard_output_to_results(tmp_path, monkeypatch, capsys):
    served, kept = tmp_path / "served" / "models", tmp_path / "kept"
    served.mkdir(parents=True)
    content = (GOLDEN / "resnet8.pth").read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:8]
    (served / f"resnet18-{digest}.pth").write_bytes(content)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=served.parent))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("KERAS_HOME", str(kept))
    monkeypatch.delenv("KRESNET_OFFLINE")
    monkeypatch.setitem(hub.TORCHVISION_HASHES, "resnet18", (digest,))
    monkeypatch.setattr(hub, "TORCH_HOST", f"http://127.0.0.1:{server.server_port}")
    try:
        assert fetch_weights("torchvision:resnet18").network.depth == 8
    finally:
        server.shutdown()
        server.server_close()
    assert capsys.readouterr().out == "" and [each.name for each in (kept / "models").iterdir()] == [
        f"resnet18-{digest}.pth"
    ]
