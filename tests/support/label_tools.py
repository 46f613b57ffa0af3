"""Folders of annotated images, written as label tools export them: their files, names, fields and habits.

What each tool writes was read from its exporter: Label Studio's converter, Datumaro (which CVAT exports by), VGG Image
Annotator's JavaScript; Roboflow's and FiftyOne's from their documentation and public datasets.
"""

import json
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image
from pycocotools import mask as rle

SIZE = (64, 48)
NAMES = ("cat", "dog")


def scene(image):
    """A cat to the left and a dog to the right, as (name, [left, top, width, height]), in the image called so."""
    rng = np.random.default_rng(list(image.encode()))
    found = []
    for half, name in enumerate(NAMES):
        left, top = rng.integers((32 * half + 1, 1), (32 * half + 10, 12))
        width, height = rng.integers((8, 8), (22, 34))
        found.append((name, [int(left), int(top), int(width), int(height)]))
    return found


def picture(file, size=SIZE):
    """An image file in the format of its suffix."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "teal").save(file)


def polygon(box):
    left, top, width, height = box
    return [left, top, left + width, top, left + width, top + height, left, top + height]


def run_lengths(box):
    """As Datumaro has a mask: an uncompressed code, column by column, the ground first."""
    left, top, width, height = box
    mask = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    mask[top : top + height, left : left + width] = 1
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.ravel("F"), [0]])))
    runs = np.diff(np.concatenate([[0], edges, [mask.size]]))
    return {"counts": runs[runs > 0].tolist() if runs[0] else runs.tolist(), "size": [SIZE[1], SIZE[0]]}


def compressed(box):
    """As COCO's own tools write a mask."""
    code = rle.frPyObjects(run_lengths(box), SIZE[1], SIZE[0])
    return {"size": code["size"], "counts": code["counts"].decode()}


def coco(file, names, first=1, categories=None, mark=None, called=str, ids=lambda number: number, **fields):
    """Write a document of the images called `names` to `file`. mark(box) → further fields of an annotation."""
    categories = categories or [{"id": k + first, "name": name, "supercategory": ""} for k, name in enumerate(NAMES)]
    known = {each["name"]: each["id"] for each in categories}
    images, annotations = [], []
    for number, name in enumerate(names):
        known_as = ids(number + first)
        images.append({"id": known_as, "file_name": called(name), "width": SIZE[0], "height": SIZE[1]})
        for kind, box in scene(name):
            extra = mark(box) if mark else {"segmentation": []}
            area = box[2] * box[3]
            annotations.append(
                {"id": len(annotations) + first, "image_id": known_as, "category_id": known[kind], "bbox": box}
                | {"area": area, "iscrowd": 0}
                | extra
            )
    file.parent.mkdir(parents=True, exist_ok=True)
    document = {"info": {}, "licenses": [], "categories": categories, "images": images, "annotations": annotations}
    file.write_text(json.dumps(document | fields))


def scene_names(split, count):
    return [f"{split} {number}.jpg" for number in range(count)]


COUNTS = {"train": 5, "validation": 3, "test": 2}


def cvat_coco(root):
    """CVAT 1.0 "COCO": a file for each subset; brush masks are run-length codes with iscrowd 1."""
    for split, subset in (("train", "Train"), ("validation", "Validation"), ("test", "Test")):
        names = scene_names(split, COUNTS[split])
        coco(
            root / "annotations" / f"instances_{subset}.json",
            names,
            mark=lambda box: {
                "segmentation": run_lengths(box),
                "iscrowd": 1,
                "attributes": {"occluded": False, "rotation": 0.0},
            },
        )
        for name in names:
            picture(root / "images" / subset / name)


def roboflow_coco(root):
    """Roboflow "COCO": a root category without objects, ids from 0, images beside the file."""
    categories = [{"id": 0, "name": "animals", "supercategory": "none"}]
    categories += [{"id": k + 1, "name": name, "supercategory": "animals"} for k, name in enumerate(NAMES)]
    for split, folder in (("train", "train"), ("validation", "valid"), ("test", "test")):
        names = scene_names(split, COUNTS[split])
        coco(root / folder / "_annotations.coco.json", names, first=0, categories=categories)
        for name in names:
            picture(root / folder / name)
    (root / "README.roboflow.txt").write_text("exported")


def label_studio_coco(root, called=lambda name: f"images\\{name}"):
    """Label Studio "COCO" on Windows: result.json, images/, ids from 0, boxes without a mask."""
    names = scene_names("train", COUNTS["train"])
    coco(root / "result.json", names, first=0, called=called, mark=lambda box: {"segmentation": [], "ignore": 0})
    for name in names:
        picture(root / "images" / name)


def fiftyone_coco(root):
    """FiftyOne "COCODetectionDataset": labels.json and data/, in a folder for each split."""
    for split in ("train", "validation"):
        names = scene_names(split, COUNTS[split])
        coco(root / split / "labels.json", names, first=0, mark=lambda box: {"segmentation": [polygon(box)]})
        for name in names:
            picture(root / split / "data" / name)


def fiftyone_flat_coco(root):
    """The same without splits."""
    names = scene_names("train", COUNTS["train"])
    coco(root / "labels.json", names, mark=lambda box: {"segmentation": [polygon(box)]})
    for name in names:
        picture(root / "data" / name)


def via_coco(root):
    """VGG Image Annotator "COCO": points have no box and no area, and a category that is no number is null."""
    names = scene_names("train", COUNTS["train"])
    file = root / "via_export_coco.json"
    coco(file, names, mark=lambda box: {"segmentation": [polygon(box)]})
    document = json.loads(file.read_text())
    point = {"segmentation": [[]], "area": [], "bbox": [], "iscrowd": 0, "keypoints": [5, 5, 2], "num_keypoints": 1}
    document["annotations"] += [
        {**point, "id": 901, "image_id": 1, "category_id": 1},
        {**document["annotations"][0], "id": 902, "category_id": None},
    ]
    file.write_text(json.dumps(document))
    for name in names:
        picture(root / name)


def mixed_masks_coco(root):
    """COCO's own layout, the three kinds of masks in turn."""
    kinds = (lambda box: [polygon(box)], run_lengths, compressed)
    for split, folder in (("train", "train2017"), ("validation", "val2017")):
        names = scene_names(split, COUNTS[split])
        coco(
            root / "annotations" / f"instances_{folder}.json",
            names,
            mark=lambda box: {"segmentation": kinds[sum(box) % 3](box)},
        )
        for name in names:
            picture(root / folder / name)


def voc(file, image, objects, size=SIZE, extra="", first=1, number=str):
    """A file of annotations; pixels count from `first`."""
    parts = [
        f"<object><name>{escape(name)}</name><pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult>"
        f"<bndbox><xmin>{number(box[0] + first)}</xmin><ymin>{number(box[1] + first)}</ymin>"
        f"<xmax>{number(box[0] + box[2])}</xmax><ymax>{number(box[1] + box[3])}</ymax></bndbox></object>"
        for name, box in objects
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        f"<annotation><folder>f</folder><filename>{escape(image)}</filename>{extra}<size><width>{size[0]}</width>"
        f"<height>{size[1]}</height><depth>3</depth></size><segmented>0</segmented>{''.join(parts)}</annotation>"
    )


def stem(name):
    return name.rpartition(".")[0]


def voc2007(root):
    """Pascal VOC as it is distributed: trainval and test alone, and lists of single classes."""
    main = root / "ImageSets" / "Main"
    main.mkdir(parents=True)
    for split, listed in (("train", "trainval"), ("test", "test")):
        names = scene_names(split, COUNTS[split])
        (main / f"{listed}.txt").write_text("".join(f"{stem(name)}\n" for name in names))
        (main / f"cat_{listed}.txt").write_text("".join(f"{stem(name)}  1\n" for name in names))
        for name in names:
            voc(root / "Annotations" / f"{stem(name)}.xml", name, scene(name))
            picture(root / "JPEGImages" / name)


def cvat_voc(root):
    """CVAT "PASCAL VOC": subsets by name, images in subfolders, numbers with decimals that count from 0."""
    main = root / "ImageSets" / "Main"
    main.mkdir(parents=True)
    (root / "labelmap.txt").write_text("# label:color_rgb:parts:actions\ncat:1,2,3::\n")
    for split, subset in (("train", "Train"), ("validation", "Validation"), ("test", "Test")):
        names = scene_names(split, COUNTS[split])
        (main / f"{subset}.txt").write_text("".join(f'"day 1/{stem(name)}"\n' for name in names))
        for name in names:
            objects = [*scene(name), ("dog", [0, 0, 9, 9])] if name == "train 0.jpg" else scene(name)
            file = root / "Annotations" / "day 1" / f"{stem(name)}.xml"
            voc(file, f"day 1/{name}", objects, first=0, number=lambda value: f"{value:.2f}")
            picture(root / "JPEGImages" / "day 1" / name)


def roboflow_voc(root):
    """Roboflow "Pascal VOC": a folder for each split, FILE.xml beside FILE.jpg."""
    for split, folder in (("train", "train"), ("validation", "valid"), ("test", "test")):
        for name in scene_names(split, COUNTS[split]):
            voc(root / folder / f"{stem(name)}.xml", name, scene(name), extra=f"<path>{name}</path>")
            picture(root / folder / name)


def label_img_voc(root, suffix=".JPG"):
    """labelImg beside the images of a camera."""
    for name in scene_names("train", COUNTS["train"]):
        image = stem(name) + suffix
        extra = f"<path>C:\\photos\\{image}</path><source><database>Unknown</database></source>"
        voc(root / f"{stem(name)}.xml", image, scene(name), extra=extra)
        picture(root / image)


def label_studio_voc(root):
    """Label Studio "Pascal VOC": images/ beside Annotations/, a <filename> without suffix."""
    for name in scene_names("train", COUNTS["train"]):
        voc(root / "Annotations" / f"{stem(name)}.xml", stem(name), scene(name))
        picture(root / "images" / name)


def fiftyone_voc(root):
    """FiftyOne "VOCDetectionDataset": data/ and labels/."""
    for name in scene_names("train", COUNTS["train"]):
        voc(root / "labels" / f"{stem(name)}.xml", name, scene(name))
        picture(root / "data" / name)
