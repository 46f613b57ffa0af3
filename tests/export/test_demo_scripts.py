"""The demo's scripts alone: where labels go, what is seen of an image, what a self-check finds. Needs no LiteRT.js."""

import io
import itertools
import json

import numpy as np
import pytest
from browsing import chromium, served_scripts
from pages import CARDS, OTHER_CARDS, SIZES, assert_placed
from PIL import Image

from keras_resnet.export.demo.page import PILLOW_13
from keras_resnet.runtime.image import height_and_width, preprocess, read_image, to_channels

# A network that answers each golden image with one of its label, but for passes in which it is wrong.
CHECK = """async ({ wrong, height, shift }) => {
  const { checkGolden } = await import('/selfcheck.js');
  const logits = (label, value) => (
    { logits: { data: Float32Array.from([0, 1, 2], (x) => (x === label ? value : 0)) } });
  const golden = [0, 1, 2].map((label) => ({ pixels: label, expected: logits(label, height) }));
  let runs = -2;
  const network = {
    about: { card: { postprocessing: 'top_k' } },
    async run(label) {
      const pass = runs < 0 ? -1 : Math.floor(runs / golden.length);
      runs += 1;
      const answer = wrong.includes(pass) ? (label + 1) % 3 : label;
      return { outputs: logits(answer, height - shift), milliseconds: 7 };
    },
  };
  return checkGolden(network, golden, 0.3);
}"""
CHECK_NOTHING = """async (score) => {
  const { checkGolden } = await import('/selfcheck.js');
  const outputs = (value) => ({ scores: { data: Float32Array.from([value, -6, -6]) } });
  const network = {
    about: { card: { postprocessing: 'objects', image_size: 8 } },
    decode: () => [],
    run: async () => ({ outputs: outputs(score ?? NaN), milliseconds: 7 }),
  };
  return checkGolden(network, [1, 2].map(() => ({ pixels: null, expected: outputs(-6) })), 0.3);
}"""
PLACE = """async ({ labels, area }) => (await import('/labels.js')).placeLabels(labels, area)"""
SEEN = """async ({ card, width, height }) => (await import('/stage.js')).seenRegion(card, width, height)"""
PREPROCESS = """async ({ data, width, height, card }) => {
  const { preprocess } = await import('/preprocess.js');
  const { data: pixels, ...shape } = preprocess(
    { data: Uint8Array.from(JSON.parse(data)), width, height, channels: 3 }, card);
  return [JSON.stringify(Array.from(pixels)), [shape.height, shape.width, shape.channels]];
}"""
ARRAY = """async ({ bytes, levels }) => {
  const { decodeArray } = await import('/arrays.js');
  const { data, ...shape } = await decodeArray(new Blob([Uint8Array.from(bytes)]), levels);
  return [Array.from(data), [shape.height, shape.width, shape.channels]];
}"""
REFUSED = """async ({ bytes }) => {
  const { decodeArray } = await import('/arrays.js');
  return decodeArray(new Blob([Uint8Array.from(bytes)]), []).catch((error) => error.message);
}"""
MEDIAN = """async (values) => (await import('/format.js')).median(values)"""
SCORE = """async ([predictions, sample]) => (await import('/score.js')).scoreSample(predictions, sample, 'objects')"""


@pytest.fixture(scope="module")
def evaluate():
    with served_scripts() as address, chromium() as browser:
        page = browser.new_page()
        page.goto(address)
        yield page.evaluate


@pytest.mark.parametrize("height", [5, 0.1])
@pytest.mark.parametrize(("wrong", "passes"), [([], [3, 3]), ([0], [0, 3]), ([1], [3, 0]), ([0, 1], [0, 0])])
def test_golden_answers_are_asked_twice(evaluate, wrong, passes, height):
    """Networks on a GPU have been right the first time alone. They may be sure of it, or hardly."""
    found = evaluate(CHECK, {"wrong": wrong, "height": height, "shift": 0})
    assert (found["passes"], found["of"], found["first"]) == (passes, 3, 7)
    assert found["agrees"] == (wrong == [])


@pytest.mark.parametrize(("shift", "agrees"), [(0.1, True), (4, False)])
def test_the_right_label_with_another_confidence_is_no_agreement(evaluate, shift, agrees):
    found = evaluate(CHECK, {"wrong": [], "height": 5, "shift": shift})
    assert found["passes"] == [3, 3] and found["agrees"] == agrees


@pytest.mark.parametrize(("score", "agrees"), [(-6.0, True), (0.0, False), (None, False)])
def test_a_detector_that_finds_nothing_is_checked_too(evaluate, score, agrees):
    """By its confidence everywhere: one that a GPU fills with zeros, or with what is no number, is found out."""
    found = evaluate(CHECK_NOTHING, score)
    assert (found["passes"], found["of"], found["agrees"]) == ([0, 0], 0, agrees)


def overlap(a, b):
    return (
        a["x"] < b["x"] + b["width"]
        and b["x"] < a["x"] + a["width"]
        and a["y"] < b["y"] + b["height"]
        and b["y"] < a["y"] + a["height"]
    )


def test_labels_do_not_cover_each_other(evaluate):
    rng = np.random.default_rng(0)
    for boxes in (1, 5, 30):
        corners = rng.uniform(0, 250, (boxes, 2))
        corners[: boxes // 2] = corners[0]  # several objects at one place
        boxes = np.concatenate([corners, corners + rng.uniform(20, 150, (boxes, 2))], axis=1).clip(0, 300)
        labels = [{"box": box, "width": 70, "height": 17} for box in boxes.tolist()]
        placed = [each for each in evaluate(PLACE, {"labels": labels, "area": {"width": 300, "height": 300}}) if each]
        assert not [pair for pair in itertools.combinations(placed, 2) if overlap(*pair)]
        assert all(0 <= each["x"] <= 230 and 0 <= each["y"] <= 283 for each in placed)
        assert len(placed) >= min(len(labels), 10)


def test_a_label_stands_above_its_box_where_there_is_room(evaluate):
    (place,) = evaluate(
        PLACE,
        {"labels": [{"box": [50, 60, 90, 99], "width": 30, "height": 10}], "area": {"width": 100, "height": 100}},
    )
    assert (place["x"], place["y"]) == (50, 50)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("card", [*CARDS, *OTHER_CARDS])
def test_what_is_outlined_is_what_the_network_sees(evaluate, card, size):
    region = evaluate(SEEN, {"card": card, "width": size[0], "height": size[1]})
    height, width = height_and_width(card["image_size"])
    given = (0, 0, width, height)
    if card["preprocessing"] == "letterbox":
        scale = min(width / size[0], height / size[1])
        assert region["canvas"] == pytest.approx([width / scale, height / scale])
        given = (0, 0, *(round(edge * scale) for edge in size))
    assert_placed(card, size, region["seen"], given)
    assert f"{given[2]} × {given[3]} pixels" in region["words"]


@pytest.mark.parametrize(
    ("preprocessing", "resize", "size", "words"),
    [
        ("center_crop", 8, (8, 8), "the whole image, 8 × 8 pixels"),
        ("center_crop", 8, (9, 9), "the whole image, resized to 8 × 8 pixels"),
        ("center_crop", 16, (16, 16), "the center crop, 25% of the image, 8 × 8 pixels"),
        ("letterbox", 8, (8, 4), "the whole image, 8 × 4 pixels, padded to 8 × 8"),
        ("stretch", 8, (8, 8), "the whole image, 8 × 8 pixels"),
        ("stretch", 8, (8, 4), "the whole image, stretched to 8 × 8 pixels"),
    ],
)
def test_an_image_that_has_the_size_already_is_not_resized(evaluate, preprocessing, resize, size, words):
    card = {"preprocessing": preprocessing, "resize": resize, "image_size": 8}
    assert evaluate(SEEN, {"card": card, "width": size[0], "height": size[1]})["words"] == words


@pytest.mark.parametrize("size", [(100, 60), (31, 77), (64, 64)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("card", OTHER_CARDS)
def test_inputs_of_any_shape_are_those_of_python(evaluate, card, channels, size):
    coarse = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8))
    image = coarse.resize(size, Image.Resampling.BICUBIC)
    geometry = {**card, "channels": channels}
    # Thousands of numbers pass as text in a hundredth of the time.
    given = {"data": json.dumps(np.asarray(image).ravel().tolist()), "width": size[0], "height": size[1]}
    pixels, shape = evaluate(PREPROCESS, {**given, "card": {**geometry, "pillow_13": PILLOW_13}})
    expected = preprocess(image, card["preprocessing"], card["resize"], card["image_size"], channels)
    np.testing.assert_array_equal(np.reshape(json.loads(pixels), shape), expected)


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        (np.arange(24, dtype=np.uint8).reshape(2, 3, 4), []),
        (np.linspace(-0.1, 1.1, 24).astype(np.float32).reshape(2, 2, 6), []),
        (np.linspace(0, 300, 24).astype(">f8").reshape(2, 3, 4), []),
        (np.linspace(0, 65535, 24).astype(np.uint16).reshape(4, 6), []),
        (np.linspace(0, 4095, 24).astype(">u2").reshape(4, 6), [0, 4095]),
        (np.eye(5, dtype=bool), []),
    ],
)
def test_arrays_are_read_as_in_python(evaluate, values, levels):
    buffer = io.BytesIO()
    np.save(buffer, values)
    channels = values.shape[2] if values.ndim == 3 else 1
    pixels, shape = evaluate(ARRAY, {"bytes": list(buffer.getvalue()), "levels": levels})
    read = to_channels(read_image(buffer.getvalue(), tuple(map(float, levels)), channels), channels)
    expected = np.dstack([np.asarray(each) for each in (read if isinstance(read, tuple) else (read,))])
    np.testing.assert_array_equal(np.reshape(pixels, shape), expected)


@pytest.mark.parametrize(
    "values", [np.array(["a"]), np.zeros(3), np.zeros((2, 2, 2, 2)), np.asfortranarray(np.ones((2, 3)))]
)
def test_arrays_that_are_no_images_are_told(evaluate, values):
    buffer = io.BytesIO()
    np.save(buffer, values)
    assert "holds no numbers" in evaluate(REFUSED, {"bytes": list(buffer.getvalue())})


@pytest.mark.parametrize("values", [[3.0], [4.0, 1.0], [5.0, 1.0, 2.0], [1.0, 100.0, 2.0, 4.0]])
def test_the_median(evaluate, values):
    assert evaluate(MEDIAN, values) == np.median(values)


def test_objects_are_counted_once(evaluate):
    """Two predictions of one object: the second is one too many; so is one of another label."""
    box, other = [0, 0, 10, 10], [50, 50, 90, 90]
    sample = {"objects": [{"label": "cat", "box": box}, {"label": "dog", "box": other}, {"label": "cat", "box": other}]}
    predictions = [{"label": "cat", "box": box}, {"label": "cat", "box": box}, {"label": "dog", "box": other}]
    assert evaluate(SCORE, [predictions, sample]) == {"right": 2, "of": 3, "extra": 1}
