"""What small sets for TensorFlow Datasets share."""

from pathlib import Path

import tensorflow_datasets as tfds


class LabeledImages(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Images of two classes, all for training. A subclass has a `name` and generates them."""

    pkg_dir_path = Path(__file__).parent
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {"image": tfds.features.Image(), "label": tfds.features.ClassLabel(num_classes=2)}
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features), supervised_keys=("image", "label")
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}
