"""Beside each value that a spec brings stands who chose it."""

import pytest
from samples import paint, silent

from keras_resnet.config.provenance import Provenance, describe_origin, use_provenance
from keras_resnet.config.spec import Spec
from keras_resnet.data.image_size import choose_sizes, choose_square_size
from keras_resnet.training.spec_request import build_spec, trace_spec


def test_keys_before_sections_before_the_rest():
    assert describe_origin("data.image_size") == "set in the spec"
    with use_provenance(Provenance("of recipe X", {"network": "of run a", "network.stem": "set by --stem"})):
        assert describe_origin("network.stem") == "set by --stem"
        assert describe_origin("network.depth") == "of run a"
        assert describe_origin("training.precision") == "of recipe X"
    assert describe_origin("network.stem") == "set in the spec"


@pytest.mark.parametrize(
    ("options", "key", "words"),
    [
        ({"image_size": 64}, "data.image_size", "set by --image-size"),
        ({"settings": ("data.image_size=64",)}, "data.image_size", "set by --set data.image_size"),
        ({"image_size": 32, "settings": ("data.image_size=64",)}, "data.image_size", "set by --set data.image_size"),
        ({"flip": False}, "augment.flip", "set by --no-flip"),
        ({"flip": True}, "augment.flip", "set by --flip"),
        ({"recipe": "coco-detect-1x"}, "data.image_size", "of recipe coco-detect-1x"),
        ({"recipe": "coco-detect-1x", "image_size": 64}, "data.image_size", "set by --image-size"),
        ({"task": "detect"}, "training.batch_size", "the default to detect"),
        ({}, "training.batch_size", "the default to classify"),
        ({"model": "resnet50d"}, "network.stem", "of --model resnet50d"),
        ({"weights": "keras:resnet50"}, "network.stem", "of the weights keras:resnet50"),
        (
            {"weights": "keras:resnet50"},
            "data.image_size",
            "that of the weights keras:resnet50; --image-size changes it",
        ),
        ({"weights": "keras:resnet50", "recipe": "coco-detect-1x"}, "data.image_size", "of recipe coco-detect-1x"),
        ({"deepen": "shallow"}, "training.precision", "of run shallow"),
    ],
)
def test_who_chose_by_what_was_asked(tmp_path, options, key, words):
    with use_provenance(trace_spec(options, tmp_path)):
        assert describe_origin(key) == words


def said(choose, *arguments):
    told = []
    return choose(*arguments, told.append), told[0]


def test_a_size_of_the_data_is_told_as_theirs():
    assert "(the size of the images)" in said(choose_sizes, None, None, 32)[1]
    assert "(the usual size for photographs)" in said(choose_sizes, None, None, 500)[1]
    assert "most images are smaller (median side: 96 pixels) and are enlarged" in said(choose_sizes, None, None, 96)[1]
    assert "(the usual size for photographs)" in said(choose_sizes, None, None, 224)[1]
    assert (
        said(choose_square_size, None, None)[1]
        == "image size: 320 pixels (usual for objects), the whole image in a square"
    )
    assert "(the size of the images)" in said(choose_square_size, None, 128)[1]


@pytest.mark.parametrize(("size", "small"), [(16, True), (63, True), (64, False), (320, False)])
def test_a_size_too_small_for_objects_says_how_to_ask_for_another(size, small):
    with use_provenance(Provenance(by_key={"data.image_size": "that of run tiny"})):
        found, words = said(choose_square_size, size, None)
    assert found == (size, size) and f"image size: {size} pixels (that of run tiny)" in words
    assert ("--image-size 320 asks for the usual size" in words) == small


def test_a_detector_of_a_small_classifier_says_where_its_size_is_from(trained, runs, kresnet, tmp_path):
    options = ("--runs", runs, "--weights", trained.name, "--data", "nowhere/at/all")
    code, _, told = kresnet("train", "--task", "detect", *options)
    assert code == 1 and "image size" not in "\n".join(told)  # nothing is told of data that are not there
    with use_provenance(trace_spec({"task": "detect", "weights": trained.name}, runs)):
        spec = build_spec({"task": "detect", "weights": trained.name}, runs, silent)
        _, words = said(choose_square_size, spec.data.image_size, None)
    size = trained.spec().data.image_size
    assert words.startswith(f"image size: {size} pixels (that of run {trained.name}; --image-size changes it)")
    assert "--image-size 320" in words


def test_the_size_of_a_recipe_stays_beside_weights(trained, runs):
    spec = build_spec({"recipe": "coco-detect-1x", "weights": trained.name}, runs, silent)
    assert spec.data.image_size == 640
    assert build_spec({"task": "detect", "weights": trained.name}, runs, silent).data.image_size == 8


def test_commands_on_a_run_say_that_its_size_is_the_runs(trained, runs, kresnet):
    code, _, told = kresnet("evaluate", trained.name, "--runs", runs)
    words = "\n".join(told)
    assert code == 0 and "image size: 8 pixels (as the run was trained)" in words and "asked" not in words


def test_compressing_says_which_values_are_the_parents(trained, runs, kresnet):
    options = ("--runs", runs, "--epochs", 1, "--stop-after", 1, "--name", "compressed-by-words")
    code, _, told = kresnet("compress", trained.name, "--qat", *options)
    words = "\n".join(told)
    assert code == 0 and f"image size: 8 pixels (of run {trained.name})" in words
    assert f"precision: float32 (of run {trained.name})" in words and "as asked" not in words


def test_a_script_sets_values_in_its_spec(tmp_path):
    from keras_resnet.data.load import load_dataset

    told = []
    spec = Spec().override("data.source", str(paint(tmp_path / "d", 4))).override("data.image_size", 16)
    load_dataset(spec.data, told.append)
    assert any("image size: 16 pixels (set in the spec)" in line for line in told)
