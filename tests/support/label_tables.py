"""Images with several labels each, and tables that tell these."""

import csv
import json

import numpy as np
from PIL import Image

COLORS = {"red": 0, "green": 1, "blue": 2}


def paint_mixed(folder, count=24, size=16, seed=0):
    """Images whose channels are bright where they have the label of that color: {file name: labels}. Every label is in
    half of them, and every eighth image has none."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, truth = np.random.default_rng(seed), {}
    for number in range(count):
        labels = [name for place, name in enumerate(COLORS) if number >> place & 1]
        pixels = rng.integers(60, size=(size, size, 3))
        for label in labels:
            pixels[..., COLORS[label]] += 150
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number:03}.png")
        truth[f"{number:03}.png"] = labels
    return truth


def write_csv(file, rows, delimiter=","):
    """Rows as dictionaries, the first of which names the columns."""
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.DictWriter(opened, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return file


def write_json_lines(file, rows):
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def write_parquet(file, rows):
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    return file
