"""All data layouts, in the order in which they are tried: a new one is a file in this folder and a line here."""

from __future__ import annotations

from keras_resnet.data.sources.coco import COCO
from keras_resnet.data.sources.image_folder import ImageFolder
from keras_resnet.data.sources.manifest import Manifest
from keras_resnet.data.sources.source import Source
from keras_resnet.data.sources.tfds import TFDS
from keras_resnet.data.sources.voc import PascalVOC
from keras_resnet.data.sources.yolo import YOLO

SOURCES: tuple[Source, ...] = (
    TFDS(),
    COCO(),
    PascalVOC(),
    Manifest(),
    YOLO(),
    ImageFolder(),
)
