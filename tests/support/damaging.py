"""Ways to damage the files of a run folder, as accidents and hands do."""

import json
import os
import shutil
import zipfile

# What stands in the place of a value.
ODD = [
    None,
    True,
    "text",
    "",
    -1,
    0,
    7,
    0.5,
    1e300,
    10**30,
    float("nan"),
    float("inf"),
    [],
    [None],
    {},
    {"a": 1},
    "\x1b[31m",
]
MISSING = object()


def places_of(document, deepest=6):
    """Paths to every value of a JSON document; of a list to its first two and its last."""
    yield ()
    if deepest and isinstance(document, dict):
        for key, value in document.items():
            yield from ((key, *rest) for rest in places_of(value, deepest - 1))
    elif deepest and isinstance(document, list):
        for number in sorted({0, 1, len(document) - 1} & set(range(len(document)))):
            yield from ((number, *rest) for rest in places_of(document[number], deepest - 1))


def edited(document, place, value):
    """A copy with another value, or none, at `place`."""
    if not place:
        return value
    copy = json.loads(json.dumps(document))
    node = copy
    for key in place[:-1]:
        node = node[key]
    if value is MISSING:
        del node[place[-1]]
    else:
        node[place[-1]] = value
    return copy


def edits_of(file):
    """(words, function that makes one edit of the JSON file) for each place and each odd value."""
    document = json.loads(file.read_text())
    for place in places_of(document):
        for value in (*ODD, *([MISSING] if place else [])):
            name = "missing" if value is MISSING else repr(value)
            text = json.dumps(edited(document, place, value))
            yield f"{file.name} {'.'.join(map(str, place))} = {name}", lambda target, text=text: target.write_text(text)


def line_edits_of(file):
    """The same for each line of a file with one JSON object a line."""
    lines = file.read_text().splitlines()
    for number, line in enumerate(lines):
        document = json.loads(line)
        for place in places_of(document):
            for value in (*ODD, *([MISSING] if place else [])):
                name = "missing" if value is MISSING else repr(value)
                changed = [*lines[:number], json.dumps(edited(document, place, value)), *lines[number + 1 :]]
                text = "\n".join(changed) + "\n"
                words = f"{file.name} line {number} {'.'.join(map(str, place))} = {name}"
                yield words, lambda target, text=text: target.write_text(text)


def torn(target):
    target.write_bytes(target.read_bytes()[: max(1, target.stat().st_size // 2)])


def last_line_torn(target):
    content = target.read_bytes()
    target.write_bytes(content + content[: len(content) // 3] + b'{"epoch"')


def to_folder(target):
    target.unlink()
    target.mkdir()


def to_pipe(target):
    target.unlink()
    os.mkfifo(target)


def to_dangling_link(target):
    target.unlink()
    target.symlink_to(target.with_name("nowhere"))


def of_other_bytes(target):
    content = bytearray(target.read_bytes())
    for place in range(0, len(content), max(1, len(content) // 40)):
        content[place] ^= 0xFF
    target.write_bytes(content)


# Of any file.
WHOLE_FILE = {
    "gone": lambda target: target.unlink(),
    "empty": lambda target: target.write_bytes(b""),
    "torn": torn,
    "last line torn": last_line_torn,
    "a folder": to_folder,
    "a pipe": to_pipe,
    "a dangling link": to_dangling_link,
    "other bytes": of_other_bytes,
    "zeros": lambda target: target.write_bytes(bytes(target.stat().st_size)),
    "Latin-1": lambda target: target.write_bytes("café\n".encode("latin-1")),
    "nested": lambda target: target.write_text("[" * 100_000),
    "a number without end": lambda target: target.write_text("9" * 20_000),
}


def file_edits_of(file):
    """(words, function) for each of these."""
    return [(f"{file.name}: {words}", change) for words, change in WHOLE_FILE.items()]


def rewritten(archive, change):
    """model.keras with another description of its layers."""
    copy = archive.with_suffix(".new")
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(copy, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                document = json.loads(content)
                change(document)
                content = json.dumps(document).encode()
            new.writestr(name, content)
    shutil.move(copy, archive)


def without(archive, member):
    copy = archive.with_suffix(".new")
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(copy, "w") as new:
        for name in old.namelist():
            if name != member:
                new.writestr(name, old.read(name))
    shutil.move(copy, archive)


def convolutions(document):
    return [each["config"] for each in document["config"]["layers"] if each["class_name"] == "Conv2D"]


# Of model.keras.
ARCHIVE = {
    "gigantic": lambda target: rewritten(target, lambda d: convolutions(d)[0].update(filters=10**9)),
    "of other filters": lambda target: rewritten(target, lambda d: convolutions(d)[0].update(filters=24)),
    "of other pixels": lambda target: rewritten(
        target, lambda d: d["config"]["layers"][0]["config"].update(batch_shape=[None, 4096, 4096, 3])
    ),
    "of no layers": lambda target: rewritten(target, lambda d: d["config"].update(layers=[])),
    "of an unknown layer": lambda target: rewritten(
        target, lambda d: d["config"]["layers"][1].update(class_name="Odd")
    ),
    "of a list": lambda target: rewritten(target, lambda d: d.update(config=[1])),
    "without weights": lambda target: without(target, "model.weights.h5"),
    "without a description": lambda target: without(target, "config.json"),
}


def archive_edits_of(file):
    return [(f"{file.name}: {words}", change) for words, change in ARCHIVE.items()]
