"""List image files below a folder, and what else lies there, counted by kind. Imports no TensorFlow."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from PIL import Image

from .errors import DataError

# Pillow knows more suffixes: of what it only writes (PDF), leaves to other programs (EPS, WMF), or merely recognizes
# (MPEG, HDF5, GRIB, BUFR).
IMAGE_FORMATS = {
    *("AVIF", "BLP", "BMP", "CUR", "DCX", "DDS", "DIB", "FITS", "FLI", "FTEX", "GBR", "GIF", "ICNS", "ICO", "IM"),
    *("JPEG", "JPEG2000", "MPO", "MSP", "PCD", "PCX", "PIXAR", "PNG", "PPM", "PSD", "QOI", "SGI", "SUN", "TGA"),
    *("TIFF", "WEBP", "XBM", "XPM"),
}
# Arrays are images where no others are.
ARRAY_SUFFIX = ".npy"
# What systems and programs leave behind: copies, thumbnails, what was thrown away. Hidden folders are left out anyway.
JUNK_FOLDERS = {
    *("@eadir", "__macosx", "__pycache__", "#recycle", "@recycle", "$recycle.bin", "lost+found"),
    "system volume information",
}
JUNK_FILES = {"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini"}
DUPLICATE_LINK = "links to what is counted already"
CYCLIC_LINK = "links back to where they stand"
DANGLING_LINK = "dangling links"
# Suffixes of pictures that Pillow does not read, and other kinds → what they are.
UNREADABLE_KINDS = {
    DANGLING_LINK: "links",
    **dict.fromkeys((".heic", ".heif", ".hif"), "HEIC"),
    ".jxl": "JPEG XL",
    **dict.fromkeys((".cr2", ".cr3", ".nef", ".arw", ".dng", ".raf", ".orf", ".rw2", ".pef"), "camera raw"),
    **dict.fromkeys((".svg", ".eps", ".ps", ".pdf", ".wmf", ".emf", ".ai"), "drawings and documents"),
    **dict.fromkeys((".mp4", ".mov", ".avi", ".mkv", ".mpg", ".mpeg", ".webm"), "videos"),
    **dict.fromkeys((".npy", ".npz", ".h5", ".hdf", ".hdf5", ".mat", ".parquet", ".tfrecord"), "arrays and records"),
    **dict.fromkeys((".dcm", ".nii"), "medical images"),
}
REMEDIES = {
    "links": "what dangling links lead to is not here: DVC and git-annex fetch what they keep",
    "HEIC": "Pillow reads no HEIC: convert it to JPEG, with pillow-heif or ImageMagick",
    "JPEG XL": "Pillow reads no JPEG XL: convert it to PNG",
    "camera raw": "Pillow reads no camera raw: develop it to JPEG, TIFF or PNG",
    "drawings and documents": "drawings and documents are no images: draw them as PNG",
    "videos": "videos are no images: write their frames as images",
    "arrays and records": (
        "arrays are read one an image from .npy files, where no other images are: write the images as such or as PNG,"
        " or use keras_resnet.export.in_memory"
    ),
    "medical images": "Pillow reads no medical images: write them as PNG",
}
# How files begin that only stand for an image → who fetches it.
POINTERS = {b"version https://git-lfs": "Git LFS: git lfs pull", b"/annex/objects/": "git-annex: git annex get"}


@dataclass
class ImageListing:
    """What lies below a folder. files: images, sorted. left_out: how many others, by kind in words. folders: those that
    may hold images, the folder itself not among them. links: of the files, those that are links → where they lead."""

    files: list[Path] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    folders: list[Path] = field(default_factory=list)
    links: dict[Path, str] = field(default_factory=dict)

    def real_paths(self, files: Iterable[Path]) -> list[str]:
        """Return where each of these `files` really is."""
        real = cache(os.path.realpath)
        return [self.links.get(file) or f"{real(file.parent)}{os.sep}{file.name}" for file in files]


@cache
def image_suffixes() -> frozenset[str]:
    """Return the suffixes of images that can be read, in small letters."""
    known = {suffix for suffix, kind in Image.registered_extensions().items() if kind in IMAGE_FORMATS}
    return frozenset(known | {ARRAY_SUFFIX})


def list_images(folder: Path) -> tuple[list[Path], Counter[str]]:
    """Return the images below `folder`, sorted, and how many other files there are by kind (see `find_images`)."""
    found = find_images(folder)
    return found.files, found.left_out


def find_images(folder: Path, deep: bool = True) -> ImageListing:
    """Return what lies in `folder` and, if `deep`, below it.

    Links are followed, but none that leads back, and no file is taken twice. What is hidden, or left behind by a system
    or a program, holds copies and is left out. Raises DataError for a folder that cannot be read.
    """
    found, entered, links = ImageListing(), set[str](), list[Path]()
    pending, linked = [folder], list[Path]()
    while pending or linked:
        # Folders first, and links to them last: what is in both keeps its own place.
        here = pending.pop() if pending else linked.pop(0)
        if here != folder:
            found.folders.append(here)
            if not deep:
                continue
        real = os.path.realpath(here)
        if real in entered:
            found.left_out[DUPLICATE_LINK] += 1
            continue
        entered.add(real)
        for entry in _entries(here):
            path = Path(entry.path)
            if _is_folder(entry):
                if is_junk(entry.name):
                    found.left_out[f"in {entry.name}"] += _count_files(path)
                elif not entry.is_symlink():
                    pending.append(path)
                elif Path(real).is_relative_to(os.path.realpath(path)):
                    found.left_out[CYCLIC_LINK] += 1
                else:
                    linked.append(path)
            elif kind := _kind(entry):
                found.left_out[kind] += 1
            else:
                (links if entry.is_symlink() else found.files).append(path)
    _add_links(found, links)
    _leave_out_arrays(found)
    found.files.sort()
    found.folders.sort()
    return found


def _add_links(found: ImageListing, links: list[Path]) -> None:
    """Add the files that `links` lead to, but for those that are there already."""
    there = set(found.real_paths(found.files)) if links else set()
    for link in sorted(links):
        real = os.path.realpath(link)
        if real in there:
            found.left_out[DUPLICATE_LINK] += 1
        else:
            there.add(real)
            found.files.append(link)
            found.links[link] = real


def _leave_out_arrays(found: ImageListing) -> None:
    """Leave arrays out where there are other images: they are something else about those."""
    images = [file for file in found.files if file.suffix.lower() != ARRAY_SUFFIX]
    if images and (arrays := len(found.files) - len(images)):
        found.files[:] = images
        found.left_out[ARRAY_SUFFIX] += arrays


def format_kinds(left_out: Mapping[str, int]) -> str:
    """Return what was left out as words, the most first: ".heic (12), in .ipynb_checkpoints (3)"."""
    ordered = sorted(left_out.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{readable_name(kind)} ({count})" for kind, count in ordered if count)


def suggest_remedies(left_out: Mapping[str, int]) -> str:
    """Return what to do about pictures among what was left out: "; …", or "" where there are none."""
    kinds = dict.fromkeys(
        UNREADABLE_KINDS[kind] for kind, count in left_out.items() if count and kind in UNREADABLE_KINDS
    )
    return "".join(f"; {REMEDIES[kind]}" for kind in kinds)


def to_path(source: str) -> Path:
    """Return the path that a user, or a run that was made under another locale, calls `source`."""
    return Path(os.fsdecode(source.encode("utf-8", "surrogateescape"))).expanduser()


def describe_pointer(file: Path) -> str:
    """Return who fetches the image that a `file` only stands for, in words; "" for other files."""
    try:
        with file.open("rb") as stream:
            head = stream.read(64)
    except OSError:
        return ""
    return next(
        (f"; it is a pointer of {who} fetches it" for start, who in POINTERS.items() if head.startswith(start)), ""
    )


def readable_name(name: str | os.PathLike[str]) -> str:
    """Return a file's name for people: what is not UTF-8 in it as \\xe9."""
    try:
        return os.fsencode(name).decode("utf-8", "backslashreplace")
    except UnicodeError:  # it cannot be a file's name under this locale
        return str(name)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"cannot read folder {folder}: {error.strerror}") from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def is_junk(folder: str) -> bool:
    """Return whether a folder of that name holds copies, or what a system or a program leaves behind."""
    return folder.startswith(".") or folder.casefold() in JUNK_FOLDERS


def _count_files(folder: Path) -> int:
    """Count the files below a folder that is left out; links are not followed."""
    return sum(len(files) for _, _, files in os.walk(folder))


def _kind(entry: os.DirEntry[str]) -> str:
    """Return as what a file is left out; "" for an image."""
    if entry.name.startswith("._"):
        return "._* of macOS"
    if entry.name.casefold() in JUNK_FILES:
        return entry.name
    if entry.name.startswith("."):
        return "hidden"
    if not os.path.isfile(entry.path):
        return DANGLING_LINK if not os.path.exists(entry.path) else "pipes and devices"
    suffix = Path(entry.name).suffix.lower()
    return "" if suffix in image_suffixes() else suffix or "without a suffix"
