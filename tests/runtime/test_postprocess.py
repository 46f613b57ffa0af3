"""From outputs to objects: what every runtime shares; and COCO's numbers."""

import numpy as np
import pytest
import tensorflow as tf
from detection_cases import generator, random_case
from pycocotools import mask as oracle_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from keras_resnet.config.spec import NetworkSpec
from keras_resnet.data.annotations import decode_rle, encode_rle, pad_annotations, unpad_annotations
from keras_resnet.errors import DataError
from keras_resnet.metrics import coco
from keras_resnet.models.fpn import pyramid_sides
from keras_resnet.runtime import postprocess
from keras_resnet.runtime.postprocess import (
    CONDINST_COEFFICIENTS,
    Detections,
    decode_detections,
    decode_masks,
    paste_masks_in_image,
    rle_encode,
)
from keras_resnet.tasks.assigner import assign, decode_boxes, detection_losses
from keras_resnet.tasks.detection import Detection, detection_agreement
from keras_resnet.tasks.instance_segmentation import InstanceSegmentation
from keras_resnet.tasks.mask_loss import mask_logits, mask_losses

CELLS = (8, 4)
N = 80


def by_the_oracle(truths, answers, kind):
    """The same by pycocotools."""
    truth = COCO()
    truth.dataset = coco._annotation_document(truths, "abc")
    truth.createIndex()
    judge = COCOeval(truth, truth.loadRes(coco._result_rows(truths, answers)), kind)
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    return judge.stats


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_the_numbers_are_those_of_pycocotools(kind, capsys):
    """On 200 random cases, empty images and crowds among them."""
    judged = 0
    for seed in range(100):
        truths, answers = random_case(seed, kind)
        if not any(len(each.labels) for each in answers):
            continue
        named, _ = coco.coco_metrics(truths, answers, "abc", kind)
        expected = by_the_oracle(truths, answers, kind)
        for name, value in zip(coco.NAMES, expected, strict=True):
            assert named.get(name, -1) == pytest.approx(value, abs=1e-9), (seed, name)
        judged += 1
    assert judged > 95
    capsys.readouterr()


def test_numbers_where_nothing_is_found_or_there():
    truths, answers = random_case(3, "bbox")
    none = [coco.Prediction(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int)) for _ in answers]
    assert coco.coco_metrics(truths, none, "abc")[0]["AP"] == 0
    perfect = [coco.Prediction(each.boxes, np.ones(len(each.labels)), each.labels) for each in truths]
    named, by_class = coco.coco_metrics(truths, perfect, "abc")
    assert named["AP"] == pytest.approx(1) and list(by_class.values()) == pytest.approx([1] * len(by_class))


def test_run_lengths_are_cocos():
    rng = generator()
    for share in (0, 0.3, 1):
        mask = rng.random((7, 5)) < share
        code = {"size": [7, 5], "counts": rle_encode(mask)}
        np.testing.assert_array_equal(oracle_mask.decode(oracle_mask.frPyObjects(code, 7, 5)), mask)
        assert sum(code["counts"]) == mask.size
        np.testing.assert_array_equal(decode_rle(encode_rle(mask), (5, 7)), mask)


def test_suppression_is_tensorflows():
    """Greedy, within each class."""
    rng = generator()
    for _ in range(20):
        boxes = np.sort(rng.random((60, 2, 2)), axis=1).reshape(60, 4)
        labels, scores = rng.integers(0, 2, 60), np.sort(rng.random(60))[::-1]
        kept = postprocess.non_max_suppression(boxes.astype(np.float32), labels, most=100, overlap=0.4)
        expected = np.concatenate(
            [
                np.flatnonzero(labels == kind)[
                    tf.image.non_max_suppression(boxes[labels == kind], scores[labels == kind], 100, 0.4)
                ]
                for kind in (0, 1)
            ]
        )
        assert kept.tolist() == sorted(expected)


def test_an_object_is_found_where_its_location_says():
    """The cell in row 2 and column 5 of the first level, reaching 1, 2, 3 and 1.5 cells outwards."""
    scores, distances = np.full((N, 2), -9.0), np.zeros((N, 4))
    scores[2 * 8 + 5, 1], distances[2 * 8 + 5] = 3.0, (1, 2, 3, 1.5)
    found = decode_detections(scores, distances, CELLS)
    np.testing.assert_allclose(found.boxes, [[4.5 / 8, 0.5 / 8, 1, 4 / 8]])  # cut at the edge
    assert found.labels.tolist() == [1] and found.locations.tolist() == [21]
    assert found.scores[0] == pytest.approx(1 / (1 + np.exp(-3)))
    card_size = postprocess.scale_boxes(found.boxes, (80, 40))
    np.testing.assert_allclose(card_size, [[45, 5, 80, 40]])


@pytest.mark.parametrize("coefficients", [4, CONDINST_COEFFICIENTS])
def test_masks_are_the_same_while_trained_and_on_devices(coefficients):
    rng = generator()
    kinds = 4 if coefficients == 4 else postprocess.CONDINST_PROTOTYPES
    prototypes = rng.normal(size=(16, 16, kinds)).astype(np.float32)
    every = rng.normal(size=(N, coefficients)).astype(np.float32)
    places = np.array([3, 70, 41])
    boxes = np.array([[0, 0, 1, 1], [0.5, 0.25, 0.75, 0.5], [0, 0.9, 0.1, 1]], np.float32)
    found = Detections(boxes, np.zeros(3), np.zeros(3, int), places)
    ours = decode_masks(found, every, prototypes, CELLS)
    theirs = mask_logits(every[places][None], prototypes[None], postprocess.anchor_points(CELLS)[0][places][None])
    around = np.zeros((3, 16, 16), bool)  # and 4 cells on each side
    around[0], around[1, :12, 4:16], around[2, 10:, :6] = True, True, True
    np.testing.assert_allclose(ours[around], np.asarray(theirs[0])[around], rtol=1e-4, atol=1e-4)
    assert (ours[~around] == postprocess.BACKGROUND_LOGIT).all()
    sizes = ((16, 16), (50, 40), (5, 5))
    for size in sizes:
        inside = postprocess.scale_boxes(boxes, size)
        np.testing.assert_array_equal(
            paste_masks_in_image(ours, inside, size), paste_masks_in_image(np.asarray(theirs[0]), inside, size)
        )
    assert decode_masks(found.first(0), every, prototypes, CELLS).shape == (0, 16, 16)


def test_a_mask_stays_in_its_box():
    """Logits of a 16 × 16 square for an image of 80 × 40 pixels, whose lower half is filling."""
    logits = np.full((1, 16, 16), -1.0)
    logits[0, 2:6, 4:12] = 1.0
    (mask,) = paste_masks_in_image(logits, np.array([[15.0, 5.0, 70.0, 30.0]]), (80, 40))
    assert mask.shape == (40, 80) and mask[12:28, 22:58].all()
    assert not mask[:, :15].any() and not mask[:5].any() and not mask[31:].any()


def test_cells_are_those_of_the_network():
    """Whatever the stem and the size; the assertion in `build_pyramid` says so for each."""
    import keras

    from keras_resnet.models import build, fpn
    from keras_resnet.models.layers import Layers

    known = ((18, 128, (16, 8, 4)), (18, 90, (12, 6)), (20, 32, (32, 16, 8, 4)), (10, 48, (24, 12, 6)))
    for depth, size, expected in known:
        network = NetworkSpec(depth, width=0.25)
        assert pyramid_sides(network, size)[: len(expected)] == expected
        _, _, stages = build.build_features(Layers(keras), network, (size, size, 3), None)
        levels = fpn.build_pyramid(Layers(keras), stages, pyramid_sides(network, size))
        assert len({level.shape[-1] for level in levels.values()}) == 1


def random_truth(rng, count, most):
    boxes = np.sort(rng.uniform(0, 1, (count, most, 2, 2)), axis=2).reshape(count, most, 4).astype(np.float32)
    labels = np.where(rng.random((count, most)) < 0.7, rng.integers(0, 3, (count, most)), -1)
    return {"boxes": boxes, "labels": labels, "iscrowd": rng.random((count, most)) < 0.2}


def random_outputs(rng, count):
    scores = rng.normal(-2, 1, (count, N, 3)).astype(np.float32)
    return scores, rng.uniform(0.5, 3, (count, N, 4)).astype(np.float32)


def test_each_image_is_judged_alone():
    """A batch costs what its images cost one by one, so that replicas may share it."""
    rng = generator()
    truth, (scores, distances) = random_truth(rng, 4, 5), random_outputs(rng, 4)
    ids = rng.integers(0, 6, (4, 32, 32)).astype(np.uint8)
    outputs = {
        "coefficients": rng.normal(size=(4, N, CONDINST_COEFFICIENTS)).astype(np.float32),
        "prototypes": rng.normal(size=(4, 16, 16, 8)).astype(np.float32),
    }

    def losses(rows):
        boxes, own = decode_boxes(distances[rows], CELLS), {name: value[rows] for name, value in truth.items()}
        found = assign(scores[rows], boxes, own, CELLS)
        of_masks, _ = mask_losses({name: value[rows] for name, value in outputs.items()}, ids[rows], found, CELLS)
        return np.asarray(detection_losses(scores[rows], boxes, own, found) + of_masks)

    alone = np.concatenate([losses(slice(row, row + 1)) for row in range(4)])
    np.testing.assert_allclose(losses(slice(0, 4)), alone, rtol=1e-5)


def test_locations_answer_for_what_they_are_in():
    rng = generator(1)
    truth, (scores, distances) = random_truth(rng, 8, 5), random_outputs(rng, 8)
    boxes = decode_boxes(distances, CELLS)
    np.testing.assert_allclose(boxes, postprocess.ltrb_to_xyxy(distances, CELLS), atol=1e-6)
    found = assign(scores, boxes, truth, CELLS)
    middles = postprocess.anchor_points(CELLS)[0]
    objects, quality = found.objects.numpy(), found.quality.numpy()
    assert (objects >= 0).sum() > 50
    for image, place in np.argwhere(objects >= 0):
        row = objects[image, place]
        assert truth["labels"][image, row] >= 0 and not truth["iscrowd"][image, row]
        left, top, right, bottom = truth["boxes"][image, row]
        reach = 1 / 16 + 1e-6
        x, y = middles[place]
        assert min(left, (left + right) / 2 - reach) <= x <= max(right, (left + right) / 2 + reach)
        assert min(top, (top + bottom) / 2 - reach) <= y <= max(bottom, (top + bottom) / 2 + reach)
    assert (
        (quality[objects < 0] == 0).all() and quality.max() <= 1 and found.alignment.numpy().max() == pytest.approx(1)
    )
    for image in range(8):
        for row in set(objects[image][objects[image] >= 0]):
            assert (objects[image] == row).sum() <= 13
    assert not (found.ignored.numpy() & (objects >= 0)).any() and found.ignored.numpy().any()


def test_right_answers_cost_least():
    """Boxes as they are, and the class that is there: nearly nothing; each fault costs."""
    truth = {
        "boxes": np.array([[[0.25, 0.25, 0.75, 0.75]]], np.float32),
        "labels": np.array([[1]]),
        "iscrowd": np.zeros((1, 1), bool),
    }
    middles, widths = postprocess.anchor_points(CELLS)
    box = truth["boxes"][0, 0]
    exact = np.concatenate([middles - box[:2], box[2:] - middles], axis=1)[None] / widths
    boxes = decode_boxes(exact.astype(np.float32), CELLS)
    scores = np.full((1, N, 3), -12.0, np.float32)
    found = assign(scores, boxes, truth, CELLS)
    sure = scores.copy()
    sure[0, found.objects.numpy()[0] >= 0, 1] = 12.0
    right = float(detection_losses(sure, boxes, truth, assign(sure, boxes, truth, CELLS))[0])
    blind = float(detection_losses(scores, boxes, truth, found)[0])
    moved = boxes + 0.2
    off = float(detection_losses(sure, moved, truth, assign(sure, moved, truth, CELLS))[0])
    assert right < 1e-3 < blind and right < off
    crowd = {**truth, "iscrowd": np.ones((1, 1), bool)}
    wrong = np.full((1, N, 3), 3.0, np.float32)
    none = {**truth, "labels": np.array([[-1]])}
    ignored, counted = (
        float(detection_losses(wrong, boxes, each, assign(wrong, boxes, each, CELLS))[0]) for each in (crowd, none)
    )
    assert ignored < 0.9 * counted


def test_agreement_counts_objects():
    boxes = np.array([[0, 0, 10, 10], [20, 20, 40, 40], [0, 0, 10, 10]], float)
    ours = [coco.Prediction(boxes, np.array([0.9, 0.8, 0.1]), np.array([0, 1, 0]))]
    assert detection_agreement(ours, ours) == 1
    other = [coco.Prediction(boxes + 1, np.array([0.9, 0.8, 0.1]), np.array([0, 2, 0]))]
    assert detection_agreement(ours, other) == pytest.approx(0.5)
    assert detection_agreement(ours, [coco.Prediction(boxes[:1], np.array([0.9]), np.array([0]))]) == pytest.approx(
        2 / 3
    )
    none = [coco.Prediction(boxes[:0], np.zeros(0), np.zeros(0, int))]
    assert detection_agreement(none, none) == 1 and detection_agreement(ours, none) == 0


def test_annotations_survive_packing():
    truths, _ = random_case(5, "segm")
    again = unpad_annotations({name: value for name, value in pad_annotations(truths, masks=True).as_dict().items()})
    for before, after in zip(truths, again, strict=True):
        order = np.lexsort((-before.areas, before.iscrowd))
        np.testing.assert_allclose(after.boxes, before.boxes[order], atol=1e-3)
        assert after.labels.tolist() == before.labels[order].tolist() and after.size == before.size
        assert after.masks == tuple(before.masks[row] for row in order)


@pytest.mark.parametrize("kind", [Detection, InstanceSegmentation])
def test_images_without_objects_are_nothing_to_judge_by(kind):
    nothing = np.zeros((2, 1, 4), np.float32), np.full((2, 1), -1), np.zeros((2, 1), bool), np.zeros((2, 1))
    truth = dict(zip(("boxes", "labels", "iscrowd", "areas"), nothing, strict=True)) | {"sizes": np.full((2, 2), 8)}
    none = [coco.Prediction(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int))] * 2
    with pytest.raises(DataError, match="none of the 2 images shows an object"):
        kind(("a",), (1,)).compute_metrics(none, truth)
