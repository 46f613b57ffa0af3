"""YOLO's layout: boxes and polygons, where Ultralytics looks for files, and what is refused."""

import numpy as np
import pytest
from pycocotools import mask as rle
from yolo_layout import SIZES, config, folder, label, opened, picture

from keras_resnet.data.annotations import decode_rle
from keras_resnet.errors import DataError


def found_in(split, row):
    """(label, box in pixels of the image) of each object."""
    truth = split.objects
    there = truth.labels[row] >= 0
    return list(zip(truth.labels[row][there].tolist(), truth.boxes[row][there] * max(truth.sizes[row]), strict=True))


def inside_polygon(points, size):
    """bool (height, width): the pixels whose middle is inside, by counting the edges that a ray to the right meets."""
    y, x = np.mgrid[: size[1], : size[0]] + 0.5
    within = np.zeros((size[1], size[0]), bool)
    for (x1, y1), (x2, y2) in zip(points, np.roll(points, -1, axis=0), strict=True):
        if y1 != y2:
            crosses = (y1 > y) != (y2 > y)
            within ^= crosses & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
    return within


def test_boxes_are_those_of_the_files(tmp_path):
    rng, wanted = np.random.default_rng(0), {}
    for split in ("train", "val"):
        for number, size in enumerate(SIZES):
            name = f"{split}{number}"
            picture(tmp_path / "images" / split / f"{name}.png", size)
            sides = rng.uniform(0.1, 0.4, (3, 2))
            middles = rng.uniform(sides / 2, 1 - sides / 2)
            labels = rng.integers(0, 2, 3)
            rows = zip(labels, middles, sides, strict=True)
            lines = [f"{kind} {cx:.6f} {cy:.6f} {w:.6f} {h:.6f}" for kind, (cx, cy), (w, h) in rows]
            label(tmp_path / "labels" / split / f"{name}.txt", *lines)
            corners = np.concatenate([middles - sides / 2, middles + sides / 2], axis=1) * np.tile(size, 2)
            wanted[name] = (labels, corners, sides.prod(axis=1))
    config(tmp_path)
    data = opened(tmp_path)
    assert data.classes == ("cat", "dog")
    for name, prefix in (("train", "train"), ("validation", "val")):
        split = data.splits[name]
        assert split.count == len(SIZES)
        for row, size in enumerate(SIZES):
            labels, corners, areas = wanted[f"{prefix}{row}"]
            order = np.argsort(-areas)  # the largest first
            assert split.objects.sizes[row].tolist() == list(size)
            found = found_in(split, row)
            assert [kind for kind, _ in found] == labels[order].tolist()
            np.testing.assert_allclose([box for _, box in found], corners[order], atol=1e-3)


@pytest.mark.parametrize("size", SIZES)
def test_polygons_are_masks_with_their_boxes(tmp_path, size):
    triangle = np.array([[0.1, 0.2], [0.9, 0.3], [0.4, 0.95]])
    bent = np.array([[0.05, 0.05], [0.8, 0.05], [0.8, 0.4], [0.45, 0.4], [0.45, 0.9], [0.05, 0.9]])
    lines = [
        f"{kind} {' '.join(f'{value:.6f}' for value in each.ravel())}" for kind, each in ((1, triangle), (0, bent))
    ]
    for split in ("train", "val"):
        picture(tmp_path / "images" / split / f"{split}.png", size)
        label(tmp_path / "labels" / split / f"{split}.txt", *lines)
    config(tmp_path, val="images/val")
    split = opened(tmp_path, annotations="masks").splits["train"]
    assert split.objects.labels.tolist() == [[0, 1]]  # the largest first
    for column, points in enumerate((bent * size, triangle * size)):
        mask = decode_rle(split.objects.masks[0, column], size)
        code = rle.merge(rle.frPyObjects([points.ravel().tolist()], size[1], size[0]))
        np.testing.assert_array_equal(mask, rle.decode(code))
        middles = inside_polygon(points, size)
        assert (mask & middles).sum() / (mask | middles).sum() > 0.88
        _, box = found_in(split, 0)[column]
        np.testing.assert_allclose(box, [*points.min(axis=0), *points.max(axis=0)], atol=1e-3)
        x, y = points.T
        edges = (x[i] * y[(i + 1) % len(x)] - x[(i + 1) % len(x)] * y[i] for i in range(len(x)))
        assert split.objects.areas[0, column] == pytest.approx(abs(sum(edges)) / 2, rel=1e-4)
    assert {kind for kind, _ in found_in(opened(tmp_path).splits["train"], 0)} == {0, 1}


def test_boxes_have_no_masks(tmp_path):
    told = []
    polygon = "1 0.1 0.1 0.8 0.1 0.8 0.8"
    data = opened(folder(tmp_path, ["0 0.5 0.5 0.2 0.2", polygon]), told, annotations="masks")
    assert data.splits["train"].objects.labels.tolist() == [[1], [1]]
    assert "left out 4 objects that are boxes and have no mask (first: train0.txt)" in told
    with pytest.raises(DataError, match=r"left out were 4 objects that are boxes and have no mask"):
        opened(folder(tmp_path), annotations="masks")


def test_images_without_a_label_file_show_nothing(tmp_path):
    folder(tmp_path)
    (tmp_path / "labels" / "val" / "val0.txt").unlink()
    (tmp_path / "labels" / "train" / "train0.txt").write_text("\n")
    told = []
    data = opened(tmp_path, told)
    assert data.splits["train"].count == 1 and data.splits["validation"].count == 2
    assert data.splits["validation"].objects.labels[:, 0].tolist() == [-1, 0]
    assert any("which shows no object" in line for line in told)


def roboflow(root):
    """../ of a folder that data.yaml does not lie in."""
    for split in ("train", "valid"):
        picture(root / split / "images" / f"{split}.jpg")
        label(root / split / "labels" / f"{split}.txt", "1 0.5 0.5 0.5 0.5")
    config(root, train="../train/images", val="../valid/images", test="../test/images", nc=2)


def lists(root):
    """As CVAT and Darknet have them, with paths of another machine and such that begin with ./."""
    folder(root)
    (root / "train.txt").write_text("./images/train/train0.png\n\ndata/images/train/train1.png\r\n")
    (root / "val.txt").write_text("/content/set/images/val/val0.png\n")
    config(root, train="train.txt", val=["val.txt"])


def numbered_names(root):
    folder(root, names={"1": "dog", "0": "cat"})
    text = "names:\n  1: dog\n  0: cat\npath: /content/elsewhere\ntrain: images/train\nval: images/val\n"
    (root / "data.yaml").write_text(text)


def beside(root):
    """Labels lie beside images that are in no folder called images."""
    for split in ("train", "val"):
        picture(root / split / f"{split}.png")
        label(root / split / f"{split}.txt", "1 0.5 0.5 0.5 0.5")
    config(root, train="train", val="val")


def path_within(root):
    folder(root / "set")
    (root / "set" / "data.yaml").unlink()
    config(root, "data.yml", path="./set")


def one_folder(root):
    """All for training; a share is held out."""
    for number in range(5):
        picture(root / "images" / f"{number}.png")
        label(root / "labels" / f"{number}.txt", "1 0.5 0.5 0.5 0.5")
    config(root, train="images", val=None)


@pytest.mark.parametrize("write", [roboflow, lists, numbered_names, beside, path_within, one_folder])
def test_where_tools_put_their_files(tmp_path, write):
    write(tmp_path)
    data = opened(tmp_path)
    assert data.classes == ("cat", "dog") and {"train", "validation"} <= set(data.splits)
    counts = {roboflow: (1, 1), lists: (2, 1), beside: (1, 1), one_folder: (4, 1)}
    assert tuple(data.splits[name].count for name in ("train", "validation")) == counts.get(write, (2, 2))
    assert all(found_in(split, row) for split in data.splits.values() for row in range(split.count))


def test_the_last_folder_called_images_counts(tmp_path):
    for split in ("train", "val"):
        picture(tmp_path / "images" / split / "images" / f"{split}.png")
        label(tmp_path / "images" / split / "labels" / f"{split}.txt", "0 0.5 0.5 0.5 0.5")
    config(tmp_path)
    assert found_in(opened(tmp_path).splits["train"], 0)


def test_what_is_left_out_is_counted(tmp_path):
    lines = ["0 0.5 0.5 0.5 0.5", "0 0.5 0.5 0.5 0.5", "1 0.5 0.5 0 0.5", "1 0.9 0.5 0.5 0.5"]
    told = []
    data = opened(folder(tmp_path, lines), told)
    assert [kind for kind, _ in found_in(data.splits["train"], 0)] == [0, 1]
    assert "left out 4 lines that repeat another one of their file exactly (first: train0.txt)" in told
    assert "left out 4 boxes without an area (first: train0.txt)" in told
    assert "4 boxes that reach beyond their image, cut at its edge (first: train0.txt)" in told


def test_coordinates_beyond_the_edge_by_rounding(tmp_path):
    data = opened(folder(tmp_path, ["0 -0.000001 0.2 1.000002 0.2 1.0 1.000001 0.3 0.9"]))
    (_, box), *_ = found_in(data.splits["train"], 0)
    assert box.min() >= 0 and (box[2:] <= SIZES[0]).all()


def test_test_images_without_labels(tmp_path):
    picture(tmp_path / "images" / "test" / "1.png")
    told = []
    assert set(opened(folder(tmp_path, test="images/test"), told).splits) == {"train", "validation"}
    assert any(line.startswith("left out 1 test split, of which no image has a label file") for line in told)
