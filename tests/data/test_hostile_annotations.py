"""Every value of a file of annotations, in turn replaced by what no tool writes: answered, or refused in a sentence."""

import copy
import json
import xml.etree.ElementTree as ET
from collections import Counter

import label_tools as tools
import numpy as np
import pytest
from samples import silent

from keras_resnet.config.spec import DataSpec
from keras_resnet.data.load import load_dataset
from keras_resnet.errors import DataError

VALUES = (
    *(None, True, -1, 0, 0.5, 10**400, -(10**30), 1e308, float("nan"), float("inf")),
    *("", "words", "0", "\0", "../../x", "é" * 3000, "b'x'", "\ud800"),
    *([], {}, [[]], [None], [[[1]]], [1, 2, 3, 4], {"counts": "x", "size": [48, 64]}),
)
TEXTS = ("", " ", "-1", "0", "nan", "inf", "1e308", "9" * 400, "words", "../../x", "é" * 3000, "1,5")


def outcome(root, annotations):
    """What becomes of a folder: all that may be raised is a sentence."""
    spec = DataSpec(str(root), image_size=8, annotations=annotations, max_unreadable=0.9)
    try:
        data = load_dataset(spec, silent)
    except DataError as error:
        assert "\n" not in str(error) and len(str(error)) < 5000
        return "refused"
    for part in data.splits.values():
        boxes = part.objects.boxes[part.objects.labels >= 0]
        assert np.isfinite(boxes).all() and (boxes >= 0).all() and (boxes <= 1).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all() and np.isfinite(part.objects.areas).all()
    return "answered"


def places(node, path=()):
    """The path to every value in a JSON document."""
    yield path
    if isinstance(node, (dict, list)):
        for key in node if isinstance(node, dict) else range(min(len(node), 2)):
            yield from places(node[key], (*path, key))


def replaced(document, path, value):
    if not path:
        return value
    changed = copy.deepcopy(document)
    node = changed
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return changed


@pytest.mark.parametrize(
    "kind", ["compressed", *(pytest.param(each, marks=pytest.mark.slow) for each in ("polygon", "run lengths"))]
)
def test_values_of_json(tmp_path, kind):
    masks = {
        "polygon": lambda box: [tools.polygon(box)],
        "run lengths": tools.run_lengths,
        "compressed": tools.compressed,
    }
    names = tools.scene_names("train", 2)
    file = tmp_path / "annotations" / "instances_train.json"
    tools.coco(file, names, mark=lambda box: {"segmentation": masks[kind](box), "attributes": {"rotation": 0.0}})
    for name in names:
        tools.picture(tmp_path / "train" / name)
    document = json.loads(file.read_text())
    counts = Counter()
    fields = [path for path in places(document) if kind == "polygon" or "segmentation" in path]
    for path in fields:
        for value in VALUES:
            file.write_text(json.dumps(replaced(document, path, value)))
            counts[outcome(tmp_path, "masks" if "segmentation" in path else "objects")] += 1
    assert sum(counts.values()) == len(fields) * len(VALUES)
    # Without the one mask the others are learned; all else refuses some values.
    assert counts["answered"] > 100 and (counts["refused"] > 100) == (kind == "polygon")
    print(kind, dict(counts))


def test_texts_of_xml(tmp_path):
    for name in tools.scene_names("train", 2):
        tools.voc(tmp_path / f"{tools.stem(name)}.xml", name, tools.scene(name))
        tools.picture(tmp_path / name)
    file = tmp_path / "train 0.xml"
    original = file.read_text()
    counts = Counter()
    for number, element in enumerate(ET.fromstring(original).iter()):
        for text in (*TEXTS, None):
            tree = ET.fromstring(original)
            parents = {child: parent for parent in tree.iter() for child in parent}
            changed = list(tree.iter())[number]
            if text is None and changed in parents:
                parents[changed].remove(changed)
            else:
                changed.text = text
            file.write_bytes(ET.tostring(tree, "utf-8"))
            counts[outcome(tmp_path, "objects")] += 1
        assert element.tag
    assert counts["answered"] > 100
    print(dict(counts))


def test_bytes_that_are_damaged(tmp_path):
    """A tenth of both kinds of files each, turned, cut or doubled at random places."""
    rng = np.random.default_rng(0)
    counts = Counter()
    for kind, make in (("json", tools.fiftyone_flat_coco), ("xml", tools.label_img_voc)):
        root = tmp_path / kind
        make(root)
        file = sorted(root.rglob(f"*.{kind}"))[0]
        original = file.read_bytes()
        for _ in range(60):
            data = bytearray(original)
            at = int(rng.integers(len(data)))
            how = rng.integers(4)
            if how == 0:
                data[at] = int(rng.integers(256))
            elif how == 1:
                del data[at:]
            elif how == 2:
                del data[at : at + int(rng.integers(1, 30))]
            else:
                data[at:at] = data[at : at + int(rng.integers(1, 300))]
            file.write_bytes(bytes(data))
            counts[outcome(root, "objects")] += 1
    assert sum(counts.values()) == 120 and min(counts["answered"], counts["refused"]) > 0
    print(dict(counts))
