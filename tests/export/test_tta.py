"""--tta: the mean of the logits of an image and its mirror image, of models and files, and when it is refused."""

import json

import numpy as np
import pytest
from PIL import Image
from samples import silent

from keras_resnet.api.run import Run as PythonRun
from keras_resnet.data.load import load_dataset
from keras_resnet.errors import UsageError
from keras_resnet.export.tta import AUTO, FLIP, NONE, add_mirror_images, choose_tta

FILTERS = np.random.default_rng(0).normal(size=(4 * 5 * 3, 2))


def linear(images):
    """Logits that know left from right."""
    return images.reshape(len(images), -1).astype(np.float64) @ FILTERS


@pytest.fixture
def images():
    """Seven images, 4 × 5."""
    return np.random.default_rng(1).integers(0, 256, (7, 4, 5, 3), np.uint8)


def test_the_mean_is_of_an_image_and_its_mirror_image(images):
    mirrored = np.stack([np.fliplr(image) for image in images])
    expected = (linear(images) + linear(mirrored)) / 2
    found = add_mirror_images(linear, FLIP)(images)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert found.dtype == np.float32 and not np.allclose(found, linear(images))
    np.testing.assert_allclose(add_mirror_images(linear, FLIP)(mirrored), found, rtol=1e-5)
    assert add_mirror_images(linear, NONE) is linear
    several = add_mirror_images(lambda pixels: {"logits": linear(pixels), "other": pixels[:, 0, 0]}, FLIP)(images)
    np.testing.assert_allclose(several["logits"], expected, rtol=1e-5)
    assert several["other"].shape == (7, 3)


@pytest.mark.parametrize(
    ("asked", "flips", "chosen", "said"),
    [
        (NONE, True, NONE, None),
        (AUTO, True, FLIP, "tta: flip (the run trained with flips): the mean of the logits of each image and"),
        (AUTO, False, NONE, "tta: none (the run trained without flips, so mirror images may mean something else"),
        (FLIP, True, FLIP, "tta: flip (the run trained with flips)"),
        (FLIP, False, FLIP, "tta: flip (asked for; the run trained without flips)"),
        (FLIP, None, FLIP, "tta: flip (asked for)"),
    ],
)
def test_what_is_chosen_is_said(asked, flips, chosen, said):
    lines = []
    assert choose_tta(asked, False, flips, lines.append) == chosen
    assert lines == [] if said is None else lines[0].startswith(said)


@pytest.mark.parametrize(
    ("asked", "has_boxes", "flips", "said"),
    [
        ("flips", False, True, r"--tta must be one of none, auto, flip\. Received: 'flips'\. Did you mean 'flip'\?"),
        (FLIP, True, True, "--tta is for classifiers"),
        (AUTO, True, False, "--tta is for classifiers"),
        (AUTO, False, None, "--tta auto needs the run, which says whether it trained with flips"),
    ],
)
def test_what_is_refused(asked, has_boxes, flips, said):
    with pytest.raises(UsageError, match=said):
        choose_tta(asked, has_boxes, flips, print)


def test_evaluation_and_prediction_of_model_and_files(exported, kresnet, tmp_path):
    """The digits, which a mirror changes: by the command, against means that are computed here."""
    from keras_resnet.evaluation.evaluate import load_model
    from keras_resnet.export.load import load_file

    run, _ = exported
    home, file = run.folder.parent, run.exports / "float32.tflite"
    split = load_dataset(run.spec().data, silent).splits["validation"]
    model = load_model(run)
    both = [model.predict(pixels, verbose=0) for pixels in (split.pixels, split.pixels[:, :, ::-1])]
    expected = np.mean(np.mean(both, axis=0).argmax(1) == split.labels)
    assert abs(expected - (alone := np.mean(both[0].argmax(1) == split.labels))) > 0.01
    for target in (run.name, file):
        code, out, err = kresnet("evaluate", target, "--tta", "flip", "--json", "--runs", home)
        result = json.loads(out)
        assert (code, result["tta"]) == (0, "flip") and result["value"] == pytest.approx(expected, abs=0.003)
        assert any(line.startswith("tta: flip (asked for; the run trained without flips)") for line in err)
    code, out, err = kresnet("evaluate", run.name, "--tta", "auto", "--json", "--runs", home)
    assert json.loads(out)["value"] == pytest.approx(alone) and json.loads(out)["tta"] == "none"
    assert any(line.startswith("tta: none (the run trained without flips") for line in err)

    photo = tmp_path / "digit.png"
    Image.fromarray(split.pixels[0]).save(photo)
    code, out, err = kresnet("predict", file, photo, "--tta", "flip", "--json", "--top", "10")
    given = {each["label"]: each["probability"] for each in json.loads(out)["predictions"]}
    pixels = split.pixels[:1]
    logits = np.mean([load_file(file)(pixels)[0], load_file(file)(pixels[:, :, ::-1].copy())[0]], axis=0)
    probabilities = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    np.testing.assert_allclose([given[name] for name in run.classes()], probabilities, atol=1e-4)
    loose = tmp_path / "loose.tflite"
    loose.write_bytes(file.read_bytes())
    code, out, err = kresnet("predict", loose, photo, "--tta", "auto")
    assert (code, out) == (2, "") and "--tta auto needs the run" in err[-1]
    for option in ("--reject", "--explain"):
        code, out, err = kresnet("predict", run.folder, photo, "--tta", "auto", option)
        assert (code, out) == (2, "") and f"--tta cannot be combined with {option}" in err[-1]
    with pytest.raises(UsageError, match=r"^tta cannot be combined with reject"):
        PythonRun(run).predict(photo, tta="flip", reject=True)
    code, out, err = kresnet("predict", file, photo, "--tta", "flip", "--json", "--threshold", "0.2")
    assert {each["label"]: each["probability"] for each in json.loads(out)["predictions"]} == {
        label: probability for label, probability in given.items() if probability >= 0.2
    }
    code, out, err = kresnet("predict", file, photo, "--tta", "left")
    assert (code, out) == (2, "") and "--tta must be one of none, auto, flip" in err[-1]
