"""Decide which subfolders are splits and which are classes, by their names and contents, and log the decision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from keras_resnet.data.class_names import OneClassError, label_from_folder, require_labels
from keras_resnet.data.sources.listing import FolderLayout, Listing
from keras_resnet.data.sources.manifest_table import READERS
from keras_resnet.data.sources.split_names import SPLITS, find_inner_splits, split_of
from keras_resnet.errors import DataError
from keras_resnet.runtime.image_files import ImageListing, find_images, format_kinds, readable_name, suggest_remedies
from keras_resnet.runtime.plurals import counted, verb

MAX_NAMES = 5
# Images that are named which are in two places.
MAX_PAIRS = 3
# Tables that are not read; each program that writes them writes .csv too.
SPREADSHEETS = (".xlsx", ".xls", ".ods")


class _Folder:
    """A folder at the top, and all that is below it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.contents: ImageListing = find_images(path)

    @cached_property
    def classes(self) -> dict[str, tuple[Path, list[Path]]]:
        """Of the folders in this one, label → (the folder, the images below it). Raises DataError for odd names."""
        folders = [each for each in self.contents.folders if each.parent == self.path]
        return _by_label(self.path, folders, self.contents.files)

    @property
    def loose(self) -> list[Path]:
        """Return images that lie in the folder itself."""
        return [file for file in self.contents.files if file.parent == self.path]

    @property
    def nested(self) -> bool:
        """Return whether images lie in folders in this one."""
        return len(self.loose) < len(self.contents.files)


def find_layout(root: Path, log: Callable[[str], None]) -> FolderLayout:
    """Return what the folder `root` holds; what each subfolder was taken for, and what was left out, goes to `log`.

    Raises DataError where that is ambiguous, and for a folder that cannot be a classification dataset.
    """
    top = find_images(root, deep=False)
    folders = [_Folder(path) for path in top.folders]
    if not folders:
        raise DataError(_no_folders(root, top))
    splits = _split_folders(root, folders, log)
    left_out = Counter(top.left_out)
    for folder in folders:
        left_out += folder.contents.left_out
    if "train" in splits:
        layout = _layout_of_splits(splits, log)
        used = {folder.path for folder in splits.values()}
        for folder in folders:
            if folder.path not in used and folder.contents.files:
                left_out[f"images in {readable_name(folder.path.name)}/ beside the splits"] += len(
                    folder.contents.files
                )
    else:
        layout = _layout_of_classes(root, [folder for folder in folders if folder not in splits.values()], splits)
    beside = [*top.files, *(file for split in splits.values() if split.nested for file in split.loose)]
    left_out["images beside the class folders"] += len(beside)
    if total := left_out.total():
        log(f"left out {counted(total, 'file')}: {format_kinds(left_out)}{suggest_remedies(left_out)}")
    _log_links(layout, folders, log)
    return layout


def _split_folders(root: Path, folders: Sequence[_Folder], log: Callable[[str], None]) -> dict[str, _Folder]:
    """Return which of the `folders` in `root` are splits, by the split's name; none where all are classes."""
    named = {folder: split for folder in folders if (split := split_of(folder.path.name))}
    others = [folder for folder in folders if folder not in named and folder.contents.files]
    nested = [folder for folder in named if folder.nested]
    train = [folder for folder, split in named.items() if split == "train"]
    if not named:
        return {}
    if not others:
        if not train:
            raise DataError(f"{root} has {_names(named)} and no train folder")
        return _one_each(named, log)
    if not nested:
        log(f"{_names(named)}: taken as a class, since images lie in it as in {_names(others)} beside it")
        return {}
    beside = f"it has class folders in it, and stands beside {_names(others)}"
    if any(each in nested for each in train):
        if len(named) < 2:
            raise DataError(f"{train[0].path}: {beside}; rename it if it is a class, else move these out of {root}")
        return _one_each(named, log)
    labels = {label_from_folder(folder.path) for folder in others}
    for folder in named:
        if folder not in nested or not set(folder.classes) <= labels:
            odd = next((each for each in nested if each != folder), folder)
            raise DataError(
                f"{odd.path}: {beside}; rename it if it is a class, else put the folders of training images into"
                f" {root / 'train'}"
            )
    return _one_each(named, log)


def _one_each(named: dict[_Folder, str], log: Callable[[str], None]) -> dict[str, _Folder]:
    """`named` the other way round."""
    splits: dict[str, _Folder] = {}
    for folder, split in named.items():
        if split in splits:
            raise DataError(f"{splits[split].path} and {folder.path} are both named for {split} images; keep one")
        splits[split] = folder
    ordered = {split: splits[split] for split in SPLITS if split in splits}
    log("splits: " + ", ".join(f"{split} ({readable_name(each.path.name)}/)" for split, each in ordered.items()))
    return ordered


def _layout_of_splits(splits: dict[str, _Folder], log: Callable[[str], None]) -> FolderLayout:
    """Return the layout of folders of splits with class folders in them; test images may be without."""
    train = splits["train"]
    classes = _require_classes(train.path, train.classes)
    listings, unlabeled = {}, {}
    for split, folder in splits.items():
        if split == "test" and _is_unlabeled(folder, classes):
            count = len(folder.contents.files)
            unlabeled[split] = f"{folder.path} has no class folders"
            log(f"test: {counted(count, 'image')} without labels, since {unlabeled[split]}; kresnet predict names them")
        elif not folder.nested:
            raise DataError(_no_folders(folder.path, folder.contents))
        else:
            listings[split] = _listing(train.path, folder.path, folder.classes, classes)
    return FolderLayout(classes, listings, unlabeled)


def _layout_of_classes(root: Path, folders: Sequence[_Folder], splits: dict[str, _Folder]) -> FolderLayout:
    """Return the layout of class folders, perhaps with other splits of the same classes beside them."""
    files = [file for folder in folders for file in folder.contents.files]
    contents = _by_label(root, [folder.path for folder in folders], files)
    _require_no_inner_splits(root, contents)
    classes = _require_classes(root, contents)
    listings = {"train": _listing(root, root, contents, classes)}
    listings |= {name: _listing(root, each.path, each.classes, classes) for name, each in splits.items()}
    return FolderLayout(classes, listings, {})


def _require_no_inner_splits(root: Path, contents: dict[str, tuple[Path, list[Path]]]) -> None:
    """Raise DataError for class folders with splits in them: what was held out would be trained on."""
    for folder, files in contents.values():
        if inner := find_inner_splits(folder, files):
            raise DataError(
                f"class folder {folder} has {' and '.join(f'{each}/' for each in inner)} in it: put the splits outside,"
                f" as in {root / inner[0] / folder.name}; or rename them, if all of these images are for training"
            )


def _by_label(parent: Path, folders: Sequence[Path], files: Sequence[Path]) -> dict[str, tuple[Path, list[Path]]]:
    """Label → (folder, those of `files` below it), of class `folders` in `parent`."""
    depth = len(parent.parts)
    within: dict[str, list[Path]] = {folder.name: [] for folder in folders}
    for file in files:
        if len(file.parts) > depth + 1:
            within[file.parts[depth]].append(file)
    labels = [label_from_folder(folder) for folder in folders]
    require_labels(labels, f"class folders in {parent}")
    contents = {label: (folder, within[folder.name]) for label, folder in zip(labels, folders, strict=True)}
    return dict(sorted(contents.items()))


def _require_classes(parent: Path, contents: dict[str, tuple[Path, list[Path]]]) -> tuple[str, ...]:
    """Return the labels, 2 or more."""
    if len(contents) == 1:
        ((label, (folder, _)),) = contents.items()
        inner = [each for each in find_images(folder, deep=False).folders if any(find_images(each).files)]
        hint = f"; or is the dataset itself {folder}?" if len(inner) > 1 else ""
        raise OneClassError(
            f"{parent} holds one class only ({label}); a classifier needs 2 or more class folders{hint}"
        )
    if not contents:
        raise DataError(_no_folders(parent, find_images(parent, deep=False)))
    return tuple(contents)


def _listing(
    first: Path, folder: Path, contents: dict[str, tuple[Path, list[Path]]], classes: tuple[str, ...]
) -> Listing:
    """Return the images of a split. Raises DataError unless it holds some of each of the `classes` of the `first`
    split."""
    if odd := sorted(set(contents) ^ set(classes)):
        more = ", …" if len(odd) > MAX_NAMES else ""
        raise DataError(
            f"{folder} and {first} do not hold the same classes; they differ in: {', '.join(odd[:MAX_NAMES])}{more}"
        )
    files: list[Path] = []
    labels: list[int] = []
    for number, label in enumerate(classes):
        class_folder, images = contents[label]
        if not images:
            inner = find_images(class_folder)
            words = f", only {format_kinds(inner.left_out)}{suggest_remedies(inner.left_out)}" if inner.left_out else ""
            words = " of its own: it is linked to what is counted already" if inner.files else words
            raise DataError(f"class folder {class_folder} holds no images{words}")
        files += images
        labels += [number] * len(images)
    return Listing(files, labels)


def _is_unlabeled(test: _Folder, classes: tuple[str, ...]) -> bool:
    """Return whether test images lie in no class folders: loose, or all in one folder that is no class."""
    if not test.nested:
        return bool(test.loose)
    return len(test.classes) == 1 and not set(test.classes) & set(classes)


def _no_folders(root: Path, contents: ImageListing) -> str:
    if contents.files:
        return _without_classes(root, contents)
    words = f" (only {format_kinds(contents.left_out)})" if contents.left_out else ""
    return (
        f"{root} holds no images{words}: it needs a folder per class, or train/ and val/ of such folders"
        f"{suggest_remedies(contents.left_out)}"
    )


def _without_classes(folder: Path, contents: ImageListing) -> str:
    beside = ""
    if table := next((kind for kind in READERS if contents.left_out[kind]), ""):
        beside = f"; to read labels from a {table} file, name it: --data {folder}/FILE{table}"
    elif sheet := next((kind for kind in SPREADSHEETS if contents.left_out[kind]), ""):
        beside = f"; to read labels from a {sheet} file, save it as .csv and name that: --data {folder}/FILE.csv"
    parent = "" if beside else _suggest_parent(folder)
    return (
        f"{folder} holds {counted(len(contents.files), 'image')} and no class folders: what an image shows is the"
        f" name of the folder that it lies in{beside}; {parent or 'sort the images into a folder per class'}"
    )


def _suggest_parent(folder: Path) -> str:
    """Return a hint at the folder in which `folder` is one of several that hold images, as class folders are; "" where
    it is not, or is a split."""
    if split_of(folder.name) is not None:
        return ""
    parent = folder.absolute().parent
    with suppress(DataError):
        others = (each for each in find_images(parent, deep=False).folders if each.name != folder.name)
        if any(find_images(each, deep=False).files for each in others):
            home = folder.parent if split_of(parent.name) is None else folder.parent.parent
            return f"did you mean --data {home}, which holds it and other folders of images?"
    return ""


def _names(folders: Sequence[_Folder] | dict[_Folder, str]) -> str:
    names = [f"{readable_name(folder.path.name)}/" for folder in folders]
    return ", ".join(names[:MAX_NAMES]) + (", …" if len(names) > MAX_NAMES else "")


def _log_links(layout: FolderLayout, folders: Sequence[_Folder], log: Callable[[str], None]) -> None:
    """Warn by `log` of images that stand in two places by links: with two labels, or in two splits."""
    links = {file: class_folder for folder in folders for file, class_folder in folder.contents.links.items()}
    if not links and not any(
        each.is_symlink() for folder in folders for each in (folder.path, *folder.contents.folders)
    ):
        return
    everything = ImageListing(links=links)
    seen: dict[str, tuple[Path, str, int]] = {}
    labels: list[tuple[Path, Path]] = []
    splits: list[tuple[Path, Path]] = []
    for split, listing in layout.listings.items():
        for file, real, label in zip(listing.files, everything.real_paths(listing.files), listing.labels, strict=True):
            first, first_split, first_label = seen.setdefault(real, (file, split, label))
            if first_label != label:
                labels.append((file, first))
            if first_split != split:
                splits.append((file, first))
    if labels:
        log(
            f"warning: {counted(len(labels), 'image')} {verb(len(labels))} in two classes, by links"
            f" ({_name_pairs(labels)}): no network can learn both labels; keep each image in one class"
        )
    if splits:
        log(
            f"warning: {counted(len(splits), 'image')} {verb(len(splits))} in two splits, by links"
            f" ({_name_pairs(splits)}): accuracy on them says nothing about new images"
        )


def _name_pairs(pairs: Sequence[tuple[Path, Path]]) -> str:
    """Return the first of `pairs` of names of one image."""
    names = [f"{readable_name(one)} = {readable_name(other)}" for one, other in pairs[:MAX_PAIRS]]
    return ", ".join(names) + ", …" * (len(pairs) > MAX_PAIRS)
