"""Heat maps as users ask for them: predict --explain, run.explain, and those of the report."""

import json

import keras
import numpy as np
import pytest
from PIL import Image
from samples import photo

import keras_resnet
from keras_resnet.data.sources import shapes
from keras_resnet.errors import DataError, UsageError
from keras_resnet.reporting.page import render_report


class Subclass(keras.Model):
    """A network whose layers form no graph that can be read."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def call(self, pixels):
        return self.network(pixels)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, size in enumerate([(60, 40), (40, 60)]):
        photo(*size, seed=number).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def drawings(tmp_path):
    folder = tmp_path / "drawings"
    folder.mkdir()
    for number in range(3):
        Image.fromarray(shapes.draw(2000 + number).image).save(folder / f"{number}.png")
    return folder


def test_a_picture_and_a_line_of_each_image(kresnet, trained, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = kresnet("predict", trained.folder, photos, "--explain")
    lines = out.splitlines()
    assert code == 0 and len(lines) == 2
    for number, line in enumerate(lines):
        assert line.startswith(f"{photos}/{number}.png: ")
        assert line.endswith(f"(Grad-CAM, stage3_unit1_out): heatmaps/{number}.png")
        assert "%, peak at" in line or "%, nothing in the image raises its score" in line
    positions = "2 × 2 positions (--layer chooses a finer one)"
    assert f"method: the default for classifiers; layer: the last feature map, of {positions}" in err
    assert all(line.count("Grad-CAM") == line.count("stage3_unit1_out") == 1 for line in out.splitlines())
    # 60 × 40 pixels, five times as large, beside itself.
    with Image.open("heatmaps/0.png") as picture:
        assert picture.size == (2 * 300 + 4, 200)
        left, right = picture.crop((0, 0, 300, 200)), picture.crop((304, 0, 604, 200))
        enlarged = photo(60, 40, 0).resize((300, 200), Image.Resampling.NEAREST)
        assert np.array_equal(np.asarray(left), np.asarray(enlarged))
        assert not np.array_equal(np.asarray(left), np.asarray(right))


def test_one_image_into_a_file_or_a_folder_as_json(kresnet, trained, photos, tmp_path):
    for save, written in (("map.png", "map.png"), ("new", "new/0.png")):
        options = ("--label", "3", "--method", "layercam", "--layer", "stage2_unit1_out", "--json")
        code, out, _ = kresnet(
            "predict", trained.folder, photos / "0.png", "--explain", "--save", tmp_path / save, *options
        )
        document = json.loads(out)
        assert code == 0 and (tmp_path / written).is_file()
        assert document["label"] == "3" and document["saved"] == str(tmp_path / written)
        assert (document["method"], document["layer"]) == ("layercam", "stage2_unit1_out")
        assert 0 <= document["peak"][0] <= 60 and 0 <= document["peak"][1] <= 40


def test_objects_have_maps_of_their_own(kresnet, segmented, drawings, tmp_path):
    code, out, err = kresnet(
        "predict", segmented.folder, drawings, "--explain", "--save", tmp_path / "maps", "--label", "circle", "--json"
    )
    documents = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and len(documents) == 3
    assert all(each["label"] == "circle" and len(each["box"]) == 4 for each in documents)
    assert all(each["method"] == "layercam" for each in documents)
    assert any(
        line.startswith("method: the default for objects, as it tells those of one class apart;") for line in err
    )
    assert any(line.endswith("layer: the feature map with the resolution at which the object is found") for line in err)


def test_an_object_that_is_not_found_is_said(kresnet, segmented, drawings, tmp_path):
    code, _, err = kresnet("predict", segmented.folder, drawings / "0.png", "--explain", "--object", "90")
    assert code == 2 and ("--object must be 1 to" in err[-1] or "--object 90 is not there" in err[-1])
    code, out, err = kresnet(
        "predict", segmented.folder, drawings, "--explain", "--object", "90", "--save", tmp_path / "maps"
    )
    assert code == 0 and out == "" and len([line for line in err if "is left out: --object" in line]) == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--explain", "--label", "tree"), "--label must be one of 0, 1, 2"),
        (("--explain", "--layer", "stage9"), "--layer stage9 is no layer of this network; the last map"),
        (
            ("--explain", "--object", "1"),
            "--object is for networks that find several objects; the task of this one is classify",
        ),
        *(
            (
                ("--explain", *options),
                f"{options[0]} cannot be combined with --explain, which explains one score of each image",
            )
            for options in (("--top", "3"), ("--threshold", "0.5"), ("--reject",), ("--every", "2"))
        ),
        (("--layer", "stage3_unit1_out"), "--layer is for heat maps: add --explain"),
        (("--explain", "--method", "cam"), "--method must be one of gradcam, layercam. Received: 'cam'"),
        (("--explain", "--save", "map.xyz"), "--save must name an image file"),
        (("--gradcam",), "--explain"),
    ],
)
def test_wrong_requests_are_refused_in_a_sentence(kresnet, trained, photos, arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = kresnet("predict", trained.folder, photos / "0.png", *arguments)
    assert code == 2 and out == "" and words in err[-1]
    assert not list(tmp_path.glob("*.png"))


def test_files_and_videos_have_no_heat_maps(kresnet, trained, photos, tmp_path):
    file = tmp_path / "int8.tflite"
    file.write_bytes(b"TFL3")
    code, _, err = kresnet("predict", file, photos / "0.png", "--explain")
    assert code == 2 and err[-1].endswith(
        "int8.tflite is an exported file, which has no gradients to make heat maps of; name its run: kresnet predict"
        " RUN photo.jpg --explain"
    )
    code, _, err = kresnet("predict", trained.folder, "street.mp4", "--explain")
    assert code == 2 and err[-1].endswith("--explain is for images; street.mp4 is a video")
    code, _, err = kresnet("predict", trained.folder, photos, "--explain", "--save", tmp_path / "map.png")
    assert code == 2 and "--save must name a folder for the heat maps of several images" in err[-1]


def test_a_damaged_image_is_named_and_skipped(kresnet, trained, photos, tmp_path):
    (photos / "bad.png").write_bytes(b"none")
    code, out, err = kresnet("predict", trained.folder, photos, "--explain", "--save", tmp_path / "maps")
    assert code == 1 and len(out.splitlines()) == 2 and err[-1].startswith("kresnet: 1 of 3 files could not be read")


def test_python_has_the_same_maps(trained, photos):
    run = keras_resnet.open_run(trained.folder)
    one = run.explain(photos / "0.png", label="3")
    assert one.map.shape == run.spec.data.input_shape[:2] and one.map.max() in (0, 1)
    assert one.on_image.shape == (40, 60) and one.overlay().size == (60, 40)
    assert one.label == "3" and 0 < one.probability < 1 and one.box is None
    several = run.explain([photos / "0.png", np.asarray(photo(60, 40, 0))], label="3")
    assert [each.image for each in several] == [str(photos / "0.png"), "image 1"]
    np.testing.assert_allclose(several[1].map, one.map, atol=1e-6)
    assert several._repr_html_().count("<img alt=") == 4 and "heat map of 3" in one._repr_html_()
    assert str(one).startswith(f"{photos}/0.png: 3 ") and repr(several).startswith("<Explanations ")
    assert len(run.explain(photos)) == 2
    one.save(photos / "map.png")
    assert (photos / "map.png").is_file()


def test_python_refuses_in_its_own_words(trained, photos):
    run = keras_resnet.open_run(trained.folder)
    with pytest.raises(UsageError, match=r"^label must be one of 0, 1"):
        run.explain(photos, label="tree")
    with pytest.raises(UsageError, match=r"^method must be one of gradcam, layercam"):
        run.explain(photos, method="cam")
    with pytest.raises(UsageError, match=r"a heat map must be saved as an image file, such as map.png"):
        run.explain(photos / "0.png").save(photos / "map.xyz")
    with pytest.raises(UsageError, match="images must be paths"):
        run.explain(3)
    with pytest.raises(DataError, match="cannot read"):
        run.explain(photos / "none.png")
    with pytest.raises(AttributeError, match=r"Use run\.explain\(…\)"):
        run.gradcam(photos)


def test_any_keras_classifier_is_explained(trained, photos):
    """The network of a run, taken for one of the user's own, has the maps of the run."""
    run = keras_resnet.open_run(trained.folder)
    own = keras_resnet.explain(run.model, photos, run.classes, label="3", fit=run.spec.data.fit)
    ours = run.explain(photos, label="3")
    for one, other in zip(own, ours, strict=True):
        assert (one.label, one.probability) == (other.label, pytest.approx(other.probability, rel=1e-4))


@pytest.mark.parametrize(
    ("change", "classes", "fit", "words"),
    [
        (lambda model: model, ["a", "b"], "stretch", r"to \(None, 2\), a logit for each class\. Received: from"),
        (lambda model: model, list("0123456789"), "letterbox", r"^fit must be one of crop, pad, stretch"),
        (
            lambda model: keras.Model(model.inputs, keras.layers.Softmax()(model.output)),
            list("0123456789"),
            "crop",
            "the model must end in logits, without a softmax",
        ),
        (lambda model: "resnet8", ["a"], "crop", r"^model must be a Keras model\. Received: 'resnet8'"),
        (lambda model: Subclass(model), list("0123456789"), "crop", "a functional or Sequential model .*: Subclass "),
    ],
)
def test_what_is_no_classifier_of_images_is_refused(trained, photos, change, classes, fit, words):
    model = change(keras_resnet.open_run(trained.folder).model)
    with pytest.raises(UsageError, match=words):
        keras_resnet.explain(model, photos, classes, fit=fit)


def test_the_report_shows_mistakes_and_a_typical_image_of_each_class(trained):
    groups = {each["title"]: each for each in trained.analysis()["heat_maps"]}
    right = groups["Most confident correct prediction of each class"]["maps"]
    assert [each["label"] for each in right] == list(trained.classes())
    assert all(each["caption"].startswith(f"{each['label']} ") for each in right)
    mistakes = groups["Most confident mistakes"]["maps"]
    assert [each["caption"] for each in mistakes] == [
        each["caption"] for each in trained.analysis()["samples"][: len(mistakes)]
    ]
    page = render_report(trained)
    assert page.count(": heat map of ") == len(right) + len(mistakes)
    assert '<h2 id="heat_maps">Heat maps</h2>' in page and len(page.encode()) < 2_000_000


def test_detectors_have_a_typical_object_of_each_class_that_is_found(segmented):
    groups = segmented.analysis()["heat_maps"]
    assert all(group["method"] == "LayerCAM" for group in groups)
    assert all(each["label"] in segmented.classes() for group in groups for each in group["maps"])
