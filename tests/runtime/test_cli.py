"""The runtime for devices: its wheel alone, without TensorFlow, click or rich."""

import json
import os
import subprocess
import sys
import urllib.request
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest
from exports import copied
from PIL import Image
from samples import filmed, silent

import keras_resnet
from keras_resnet.export.pipeline import export
from keras_resnet.export.request import ExportRequest
from keras_resnet.export.tflite_options import TFLiteRequest, build_tflite_options
from keras_resnet.runtime import cli
from keras_resnet.runtime.image import preprocess, read_image
from keras_resnet.runtime.native_log import without_notes
from keras_resnet.runtime.predictions import top_k
from keras_resnet.runtime.tflite_model import TFLiteModel

ROOT = Path(__file__).parents[2]
FOREIGN = ("cv2", "tensorflow", "keras", "tf_keras", "click", "rich", "sklearn", "tensorflow_datasets")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, str(ROOT / "scripts" / "build-edge"), str(folder)], check=True)
    (found,) = folder.glob("kresnet_edge-*.whl")
    return found


@pytest.fixture(scope="module")
def run(trained, tmp_path_factory):
    """A copy: the files of the run itself are for all tests."""
    return copied(trained, tmp_path_factory.mktemp("runs") / trained.name)


@pytest.fixture(scope="module")
def file(run):
    verdicts = export(run, ExportRequest(tflite=tuple(build_tflite_options(("int8",))), samples=50), silent)
    return run.exports / verdicts[0].file


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Five files and one that is no image's."""
    folder = tmp_path_factory.mktemp("images")
    for number in range(5):
        pixels = np.random.default_rng(number).integers(0, 256, (11, 8, 3), dtype=np.uint8)
        (folder / "sub").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(folder / ("sub" if number > 2 else "") / f"{number}.png")
    (folder / "notes.txt").write_text("not an image")
    return folder


def alone(wheel, *arguments):
    """The wheel's command, with everything of this checkout and all that a device lacks out of reach."""
    code = (
        f"import sys; sys.path.insert(0, {str(wheel)!r})\n"
        f"for name in {FOREIGN!r}: sys.modules[name] = None\n"
        "from kresnet_edge import cli\n"
        f"assert cli.__file__.startswith({str(wheel)!r})\n"
        "sys.exit(cli.main(sys.argv[1:]))"
    )
    command = [sys.executable, "-P", "-c", code] if sys.version_info >= (3, 11) else [sys.executable, "-c", code]
    return subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, cwd=wheel.parent)


def test_the_wheel_holds_what_it_needs(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"kresnet_edge"}
    ours = {file.name for file in (ROOT / "keras_resnet" / "runtime").glob("*.py")}
    assert {Path(name).name for name in names if name.endswith(".py")} == ours


def test_predictions_equal_the_full_install(wheel, file, images):
    done = alone(wheel, "predict", file, images, "--json", "--batch", "2", "--threads", "1")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [Path(row["image"]).name for row in rows] == [f"{number}.png" for number in range(5)]
    from keras_resnet.export.predict import PredictOptions, load_predictor, predict_files, resolve_inputs

    sources = resolve_inputs([str(images)])
    assert list(predict_files(load_predictor(str(file), Path(".")), sources, PredictOptions(top=5), silent)) == rows


def test_words_for_people(wheel, file, images):
    done = alone(wheel, "predict", file, images / "0.png", "--top", "2")
    assert done.stdout.startswith(f"{images / '0.png'}: ") and done.stdout.count("%") == 2


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("predict", "absent.tflite", "x.png"), 1, "there is no file absent.tflite"),
        (("predict", "FILE", "absent.png"), 1, "no such file"),
        (("predict", "FILE", "EMPTY"), 1, "there are no images in"),
        (("predict", "FILE", "x.png", "--top", "0"), 2, "must be 1 or more"),
        (("predict", "FILE", "x.png", "--threshold", "30"), 2, "must be from 0 to 1. Received: 30. Did you mean 0.3?"),
        ((), 2, "kresnet-edge: needs a command, predict, camera or serve: kresnet-edge predict int8.tflite photo.jpg."),
        (("a.tflite",), 2, "Received: a.tflite. Did you mean: kresnet-edge predict a.tflite photo.jpg"),
        (("a.tflite", "b.png"), 2, "Received: a.tflite. Did you mean: kresnet-edge predict a.tflite b.png"),
        (("predcit", "a.tflite"), 2, "Received: predcit. Did you mean: kresnet-edge predict a.tflite"),
        (("run",), 2, "must be a command, predict, camera or serve. Received: run. See: kresnet-edge --help"),
        (("camera", "FILE"), 2, "cameras and videos need OpenCV"),
    ],
)
def test_bad_requests(wheel, file, tmp_path, arguments, code, words):
    names = {"FILE": file, "EMPTY": tmp_path}
    done = alone(wheel, *(names.get(argument, argument) for argument in arguments))
    assert done.returncode == code and words in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr


def test_a_missing_file_names_those_beside_it(wheel, tmp_path):
    (tmp_path / "int8.tflite").write_bytes(b"x")
    done = alone(wheel, "predict", tmp_path / "int4.tflite", "x.png")
    said = f"kresnet-edge: there is no file {tmp_path / 'int4.tflite'}; {tmp_path} has int8.tflite"
    assert done.returncode == 1 and done.stderr.splitlines() == [said]


@pytest.mark.parametrize(
    ("typed", "same"), [("help", "--help"), ("help predict", "predict --help"), ("help nothing", "--help")]
)
def test_help_is_a_command_too(typed, same, capsys):
    printed = []
    for words in (typed, same):
        with pytest.raises(SystemExit) as ended:
            cli.main(words.split())
        printed.append((ended.value.code, capsys.readouterr()))
    assert printed[0] == printed[1] and printed[0][0] == 0 and printed[0][1].out.startswith("usage: kresnet-edge")


def test_the_version_is_that_of_the_wheel(wheel):
    done = alone(wheel, "--version")
    assert (done.returncode, done.stdout) == (0, f"kresnet-edge, version {keras_resnet.__version__}\n")


def test_it_serves(wheel, file, images):
    """The wheel's own command, asked over HTTP, says what the full install says."""
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from kresnet_edge import cli; sys.exit(cli.main())"
    command = [sys.executable, "-c", code, wheel, "serve", file, "--port", "0", "--top", "3"]
    with subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE, text=True, cwd=wheel.parent) as process:
        try:
            address = next(line.split()[-1] for line in process.stderr if "POST an image to" in line)
            with urllib.request.urlopen(address) as response:
                about = json.load(response)
            content = (images / "0.png").read_bytes()
            with urllib.request.urlopen(urllib.request.Request(address, data=content)) as response:
                answered = json.load(response)
        finally:
            process.terminate()
    model = TFLiteModel(file)
    pixels = preprocess(read_image(content), "center_crop", model.card.resize, model.card.image_size)
    assert answered == {"predictions": top_k(model(pixels[None]), model.card.classes, 3)[0]}
    assert (about["file"], about["labels"]) == (file.name, list(model.card.classes))


def test_frames_of_a_camera(file, tmp_path, capsys):
    """OpenCV takes a file for one."""
    clip = filmed(tmp_path / "clip.mp4", 5)
    assert cli.main(["camera", str(file), "--device", str(clip), "--frames", "3", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["image"] for row in rows] == ["frame 0", "frame 1", "frame 2"]


@pytest.mark.slow
def test_in_an_environment_of_its_own(wheel, file, images, tmp_path):
    """Installed from the package index, with what it depends on."""
    venv.create(tmp_path / "device", with_pip=True)
    pip = [str(tmp_path / "device" / "bin" / "python"), "-m", "pip"]
    subprocess.run([*pip, "install", "-q", str(wheel)], check=True)
    listed = subprocess.run([*pip, "list", "--format=freeze"], capture_output=True, text=True, check=True).stdout
    assert "tensorflow" not in listed and "keras" not in listed.replace("kresnet", "")
    command = [str(tmp_path / "device" / "bin" / "kresnet-edge"), "predict", str(file), str(images), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == alone(wheel, "predict", file, images, "--json").stdout


def said_on_standard_error(file, *arguments):
    command = [sys.executable, "-m", "keras_resnet.runtime.cli", "predict", str(file), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, done.stderr


def test_it_says_nothing_that_nobody_needs(file, images):
    assert said_on_standard_error(file, images / "0.png") == (0, "")
    code, told = said_on_standard_error(file, images / "0.png", images / "notes.txt")
    assert code == 1 and "INFO" not in told
    assert all(line.startswith("kresnet-edge: ") for line in told.splitlines()) and told


@pytest.mark.slow
def test_nor_where_images_come_in_batches_of_any_size(run, images):
    wanted = ExportRequest(tflite=tuple(TFLiteRequest(batch=None).build(("float32",))), samples=20)
    verdicts = export(run, wanted, silent)
    assert said_on_standard_error(run.exports / verdicts[0].file, images / "sub", "--batch", 2) == (0, "")


def test_warnings_and_errors_of_native_libraries_stay(capfd):
    code = (
        "import os, sys\nfrom keras_resnet.runtime.native_log import without_notes\nwith without_notes():\n"
        "    os.write(2, b'INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\\nWARNING: odd\\n')\n"
        "    os.write(2, b'I0000 00:00:17 note\\n')\n"
        "    os.write(2, b'ERROR: worse\\nE0000 00:00:17 worst')\n    print('from Python', file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "WARNING: odd\nERROR: worse\nE0000 00:00:17 worstfrom Python\n"
    with pytest.raises(ValueError, match="inside"), without_notes():
        os.write(2, b"INFO: note\nERROR: before it failed\n")
        raise ValueError("inside")
    assert capfd.readouterr().err == "ERROR: before it failed\n"


def test_a_closed_standard_error_harms_nothing(file, images):
    command = f"{sys.executable} -m keras_resnet.runtime.cli predict {file} '{images / '0.png'}' 2>&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert done.returncode == 0 and "0.png: " in done.stdout
