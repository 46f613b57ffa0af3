"""`kresnet push` and `Run.push`: what a hub on this machine has afterwards, and why it has nothing."""

import json
import shutil

import pytest
import yaml
from device_verdicts import DEVICE, put_on_device
from pushed_runs import make_run, verdict
from stand_in_hub import Repository, use_hub

from keras_resnet.api.run import Run as PythonRun
from keras_resnet.config.spec import Spec
from keras_resnet.errors import HubError, UsageError
from keras_resnet.export.public_documents import publish_spec
from keras_resnet.runtime.confidence import Confidence, Rejection

NAMES = {
    *("README.md", "model.keras", "int8.tflite", "labels.txt", "classify.py", "preprocess.py"),
    *("verdicts.json", "kresnet.json"),
}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The hub."""
    with use_hub(monkeypatch, tmp_path) as served:
        yield served


@pytest.fixture
def run(tmp_path):
    """A run to publish."""
    return make_run(tmp_path / "runs")


@pytest.fixture
def push(kresnet, run):
    """`kresnet push` of that run, as typed."""
    return lambda *words: kresnet("push", *words, "--runs", run.folder.parent)


def metadata_of(card):
    """What is between the dashes at the beginning of a README.md."""
    _, head, _ = card.decode().split("---\n", 2)
    return yaml.safe_load(head)


def test_a_run_is_published_in_one_commit(hub, run, push):
    code, out, err = push("cats", "hf:joe/cats", "--license", "apache-2.0", "--message", "Cats and dogs")
    assert (code, out.strip()) == (0, f"{hub.address}/joe/cats"), err
    found = hub.repositories["joe/cats"]
    assert (found.private, found.messages, set(found.files)) == (False, ["Cats and dogs"], NAMES)
    assert found.files["model.keras"] == run.model_file.read_bytes()
    assert found.files["int8.tflite"] == (run.exports / "int8.tflite").read_bytes()
    assert found.files["labels.txt"] == b"cat\ndog\n"
    (row,) = json.loads(found.files["verdicts.json"])
    assert row["file"] == "int8.tflite" and row == verdict("int8.tflite", 400)
    said = "\n".join(err)
    assert "publishing 8 files" in said and f"to the new {hub.address}/joe/cats (public: anybody can read it" in said
    assert all(f"  {name}, " in said for name in NAMES)


def test_the_card_has_what_the_hub_reads(hub, push):
    assert push("hf:joe/cats", "--license", "mit")[0] == 0
    card = hub.repositories["joe/cats"].files["README.md"]
    metadata = metadata_of(card)
    assert (metadata["library_name"], metadata["pipeline_tag"]) == ("keras", "image-classification")
    assert metadata["license"] == "mit" and metadata["tags"] == ["kresnet", "resnet", "tflite"]
    (index,) = metadata["model-index"]
    (result,) = index["results"]
    assert index["name"] == "cats" and result["dataset"]["name"] == "digits"
    values = {each["name"]: (each["type"], each["value"]) for each in result["metrics"]}
    assert values["Top-1 accuracy, Keras model"] == ("accuracy", 0.97)
    assert values["Top-1 accuracy, int8.tflite"] == ("accuracy", 0.96)
    text = card.decode()
    assert "| int8.tflite | 0.00 MB | 96.00% | 97.00% | +1.00 [-0.20, +1.20] of top-1 accuracy |" in text
    assert "kresnet train --weights hf:joe/cats" in text and "python classify.py int8.tflite photo.jpg" in text
    assert "float16" not in text


def test_the_card_says_what_calibration_fitted(hub, run, push, monkeypatch):
    assert push("hf:joe/cats")[0] == 0 and b"--reject" not in hub.repositories["joe/cats"].files["README.md"]
    rule = Rejection("energy", 1.0, 4.25, 0.95)
    monkeypatch.setattr("keras_resnet.run.Run.confidence", lambda _: Confidence(1.5, rule))
    assert push("hf:joe/cats")[0] == 0
    card = hub.repositories["joe/cats"].files["README.md"].decode()
    assert (
        "the softmax of the logits divided by 1.500, and an image whose energy score is below 4.25 is of none" in card
    )


def test_nothing_of_its_owner_is_published(hub, tmp_path, monkeypatch, kresnet):
    """Each text of a spec that may be anything, messages, devices: none of it is in any file."""
    from keras_resnet.export.public_documents import PRIVATE_SETTINGS

    secret = "/home/josephine/patients"
    monkeypatch.setenv("HOME", "/home/josephine")
    warned = [f"warning: labels.csv in {secret} is not used", "warning: 3 of 9 training images are equal"]
    run = make_run(tmp_path / "runs", source=secret, messages=warned, request={"data": secret, "runs": secret})
    document = run.document()
    for key in PRIVATE_SETTINGS:
        section, _, name = key.partition(".")
        if key not in ("data.service", "data.image_size", "data.resize", "start.deepen", "start.narrow"):
            document["spec"][section][name] = secret
    document["spec"]["data"]["service"] = "josephine.example.org:5050"
    run.write_json(run.spec_file, document)
    put_on_device(run)
    rows = run.verdict_rows()
    where = {**DEVICE, "where": "ssh://josephine@clinic", "warnings": [f"{secret} is slow"]}
    run.write_json(run.verdicts_file, [*rows[:-1], {**rows[-1], "device": where, "problems": [secret]}])
    code, _, err = kresnet("push", "hf:joe/cats", "--runs", run.folder.parent)
    assert code == 0, err
    files = hub.repositories["joe/cats"].files
    for name, content in files.items():
        assert not any(word in content for word in (b"josephine", b"patients", b"clinic", b"labels.csv")), name
    text = files["README.md"].decode()
    assert "SM-A155F" in text and "3 of 9 training images are equal" in text and "1 further warning" in text
    assert metadata_of(files["README.md"])["model-index"][0]["results"][0]["dataset"]["type"] == "images"
    spec = Spec.from_dict(json.loads(files["kresnet.json"])["spec"])
    assert (spec.network.depth, spec.data.image_size) == (8, 8)


@pytest.mark.parametrize(
    ("key", "value", "is_public"),
    [
        ("data.source", "digits", True),
        ("data.source", "shapes/single", True),
        ("data.source", "cifar10:3.0.2", True),
        ("data.source", "cifar10/../joe", False),
        ("data.source", "mnist/joe/images", False),
        ("data.source", "patients", False),
        ("data.source", "~/digits", False),
        ("start.weights", "torchvision:resnet18.v1", True),
        ("start.weights", "hf:joe/secret@main", False),
        ("start.weights", "weights.pth", False),
        ("training.devices", "gpu:0", False),
    ],
)
def test_texts_that_everybody_may_know(key, value, is_public):
    section, _, name = key.partition(".")
    published = publish_spec(Spec().override(key, value))
    assert (published[section].get(name) == value) is is_public and (name in published[section]) is is_public


def test_a_file_with_a_path_of_this_machine_is_refused(hub, run, push):
    (run.exports / "int8.tflite").write_bytes(
        b"x" * 100 + str(run.folder).encode() + b"/x".ljust(300 - len(str(run.folder)))
    )
    code, out, err = push("hf:joe/cats")
    assert (code, out) == (1, "") and "int8.tflite is not published: it holds" in err[-1] and not hub.repositories


def test_a_second_push_replaces_what_the_first_one_left(hub, run, push):
    assert push("hf:joe/cats")[0] == 0
    found = hub.repositories["joe/cats"]
    found.add({**found.files, "LICENSE": b"mine"})
    (run.exports / "int8.tflite").rename(run.exports / "dynamic.tflite")
    run.write_json(run.verdicts_file, [verdict("dynamic.tflite", 400)])
    code, _, err = push("hf:joe/cats")
    said = "\n".join(err)
    assert code == 0 and set(found.files) == NAMES - {"int8.tflite"} | {"dynamic.tflite", "LICENSE"}, said
    assert "int8.tflite is removed: it is of an earlier push" in said and "model.keras, " in said
    assert "replaces the one there" in said and len(found.commits) == 3


def test_the_files_that_are_named_and_none(hub, run, push):
    assert push("hf:joe/cats", "--files", "none", "--private")[0] == 0
    found = hub.repositories["joe/cats"]
    assert found.private and set(found.files) == {
        "README.md",
        "model.keras",
        "labels.txt",
        "verdicts.json",
        "kresnet.json",
    }
    assert "No exported file is published with it." in found.files["README.md"].decode()
    assert push("hf:joe/cats", "--files", "int8")[0] == 0 and set(found.files) == NAMES
    code, _, err = push("hf:joe/cats", "--files", "float16.tflite")
    assert code == 1 and err[-1].startswith("kresnet: float16.tflite is not within its budget")
    code, _, err = push("hf:joe/cats", "--files", "int9.tflite")
    assert (
        code == 2
        and "--files must name exported files of run cats that passed (int8.tflite). Received: 'int9.tflite'."
        in err[-1]
    )
    (run.exports / "int8.tflite").write_bytes(b"other")
    code, _, err = push("hf:joe/cats")
    assert code == 1 and "int8.tflite is not the file that was verified (it has changed since)" in err[-1]


@pytest.mark.parametrize(
    "destination",
    [
        *(
            "joe/cats",
            "hf:joe",
            "hf:/cats",
            "hf:joe/",
            "hf:joe/cats/more",
            "hf:../cats",
            "hf:joe/a--b",
            "hf:joe/cats.git",
        ),
        *("hf:joe/ca ts", "hf:jöe/cats", "hf:joe/-cats", f"hf:joe/{'a' * 96}", "hub:joe/cats", "hf:joe/cats\n"),
    ],
)
def test_what_is_no_repository(destination, push, hub):
    code, out, err = push(destination)
    assert (code, out, len(err)) == (2, "", 1) and "is named hf:USER/NAME" in err[0]
    assert not hub.requests


def test_what_is_wrong_is_said_before_anything_is_sent(hub, run, push, kresnet, monkeypatch):
    code, _, err = push("hf:joe/cats@main")
    assert code == 2 and "without @REVISION" in err[-1]
    code, _, err = push("a", "b", "hf:joe/cats")
    assert code == 2 and "push takes a run and a repository" in err[-1]
    code, _, err = push("hf:joe/cats", "--license", "Apache 2.0")
    assert code == 2 and "--license must be a name such as apache-2.0" in err[-1]
    code, _, err = push("cots", "hf:joe/cats")
    assert code == 1 and "no run called 'cots'" in err[-1] and "Did you mean 'cats'" in err[-1]
    run.model_file.unlink()
    code, _, err = push("cats", "hf:joe/cats")
    assert code == 1 and "run cats has no finished model" in err[-1]
    assert not hub.requests


def test_without_a_network_or_a_token(push, hub, monkeypatch):
    monkeypatch.setenv("KRESNET_OFFLINE", "1")
    code, _, err = push("hf:joe/cats")
    assert code == 1 and err[-1].endswith(f"{hub.address} cannot be reached, because KRESNET_OFFLINE is set")
    monkeypatch.delenv("KRESNET_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    code, _, err = push("hf:joe/cats")
    assert code == 1 and err[-1].endswith("http://127.0.0.1:9 cannot be reached; is this machine online?")
    monkeypatch.delenv("HF_TOKEN")
    code, _, err = push("hf:joe/cats")
    assert code == 1 and "log in with: hf auth login; or set HF_TOKEN" in err[-1] and not hub.requests


@pytest.mark.parametrize(
    ("token", "destination", "said"),
    [
        ("hf_wrong", "hf:joe/cats", "the hub does not accept the token; log in again with: hf auth login"),
        ("hf_eve", "hf:joe/cats", "the token may not write to joe/cats: joe must be you or an organization of yours"),
        ("hf_reader", "hf:joe/cats", "the token may not write to joe/cats"),
        ("hf_joe", "hf:eve/cats", "the token may not write to eve/cats"),
    ],
)
def test_a_hub_that_refuses(hub, push, monkeypatch, token, destination, said):
    hub.repositories["eve/cats"] = Repository()
    hub.repositories["eve/cats"].add({"README.md": b"Eve's"})
    monkeypatch.setenv("HF_TOKEN", token)
    code, out, err = push(destination)
    assert (code, out) == (1, "") and f"nothing was published: {said}" in err[-1] and "hf_" not in err[-1]
    assert set(hub.repositories) == {"eve/cats"} and len(hub.repositories["eve/cats"].commits) == 1


def test_a_hub_that_breaks_off_has_nothing(hub, push):
    hub.broken = "/commit/"
    code, _, err = push("hf:joe/cats")
    assert code == 1 and "nothing was published: the hub answered 503" in err[-1]
    assert "the new repository is there, and empty" in err[-1] and not hub.repositories["joe/cats"].commits
    hub.broken = ""
    assert push("hf:joe/cats")[0] == 0 and set(hub.repositories["joe/cats"].files) == NAMES


def test_a_public_repository_is_not_made_private_unseen(hub, push):
    assert push("hf:joe/cats")[0] == 0
    code, _, err = push("hf:joe/cats", "--private")
    assert code == 2 and "is there already, and public; --private is for a new repository" in err[-1]
    assert len(hub.repositories["joe/cats"].commits) == 1


def test_from_python(hub, run, capsys):
    ours = PythonRun(run)
    assert ours.push("hf:joe/cats", files="int8.tflite", private=True) == f"{hub.address}/joe/cats"
    assert hub.repositories["joe/cats"].private
    with pytest.raises(UsageError, match=r"destination must be hf:USER/NAME, as text\. Received: 3"):
        ours.push(3)
    with pytest.raises(UsageError, match="visibility"):
        ours.push("hf:joe/cats", visibility="private")
    hub.broken = "whoami"
    with pytest.raises(HubError, match="the hub answered 503"):
        ours.push("hf:joe/cats")


def test_the_newest_run_is_the_default(hub, run, push, tmp_path):
    shutil.copytree(run.folder, run.folder.with_name("older"))
    code, _, err = push("hf:joe/cats")
    assert code == 0 and any(line.endswith("(the newest)") for line in err)
