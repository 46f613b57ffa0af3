"""Where a command is asked to write: what is wrong with it comes before the work, and a new folder is announced."""

import pytest

from keras_resnet.cli.outputs import prepare_save
from keras_resnet.errors import RunError, UsageError


def test_a_folder_that_will_be_made_is_announced(tmp_path, capsys):
    prepare_save(tmp_path / "page.html")
    prepare_save(tmp_path, is_folder=True)
    assert capsys.readouterr().err == ""
    prepare_save(tmp_path / "new" / "page.html")
    assert capsys.readouterr().err == f"--save: the folder {tmp_path / 'new'} is not there yet; it will be made\n"
    prepare_save(tmp_path / "other", is_folder=True)
    assert f"the folder {tmp_path / 'other'} is not there yet" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"--save must name a file\. Received: .*, which is a folder"):
        prepare_save(tmp_path)
    with pytest.raises(RunError, match=r"cannot write .*file: Not a directory"):
        prepare_save(tmp_path / "file" / "page.html")


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        (("check", "digits"), "x.html"),
        (("compare", "RUN", "RUN"), "x.html"),
        (("predict", "RUN", "IMAGE"), "x.png"),
    ],
)
def test_each_command_that_saves_a_file_asks_first(kresnet, trained, tmp_path, typed, name):
    from PIL import Image

    Image.new("RGB", (8, 8)).save(tmp_path / "image.png")
    named = {"RUN": trained.folder, "IMAGE": tmp_path / "image.png"}
    code, out, err = kresnet(*(named.get(each, each) for each in typed), "--save", tmp_path / "image.png" / name)
    assert code == 1 and out == "" and err[-1].endswith("image.png: Not a directory")
