"""Images that show more objects than a byte can tell apart: cells, crowds, grains."""

import json

import label_tools as tools
import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from samples import finding

from keras_resnet.config.spec import AugmentSpec, DataSpec
from keras_resnet.data import pipeline
from keras_resnet.data.annotations import MAX_OBJECTS, Annotation, encode_rle, mask_id_dtype, pad_annotations
from keras_resnet.data.dataset import Split
from keras_resnet.data.load import load_dataset
from keras_resnet.data.sources import detection_folder
from keras_resnet.errors import DataError
from keras_resnet.metrics.iou import generalized_iou, iou, tensor_iou

ACROSS, CELL = 18, 4
SIDE = ACROSS * CELL
COUNT = ACROSS * ACROSS


def cells(root, images=2):
    """Images of 18 × 18 squares of 3 × 3 pixels, none of which touches another, each of a size of its own."""
    for split in ("train", "val"):
        names = [f"{split} {n}.png" for n in range(images)]
        annotations = []
        for number in range(images):
            for cell in range(COUNT):
                left, top = CELL * (cell % ACROSS), CELL * (cell // ACROSS)
                box = [left, top, 3, 3]
                shape = {"bbox": box, "area": 1000 - cell, "segmentation": [tools.polygon(box)], "iscrowd": 0}
                annotations.append({"id": len(annotations), "image_id": number, "category_id": cell % 2, **shape})
        document = {
            "images": [{"id": n, "file_name": name, "width": SIDE, "height": SIDE} for n, name in enumerate(names)],
            "annotations": annotations,
            "categories": [{"id": 0, "name": "cell"}, {"id": 1, "name": "grain"}],
        }
        file = root / "annotations" / f"instances_{split}.json"
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_text(json.dumps(document))
        for name in names:
            image = root / split / name
            image.parent.mkdir(exist_ok=True)
            Image.new("RGB", (SIDE, SIDE)).save(image)
    return root


@pytest.mark.parametrize("kept", [True, False], ids=["in memory", "from disk"])
def test_every_object_has_an_id_of_its_own(tmp_path, monkeypatch, kept):
    """As pycocotools draws them: the n-th object's pixels are n + 1, through the pipeline of training too."""
    monkeypatch.setattr(detection_folder, "fits_in_memory", lambda *of: kept)
    root = cells(tmp_path)
    train = load_dataset(DataSpec(str(root), image_size=SIDE, annotations="masks"), [].append).splits["train"]
    reference = COCO(str(root / "annotations" / "instances_train.json"))
    wanted = np.zeros((SIDE, SIDE), int)
    for number, each in enumerate(reference.loadAnns(reference.getAnnIds([0]))):
        wanted[reference.annToMask(each) > 0] = number + 1
    assert len(np.unique(wanted)) == COUNT + 1 > 256
    np.testing.assert_array_equal(train.objects.ids(0, SIDE), wanted)
    (_, truth), *_ = train.to_tf_dataset(np_rows(train.count), ids=True).as_numpy_iterator()
    assert truth["ids"].dtype == np.uint16 and (truth["ids"] == wanted).all()


def np_rows(count):
    import tensorflow as tf

    return tf.data.Dataset.range(count)


def split_of(count, side=SIDE):
    """Two images of `count` squares."""
    boxes = [[CELL * (n % ACROSS), CELL * (n // ACROSS)] for n in range(count)]
    boxes = [[left, top, left + 3, top + 3] for left, top in boxes]
    masks = []
    for left, top, right, bottom in boxes:
        mask = np.zeros((side, side), bool)
        mask[top:bottom, left:right] = True
        masks.append(encode_rle(mask))
    found = Annotation.from_boxes((side, side), boxes, np.arange(count) % 3, areas=np.arange(count, 0, -1), masks=masks)
    pixels = np.zeros((2, side, side, 3), np.uint8)
    return Split("train", np.zeros(2, np.int64), pixels, objects=pad_annotations([found, found], masks=True))


@pytest.mark.parametrize(("count", "kind"), [(255, np.uint8), (256, np.uint16), (COUNT, np.uint16)])
def test_masks_are_learned_of_the_object_that_they_are_of(count, kind):
    """The share of each cell that an object covers, for the first, the 255th, the 256th and the last one."""
    import tensorflow as tf

    from keras_resnet.tasks.mask_loss import _object_coverage

    ids = split_of(count).objects.ids(0, SIDE)
    assert ids.dtype == kind
    asked = [0, 254, min(255, count - 1), count - 1]
    covered = _object_coverage(tf.constant(ids[None]), tf.constant([asked]), SIDE).numpy()[0]
    for share, number in zip(covered, asked, strict=True):
        wanted = np.zeros((SIDE, SIDE))
        top, left = CELL * (number // ACROSS), CELL * (number % ACROSS)
        wanted[top : top + 3, left : left + 3] = 1
        np.testing.assert_array_equal(share, wanted)


@pytest.mark.parametrize(
    "augment", [AugmentSpec(), AugmentSpec(mosaic=1.0), AugmentSpec(copy_paste=1.0)], ids=["plain", "mosaic", "paste"]
)
def test_batches_keep_every_object(augment):
    """Of each object in the batch, the pixels of its id lie in its box; none has the ground's or another's."""
    stream = pipeline.TrainPipeline(split_of(COUNT), SIDE, 2, 3, lambda truth: truth, augment)
    most = 0
    for _, truth in stream.batches(0, 4).as_numpy_iterator():
        assert truth["ids"].dtype == np.uint16
        # Of plain images, what a window leaves too little of keeps its pixels' ids, which no object has then.
        for ids, labels, boxes in zip(truth["ids"], truth["labels"], truth["boxes"], strict=True):
            there = np.flatnonzero(labels >= 0)
            if augment != AugmentSpec():
                assert set(np.unique(ids)) <= {0, *(there + 1)}
            most = max(most, len(there))
            for number in there:
                ys, xs = np.nonzero(ids == number + 1)
                if len(xs):
                    left, top, right, bottom = boxes[number] * SIDE
                    assert (
                        left - 1 <= xs.min() and xs.max() < right + 1 and top - 1 <= ys.min() and ys.max() < bottom + 1
                    )
    assert most > 255


def test_more_than_two_bytes_tell_apart_is_refused():
    found = Annotation.from_boxes((9, 9), np.tile([0, 0, 1, 1], (MAX_OBJECTS + 1, 1)), np.zeros(MAX_OBJECTS + 1))
    with pytest.raises(DataError, match="an image shows 65,536 objects; up to 65,535 are supported"):
        pad_annotations([found])
    assert mask_id_dtype(MAX_OBJECTS) is np.uint16


def test_overlaps_edge_by_edge_are_those_of_whole_boxes():
    rng = np.random.default_rng(0)
    ours, theirs = (rng.uniform(0, 1, (20, 4)).astype(np.float32) for _ in range(2))
    for boxes in (ours, theirs):
        boxes[:15, 2:] += boxes[:15, :2]  # the others are inside out
    ours[0] = theirs[0]
    found = tensor_iou(ours[:, None], theirs[None]).numpy()
    np.testing.assert_array_equal(found, generalized_iou(ours[:, None], theirs[None])[0].numpy())
    np.testing.assert_allclose(found[:15, :15], iou(ours[:15, None], theirs[None, :15]), atol=1e-6)


@pytest.mark.slow
def test_a_segmenter_learns_images_of_many_objects(tmp_path):
    from keras_resnet.training.train import train

    spec = finding(source=str(cells(tmp_path / "cells", 8)), epochs=1).override("augment.mosaic", 0.5)
    run = train(spec.override("data.image_size", 64), tmp_path, "many", [].append)
    assert 0 < run.read_log()[-1]["mask"] <= 1
