"""Weights of repositories, from a hub on this machine: the newest, a commit, the cache, and what must not be used."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from exports import copied
from pushed_runs import SHAPES, make_run, write_model
from stand_in_hub import Repository, use_hub

from keras_resnet.config.spec import NetworkSpec, Spec
from keras_resnet.errors import UsageError, WeightsError
from keras_resnet.export.publish import publish
from keras_resnet.export.publish_settings import PublishSettings
from keras_resnet.pretrained import hugging_face
from keras_resnet.pretrained.load import fetch_weights
from keras_resnet.run import Run
from keras_resnet.training.initialize import config_from_weights

GOLDEN = Path(__file__).parents[1] / "golden"


def silent(_):
    """Log nothing."""


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The hub."""
    with use_hub(monkeypatch, tmp_path) as served:
        yield served


@pytest.fixture
def pushed(hub, tmp_path):
    """A run that was published at hf:joe/cats."""
    run = make_run(tmp_path / "runs")
    publish(run, "hf:joe/cats", PublishSettings(), silent)
    return run


@pytest.fixture
def put(hub, tmp_path):
    """Let hf:joe/cats hold files, given by their contents; a model.keras beside them unless one is given."""
    write_model(tmp_path / "model.keras")

    def write(**files):
        named = {name.replace("__", "."): content for name, content in files.items()}
        content = {"model.keras": (tmp_path / "model.keras").read_bytes(), **named}
        found = hub.repositories.setdefault("joe/cats", Repository())
        return found.add({name: each for name, each in content.items() if each is not None})

    return write


def describe(**spec):
    """A kresnet.json."""
    return json.dumps({"format": 1, "spec": spec}).encode()


def test_what_was_pushed_comes_back(hub, pushed, tmp_path):
    weights, own = fetch_weights("hf:joe/cats"), fetch_weights(str(pushed.model_file))
    assert weights.layers.keys() == own.layers.keys() == SHAPES.keys()
    for name, arrays in own.layers.items():
        np.testing.assert_array_equal(weights.layers[name][0], arrays[0])
    spec = pushed.spec()
    assert (weights.network, weights.normalization) == (spec.network, spec.data.normalization)
    assert (weights.image_size, weights.resize) == (8, 8)


def test_a_training_takes_network_and_commit(hub, pushed, tmp_path):
    logged = []
    spec = Spec(network=NetworkSpec(depth=20)).override("start.weights", "hf:joe/cats")
    found = config_from_weights(spec, set(), tmp_path, logged.append)
    commit = hub.repositories["joe/cats"].head
    assert found.start.weights == f"hf:joe/cats@{commit}" and found.network.depth == 8 and found.data.image_size == 8
    assert logged[0] == f"weights: hf:joe/cats@{commit} (the newest of hf:joe/cats)"
    with pytest.raises(UsageError, match=r"are of resnet8: network\.depth is 8\. Received: 20"):
        config_from_weights(spec, {"network.depth"}, tmp_path, silent)


def test_a_commit_is_kept_and_needs_no_network_again(hub, pushed, monkeypatch):
    found = hub.repositories["joe/cats"]
    first = found.head
    assert fetch_weights(f"hf:joe/cats@{first}").network.depth == 8
    hub.requests.clear()
    monkeypatch.setenv("KRESNET_OFFLINE", "1")
    assert fetch_weights(f"hf:joe/cats@{first}").network.depth == 8 and not hub.requests
    assert hugging_face.resolve_revision(f"hf:joe/cats@{first}") == (f"hf:joe/cats@{first}", "")
    with pytest.raises(WeightsError, match="cannot be reached, because KRESNET_OFFLINE is set"):
        fetch_weights("hf:joe/dogs")
    with pytest.raises(WeightsError, match="cannot be reached, because KRESNET_OFFLINE is set"):
        fetch_weights(f"hf:joe/cats@{'0' * 40}")


def test_the_newest_is_meant_and_offline_the_newest_kept(hub, put, monkeypatch):
    put()
    fetch_weights("hf:joe/cats")
    second = put(README__md=b"newer")
    assert hugging_face.resolve_revision("hf:joe/cats") == (f"hf:joe/cats@{second}", "the newest of hf:joe/cats")
    fetch_weights("hf:joe/cats@main")
    put(LICENSE=b"newest, and never downloaded")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hub.requests.clear()
    exact, how = hugging_face.resolve_revision("hf:joe/cats")
    assert exact == f"hf:joe/cats@{second}" and how.startswith("the newest of hf:joe/cats in the cache, as http://127")
    assert fetch_weights("hf:joe/cats").layers and not hub.requests
    with pytest.raises(WeightsError, match=r"hf:joe/cats@v1: .* cannot be reached, because HF_HUB_OFFLINE is set"):
        fetch_weights("hf:joe/cats@v1")


@pytest.mark.parametrize(
    "origin", ["hf:joe", "hf:joe/cats/more", "hf:", "hf:joe/cats@", "hf:joe/cats@a..b", "hf:a/b@ c"]
)
def test_what_is_no_name(origin):
    with pytest.raises(
        UsageError, match=r"^(a repository of the Hugging Face hub is named|hf:USER/NAME@REVISION takes)"
    ):
        fetch_weights(origin)


def test_what_is_not_there(hub, put):
    put(model__keras=None, README__md=b"")
    with pytest.raises(WeightsError, match=r"has no weights: neither model\.keras nor model\.safetensors is in it"):
        fetch_weights("hf:joe/cats")
    with pytest.raises(WeightsError, match="hf:joe/cats@v9 has no revision v9"):
        fetch_weights("hf:joe/cats@v9")
    with pytest.raises(WeightsError, match="there is no hf:joe/dogs, or it is private and you are not logged in"):
        fetch_weights("hf:joe/dogs")
    hub.repositories["eve/cats"] = Repository(private=True)
    with pytest.raises(WeightsError, match="there is no hf:eve/cats, or it is private"):
        fetch_weights("hf:eve/cats")


def test_a_token_that_the_hub_does_not_know(hub, put, monkeypatch):
    put()
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(WeightsError, match="the hub does not accept the token; log in again with: hf auth login"):
        fetch_weights("hf:joe/cats")


def test_a_server_that_is_no_hub(hub, put, monkeypatch):
    put()
    hub.broken = "resolve"
    with pytest.raises(WeightsError, match="cannot fetch hf:joe/cats: the hub answered 503"):
        fetch_weights("hf:joe/cats")


def test_a_file_that_is_too_large_is_not_downloaded(hub, put):
    put()
    hub.claimed["model.keras"] = 5 * 10**9
    with pytest.raises(WeightsError, match=r"model\.keras of hf:joe/cats@\w+ is 5 GB; at most 4 GB are downloaded"):
        fetch_weights("hf:joe/cats")
    assert ("GET", f"/joe/cats/resolve/{hub.repositories['joe/cats'].head}/model.keras") not in hub.requests


def test_a_file_that_was_damaged_on_the_way_is_removed(hub, put, tmp_path):
    put()
    hub.damage = lambda content: content[:-1] + b"?"
    for _ in range(2):
        with pytest.raises(WeightsError, match=r"model\.keras of hf:joe/cats@\w+ was damaged on the way and has been"):
            fetch_weights("hf:joe/cats")
    hub.damage = None
    assert fetch_weights("hf:joe/cats").layers
    (kept,) = (each for each in (tmp_path / "cache").rglob("blobs/*") if len(each.name) == 64)
    kept.chmod(0o600)
    kept.write_bytes(b"later")
    with pytest.raises(WeightsError, match="was damaged on the way"):
        fetch_weights("hf:joe/cats")
    assert fetch_weights("hf:joe/cats").layers


def test_code_in_a_model_is_not_run(hub, put, tmp_path):
    """A Lambda layer in config.json, which Keras would run, is not read at all; a pickle is no file of weights."""
    evil, trace = tmp_path / "evil.keras", tmp_path / "trace"
    write_model(evil)
    layer = {"class_name": "Lambda", "config": {"function": f"open({str(trace)!r}, 'w')"}}
    with zipfile.ZipFile(evil, "a") as archive:
        archive.writestr("extra.py", f"open({str(trace)!r}, 'w')")
    with zipfile.ZipFile(evil) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    entries["config.json"] = json.dumps({"class_name": "Functional", "config": {"layers": [layer]}}).encode()
    with zipfile.ZipFile(evil, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    put(model__keras=evil.read_bytes())
    assert fetch_weights("hf:joe/cats").layers.keys() == SHAPES.keys() and not trace.exists()
    put(model__keras=b"\x80\x04cposix\nsystem\n(S'true'\ntR.")
    with pytest.raises(WeightsError, match=r"not a \.keras file, or damaged"):
        fetch_weights("hf:joe/cats")


@pytest.mark.parametrize(
    ("description", "said"),
    [
        (b"", "kresnet.json of .* cannot be used: "),
        (b"[]", "its format is not 1"),
        (b'{"format": 2, "spec": {}}', "its format is not 1, which this version reads"),
        (b'{"format": 1}', "the spec's top level must be a JSON object"),
        (b"[" * 100_000, "kresnet.json of .* cannot be used"),
        (describe(network={"depth": "eight"}), r"network\.depth must be a whole number"),
        (describe(netwrok={}), "unknown key 'netwrok'"),
        (describe(network={"depth": 20}), "describes another network than its weights are of"),
        (describe(network={"depth": 1202, "stem": "cifar"}), "describes another network"),
        (describe(network={"depth": 8, "widen": 1e6}), "describes another network"),
        (describe(network={"depth": 8, "cardinality": 10**9}), "describes another network"),
        (b" " * 2**21, "is 2.1 MB; at most 1.05 MB are downloaded"),
    ],
)
def test_a_description_that_is_none(put, description, said):
    put(kresnet__json=description)
    with pytest.raises(WeightsError, match=said):
        fetch_weights("hf:joe/cats")


def test_repositories_of_others(put, tmp_path):
    """A Keras file alone leaves the network open, PyTorch's names tell it, and timm its preprocessing; other names are
    refused."""
    from safetensors.numpy import save

    from keras_resnet.pretrained.readers import read_weights

    resnet8 = save({name: np.ascontiguousarray(each) for name, each in read_weights(GOLDEN / "resnet8.pth").items()})
    config = {"pretrained_cfg": {"input_size": [3, 40, 40], "mean": [0.5] * 3, "std": [0.25] * 3, "crop_pct": 0.8}}
    put(model__keras=None, model__safetensors=resnet8, config__json=json.dumps(config).encode())
    weights = fetch_weights("hf:joe/cats")
    assert (weights.network.depth, weights.image_size, weights.resize) == (8, 40, 50)
    assert weights.normalization.mean == (127.5,) * 3 and weights.normalization.std == (63.75,) * 3
    put(model__keras=None, model__safetensors=resnet8, config__json=b'{"pretrained_cfg": {"input_size": "large"}}')
    with pytest.raises(WeightsError, match=r"config\.json of hf:joe/cats@\w+ cannot be used: "):
        fetch_weights("hf:joe/cats")
    put(model__keras=None, model__safetensors=resnet8)
    assert fetch_weights("hf:joe/cats").network.depth == 8
    put()
    weights = fetch_weights("hf:joe/cats")
    assert weights.network is None and weights.normalization is None
    put(model__keras=None, model__safetensors=save({"a.weight": np.zeros(3, "float32")}))
    with pytest.raises(
        WeightsError, match=r"cannot use weights model\.safetensors of hf:joe/cats@\w+: the names are not"
    ):
        fetch_weights("hf:joe/cats")


def test_a_training_starts_from_a_published_run(hub, trained, kresnet, tfds_home, tmp_path):
    """As typed: every layer has the arrays of the run, whose settings it takes; the commit is kept."""
    run = copied(trained, tmp_path / "runs" / trained.name)
    code, _, err = kresnet("push", run.name, "hf:joe/digits", "--runs", run.folder.parent)
    assert code == 0, err
    commit = hub.repositories["joe/digits"].head
    options = ("--data", "digits", "--data-dir", tfds_home, "--steps", 1, "--learning-rate", 1e-9, "--name", "again")
    code, _, err = kresnet("train", "--weights", "hf:joe/digits", *options, "--runs", run.folder.parent)
    said = "\n".join(err)
    assert code == 0, said
    assert f"weights: hf:joe/digits@{commit} (the newest of hf:joe/digits)" in said and "network: resnet8" in said
    again = Run(run.folder.parent / "again")
    assert again.spec().start.weights == f"hf:joe/digits@{commit}" and again.spec().network == run.spec().network
    from keras_resnet.evaluation.evaluate import load_model

    ours, theirs = load_model(again), load_model(run)
    for layer in theirs.layers:
        kernels = [each for each in layer.weights if each.path.endswith("kernel")]
        for kernel in kernels:
            found = next(each for each in ours.get_layer(layer.name).weights if each.path.endswith("kernel"))
            np.testing.assert_allclose(found, kernel, atol=1e-6)
