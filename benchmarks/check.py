"""What `kresnet check` finds of what is known to be wrong: recall and precision of every kind of finding.

    python benchmarks/check.py [--images 300] [--folder signs]
    python benchmarks/check.py --model resnet20 --image-size 32

A folder of drawn signs in five classes is made, always the same one, with planted faults: exact and near duplicates
across the splits, blank, dark, blurred and unreadable images, and 5% of the labels wrong. A network is trained on it
from random weights, wrong labels included, and checks it.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

CLASSES = ["circle", "square", "triangle", "cross", "ring"]
WRONG_LABELS = 0.05
COPIES, BLANK, DARK, BLURRED, UNREADABLE = 8, 5, 5, 8, 2
# What was planted: names of files by kind of finding; of duplicates pairs of names.
Planted = dict[str, list[str] | list[list[str]]]


class Signs:
    """A folder of signs: `images` of each class in train/, a quarter of that in val/. Chance is drawn by a fixed
    seed. planted: see `Planted`."""

    def __init__(self, root: Path, images: int) -> None:
        shutil.rmtree(root, ignore_errors=True)
        self.root, self.planted = root, Planted()
        self._random, self._numpy = random.Random(0), np.random.default_rng(0)
        self._used: set[str] = set()
        for split, count in (("train", images), ("val", images // 4)):
            for name in CLASSES:
                (root / split / name).mkdir(parents=True)
                for number in range(count):
                    self._draw(name).save(root / split / name / f"{name}_{split}_{number:03d}.jpg", quality=92)
        self._plant_copies()
        self._plant_bad_images()
        self._plant_wrong_labels()

    def _draw(self, name: str) -> Image.Image:
        """Draw a sign of noise-like color on a ground of another, somewhere and of some size."""
        draw, numpy = self._random, self._numpy
        width, height = draw.randint(90, 160), draw.randint(90, 120)
        base = numpy.integers(30, 220, 3)
        noise = numpy.normal(0, 18, (height // 4 + 1, width // 4 + 1, 3))
        ground = Image.fromarray(np.clip(base + noise, 0, 255).astype("uint8"))
        values = np.asarray(ground.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
        grain = numpy.normal(0, 8, (height, width, 3))
        image = Image.fromarray(np.clip(values + grain, 0, 255).astype("uint8"))
        color = (base + numpy.integers(80, 175, 3)) % 256
        fill = (int(color[0]), int(color[1]), int(color[2]))
        r = draw.randint(18, 34)
        x, y = draw.randint(r + 4, width - r - 4), draw.randint(r + 4, height - r - 4)
        canvas, whole = ImageDraw.Draw(image), (x - r, y - r, x + r, y + r)
        if name == "circle":
            canvas.ellipse(whole, fill=fill)
        elif name == "square":
            canvas.rectangle(whole, fill=fill)
        elif name == "triangle":
            canvas.polygon([(x, y - r), (x - r, y + r), (x + r, y + r)], fill=fill)
        elif name == "cross":
            canvas.rectangle((x - r, y - r // 4, x + r, y + r // 4), fill=fill)
            canvas.rectangle((x - r // 4, y - r, x + r // 4, y + r), fill=fill)
        else:
            canvas.ellipse(whole, outline=fill, width=7)
        return image

    def _list(self, split: str, unused: bool = True) -> list[Path]:
        files = sorted((self.root / split).rglob("*.jpg"))
        return [file for file in files if not (unused and file.name in self._used)]

    def _pick(self, count: int) -> list[Path]:
        return self._random.sample(self._list("train"), count)

    def _plant_copies(self) -> None:
        """Copy training images to val/: as they are, and smaller, brighter and compressed again."""
        for kind, prefix in (("exact_duplicate_across_splits", "copy_"), ("near_duplicate_across_splits", "near_")):
            pairs = []
            for file in self._pick(COPIES):
                copy = self.root / "val" / file.parent.name / f"{prefix}{file.name}"
                if prefix == "copy_":
                    shutil.copy(file, copy)
                else:
                    image = Image.open(file)
                    image = image.resize((image.width * 3 // 4, image.height * 3 // 4))
                    image.point(lambda value: min(255, int(value * 1.08))).save(copy, quality=70)
                self._used |= {file.name, copy.name}
                pairs.append([file.name, copy.name])
            self.planted[kind] = pairs

    def _plant_bad_images(self) -> None:
        changes: dict[str, tuple[int, Callable[[Image.Image], Image.Image]]] = {
            "blank": (BLANK, lambda image: Image.new("RGB", image.size, (200, 200, 205))),
            "dark": (DARK, lambda image: image.point(lambda value: value // 8)),
            "blurred": (
                BLURRED,
                lambda image: image.filter(ImageFilter.GaussianBlur(self._random.choice([5, 7, 9]))),
            ),
        }
        for kind, (count, change) in changes.items():
            files = self._pick(count)
            for file in files:
                change(Image.open(file).convert("RGB")).save(file, quality=92)
            self._use(kind, files)
        files = self._pick(UNREADABLE)
        for file in files:
            file.write_bytes(file.read_bytes()[:300])
        self._use("unreadable", files)

    def _plant_wrong_labels(self) -> None:
        moved = []
        for split in ("train", "val"):
            count = round(WRONG_LABELS * len(self._list(split, unused=False)))
            for file in self._random.sample(self._list(split), count):
                other = self._random.choice([name for name in CLASSES if name != file.parent.name])
                shutil.move(file, self.root / split / other / file.name)
                moved.append(file)
        self._use("label_error", moved)

    def _use(self, kind: str, files: list[Path]) -> None:
        self.planted[kind] = [file.name for file in files]
        self._used |= {file.name for file in files}


def score(planted: Iterable[object], found: Iterable[object]) -> str:
    """Return how many were found, and the recall and precision of that."""
    all_planted, all_found = set(planted), set(found)
    right = len(all_planted & all_found)
    recall, precision = right / max(1, len(all_planted)), right / max(1, len(all_found))
    return f"{right} of {len(all_planted)} found, recall {recall:.0%}, precision {precision:.0%}"


def main() -> None:
    """Make the folder, train, check and print the scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=300, help="training images of each class")
    parser.add_argument("--folder", type=Path, default=Path("signs"))
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=30)
    options = parser.parse_args()
    import keras_resnet

    signs = Signs(options.folder, options.images)
    run = keras_resnet.train(
        data=options.folder, model=options.model, width=options.width, image_size=options.image_size,
        epochs=options.epochs, weights="none", runs=options.folder.with_name(f"{options.folder.name}-runs"),
    )  # fmt: skip
    report = keras_resnet.check(options.folder, run=run)
    print(json.dumps({"model": run.name, "notes": report.notes}, indent=1))
    for kind, planted in signs.planted.items():
        findings = report.by_kind.get(kind, [])
        if kind == "unreadable":
            print(
                kind, sum(any(name in each.note for name in map(str, planted)) for each in findings), "of", len(planted)
            )
        elif "duplicate" in kind:
            pairs = [frozenset(Path(image.file).name for image in each.images) for each in findings]
            print(kind, score((frozenset(pair) for pair in planted), pairs))
        else:
            for split, mark in (("train", "_train_"), ("validation", "_val_")):
                images = [each.images[0] for each in findings if each.images[0].split == split]
                names = [name for name in map(str, planted) if mark in name]
                if names or images:
                    print(kind, split, score(names, (Path(image.file).name for image in images)))


if __name__ == "__main__":
    main()
