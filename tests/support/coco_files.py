"""Files in COCO's format that a test changes, and what is read of them."""

import json

import label_tools as tools

from keras_resnet.config.spec import DataSpec
from keras_resnet.data.load import load_dataset
from keras_resnet.runtime.plurals import worded

HUGE = 10**400


def written(root, change=None, count=5, mark=lambda box: {"segmentation": [tools.polygon(box)]}):
    """A folder in COCO's layout whose one file is `change`d before it is written."""
    names = tools.scene_names("train", count)
    file = root / "annotations" / "instances_train.json"
    tools.coco(file, names, mark=mark)
    for name in names:
        tools.picture(root / "train" / name)
    if change:
        document = json.loads(file.read_text())
        change(document)
        file.write_text(json.dumps(document))
    return file


def opened(root, annotations="objects", **fields):
    told = []
    data = load_dataset(DataSpec(str(root), image_size=64, annotations=annotations, **fields), told.append)
    return data, told


def counted(told, words):
    return [line for line in told if line.startswith(f"left out {worded(1, words)}")]


def objects_in(data):
    return sum(int((part.objects.labels >= 0).sum()) for part in data.splits.values())
