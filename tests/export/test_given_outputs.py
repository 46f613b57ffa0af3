"""Outputs from elsewhere are taken as what they are, or refused in one sentence."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from samples import silent

from keras_resnet.errors import ExportError, UsageError
from keras_resnet.export.bundle_manifest import hash_bytes
from keras_resnet.export.given_outputs import DrawnImages, GivenOutputs
from keras_resnet.export.outputs_settings import OutputsSettings
from keras_resnet.run import Run
from keras_resnet.runtime.tflite_model import TFLiteModel

ROWS = 6


@pytest.fixture(scope="module")
def model(exported):
    """A file with uint8 logits of ten labels."""
    return TFLiteModel(exported[0].exports / "int8.tflite")


@pytest.fixture
def raw():
    """Raw outputs, each row another."""
    return np.random.default_rng(0).integers(0, 256, (ROWS, 10), np.uint8)


def checked(model, path, count=ROWS, available=ROWS, log=silent):
    """The outputs in the file at `path`, for `count` images of the `available` ones."""
    return GivenOutputs.read(path).check(model, Path("int8.tflite"), DrawnImages(count, available), log)


def check(model, path, log=silent):
    """The logits of the file as the evaluator gets them."""
    return checked(model, path, log=log).values["logits"]


def floats(model, raw):
    """What raw numbers mean."""
    scale, zero_point = model.quantization["logits"]
    return (raw.astype(np.float32) - zero_point) * scale


def test_raw_numbers_and_floats_mean_the_same_in_every_kind_of_file(model, raw, tmp_path):
    expected = floats(model, raw)
    np.save(tmp_path / "raw.npy", raw)
    np.savez(tmp_path / "named.npz", anything=expected.astype(np.float64))
    (tmp_path / "folder").mkdir()
    np.save(tmp_path / "folder" / "logits.npy", raw)
    np.savetxt(tmp_path / "raw.csv", raw, "%d", ",")
    labels = ",".join(["index", *model.card.classes])
    rows = [f"{place},{','.join(map(repr, map(float, row)))}" for place, row in enumerate(expected)]
    (tmp_path / "titled.csv").write_text("\n".join([labels, *rows]) + "\n")
    for name in ("raw.npy", "named.npz", "folder", "raw.csv", "titled.csv"):
        np.testing.assert_allclose(check(model, tmp_path / name), expected, rtol=1e-6, err_msg=name)
    logged = []
    check(model, tmp_path / "raw.csv", logged.append)
    assert logged == ["raw.csv: taken for raw outputs, because all numbers are whole and within uint8"]


def manifest(model, images, samples=None):
    """What stands in manifest.json, as far as it is read."""
    tensor = {"name": "logits", "dtype": "uint8", "shape": [1, 10], "scale": 1.0, "zero_point": 0}
    each = [hash_bytes(image.tobytes()) for image in images]
    return {
        **{"format": 1, "kresnet": "0.1.0", "task": "classify", "labels": [], "input": tensor, "outputs": [tensor]},
        "model": {"file": "", "sha256": hash_bytes(model.content), "bytes": 1, "run": "", "scheme": ""},
        "input_from_pixels": "",
        "images": {"count": len(images), "shape": [], "npy": "", "bin": "", "sha256": "", "each": each},
        "samples": samples,
    }


def write_npz(**changes):
    return lambda folder, raw: np.savez(folder / "r.npz", **{"logits": raw, **changes})


def save(change):
    return lambda folder, raw: np.savez(folder / "r.npz", logits=change(raw))


def nan_at_three(raw):
    values = raw.astype(np.float32)
    values[3, 2] = np.nan
    return values


def write_text(name, text):
    return lambda folder, raw: (folder / name).write_text(text)


WRONG = {
    "too few": (save(lambda raw: raw[:4]), r"has 4 rows for 6 validation images: 2 are missing$"),
    "too many": (save(lambda raw: np.vstack([raw, raw[:1]])), r"has 7 rows for 6 validation images: 1 is too many$"),
    "other width": (
        save(lambda raw: raw[:, :9]),
        r"holds logits of shape \(9,\) an image, where the file gives \(10,\)$",
    ),
    "other type": (
        save(lambda raw: raw.astype(np.int64)),
        "holds int64 as logits, where the file gives uint8 or floats: save them as uint8, or dequantize them, scale ×",
    ),
    "signed": (save(lambda raw: raw.astype(np.int8)), "holds int8 as logits, where the file gives uint8 or floats: "),
    "not finite": (save(nan_at_three), r"holds numbers that are not finite: in logits, row 3 \(counted from 0\)$"),
    "no numbers": (save(lambda raw: raw.astype(str)), "as logits, no outputs$"),
    "two arrays": (write_npz(more=np.zeros(3)), "must hold the outputs logits. Received: logits, more$"),
    "other order": (
        write_npz(index=np.array([0, 1, 3, 2, 4, 5])),
        "rows in another order than the images: index of row 2 is 3, not 2",
    ),
    "other model": (write_npz(model_sha256="ab" * 32), "is of another model than int8.tflite: .* SHA-256 abababababab"),
    "no npz": (write_text("r.npz", "nothing"), r"cannot be read as NumPy's \.npz"),
    "ragged": (write_text("r.csv", "1,2\n3\n"), r"line 2 of .*r\.csv has 1 column instead of 2$"),
    "words": (write_text("r.csv", "1,2\n3,x\n"), "line 2 of .* has 'x' where a number is expected$"),
    "empty": (write_text("r.csv", "\n"), "holds no outputs$"),
    "other kind": (write_text("r.txt", "1"), r"must be a \.npz, \.npy, \.csv file or a folder of \.npy files"),
    "pickled": (lambda folder, raw: np.save(folder / "r.npy", np.array([{}, 1])), r"cannot be read as NumPy's \.npy"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_right_is_said_in_one_sentence(model, raw, tmp_path, name):
    write, words = WRONG[name]
    write(tmp_path, raw)
    with pytest.raises(ExportError, match=words) as caught:
        check(model, next(tmp_path.iterdir()))
    assert "\n" not in str(caught.value)


def test_missing_files_and_folders_without_arrays(model, tmp_path):
    with pytest.raises(ExportError, match=r"there is no file .*r\.npz"):
        check(model, tmp_path / "r.npz")
    with pytest.raises(ExportError, match=r"holds no \.npy files"):
        check(model, tmp_path)


def test_columns_in_another_order_than_the_labels(model, raw, tmp_path):
    titles = ",".join(reversed(model.card.classes))
    (tmp_path / "r.csv").write_text(titles + "\n" + "\n".join(",".join(map(str, row)) for row in raw))
    with pytest.raises(ExportError, match="has its columns in another order than the labels of the file"):
        check(model, tmp_path / "r.csv")


def test_a_manifest_beside_the_outputs_speaks_for_them(model, raw, tmp_path):
    images = np.random.default_rng(1).integers(0, 256, (ROWS, 16, 16, 3), np.uint8)
    np.save(tmp_path / "r.npy", raw)
    document = manifest(model, images)
    (tmp_path / "manifest.json").write_text(json.dumps(document))
    replay = checked(model, tmp_path / "r.npy").replay()
    np.testing.assert_allclose(replay(images[:4]), floats(model, raw[:4]))
    with pytest.raises(ExportError, match=r"image 4 of the bundle of .* is another one .*: the data have changed"):
        replay(images[:2])
    document["model"]["sha256"] = "cd" * 32
    (tmp_path / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(ExportError, match=r"is of another model than int8\.tflite"):
        check(model, tmp_path / "r.npy")
    (tmp_path / "manifest.json").write_text('{"kresnet": "0.1.0"}')
    with pytest.raises(ExportError, match=r"manifest\.json is no manifest of a bundle"):
        check(model, tmp_path / "r.npy")


def test_a_manifest_of_another_program_is_none(model, raw, tmp_path):
    np.save(tmp_path / "r.npy", raw)
    (tmp_path / "manifest.json").write_text('{"name": "a web page"}')
    np.testing.assert_allclose(check(model, tmp_path / "r.npy"), floats(model, raw))


def test_images_named_by_their_hashes(model, raw, tmp_path):
    images = np.random.default_rng(1).integers(0, 256, (ROWS, 4, 4, 3), np.uint8)
    document = manifest(model, images)
    (tmp_path / "manifest.json").write_text(json.dumps(document))
    np.savez(tmp_path / "r.npz", logits=raw, image_sha256=document["images"]["each"][::-1])
    with pytest.raises(ExportError, match="rows in another order than the images: image_sha256 of row 0 is"):
        check(model, tmp_path / "r.npz")
    np.savez(tmp_path / "r.npz", logits=raw, image_sha256=document["images"]["each"])
    check(model, tmp_path / "r.npz")


def test_names_of_places_go_with_outputs():
    assert OutputsSettings(("a.npz", "b.npz"), ("A", "B")).pairs() == [("a.npz", "A"), ("b.npz", "B")]
    assert OutputsSettings(("a.npz",)).pairs() == [("a.npz", "")]
    with pytest.raises(UsageError, match=re.escape("--where must be given once for each of --outputs")):
        OutputsSettings(("a.npz", "b.npz"), ("A",)).pairs()
    with pytest.raises(UsageError, match=re.escape("name these with --outputs")):
        OutputsSettings((), ("A",)).pairs()


def test_it_has_to_be_clear_which_file_outputs_are_of(exported, raw, tmp_path):
    from keras_resnet.export.run_on_devices import assign_outputs

    exports = exported[0].exports
    files = [exports / "float32.tflite", exports / "int8.tflite"]
    np.savez(tmp_path / "r.npz", logits=raw)
    given = GivenOutputs.read(tmp_path / "r.npz")
    assert assign_outputs(files[:1], [given]) == ({files[0]: [given]}, [])
    assigned, (unclear,) = assign_outputs(files, [given])
    assert not assigned and re.search(r"which of float32\.tflite and int8\.tflite .* is of: name the file", unclear)
    np.savez(tmp_path / "r.npz", logits=raw, model_sha256=hash_bytes(files[1].read_bytes()))
    given = GivenOutputs.read(tmp_path / "r.npz")
    assert assign_outputs(files, [given]) == ({files[1]: [given]}, [])


@pytest.mark.parametrize(
    ("bundled", "samples", "count", "available", "words"),
    [
        # An image of the data was deleted, or added, since the bundle was written.
        (
            6,
            None,
            5,
            5,
            r"a bundle with 6 images, and the data have changed since then: now it would have 5\. Write it",
        ),
        (6, None, 7, 7, r"now it would have 7\. Write it again, and run .*: kresnet bundle int8\.tflite$"),
        (6, 6, 5, 5, r"now it would have 5\. Write it again, .*: kresnet bundle int8\.tflite --samples 6$"),
        (6, 6, 9, 9, r"a bundle with 6 images, and 9 were to be verified: verify it with --samples 6$"),
        (6, None, 3, 6, r"a bundle with 6 images, and 3 were to be verified: verify it without --samples$"),
        (6, 6, 6, 9, None),
        (6, 10, 6, 6, None),
    ],
)
def test_a_bundle_of_other_images_says_what_to_do(model, tmp_path, bundled, samples, count, available, words):
    """What is advised does not end in the same sentence again."""
    np.save(tmp_path / "r.npy", np.zeros((bundled, 10), np.uint8))
    images = np.zeros((bundled, 4, 4, 3), np.uint8)
    (tmp_path / "manifest.json").write_text(json.dumps(manifest(model, images, samples)))
    if words is None:
        assert len(checked(model, tmp_path / "r.npy", count, available).values["logits"]) == bundled
        return
    with pytest.raises(ExportError, match=words):
        checked(model, tmp_path / "r.npy", count, available)


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            softmax,
            "holds probabilities, since each row adds up to 1, where the file gives logits: a softmax was applied",
        ),
        (lambda logits: softmax(logits).astype(np.float16), "holds probabilities, since each row adds up to 1"),
        (
            lambda logits: 1 / (1 + np.exp(-logits)),
            "holds probabilities, numbers from 0 to 1, .*: a sigmoid was applied",
        ),
        (lambda logits: logits, None),
        (lambda logits: logits + np.float32(0.01), None),
        (np.zeros_like, None),
    ],
)
def test_what_was_made_of_the_outputs_is_named(model, raw, tmp_path, change, words):
    ours = floats(model, raw)
    np.save(tmp_path / "r.npy", change(ours))
    outputs = checked(model, tmp_path / "r.npy")
    if words is None:
        outputs.require_unchanged(ours)
        return
    with pytest.raises(ExportError, match=words):
        outputs.require_unchanged(ours)


@pytest.mark.parametrize("name", ["r.npy", "r.csv"])
def test_raw_numbers_as_floats_say_how_to_dequantize_them(model, raw, tmp_path, name):
    signed = raw.astype(np.float32) - 128
    if name == "r.npy":
        np.save(tmp_path / name, signed)
    else:
        np.savetxt(tmp_path / name, signed, "%d", ",")
    scale, zero_point = model.quantization["logits"]
    words = f"holds whole numbers from {signed.min():.0f} to {signed.max():.0f}, as before dequantization: "
    way = f"save them as uint8, or dequantize them, scale × (raw − zero point) with the scale {scale:.6g} and the zero"
    with pytest.raises(ExportError, match=re.escape(words + way) + f" point {zero_point}$"):
        checked(model, tmp_path / name).require_unchanged(floats(model, raw))


@pytest.fixture
def run(exported, tmp_path):
    """A copy of the run, for what writes to it."""
    return Run(shutil.copytree(exported[0].folder, tmp_path / "runs" / "digits"))


def test_outputs_that_cannot_be_used_stop_no_others(run, kresnet, tmp_path):
    """Each gets a row or a sentence; where none can be used, nothing is read."""
    from keras_resnet.export.pipeline import load_run_data
    from keras_resnet.export.verify import iterate_images

    file = run.exports / "int8.tflite"
    model = TFLiteModel(file)
    logits = np.concatenate([model(images) for images in iterate_images(load_run_data(run, silent), 12)])
    np.savez(tmp_path / "good.npz", logits=logits)
    np.savez(tmp_path / "shares.npz", logits=softmax(logits))
    (tmp_path / "bad.npz").write_text("nothing")
    names = ("bad.npz", "shares.npz", "gone.npy", "good.npz")
    outputs = [word for name in names for word in ("--outputs", tmp_path / name)]
    common = ("--samples", "12", "--max-drop", "50", "--runs", run.folder.parent)
    code, out, err = kresnet("verify", file, *outputs, *common, "--json")
    assert code == 1 and [row["device"]["where"] for row in json.loads(out)] == ["good.npz"]
    for words in (r"bad.npz cannot be read as NumPy's .npz", r"there is no file", r"shares.npz holds probabilities"):
        assert words in err[-1]


def test_outputs_of_which_none_can_be_used_are_an_error_before_data_are_read(run, kresnet, tmp_path, monkeypatch):
    monkeypatch.setattr("keras_resnet.export.pipeline.load_training_data", lambda *given: pytest.fail("data were read"))
    (tmp_path / "bad.npz").write_text("nothing")
    outputs = ("--outputs", tmp_path / "bad.npz", "--outputs", tmp_path / "gone.npy")
    code, out, err = kresnet("verify", run.name, *outputs, "--runs", run.folder.parent)
    (sentence,) = err  # which says it once
    assert (code, out) == (1, "") and "cannot be read as NumPy's .npz" in sentence and "there is no file" in sentence
    np.savez(tmp_path / "unclear.npz", logits=np.zeros((6, 10)))
    code, out, err = kresnet("verify", run.name, "--outputs", tmp_path / "unclear.npz", "--runs", run.folder.parent)
    assert (code, out) == (2, "") and "nothing says which of" in err[-1]
