"""Images of more than 8 bits: what is black and white is decided for a dataset, told, and kept with its files."""

import json
import subprocess
import sys

import numpy as np
import pytest
from image_bytes import png
from PIL import Image
from samples import paint

from keras_resnet.config.spec import DataSpec, Spec
from keras_resnet.data.load import load_dataset
from keras_resnet.data.sources import image_folder as folders
from keras_resnet.errors import UsageError
from keras_resnet.run import Run
from keras_resnet.runtime.metadata import ModelMetadata, parse_metadata
from keras_resnet.training.resolve import _warn_of_bad_images

SIZE = 16


def write(folder, high, dtype=np.uint16, suffix="png", low=0, count=8):
    """Two classes of ramps and noise: the values of each image, by file. One image is dark."""
    rng = np.random.default_rng(4)
    values = {}
    for label, first in (("even", low), ("odd", (low + high) / 2)):
        (folder / label).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            image = rng.uniform(first, high, (SIZE, SIZE))
            image.flat[:2] = low, high
            if number == 0 and label == "even":
                image = np.full((SIZE, SIZE), low + (high - low) / 50)
            file = folder / label / f"{number}.{suffix}"
            Image.fromarray(image.astype(dtype)).save(file)
            values[str(file)] = image.astype(dtype)
    return values


def opened(folder, **options):
    told = []
    return load_dataset(DataSpec(str(folder), **options), told.append), told


def expected(values, black, white):
    return np.clip(np.round((values.astype(np.float64) - black) / (white - black) * 255), 0, 255)


@pytest.mark.parametrize(
    ("high", "dtype", "suffix", "low", "levels"),
    [
        (4000, np.uint16, "png", 0, (0, 4095)),
        (4095, np.uint16, "tif", 0, (0, 4095)),
        (1000, np.uint16, "png", 0, (0, 1023)),
        (16000, np.int32, "tif", 0, (0, 16383)),
        (60000, np.uint16, "png", 0, (0, 65535)),
        (200, np.uint16, "tif", 0, (0, 255)),
        (100000, np.int32, "tif", 0, (0, 100000)),
        (3000, np.int32, "tif", -1024, (-1024, 4095)),
        (0.9, np.float32, "tif", 0, (0, 1)),
        (1.0, np.float32, "tif", -1.0, (-1, 1)),
        (3.5, np.float32, "tif", 0, (0, 255)),
        (50000.0, np.float32, "tif", 0, (0, 65535)),
    ],
)
def test_a_folder_decides_by_its_largest_value(tmp_path, high, dtype, suffix, low, levels):
    values = write(tmp_path / "d", high, dtype, suffix, low)
    data, told = opened(tmp_path / "d")
    assert data.levels == levels
    (line,) = [line for line in told if line.startswith("levels: ")]
    assert line.startswith(f"levels: {levels[0]:g} is black and {levels[1]:g} white (")
    split = data.splits["train"]
    found = {pixels[..., 0].tobytes() for pixels in split.pixels}
    assert found <= {expected(each, *levels).astype(np.uint8).tobytes() for each in values.values()}
    assert (split.pixels == split.pixels[..., :1]).all()


def test_twelve_bits_keep_their_greys_and_a_dark_image_stays_dark(tmp_path):
    write(tmp_path / "d", 4095)
    split = opened(tmp_path / "d")[0].splits["train"]
    assert len(np.unique(split.pixels)) == 256
    assert min(int(pixels.max()) for pixels in split.pixels) == 5


def test_images_that_stay_on_disk_are_read_the_same_way(tmp_path, monkeypatch):
    write(tmp_path / "d", 4000)
    kept = opened(tmp_path / "d")[0]
    monkeypatch.setattr(folders, "fits_in_memory", lambda *of: False)
    data, _ = opened(tmp_path / "d")
    split = data.splits["validation"]
    assert data.levels == kept.levels
    read = np.stack([split.read_pixels(row) for row in range(split.count)])
    np.testing.assert_array_equal(read, kept.splits["validation"].pixels)


def test_what_is_asked_is_not_looked_for(tmp_path):
    write(tmp_path / "d", 4000)
    data, told = opened(tmp_path / "d", levels=(0, 65535))
    assert data.levels == (0, 65535) and not any("levels" in line for line in told)
    assert data.splits["train"].pixels.max() == 16
    window, _ = opened(tmp_path / "d", levels=(1000.0, 2000.0))
    assert {0, 255} <= set(np.unique(window.splits["train"].pixels))


@pytest.mark.parametrize("levels", [(1.0,), (2.0, 1.0), (1.0, 1.0), (0.0, 1.0, 2.0), (0.0, float("inf"))])
def test_levels_are_two_numbers_in_order(levels):
    with pytest.raises(
        UsageError, match=r"data\.levels must be two numbers, that of black and the larger one of white"
    ):
        DataSpec(levels=levels)


def test_ordinary_images_have_none_and_few_deep_ones_among_them_count(tmp_path):
    paint(tmp_path / "d", 10)
    data, told = opened(tmp_path / "d")
    assert data.levels == () and not any("levels" in line for line in told)
    ramp = np.linspace(0, 4000, SIZE * SIZE).reshape(SIZE, SIZE).astype(np.uint16)
    for number in range(4):
        Image.fromarray(ramp).save(tmp_path / "d" / "red" / f"deep{number}.png")
    assert opened(tmp_path / "d")[0].levels == (0, 4095)


def test_images_of_objects_too(tmp_path, monkeypatch):
    from keras_resnet.data.sources import detection_folder

    write(tmp_path / "images", 4000)
    files = sorted((tmp_path / "images").rglob("*.png"))
    (tmp_path / "annotations").mkdir()
    for name, part in (("train", files[::2]), ("val", files[1::2])):
        (tmp_path / name).mkdir()
        for file in part:
            file.rename(tmp_path / name / f"{file.parent.name}{file.name}")
        shown = sorted(each.name for each in (tmp_path / name).iterdir())
        box = {"category_id": 1, "bbox": [2, 2, 8, 8], "area": 64, "iscrowd": 0}
        document = {
            "images": [{"id": n, "file_name": each, "width": SIZE, "height": SIZE} for n, each in enumerate(shown)],
            "annotations": [{"id": n + 1, "image_id": n, **box} for n in range(len(shown))],
            "categories": [{"id": 1, "name": "thing"}],
        }
        (tmp_path / "annotations" / f"instances_{name}.json").write_text(json.dumps(document))
    options = {"annotations": "objects", "image_size": SIZE}
    kept, told = opened(tmp_path, **options)
    assert kept.levels == (0, 4095) and any(line.startswith("levels: 0 is black and 4095 white") for line in told)
    monkeypatch.setattr(detection_folder, "fits_in_memory", lambda *of: False)
    split = opened(tmp_path, **options)[0].splits["train"]
    np.testing.assert_array_equal(split.read_pixels(0), kept.splits["train"].pixels[0])


def test_colours_of_twelve_bits_are_told_of(tmp_path):
    """Pillow reads the upper 8 of 16 bits of a colour."""
    rng = np.random.default_rng(0)
    for label in "ab":
        (tmp_path / "d" / label).mkdir(parents=True)
        for number in range(4):
            content = rng.integers(0, 4096, (SIZE, SIZE, 3)).astype(">u2").tobytes()
            (tmp_path / "d" / label / f"{number}.png").write_bytes(png(SIZE, SIZE, 16, 2, content))
    data, told = opened(tmp_path / "d")
    _warn_of_bad_images(Spec(), data, told.append)
    assert told[-1].startswith("warning: the brightest of 6 training images is 15 of 255: were they scaled, or have")
    _warn_of_bad_images(Spec(), opened(paint(tmp_path / "light", 4))[0], told.append)
    assert len([line for line in told if line.startswith("warning")]) == 1


def test_a_file_says_so_and_the_script_for_devices_listens(device, tmp_path):
    card = ModelMetadata(("a", "b"), SIZE, SIZE, {"scheme": "int8"}, levels=(0.0, 4095.0))
    again = parse_metadata(card.labels(), json.dumps(card.details()), tmp_path)
    assert again == card and "levels" not in ModelMetadata(("a", "b"), SIZE, SIZE, {}).details()
    (file, values), *_ = list(write(tmp_path / "d", 4000).items())[1:]
    code = (
        "import json, sys; sys.modules['keras_resnet'] = None\nfrom classify import preprocess_file\n"
        "print(json.dumps(preprocess_file(sys.argv[1], json.loads(sys.argv[2]))[0].tolist()))"
    )
    command = [sys.executable, "-c", code, file, json.dumps(card.details())]
    seen = json.loads(subprocess.run(command, cwd=device, capture_output=True, text=True, check=True).stdout)
    np.testing.assert_array_equal(np.array(seen)[..., 0], expected(values, 0, 4095))


@pytest.mark.slow
def test_all_runtimes_answer_alike(tmp_path, kresnet, capsys):
    """The network, its file, the wheel's command and the script, of images of 12 bits."""
    from keras_resnet.runtime import cli

    files = list(write(tmp_path / "d", 4000, count=30))
    options = ("--data", tmp_path / "d", "--runs", tmp_path, "--name", "run", "--epochs", 6, "--precision", "float32")
    code, _, told = kresnet("train", "--depth", 8, *options)
    assert code == 0 and any(line.startswith("levels: 0 is black and 4095 white") for line in told)
    run = Run(tmp_path / "run")
    assert run.spec().data.levels == (0, 4095)
    code, _, told = kresnet("export", "run", "--runs", tmp_path, "--tflite", "--quantize", "float32")
    assert code == 0 and not any(line.startswith("levels") for line in told)
    file, images = run.exports / "float32.tflite", [str(each) for each in files[28:32]]
    answers = []
    for target in ("run", file):
        rows = kresnet("predict", target, *images, "--runs", tmp_path, "--json")[1]
        answers.append([json.loads(row)["predictions"][0] for row in rows.splitlines()])
    assert cli.main(["predict", str(file), *images, "--json"]) == 0
    answers.append([json.loads(line)["predictions"][0] for line in capsys.readouterr().out.splitlines()])
    command = [sys.executable, "classify.py", "float32.tflite", *images]
    lines = subprocess.run(command, cwd=run.exports, capture_output=True, text=True, check=True).stdout.splitlines()
    first = [line.removeprefix(f"{image}: ").split(",")[0] for image, line in zip(images, lines, strict=True)]
    assert len({each["probability"] for each in answers[0]}) > 1
    assert first == [f"{each['label']} {each['probability']:.1%}" for each in answers[1]]
    for row in answers[1:]:
        assert [each["label"] for each in row] == [each["label"] for each in answers[0]]
        shares = [each["probability"] for each in row]
        np.testing.assert_allclose(shares, [each["probability"] for each in answers[0]], atol=1e-4)


def test_a_spec_without_levels_is_read(tmp_path):
    document = json.loads(Spec().to_json())
    del document["data"]["levels"]
    assert Spec.from_json(json.dumps(document)).data.levels == ()
    assert Spec().override("data.levels", (0, 4095)).data.levels == (0, 4095)
