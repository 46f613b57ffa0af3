"""Tables of images: one label, several, boxes; in all formats and places, and what is wrong with them in a sentence."""

import json

import numpy as np
import pytest
from label_tables import COLORS, paint_mixed, write_csv, write_json_lines, write_parquet
from samples import silent

from keras_resnet.config.spec import DataSpec
from keras_resnet.data.load import load_dataset, require_source
from keras_resnet.errors import DataError


@pytest.fixture
def folder(tmp_path):
    """A folder of 24 images with their labels."""
    return tmp_path, paint_mixed(tmp_path / "images")


def opened(source, annotations="label_sets", **settings):
    said = []
    return load_dataset(DataSpec(str(source), annotations=annotations, image_size=16, **settings), said.append), said


def found(data):
    """The labels of each image by its file's name."""
    return {
        file.rpartition("/")[2]: [data.classes[n] for n in np.flatnonzero(row)]
        for split in data.splits.values()
        for file, row in zip(split.files, split.label_sets, strict=True)
    }


def as_text(truth, between="|", **columns):
    return [{"path": name, "labels": between.join(labels), **columns} for name, labels in truth.items()]


WRITTEN = {
    "csv": lambda root, truth: write_csv(root / "labels.csv", as_text(truth)),
    "semicolons": lambda root, truth: write_csv(root / "labels.csv", as_text(truth, ","), ";"),
    "commas in quotes": lambda root, truth: write_csv(root / "labels.csv", as_text(truth, ", ")),
    "tsv": lambda root, truth: write_csv(root / "labels.tsv", as_text(truth, ";"), "\t"),
    "lists": lambda root, truth: write_csv(
        root / "labels.csv", [{"image": n, "tags": str(t)} for n, t in truth.items()]
    ),
    "parquet": lambda root, truth: write_parquet(
        root / "labels.parquet", [{"file_name": n, "labels": t} for n, t in truth.items()]
    ),
    "json": lambda root, truth: (root / "labels.json").write_text(json.dumps(truth)),
    "json list": lambda root, truth: (root / "labels.json").write_text(
        json.dumps([{"file": n, "labels": t} for n, t in truth.items()])
    ),
    "json lines": lambda root, truth: write_json_lines(
        root / "labels.jsonl", [{"file_name": n, "labels": t} for n, t in truth.items()]
    ),
    "columns of 0 and 1": lambda root, truth: write_csv(
        root / "labels.csv", [{"image": n, **{c: int(c in t) for c in COLORS}} for n, t in truth.items()]
    ),
    "a row a label": lambda root, truth: write_csv(
        root / "labels.csv", [{"path": n, "label": c} for n, t in truth.items() for c in t or [""]]
    ),
    "without endings": lambda root, truth: write_csv(
        root / "labels.csv", as_text({n[:-4]: t for n, t in truth.items()})
    ),
}


@pytest.mark.parametrize("form", WRITTEN)
def test_all_forms_of_a_table_say_the_same(folder, form):
    root, truth = folder
    WRITTEN[form](root, truth)
    data, said = opened(root)
    assert data.classes == tuple(sorted(COLORS))
    assert {name: sorted(labels) for name, labels in found(data).items()} == {n: sorted(t) for n, t in truth.items()}
    assert set(data.splits) == {"train", "validation"} and data.splits["train"].count > data.splits["validation"].count
    assert any("labels" in line and "column" in line for line in said), said


def test_held_out_images_have_each_label_in_proportion(folder):
    root, truth = folder
    write_csv(root / "labels.csv", as_text(truth))
    data, said = opened(root, val_fraction=0.25)
    shares = data.splits["validation"].label_sets.sum(axis=0)
    assert data.splits["validation"].count == 6 and (abs(shares - 3) <= 1).all()
    assert "train: 3 of 24 images have no label, which is learned too" in said
    again, _ = opened(root, val_fraction=0.25)
    assert again.splits["validation"].files == data.splits["validation"].files
    only, _ = opened(root, val_fraction=0.25)
    assert only.splits["train"].labels.min() == -1


def test_splits_come_from_a_column_or_from_tables_of_their_own(folder):
    root, truth = folder
    names = list(truth)
    split = {
        name: ("train" if number < 16 else "valid" if number < 20 else "test") for number, name in enumerate(names)
    }
    rows = [{"path": n, "label": "|".join(t), "split": split[n]} for n, t in truth.items()]
    write_csv(root / "labels.csv", rows)
    data, _ = opened(root)
    assert [data.splits[name].count for name in ("train", "validation", "test")] == [16, 4, 4]
    (root / "labels.csv").unlink()
    for name, word in (("train", "train"), ("val", "valid")):
        write_csv(root / f"{name}.csv", [{k: r[k] for k in ("path", "label")} for r in rows if r["split"] == word])
    both, _ = opened(root)
    assert found(both) == {name: labels for name, labels in found(data).items() if split[name] != "test"}


def test_hugging_faces_metadata_lies_in_the_folder_of_each_split(tmp_path):
    for split in ("train", "validation"):
        truth = paint_mixed(tmp_path / split, 8, seed=len(split))
        write_json_lines(tmp_path / split / "metadata.jsonl", [{"file_name": n, "labels": t} for n, t in truth.items()])
    data, _ = opened(tmp_path)
    assert {name: split.count for name, split in data.splits.items()} == {"train": 8, "validation": 8}


def test_a_data_yaml_names_tables_and_what_numbers_mean(folder):
    root, truth = folder
    numbers = {"blue": 0, "red": 1, "green": 2}
    rows = [{"path": n, "labels": " ;".join(str(numbers[c]) for c in t)} for n, t in truth.items()]
    write_csv(root / "first.csv", rows[:16])
    write_csv(root / "second.csv", rows[16:])
    (root / "colors.yaml").write_text("train: first.csv\nval: second.csv\nnames: [blue, red, green]\n")
    data, _ = opened(root / "colors.yaml")
    assert data.classes == ("blue", "red", "green")
    assert {n: set(t) for n, t in found(data).items()} == {n: set(t) for n, t in truth.items()}


def test_one_label_an_image_is_read_for_a_classifier(folder):
    root, truth = folder
    one = {name: "even" if number % 2 == 0 else "odd, of course" for number, name in enumerate(truth)}
    write_csv(root / "names.csv", [{"filename": n, "class": c} for n, c in one.items()])
    data, _ = opened(root / "names.csv", "labels")
    assert data.classes == ("even", "odd, of course")
    train = data.splits["train"]
    assert all(one[f.rpartition("/")[2]] == data.classes[n] for f, n in zip(train.files, train.labels, strict=True))


def boxes_of(names):
    return [{"filename": n, "xmin": 1, "ymin": 2, "xmax": 9, "ymax": 10, "class": "cat"} for n in names]


def test_rows_of_boxes_are_objects(folder):
    root, truth = folder
    names = list(truth)
    more = {"filename": names[0], "xmin": 0, "ymin": 0, "xmax": 15, "ymax": 16, "class": "dog"}
    empty = {**more, "filename": names[5], "xmin": "", "ymin": "", "xmax": "", "ymax": "", "class": ""}
    write_csv(root / "labels.csv", [*boxes_of(names[:5]), more, empty, *boxes_of(names[6:])])
    data, _ = opened(root, "objects")
    rows = {f.rpartition("/")[2]: (s, n) for s in data.splits.values() for n, f in enumerate(s.files)}
    split, row = rows[names[0]]
    np.testing.assert_allclose(split.objects.boxes[row] * 16, [[0, 0, 15, 16], [1, 2, 9, 10]])
    assert split.objects.labels[row].tolist() == [1, 0] and data.classes == ("cat", "dog")
    sets, _ = opened(root)
    assert found(sets)[names[0]] == ["cat", "dog"] and found(sets)[names[5]] == []


def test_hugging_faces_objects_are_boxes_and_labels(tmp_path):
    truth = paint_mixed(tmp_path / "train", 8)
    rows = [
        {"file_name": n, "objects": {"bbox": [[1, 2, 8, 8]] * 2, "categories": [number % 2, 2]}}
        for number, n in enumerate(truth)
    ]
    write_json_lines(tmp_path / "train" / "metadata.jsonl", rows)
    data, _ = opened(tmp_path, "objects")
    np.testing.assert_allclose(data.splits["train"].objects.boxes[0] * 16, [[1, 2, 9, 10]] * 2)
    sets, _ = opened(tmp_path)
    assert data.classes == sets.classes == ("0", "1", "2") and found(sets)["001.png"] == ["1", "2"]


def test_images_that_are_not_there_are_counted(folder):
    root, truth = folder
    write_csv(root / "labels.csv", as_text({**truth, "gone.png": ["red"]}))
    with pytest.raises(DataError, match=r"1 of 25 images cannot be read .*gone\.png"):
        opened(root)
    data, said = opened(root, max_unreadable=0.1)
    assert sum(split.count for split in data.splits.values()) == 24 and any("gone.png" in line for line in said)


@pytest.mark.parametrize("is_named", [True, False])
def test_names_do_not_lead_out_of_the_folder(folder, tmp_path_factory, is_named):
    """Nor to an image of the same name in it."""
    root, truth = folder
    outside = tmp_path_factory.mktemp("outside")
    paint_mixed(outside, 1)
    paint_mixed(root, 1)
    absolute = str(outside / "000.png")
    write_csv(root / "labels.csv", as_text({**truth, absolute: [], "../own/000.png": []}))
    data, said = opened(root / "labels.csv" if is_named else root, max_unreadable=0.1)
    refused = [line for line in said if line.startswith("skipped: ")]
    names = ["../own/000.png"] if is_named else [absolute, "../own/000.png"]
    assert len(refused) == len(names) and sum(split.count for split in data.splits.values()) == 24 + is_named
    for name, line in zip(names, refused, strict=True):
        where = f"labels.csv, line {27 if name.startswith('..') else 26}: {name} is outside {root}, the folder of"
        assert line.startswith(f"skipped: {where} the table; images elsewhere can only be given as absolute paths")


@pytest.mark.parametrize("annotations", ["labels", "label_sets", "objects"])
def test_an_image_that_is_not_there_is_named_as_in_its_row(folder, annotations):
    root, truth = folder
    gone = {"filename": "deep/gone.png", "xmin": 1, "ymin": 2, "xmax": 9, "ymax": 10, "class": "cat"}
    rows = [{**each, "class": ("cat", "dog")[n % 2]} for n, each in enumerate(boxes_of(truth))]
    if annotations != "objects":
        gone, *rows = ({name: each[name] for name in ("filename", "class")} for each in (gone, *rows))
    write_csv(root / "labels.csv", [*rows, gone])
    words = rf"labels\.csv, line 26: deep/gone\.png: no such file in {root} or {root}/images$"
    with pytest.raises(DataError, match=words):
        opened(root / "labels.csv", annotations)


def test_files_that_are_not_there_are_named_before_images_are_read(folder, monkeypatch):
    """By the table in the current folder, whose path would be a dot."""
    root, truth = folder
    rows = [{"filename": each["filename"], "class": ("cat", "dog")[n % 2]} for n, each in enumerate(boxes_of(truth))]
    write_csv(root / "labels.csv", [*rows, {"filename": "gone.png", "class": "cat"}])
    monkeypatch.chdir(root)
    words = rf"1 of \d+ images cannot be read .*gone\.png: no such file in {root} or images$"
    with pytest.raises(DataError, match=words):
        require_source(DataSpec("labels.csv"))
    require_source(DataSpec("labels.csv", max_unreadable=0.5))


@pytest.mark.parametrize("annotations", ["labels", "label_sets"])
def test_a_table_of_a_split_is_named_with_its_folder(tmp_path, annotations):
    for split in ("train", "validation"):
        names = paint_mixed(tmp_path / split, 8)
        rows = [{"file_name": name, "label": ("cat", "dog")[n % 2]} for n, name in enumerate(names)]
        write_json_lines(tmp_path / split / "metadata.jsonl", [*rows, {"file_name": "far/gone.png", "label": "cat"}])
    _, said = opened(tmp_path, annotations, max_unreadable=0.2)
    skipped = [line for line in said if "gone.png" in line]
    assert [line.partition(": no such file")[0] for line in skipped] == [
        f"skipped: {split}/metadata.jsonl, line 9: far/gone.png" for split in ("train", "validation")
    ]


@pytest.mark.parametrize("annotations", ["labels", "label_sets", "objects"])
def test_rows_that_repeat_others_are_counted(folder, annotations):
    root, truth = folder
    rows = [{**each, "class": ("cat", "dog")[n % 2]} for n, each in enumerate(boxes_of(truth))]
    if annotations != "objects":
        rows = [{name: each[name] for name in ("filename", "class")} for each in rows]
    write_csv(root / "labels.csv", [*rows, rows[3], rows[0]])
    data, said = opened(root / "labels.csv", annotations)
    assert sum(split.count for split in data.splits.values()) == 24
    words = "left out 2 rows that repeat an earlier one of the same image (first: labels.csv, line 26: 003.png)"
    assert [line for line in said if line.startswith("left out")] == [words]
    if annotations == "objects":
        assert all((split.objects.labels >= 0).sum(axis=1).max() == 1 for split in data.splits.values())


def test_fields_may_be_separated_by_vertical_bars(folder):
    root, truth = folder
    write_csv(root / "labels.csv", [{"path": n, "label": "ab"[k % 2]} for k, n in enumerate(truth)], "|")
    data, said = opened(root, "labels")
    assert data.classes == ("a", "b")
    assert "labels.csv: images in column 'path', labels in 'label', fields separated by vertical bars" in said


def test_labels_that_are_almost_the_same_are_warned_of(folder):
    root, truth = folder
    labels = ["cat", "Cat", "dog", "dog "]
    write_csv(root / "labels.csv", [{"path": n, "label": labels[k % 4]} for k, n in enumerate(truth)])
    data, said = opened(root, "labels")
    assert data.classes == ("Cat", "cat", "dog")
    warning = "warning: classes with almost the same name: 'Cat' and 'cat', which are learned as different ones"
    assert said.count(warning) == 1
    assert "6 labels with spaces around them, read without (first: labels.csv, line 5: 'dog')" in said


TWO = "path,labels\n000.png,red\n001.png,green\n"
WRONG = {
    "no path": (
        "name,labels\na,b\n",
        "label_sets",
        r"has no column of image files, such as path or file_name\. Received: 'name', 'labels'",
    ),
    "no labels": ("path,width\n000.png,a\n", "label_sets", "has no column of labels, such as label or labels"),
    "empty": ("", "label_sets", "is empty: its first line must name the columns"),
    "same column": ("path,path\na,b\n", "label_sets", "two columns have the same name"),
    "ragged": (f"{TWO}002.png,red,blue\n", "label_sets", r"line 4 has 3 fields, and the first line names 2 columns"),
    "not text": (b"path,labels\n\xff\xfe,a\n", "label_sets", "it is not UTF-8 text"),
    "open quote": ('path,labels\n"000.png,red\n', "label_sets", "cannot read .*table.csv: unexpected end of data"),
    "two labels": (
        f"{TWO}000.png,green\n",
        "labels",
        r"table\.csv, line 4: 000\.png has the labels 'red' \(table\.csv, line 2\) and 'green'; --task multilabel",
    ),
    "no label": (f"{TWO}a/002.png,\n", "labels", r"line 4: a/002\.png has no label; --task multilabel learns"),
    "a count among flags": (
        "path,cat,dog\n000.png,1,0\n001.png,0,1\n002.png,2,0\n",
        "label_sets",
        r"line 4: cat must be 0 or 1, as in most rows\. Received: '2'\. .* remove the column if it is none$",
    ),
    "nothing among flags": (
        "path,cat,dog\n000.png,1,0\n001.png,0,1\n002.png,0,\n",
        "labels",
        "line 4: dog must be 0 or 1, as in most rows",
    ),
    "other delimiter": (
        "path label\n000.png red\n",
        "labels",
        "Received: 'path label'; fields must be separated by commas, semicolons, tabs or vertical bars$",
    ),
    "one label": ("path,labels\n000.png,red\n001.png,red\n", "labels", r"has one label only \(red\)"),
    "one of several": (
        "path,labels\n000.png,red\n001.png,red\n",
        "label_sets",
        r"2 or more different labels. Received: red",
    ),
    "bad list": (f'{TWO}002.png,"[red"\n', "label_sets", "a list of labels must be as"),
    "no split": (
        "path,labels,split\n000.png,red,later\n",
        "label_sets",
        "split must be train, val or test. Received: 'later'",
    ),
    "two splits": (
        "path,labels,split\n000.png,red,train\n000.png,green,val\n",
        "label_sets",
        r"000\.png is in train and in validation; keep it in one split",
    ),
    "only test": (
        "path,labels,split\n000.png,red,test\n",
        "label_sets",
        "names no image to train on: its splits are test",
    ),
    "no boxes": (TWO, "objects", "has no boxes of objects: it needs columns xmin, ymin, xmax, ymax"),
    "no masks": (TWO, "masks", "has boxes of objects and no masks"),
    "half a box": (
        "path,class,xmin,ymin,xmax,ymax\n000.png,a,1,2,x,4\n",
        "objects",
        "xmin, ymin, xmax, ymax must be numbers",
    ),
    "a box of none": ("path,class,xmin,ymin,xmax,ymax\n000.png,,1,2,3,4\n", "objects", "line 2 has a box and no label"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_one_sentence(folder, wrong):
    root, _ = folder
    content, annotations, message = WRONG[wrong]
    (root / "table.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=message):
        opened(root / "table.csv", annotations, max_unreadable=1)


def test_class_folders_are_told_from_label_sets(tmp_path):
    for name in ("a", "b"):
        paint_mixed(tmp_path / name, 4)
    with pytest.raises(
        DataError, match=r"per image: it has class folders \(a/, b/\), whose images have one label each"
    ):
        opened(tmp_path)
    write_csv(tmp_path / "labels.csv", [{"path": "a/000.png", "label": "x"}])
    data = load_dataset(DataSpec(str(tmp_path), image_size=16, max_unreadable=0), silent)
    assert data.classes == ("a", "b")


@pytest.mark.parametrize("name", ["labels.csv", "labels.TSV", "labels.parquet", "a.json", "a.jsonl", "data.yaml"])
def test_a_file_that_is_not_there(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=f"--data {name}: no such file or folder$"):
        opened(name)
    (tmp_path / f"x{name}").touch()
    with pytest.raises(DataError, match=f"no such file or folder. Did you mean 'x{name}'"):
        opened(name)


@pytest.mark.parametrize("entry", ["", "val: labels.csv", "names: [red, green]"])
@pytest.mark.parametrize("annotations", ["labels", "label_sets", "objects"])
def test_a_description_without_train_is_told_what_it_needs(folder, entry, annotations):
    root, truth = folder
    write_csv(root / "labels.csv", as_text(truth))
    (root / "set.yaml").write_text(entry)
    with pytest.raises(DataError, match=r"it needs train: with a table such as train\.csv, or train: with a folder"):
        opened(root / "set.yaml", annotations)


@pytest.mark.parametrize(
    ("annotations", "labels", "words"),
    [
        ("labels", ["cat", "dog", "cat|dog"], "'cat|dog' is learned as one class; if it means several labels, use"),
        ("labels", ["cat", "dog", "cat, dog"], "'cat, dog' is learned as one class"),
        ("labels", ["tench, Tinca tinca", "dog", "cat"], None),
        ("label_sets", ["cat|dog", "cat", "cat;dog"], "'cat;dog' is learned as one label; labels of one column are"),
        ("label_sets", ["cat|dog", "cat", "dog"], None),
    ],
)
def test_labels_that_look_like_several_are_warned_of_once(folder, annotations, labels, words):
    root, truth = folder
    write_csv(root / "labels.csv", [{"path": n, "label": labels[k % 3]} for k, n in enumerate(truth)])
    _, said = opened(root / "labels.csv", annotations)
    warnings = [line for line in said if line.startswith("warning: labels.csv, line")]
    assert len(warnings) == (words is not None) and all(words in line and "line 4" in line for line in warnings)


def write_described(root, truth, description):
    """A train.csv of numbers, and a data.yaml beside it."""
    write_csv(
        root / "train.csv", [{"path": name, "label": sorted(COLORS).index(labels[0])} for name, labels in truth.items()]
    )
    (root / "data.yaml").write_text(description)


@pytest.mark.parametrize("description", ["train: other.csv\nnames: [a, b]\n", "train: [train.csv\n", "names: [a, b]\n"])
def test_a_description_that_is_not_used_is_told(folder, description):
    root, truth = folder
    write_described(root, {name: labels for name, labels in truth.items() if labels}, description)
    data, said = opened(root, "labels")
    assert set(data.classes) <= {"0", "1", "2"}
    assert said[0].startswith("warning: data.yaml is not used: ")


def test_a_number_beyond_the_names_is_no_matter_of_boxes(folder):
    root, truth = folder
    write_described(root, {name: labels for name, labels in truth.items() if labels}, "train: train.csv\nnames: [a]\n")
    with pytest.raises(DataError, match=r"or the number of one of them, 0 to 0\. Received: '\d'$"):
        opened(root, "labels")


def test_images_within_a_table_are_not_printed(folder):
    root, truth = folder
    rows = [{"image": {"bytes": bytes(1000), "path": name}, "label": "a"} for name in truth]
    write_parquet(root / "train.parquet", rows)
    with pytest.raises(DataError, match=r"row 1: image holds an image itself; save the images as files, .* as path$"):
        opened(root, "labels")


def test_a_broken_line_is_named(folder):
    root, truth = folder
    write_json_lines(root / "a.jsonl", as_text(truth))
    with (root / "a.jsonl").open("a") as file:
        file.write("\nnot json\n")
    with pytest.raises(DataError, match=r"a\.jsonl, line \d+ must be a JSON object\. Received: 'not json'"):
        opened(root / "a.jsonl")
