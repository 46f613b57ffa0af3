"""Code from the pages in docs/, to be compiled or run; and how images are placed, to compare with."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_resnet.runtime.image import preprocess

ROOT = Path(__file__).parents[2]
STUBS = Path(__file__).parents[1] / "stubs"
# As a file says of itself, for a task that sees the center and one that sees all.
CARDS = [{"preprocessing": each, "resize": 256, "image_size": 224} for each in ("center_crop", "letterbox")]
# Images that are wide, square and high.
SIZES = ((640, 427), (300, 300), (330, 501))
# Inputs of other shapes.
OTHER_CARDS = [
    {"preprocessing": "center_crop", "resize": [165, 219], "image_size": [144, 192]},
    {"preprocessing": "letterbox", "resize": [160, 320], "image_size": [160, 320]},
    {"preprocessing": "stretch", "resize": [160, 320], "image_size": [160, 320]},
    {"preprocessing": "stretch", "resize": 200, "image_size": 200},
]


def blocks(page, language):
    """The fenced blocks of a language on a page, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / "docs" / f"{page}.md").read_text(), re.M | re.S)


def tool(name):
    """The path of a program that continuous integration has, and other machines may lack."""
    found = shutil.which(name)
    if found is None and os.environ.get("CI"):
        pytest.fail(f"{name} is not installed")
    return found or pytest.skip(f"{name} is not installed")


def ran(*command, cwd):
    """The standard output of a command that has to end well; Python sees this checkout."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def assert_placed(card, size, taken, given):
    """That the part `taken` of an image of (width, height) `size` stands at `given` on the square, both as (left, top,
    width, height) in pixels, as our own transform has it: seen by an image whose colours say where they come from."""
    x, y = np.meshgrid(*(np.linspace(0, 255, edge) for edge in size))
    image = Image.fromarray(np.stack([x, y, np.full_like(x, 255)], axis=-1).round().astype(np.uint8))
    pixels = preprocess(image, card["preprocessing"], card["resize"], card["image_size"]).astype(int)
    ys, xs = np.nonzero(pixels[..., 2] > 127)
    assert [*given] == [xs[0], ys[0], xs[-1] - xs[0] + 1, ys[-1] - ys[0] + 1]
    for axis in (0, 1):
        ends = pixels[ys[0], xs[0], axis], pixels[ys[-1], xs[-1], axis]
        start, length = taken[axis], taken[axis + 2]
        assert np.array(ends) / 255 * size[axis] == pytest.approx([start, start + length], abs=0.01 * size[axis])
