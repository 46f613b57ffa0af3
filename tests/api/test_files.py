"""Exported files in Python: what they are called, and what is said of words of other libraries."""

import pytest

import keras_resnet
from keras_resnet.errors import MissingFileError


def test_a_file_names_its_own_methods(exported):
    file = keras_resnet.Run(exported[0]).files["int8"]
    with pytest.raises(AttributeError, match=r"has no attribute 'val'\. Use file\.evaluate\(…\)\."):
        file.val  # noqa: B018
    with pytest.raises(AttributeError, match=r"has no attribute 'convert'$"):
        file.convert  # noqa: B018


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("latency", r"Use file\.latency_ms\."),
        ("accuracy", r"Use file\.verdict\.value\."),
        ("drop", r"Use file\.verdict\.drop\."),
        ("gzip_bytes", r"Use file\.verdict\.gzip_bytes\."),
    ],
)
def test_a_file_names_what_it_has(exported, name, said):
    file = keras_resnet.Run(exported[0]).files["int8"]
    with pytest.raises(AttributeError, match=rf"'ExportedFile' object has no attribute '{name}'\. {said}$"):
        getattr(file, name)
    assert file.latency_ms == file.verdict.latency_ms > 0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("int8", r" Use files\['int8'\]\."),
        ("fp32", r" Use files\['float32'\]\."),
        ("int16x8", r" There is no int16x8 file \(there are .+\): write it with run\.export\('int16x8'\)\."),
        ("pased", r" Did you mean 'passed'\?"),
        ("zzz", ""),
    ],
)
def test_files_are_items(exported, name, said):
    files = keras_resnet.Run(exported[0]).files
    end = rf"\.{said}" if said else ""
    with pytest.raises(AttributeError, match=rf"^'ExportedFiles' object has no attribute '{name}'{end}$"):
        getattr(files, name)
    assert not hasattr(files, "__deepcopy__")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("int16x8", r"there is no int16x8 file \(there are .+\): write it with run\.export\('int16x8'\)"),
        ("half", r"there is no float16 file \(there are .+\): write it with run\.export\('float16'\)"),
        ("fp32", r"there is no 'fp32' file; use files\['float32'\]"),
        ("best", r"there is no file called 'best'; there are "),
    ],
)
def test_a_file_that_is_not_there(exported, name, said):
    files = keras_resnet.Run(exported[0]).files
    with pytest.raises(MissingFileError, match=f"^{said}"):
        files[name]
    assert name not in files and files.get(name) is None and issubclass(MissingFileError, KeyError)


def test_of_one_file_there_is_one(exported):
    files = keras_resnet.Run(exported[0]).files
    one = type(files)({"int8": files["int8"]})
    with pytest.raises(MissingFileError, match=r"^there is no float16 file \(there is int8\): write it"):
        one["half"]


def test_files_are_printed_as_a_table_and_each_remark_once(exported):
    files = keras_resnet.Run(exported[0]).files
    lines = str(files).splitlines()
    assert lines[0].split()[:2] == ["file", "size"] and len(lines) > len(files)
    assert [line.split()[0] for line in lines[1 : len(files) + 1]] == [each.verdict.file for each in files.values()]
    assert len({*lines}) == len(lines)
