"""Folders of drawn shapes, as COCO lays its files out."""

import json

import numpy as np
from PIL import Image
from pycocotools import mask as rle

from keras_resnet.data.sources import shapes

# COCO's ids have gaps, and here they are in another order than the names.
CATEGORIES = {7: "star", 3: "circle", 90: "cross"}


def coco_folder(root, images=24):
    """Drawn shapes in COCO's own layout: polygons, run-length codes of both kinds, crowds; and what is wrong in real
    files: a box without an area, an image that is missing, annotations of what is not listed."""
    (root / "annotations").mkdir(parents=True)
    for split, first in (("train2017", 0), ("val2017", 1000)):
        (root / split).mkdir()
        document = {
            "images": [],
            "annotations": [],
            "categories": [{"id": k, "name": n} for k, n in CATEGORIES.items()],
        }
        for number in range(first, first + images):
            drawing = shapes.draw(number)
            wide = np.pad(drawing.image, ((0, 0), (0, 32), (0, 0)))
            Image.fromarray(wide).save(root / split / f"{number:012}.jpg", quality=95)
            document["images"].append({"id": number, "file_name": f"{number:012}.jpg", "height": 128, "width": 160})
            if number % 8 == 7:
                continue  # an image that shows nothing that is asked for
            for row, (kind, box) in enumerate(zip(drawing.kinds, drawing.boxes, strict=True)):
                mask = np.asfortranarray(np.pad(drawing.ids == row + 1, ((0, 0), (0, 32))).astype(np.uint8))
                left, top, right, bottom = map(float, box)
                code = rle.encode(mask)
                counts = np.diff(np.flatnonzero(np.diff(np.concatenate([[2], mask.ravel("F"), [2]]))))
                segmentation = (
                    [[left, top, right, top, right, bottom, left, bottom]],
                    {"size": [128, 160], "counts": ([0] if mask[0, 0] else []) + counts.tolist()},
                    {"size": [128, 160], "counts": code["counts"].decode()},
                )[row % 3]
                document["annotations"].append(
                    {
                        "id": len(document["annotations"]) + 1,
                        "image_id": number,
                        "category_id": sorted(CATEGORIES)[kind % 3],
                        "bbox": [left, top, right - left, bottom - top],
                        "area": float(mask.sum()),
                        "iscrowd": int(row == 4),
                        "segmentation": segmentation,
                    }
                )
        extra = document["annotations"][0]
        document["annotations"] += [
            {**extra, "id": 10001, "bbox": [5, 5, 0, 9]},
            {**extra, "id": 10002, "image_id": 999999},
            {**extra, "id": 10003, "category_id": 8},
        ]
        document["images"].append({"id": 777, "file_name": "missing.jpg", "height": 128, "width": 160})
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(document))
    return root


SQUARE = [[8, 8, 40, 8, 40, 40, 8, 40]]


def tiny_coco(root, split, segmentation=None, changed=None, categories=((1, "cat"), (2, "dog"))):
    """Two images of 64 × 48 pixels with a cat and a dog each; the first cat with this mask, and with what is
    `changed`."""
    images = [{"id": n, "file_name": f"{split} {n}.png", "width": 64, "height": 48} for n in (1, 2)]
    annotations = [
        {"image_id": n, "category_id": k, "bbox": [8, 8, 32, 32], "segmentation": SQUARE}
        for n in (1, 2)
        for k, _ in categories
    ]
    annotations[0] |= {"segmentation": SQUARE if segmentation is None else segmentation} | (changed or {})
    named = [{"id": known, "name": name} for known, name in categories]
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    document = {"images": images, "annotations": annotations, "categories": named}
    (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(document))
    for each in images:
        write_image(root / split / each["file_name"], (64, 48))


def write_image(file, size):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "teal").save(file)
