"""Damaged and forged files: every command answers, or refuses in a sentence, within time and memory."""

import shutil
from pathlib import Path

import pytest
from mutants import (
    bomb,
    damage_saved_model,
    let_loose,
    mutants_of_c,
    mutants_of_onnx,
    mutants_of_tflite,
)
from PIL import Image


def jobs_on(file, run, image):
    """What is asked of a file: `verify` by the run that it came from."""
    asked = [["inspect", str(file)], ["predict", str(file), str(image)]]
    asked += [["verify", str(file), "--run", str(run.folder), "--samples", "20", "--json"]]
    return asked if file.suffix not in (".tflite", ".c") else [*asked, ["edge", "predict", str(file), str(image)]]


def require_ends(jobs, answered):
    """All of them end well, and at least `answered` in answers: files that are refused at once test nothing else."""
    counts, bad = let_loose(jobs)
    print(f"{len(jobs)} tried: {dict(counts)}")
    assert not bad, "\n".join(map(str, bad))
    assert counts["answered"] >= answered and counts["refused"] >= answered


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    file = tmp_path_factory.mktemp("image") / "0.png"
    Image.linear_gradient("L").resize((19, 12)).convert("RGB").save(file)
    return file


def written(folder, mutants, suffix):
    files = []
    for name, content in mutants:
        files.append(folder / f"{name}{suffix}")
        files[-1].write_bytes(content)
    return files


@pytest.mark.slow
def test_a_few_mutants_of_each_kind_of_file(exported, image, tmp_path):
    run, _ = exported
    mutants = mutants_of_tflite((run.exports / "int8.tflite").read_bytes(), 18)
    files = written(tmp_path, mutants, ".tflite")
    files += written(tmp_path, mutants_of_onnx((run.exports / "model.onnx").read_bytes(), 3), ".onnx")
    files += written(tmp_path, mutants_of_c((run.exports / "c_array" / "kresnet_model.c").read_text(), 4), ".c")
    require_ends([job for file in files for job in jobs_on(file, run, image)], 8)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "count"), [("int8.tflite", 180), ("float32.tflite", 72)])
def test_mutants_of_classifiers(exported, image, tmp_path, name, count):
    run, _ = exported
    content = (run.exports / name).read_bytes()
    files = written(tmp_path, mutants_of_tflite(content, count), ".tflite")
    files += written(tmp_path, [("bomb", bomb(content))], ".tflite")
    require_ends([job for file in files for job in jobs_on(file, run, image)], count // 4)


@pytest.mark.slow
@pytest.mark.parametrize(("full", "count"), [(False, 54), (True, 54)])
def test_mutants_of_detectors(segmented, image, tmp_path, full, count):
    from keras_resnet.export.pipeline import export
    from keras_resnet.export.request import ExportRequest
    from keras_resnet.export.tflite_options import build_tflite_options, with_nms_variants

    forms = with_nms_variants(build_tflite_options(("int8",)), "segment") if full else build_tflite_options(("int8",))
    (verdict,) = export(segmented, ExportRequest(tflite=tuple(forms), max_drop=100, samples=20), print)
    content = (segmented.exports / verdict.file).read_bytes()
    files = written(tmp_path, mutants_of_tflite(content, count, seed=1), ".tflite")
    require_ends([job for file in files for job in jobs_on(file, segmented, image)], count // 4)


@pytest.mark.slow
def test_mutants_of_onnx_files(exported, image, tmp_path):
    run, _ = exported
    files = written(tmp_path, mutants_of_onnx((run.exports / "model.onnx").read_bytes(), 60), ".onnx")
    require_ends([job for file in files for job in jobs_on(file, run, image)], 20)


@pytest.mark.slow
def test_mutants_of_c_source(exported, image, tmp_path):
    run, _ = exported
    text = (run.exports / "c_array" / "kresnet_model.c").read_text()
    files = written(tmp_path, mutants_of_c(text, 50), ".c")
    require_ends([job for file in files for job in jobs_on(file, run, image)], 20)


@pytest.mark.slow
def test_mutants_of_saved_models(exported, image, tmp_path):
    run, _ = exported
    folders = []
    for number in range(16):
        folders.append(Path(shutil.copytree(run.exports / "saved_model", tmp_path / str(number))))
        damage_saved_model(folders[-1], number)
    require_ends([job for folder in folders for job in jobs_on(folder, run, image)], 3)
