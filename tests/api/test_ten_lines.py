"""The lines that the documentation begins with, as they stand."""

import pytest
from samples import paint

LINES = """
import keras_resnet as kr
run = kr.train("photos/", depth=18, image_size=96, epochs=6)   # every option of the command: typed, documented
run.model.summary(); print(run.evaluate("validation"))
files = run.export("int8", max_drop=1.0)
print(files["int8"].verdict); print(run.predict("photo.jpg")); run.report(open=True)
kr.open_run("name"); kr.compress(run, qat=True)
"""


@pytest.mark.slow
def test_the_ten_lines_work_as_they_stand(tmp_path, monkeypatch, capsys):
    paint(tmp_path / "photos", 20, size=100)
    next((tmp_path / "photos").rglob("*.png")).rename(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("webbrowser.open", lambda address: True)
    names = {}
    exec(LINES.replace("epochs=6)", 'epochs=6, name="name")'), names)
    out, err = capsys.readouterr()
    assert "resnet18" in out and "top-1 accuracy" in out and "int8.tflite" in out and "photo.jpg: " in out
    assert "image size: 96 pixels (set by image_size)" in err and "set by --" not in err
    assert names["run"].name == "name" and (tmp_path / "saved_models" / "name-qat" / "model.keras").is_file()
    assert (tmp_path / "saved_models" / "name" / "report.html").is_file()
