"""Outputs from elsewhere are taken as what they are, or refused in one sentence."""

import json
import re

import numpy as np
import pytest
from samples import silent

from keras_resnet.errors import ExportError, UsageError
from keras_resnet.export.bundle_manifest import hash_bytes
from keras_resnet.export.given_outputs import GivenOutputs
from keras_resnet.export.outputs_settings import OutputsSettings
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


def check(model, path, log=silent):
    """The logits of the file as the evaluator gets them."""
    return GivenOutputs.read(path).check(model, "int8.tflite", ROWS, log).values["logits"]


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


def manifest(model, images):
    """What stands in manifest.json, as far as it is read."""
    tensor = {"name": "logits", "dtype": "uint8", "shape": [1, 10], "scale": 1.0, "zero_point": 0}
    each = [hash_bytes(image.tobytes()) for image in images]
    return {
        **{"format": 1, "kresnet": "0.1.0", "task": "classify", "labels": [], "input": tensor, "outputs": [tensor]},
        "model": {"file": "", "sha256": hash_bytes(model.content), "bytes": 1, "run": "", "scheme": ""},
        "input_from_pixels": "",
        "images": {"count": len(images), "shape": [], "npy": "", "bin": "", "sha256": "", "each": each},
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
        "holds int64 as logits, where the file gives uint8 or floats$",
    ),
    "signed": (save(lambda raw: raw.astype(np.int8)), "holds int8 as logits, where the file gives uint8 or floats$"),
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
    replay = GivenOutputs.read(tmp_path / "r.npy").check(model, "int8.tflite", ROWS, silent).replay()
    np.testing.assert_allclose(replay(images[:4]), floats(model, raw[:4]))
    with pytest.raises(ExportError, match=r"image 4 of the bundle of .* is another one .*: the data have changed"):
        replay(images[:2])
    with pytest.raises(
        ExportError, match=r"has 6 rows for 9 validation .*; the bundle has 6: verify with --samples 6$"
    ):
        GivenOutputs.read(tmp_path / "r.npy").check(model, "int8.tflite", 9, silent)
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
    assert assign_outputs(files[:1], [given]) == {files[0]: [given]}
    with pytest.raises(UsageError, match=r"which of float32\.tflite and int8\.tflite .* is of: name the file"):
        assign_outputs(files, [given])
    np.savez(tmp_path / "r.npz", logits=raw, model_sha256=hash_bytes(files[1].read_bytes()))
    given = GivenOutputs.read(tmp_path / "r.npz")
    assert assign_outputs(files, [given]) == {files[1]: [given]}
