"""What several tests of data watch."""

from pathlib import Path

import pytest

from keras_resnet.data.sources import image_folder


@pytest.fixture
def decoded(monkeypatch):
    """The files that were decoded since the list was cleared, "folder/name" each."""
    seen = []
    original = image_folder.read_image

    def read(path, *rest):
        seen.append("/".join(Path(path).parts[-2:]))
        return original(path, *rest)

    monkeypatch.setattr(image_folder, "read_image", read)
    return seen
