"""One thing is told as one, wherever it is counted."""

import ast
import re
from pathlib import Path

import pytest

from keras_resnet.data.sources import coco_images, coco_masks, voc
from keras_resnet.runtime.plurals import counted, format_large, verb, worded

ROOT = Path(__file__).parents[2]
SOURCES = [*(ROOT / "keras_resnet").rglob("*.py"), *(ROOT / "export").rglob("*.py")]
# Words in s behind a number that is no count, or is never 1: of reference images there are 16.
ALLOWED = re.compile(r"pixels|is|has|was|as|times (?:the|as|that)|less|uses|its|this|answers")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0, "image"), "0 images"),
        ((1, "image"), "1 image"),
        ((2, "image"), "2 images"),
        ((1234, "image", ","), "1,234 images"),
        ((1.0, "point", "g"), "1 point"),
        ((0.5, "point", "g"), "0.5 points"),
        ((1.25, "point", ".0f"), "1 point"),
        ((-1, "point", "+d"), "-1 point"),
        ((1, "class", "", "classes"), "1 class"),
        ((3, "class", "", "classes"), "3 classes"),
    ],
)
def test_a_count_with_its_noun(arguments, words):
    assert counted(*arguments) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (640, "640"),
        (75_290, "75.3 k"),
        (2_534_400, "2.53 M"),
        (999_600_000, "1 G"),
        (1_814_073_344, "1.81 G"),
        (19_600_000_000, "19.6 G"),
    ],
)
def test_the_unit_of_a_large_number_is_that_of_its_size(number, words):
    assert format_large(number) == words


def test_verbs_and_phrases():
    assert [verb(count) for count in (0, 1, 2)] == ["are", "is", "are"]
    assert [verb(count, "has", "have") for count in (1, 5)] == ["has", "have"]
    assert worded(1, coco_images.REPEATED) == "1 annotation that repeats another one of its image exactly"
    assert worded(2, coco_images.REPEATED) == "2 annotations that repeat another one of their image exactly"


@pytest.mark.parametrize("module", [coco_images, coco_masks, voc])
def test_every_phrase_of_annotations_has_both_forms(module):
    phrases = {name: value for name, value in vars(module).items() if name.isupper() and isinstance(value, str)}
    told = {name: (worded(1, value), worded(2, value)) for name, value in phrases.items() if "|" in value}
    assert len(told) >= 3
    for one, several in told.values():
        assert one[1:] != several[1:] and not re.search(r"[{|}]", one + several)


def nouns_behind_numbers(source):
    """Plural nouns that stand right behind a computed part of a string, with the line."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.JoinedStr):
            continue
        for computed, text in zip(node.values, node.values[1:], strict=False):
            if not isinstance(computed, ast.FormattedValue) or not isinstance(text, ast.Constant):
                continue
            if (found := re.match(r" ((?:[a-z-]+ )?[a-z]{3,}s)\b", text.value)) and is_count(computed):
                yield node.lineno, found[1]


def is_count(computed):
    """Whether a computed part is a number of things, judged by how it is computed."""
    words = ast.unparse(computed.value)
    return bool(re.fullmatch(r"len\(.*\)|.*(count|total|samples|epochs|steps)(\(.*\))?|.*\.sum\(.*\)", words))


def test_no_message_puts_a_plural_behind_a_count_by_hand():
    found = [
        f"{file.relative_to(ROOT)}:{line}: {noun}"
        for file in SOURCES
        for line, noun in nouns_behind_numbers(file.read_text(encoding="utf-8"))
        if not ALLOWED.fullmatch(noun)
    ]
    assert found == []


def test_the_check_sees_one():
    assert list(nouns_behind_numbers('f"left out {len(files)} files"')) == [(1, "files")]
    assert list(nouns_behind_numbers('f"{count} validation images"')) == [(1, "validation images")]
    assert list(nouns_behind_numbers("f\"{counted(count, 'file')} left\"")) == []
