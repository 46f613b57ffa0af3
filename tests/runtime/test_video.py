"""Videos and cameras: one answer a frame, drawn frames as a video."""

import json

import cv2
import numpy as np
import pytest
from samples import filmed

RATE, SIZE = 10.0, (48, 32)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return filmed(tmp_path_factory.mktemp("clip") / "clip.mp4", 9)


@pytest.fixture(scope="module")
def file(exported):
    run, _ = exported
    return run.exports / "int8.tflite"


def test_an_answer_for_each_frame(kresnet, file, clip, tmp_path):
    code, out, _ = kresnet("predict", file, clip, "--json", "--every", "2", "--save", tmp_path / "found.mp4")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and [row["frame"] for row in rows] == [0, 2, 4, 6, 8]
    assert [row["seconds"] for row in rows] == [0, 0.2, 0.4, 0.6, 0.8]
    assert all(row["image"] == str(clip) and len(row["predictions"]) == 5 for row in rows)
    written = cv2.VideoCapture(str(tmp_path / "found.mp4"))
    assert written.get(cv2.CAP_PROP_FRAME_COUNT) == 5 and written.get(cv2.CAP_PROP_FPS) == pytest.approx(RATE / 2)
    there, drawn = written.read()
    assert there and drawn.shape == (SIZE[1], SIZE[0], 3)
    # A label of white letters on the class's colour, where the frame was dark.
    assert drawn.max() > 180
    assert [path.name for path in tmp_path.iterdir()] == ["found.mp4"]


def test_a_camera_and_images_beside_a_video(kresnet, file, clip, tmp_path):
    code, out, _ = kresnet("predict", file, "--camera", clip, "--frames", "3", "--top", "1")
    assert code == 0 and [line.split(":")[0] for line in out.splitlines()] == [
        f"{clip}, {seconds} s" for seconds in ("0.00", "0.10", "0.20")
    ]
    image = tmp_path / "a.png"
    cv2.imwrite(str(image), np.zeros((16, 16, 3), np.uint8))
    code, out, _ = kresnet("predict", file, image, clip, "--frames", "2", "--save", tmp_path / "found")
    assert code == 0 and len(out.splitlines()) == 3
    assert sorted(path.name for path in (tmp_path / "found").iterdir()) == ["a.png", "clip.mp4"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["CLIP", "--save", "found.png"], 2, "--save must name a video file, such as found.mp4"),
        (["IMAGE", "--save", "found.mp4"], 2, "--save must name an image file"),
        (["--camera", "CLIP", "--save", "found.mp4"], 2, "--save with --camera needs --frames"),
        (["--camera", "absent.mp4"], 1, "no such file"),
        ([], 2, "predict needs a run or an exported file, and then images"),
        (["IMAGE", "--camera", "0"], 2, "predict needs a run or an exported file, and then images"),
        (["BROKEN", "--save", "found.mp4"], 1, "it is no video"),
    ],
)
def test_bad_requests(kresnet, file, clip, tmp_path, monkeypatch, arguments, code, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.mp4").write_bytes(clip.read_bytes()[:200])
    names = {"CLIP": clip, "IMAGE": "a.png", "BROKEN": "broken.mp4"}
    found, out, err = kresnet("predict", file, *(names.get(each, each) for each in arguments))
    assert found == code and out == "" and words in err[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["broken.mp4"]
