"""Folders in Pascal VOC's layout, and what is read of them."""

from keras_resnet.config.spec import DataSpec
from keras_resnet.data.load import load_dataset


def opened(root, **fields):
    told = []
    data = load_dataset(DataSpec(str(root), image_size=64, **{"annotations": "objects", **fields}), told.append)
    return data, told


def images_of(data):
    """By split, the names of image files; of data that are read from disk."""
    return {name: sorted(file.rpartition("/")[2] for file in part.images.files) for name, part in data.splits.items()}


def all_images_of(data):
    return sorted(name for names in images_of(data).values() for name in names)


def objects_in(data):
    return sum(int((part.objects.labels >= 0).sum()) for part in data.splits.values())


def rewritten(root, change, name="train 0.xml"):
    file = next(root.rglob(name))
    text = file.read_text()
    assert change(text) != text
    file.write_text(change(text))
