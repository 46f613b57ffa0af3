"""Decode image files, and bring them to the pixels that a network sees. Imports nothing but NumPy and Pillow: this file
also goes to devices, beside classify.py."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

# The largest image that is decoded, in millions of pixels: from there on Pillow itself warns of an attack. Decoded a
# pixel takes 4 bytes, and up to 12 meanwhile.
MAX_MEGAPIXELS = 89.5
# Pillow's resize keeps 32 bytes for each pixel of a side.
MAX_SIDE = 1_000_000
# Pixels that are converted at a time, so that copies in other modes stay small.
PIXELS_PER_STRIP = 2**20

ALPHA_MODES = ("LA", "La", "PA", "RGBA", "RGBa")
# Modes without colors.
GRAY_MODES = ("1", "L", "LA", "La")
ORIENTATION, SAMPLES_PER_PIXEL = 0x0112, 0x0115
# Where a photograph lies on its side.
SIDEWAYS = (5, 6, 7, 8)
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# How files begin that are taken for others → what they are.
BEGINNINGS = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"\x89HDF": "an HDF5 file",
    b"%PDF": "a PDF document",
    b"\x93NUMPY": "a NumPy array",
}
# Bytes that tell what a file is, and characters of a text that are shown.
HEAD, SHOWN = 512, 40
NUMPY_HEAD = b"\x93NUMPY"
TIFF_HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# Channels of an image: more are a typing error, or damage.
MAX_CHANNELS = 64
# A square's side in pixels, or (height, width), also as JSON has it.
ImageSize = int | Sequence[int]
# An image of 1 or 3 channels, or of any other number a gray image for each.
Picture = Image.Image | tuple[Image.Image, ...]
# Formats that Pillow gives to other programs.
PROGRAM_FORMATS = ("EPS", "WMF")


class _Filters:
    """What becomes of Pillow's warnings while any thread decodes; what `warnings` itself has for that is for one thread
    alone, and would leave its filters to the process."""

    def __init__(self) -> None:
        self._lock, self._users = Lock(), 0
        self._caught = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._caught = warnings.catch_warnings()
                self._caught.__enter__()
                # An error also where Pillow meets it late, as in the images of an .ico file.
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

    def __exit__(self, *raised: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._caught.__exit__(None, None, None)


_FILTERS = _Filters()


class ImageError(ValueError):
    """An image that cannot be read, in words that follow "cannot read image …: "."""


def get_max_megapixels() -> float:
    """Return what the environment's KRESNET_MAX_MEGAPIXELS says, else MAX_MEGAPIXELS. Raises ValueError if that is no
    number above 0."""
    text = os.environ.get("KRESNET_MAX_MEGAPIXELS", "")
    try:
        value = float(text) if text else MAX_MEGAPIXELS
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ValueError(f"KRESNET_MAX_MEGAPIXELS must be a number above 0, in millions of pixels. Received: {text!r}")
    return value


def decode_image(
    source: bytes | str | Path, levels: Sequence[float] = (), channels: int = 3, at_least: int = 0
) -> Picture:
    """Decode the first frame of an image, upright (EXIF), as RGB, transparent ones laid over white; where a network
    takes other than 1 or 3 `channels`, all that the file holds, each as a gray image: there have to be as many.

    Arrays in .npy files are (H, W) or (H, W, channels). TIFF files of more than four channels need tifffile.

    levels: the values that are black and white in images of more than 8 bits. Without them those are 0 and 65535 in
    integers, or 255 where 32-bit ones fit below; in floating-point images 0 and 1, or 255 where they do not fit below.

    at_least: pixels; a JPEG is decoded at 1/2, 1/4 or 1/8 of its size if its shorter side still has as many. Such
    pixels differ from those of the whole image resized: they are for training alone. 0 decodes the whole image.

    Raises ImageError if it cannot be read, is larger than `get_max_megapixels` allows or has other channels, ValueError
    if that setting is no number.
    """
    limit = get_max_megapixels()
    with _translate_errors():
        values = _read_array(source, limit, channels)
        if values is not None:
            return _from_array(values, levels, channels)
        loaded, turn = _load_image(source, limit, at_least=at_least)
        if turn is not None:
            loaded = loaded.transpose(turn)
        if channels in (1, 3):
            return _to_rgb(loaded, levels)
        _require_channels(len(loaded.getbands()), channels)
        return loaded.split()


def read_deep_values(source: bytes | str | Path) -> Iterator[np.ndarray]:
    """Yield the values of an image of more than 8 bits, some rows (H, W) at a time; nothing for any other. Raises as
    `decode_image`."""
    limit = get_max_megapixels()
    with _translate_errors():
        values = _read_array(source, limit)
        if values is not None:
            yield from (values.reshape(len(values), -1),) if values.dtype != np.uint8 else ()
            return
        loaded, _ = _load_image(source, limit, only_deep=True)
        if _is_deep(loaded):
            yield from map(np.asarray, _strips(loaded))


def read_image_size(source: bytes | str | Path, at_least: int = 0) -> tuple[int, int]:
    """Return the (width, height) that an image's header says, as it lies; or that `decode_image` scales it to where it
    keeps `at_least` pixels. Nothing is decoded, but for arrays; raises as `decode_image`."""
    limit = get_max_megapixels()
    with _translate_errors():
        values = _read_array(source, limit)
        if values is not None:
            return values.shape[1], values.shape[0]
        with _open_image(source, limit) as image:
            _scale_while_decoding(image, at_least)
            return image.size


def read_shape(source: bytes | str | Path) -> tuple[int, int, int]:
    """Return the (height, width, channels) of an image, upright by its header's word; palettes count as colors, and
    transparency as no channel. Reads and raises as `read_image_size`."""
    limit = get_max_megapixels()
    with _translate_errors():
        values = _read_array(source, limit)
        if values is not None:
            height, width, channels = values.shape
            return height, width, channels
        with _open_image(source, limit) as image:
            height, width = image.size if _orientation(image) in SIDEWAYS else image.size[::-1]
            return height, width, 1 if image.mode in GRAY_MODES or _is_deep(image) else 3


def kind_of(head: bytes) -> str:
    """Return what a file is that begins with the HEAD bytes `head`, in words that follow "it is "; "" if nobody can
    tell."""
    if not head:
        return "empty"
    if kind := next((kind for start, kind in BEGINNINGS.items() if head.startswith(start)), ""):
        return kind
    if not any(head):
        return "nothing but zeros"
    # A character may be cut off at the end.
    text = head.decode("utf-8", "ignore").strip()
    if len(text.encode()) < len(head.strip()) - 3 or not all(each.isprintable() or each.isspace() for each in text):
        return ""
    first = text.split("\n")[0].strip()
    return f"text, which begins with {first[:SHOWN]!r}"


def height_and_width(size: ImageSize) -> tuple[int, int]:
    """Return the (height, width) that a size stands for."""
    if isinstance(size, int):
        return size, size
    height, width = size
    return height, width


def size_of(picture: Picture) -> tuple[int, int]:
    """Return the (width, height) of an image of any number of channels."""
    return (picture[0] if isinstance(picture, tuple) else picture).size


def to_channels(picture: Picture, channels: int) -> Picture:
    """Return an image with so many channels: gray by ITU-R 601-2 luma, RGB, or all that it has. Raises ImageError where
    these are another number."""
    if isinstance(picture, tuple) or channels not in (1, 3):
        parts = picture if isinstance(picture, tuple) else picture.split()
        _require_channels(len(parts), channels)
        return parts
    mode = "L" if channels == 1 else "RGB"
    return picture if picture.mode == mode else _to_rgb(picture, ()).convert(mode)


def to_picture(pixels: np.ndarray) -> Picture:
    """Return uint8 pixels (H, W, channels) as an image."""
    if pixels.shape[-1] in (1, 3):
        return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    return tuple(Image.fromarray(pixels[..., channel]) for channel in range(pixels.shape[-1]))


def show_in_rgb(picture: Picture) -> Image.Image:
    """Return an image as people can look at it: the first three of many channels, or the first of two, as RGB."""
    if isinstance(picture, tuple):
        return Image.merge("RGB", picture[:3] if len(picture) >= 3 else picture[:1] * 3)
    return picture.convert("RGB")


def resize_and_crop(image: Image.Image, size: ImageSize) -> np.ndarray:
    """Resize an image until it just covers `size`, and crop its center: (height, width[, 3]) uint8."""
    return np.asarray(ImageOps.fit(image, height_and_width(size)[::-1], Image.Resampling.BICUBIC))


def letterbox(image: Image.Image, size: ImageSize) -> np.ndarray:
    """Resize an image until it just fits into `size`, and place it at the top left; the rest is black: (height,
    width[, 3]) uint8."""
    height, width = height_and_width(size)
    scale = min(width / image.width, height / image.height)
    fitted = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    canvas = Image.new(image.mode, (width, height))
    canvas.paste(image.resize(fitted, Image.Resampling.BICUBIC))
    return np.asarray(canvas)


def stretch(image: Image.Image, size: ImageSize) -> np.ndarray:
    """Resize an image to `size`, whatever becomes of its proportions: (height, width[, 3]) uint8."""
    return np.asarray(image.resize(height_and_width(size)[::-1], Image.Resampling.BICUBIC))


# By the name in a file's metadata: (image, size) → (height, width) uint8 of a gray image, else (height, width, 3).
PREPROCESSORS: dict[str, Callable[[Image.Image, ImageSize], np.ndarray]] = {
    "center_crop": resize_and_crop,
    "letterbox": letterbox,
    "stretch": stretch,
}


def center_crop(pixels: np.ndarray, size: ImageSize) -> np.ndarray:
    """Crop the central (…, height, width, channels) of (…, H, W, channels)."""
    height, width = height_and_width(size)
    top, left = (pixels.shape[-3] - height) // 2, (pixels.shape[-2] - width) // 2
    return pixels[..., top : top + height, left : left + width, :]


def fit_picture(picture: Picture, method: str, size: ImageSize, channels: int = 3) -> np.ndarray:
    """Bring one image to `size` by the `method` that PREPROCESSORS names: (height, width, channels) uint8."""
    picture = to_channels(picture, channels)
    parts = picture if isinstance(picture, tuple) else (picture,)
    return np.dstack([PREPROCESSORS[method](part, size) for part in parts])


def preprocess(
    picture: Picture, method: str, resize: ImageSize, image_size: ImageSize, channels: int = 3
) -> np.ndarray:
    """Bring one image to what the network sees, by the `method` that its file names: (height, width, channels)
    uint8. resize: what images are cropped from."""
    if method != "center_crop":
        return fit_picture(picture, method, image_size, channels)
    return center_crop(fit_picture(picture, method, resize, channels), image_size)


def require_metadata(
    details: dict[str, Any], labels: int, image: tuple[int, ...], outputs: dict[str, tuple[int, ...]]
) -> None:
    """Require that a file's metadata, from JSON, are those of a network with so many `labels`, of which `image` is the
    shape of an image and `outputs` the shapes of its outputs, by name and without the batch. For devices, which have
    no more of kresnet than this file. Raises ValueError, LookupError or TypeError."""
    size = height_and_width(details["image_size"])
    scores = outputs.get("logits", outputs.get("scores", ()))[-1:]
    locations = outputs.get("distances", ())[:1]
    levels, rule = details.get("levels", []), details.get("rejection")
    positive = [details.get("temperature", 1), *([rule["temperature"]] if rule else [])]
    fitted = [details.get(name, []) for name in ("thresholds", "score_thresholds")]
    valid = {
        "labels": "count" in outputs or scores == (labels,),
        "preprocessing": details["preprocessing"] in PREPROCESSORS,
        "image_size, channels": (*size, details.get("channels", 3)) == image,
        "resize": all(
            to <= side <= 16 * to for to, side in zip(size, height_and_width(details["resize"]), strict=True)
        ),
        "levels": not levels or (len(levels) == 2 and -np.inf < levels[0] < levels[1] < np.inf),
        "cells": locations in ((), (sum(side * side for side in details.get("cells", [])),)),
        "thresholds": all(len(each) in (0, labels) and all(0 <= value <= 1 for value in each) for each in fitted),
        "temperature": all(0 < each < np.inf for each in positive),
        "rejection": not rule or (rule["score"] in ("energy", "max-logit") and abs(rule["threshold"]) < np.inf),
    }
    if wrong := [name for name, is_valid in valid.items() if not is_valid]:
        raise ValueError(f"kresnet does not write such a value of {', '.join(wrong)} for this network")


def _load_image(
    source: bytes | str | Path, limit: float, only_deep: bool = False, at_least: int = 0
) -> tuple[Image.Image, Image.Transpose | None]:
    """Return the decoded first frame, and what brings it upright; not decoded if it is not deep and `only_deep` is
    wanted."""
    with _open_image(source, limit) as image:
        if only_deep and not _is_deep(image):
            return image, None
        _scale_while_decoding(image, at_least)
        image.load()
        # Not before: a PNG file may say it at its end, and Pillow turns TIFF files by itself.
        return image, UPRIGHT.get(_orientation(image))


def _scale_while_decoding(image: Image.Image, at_least: int) -> None:
    """Let a JPEG be decoded at a part of its size, as `decode_image` says."""
    if at_least:
        image.draft(None, (at_least, at_least))  # does nothing to other formats


def _read_array(source: bytes | str | Path, limit: float, channels: int | None = None) -> np.ndarray | None:
    """Return the values (H, W, channels) of a .npy file, or of a TIFF file of more channels than Pillow reads; None of
    any other, and of one that has `channels`, 1 or 3, beside those."""
    with _file(source) as file:
        head = file.read(len(NUMPY_HEAD))
        if head != NUMPY_HEAD and not (head[:4] in TIFF_HEADS and _has_more_channels(file, channels)):
            return None
        file.seek(0)
        values = _load_npy(file, limit) if head == NUMPY_HEAD else _read_tiff(file, limit)
    if values.ndim == 2:
        values = values[..., None]
    if (
        values.ndim != 3
        or values.dtype.kind not in "buif"
        or not 0 < values.shape[2] <= MAX_CHANNELS
        or not values.size
    ):
        words = f"{values.dtype} {values.shape}"
        raise ImageError(f"it holds {words}, not numbers (H, W) or (H, W, channels) of at most {MAX_CHANNELS} channels")
    return values.astype(np.uint8) if values.dtype.kind == "b" else values


def _load_npy(file: BinaryIO, limit: float) -> np.ndarray:
    """Read an array, after a look at what its header claims."""
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(file)
    if dtype.hasobject:
        raise ImageError("it holds Python objects, not numbers")
    if len(shape) in (2, 3):
        _require_size(shape[1], shape[0], limit)
    file.seek(0)
    values: np.ndarray = np.load(file, allow_pickle=False)
    return values


def _has_more_channels(file: BinaryIO, wanted: int | None) -> bool:
    """Return whether a TIFF file has more channels than Pillow reads of it, or the `wanted` ones as a page each; if 1
    or 3 are wanted, whether Pillow reads nothing."""
    file.seek(0)
    try:
        with Image.open(file) as image:
            found = getattr(image, "tag_v2", {}).get(SAMPLES_PER_PIXEL, 1)
            are_pages = wanted is not None and getattr(image, "n_frames", 1) == wanted
            return wanted not in (1, 3) and (are_pages or found > max(3, len(image.getbands())))
    except UnidentifiedImageError:
        return True


def _read_tiff(file: BinaryIO, limit: float) -> np.ndarray:
    """Read the first image of a TIFF file by tifffile, its channels last."""
    try:
        import tifffile
    except ImportError as error:
        raise ImageError("TIFF files of many channels need tifffile: pip install tifffile") from error
    with tifffile.TiffFile(file) as tiff:
        series = tiff.series[0]
        axes = str(series.axes)
        if "Y" not in axes or "X" not in axes or len(axes) > 3:
            raise ImageError(f"a TIFF file of {axes}, not of one image with channels")
        _require_size(series.shape[axes.index("X")], series.shape[axes.index("Y")], limit)
        values = series.asarray()
    return values if len(axes) == 2 else np.moveaxis(values, [axes.index("Y"), axes.index("X")], [0, 1])


def _from_array(values: np.ndarray, levels: Sequence[float], channels: int) -> Picture:
    """Return values (H, W, channels) as 8 bits, in RGB where 1 or 3 channels are wanted."""
    if values.dtype != np.uint8:
        black, white = levels or (0.0, _guess_array_white(values))
        values = _scale(values, black, white)
    if channels not in (1, 3):
        _require_channels(values.shape[2], channels)
        return to_picture(values)
    if values.shape[2] not in (1, 3):
        _require_channels(values.shape[2], channels)
    return show_in_rgb(to_picture(values))


def _require_channels(found: int, wanted: int) -> None:
    """Raise ImageError unless an image has as many channels as the network takes."""
    if found != wanted:
        raise ImageError(f"its channels are {found}, and the network takes {wanted}")


@contextmanager
def _open_image(source: bytes | str | Path, limit: float) -> Iterator[Image.Image]:
    """Open an image that may be decoded, and read its header."""
    if limit > MAX_MEGAPIXELS:  # Pillow has a limit of its own, for all of the process
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS or 0, int(limit * 1e6))
    with _FILTERS, _file(source) as file:
        image = _begun(file)
        _require_decodable(image, limit)
        yield image


def _begun(file: BinaryIO) -> Image.Image:
    """Open an image and read its header. Raises ImageError for what is none, saying what it is."""
    try:
        return Image.open(file)
    except UnidentifiedImageError as error:
        file.seek(0)
        kind = kind_of(file.read(HEAD))
        if kind.endswith(" image"):
            raise ImageError(f"it begins as {kind}, but is damaged") from error
        raise ImageError(f"not an image: it is {kind}" if kind else "not an image") from error


@contextmanager
def _translate_errors() -> Iterator[None]:
    """Translate whatever decoding raises to an ImageError."""
    try:
        yield
    except ImageError:
        raise
    except FileNotFoundError as error:
        raise ImageError("no such file") from error
    except IsADirectoryError as error:
        raise ImageError("it is a folder") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise _too_large("it has", get_max_megapixels()) from error
    except MemoryError as error:
        raise ImageError("there is too little memory to decode it") from error
    except Exception as error:  # Pillow's decoders raise a dozen kinds, struct.error and SyntaxError among them
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ImageError("not an image" if "cannot identify" in reason else reason) from error


def _file(source: bytes | str | Path) -> BinaryIO:
    return io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb")


def _require_decodable(image: Image.Image, limit: float) -> None:
    """Raise ImageError for what would take too much memory, or another program, to decode."""
    if image.format in PROGRAM_FORMATS:
        raise ImageError(f"{image.format} files are programs that draw, not pixels; save it as PNG")
    _require_size(image.width, image.height, limit)


def _require_size(width: int, height: int, limit: float) -> None:
    """Raise ImageError for more pixels than are decoded."""
    size = f"{width} × {height} pixels"
    if width * height > limit * 1e6:
        raise _too_large(f"{size} are", limit)
    if max(width, height) > MAX_SIDE:
        raise ImageError(f"it has {size}; a side may have {MAX_SIDE:,}")


def _too_large(what: str, limit: float) -> ImageError:
    return ImageError(
        f"{what} more than {limit:g} megapixels, the most that is decoded; KRESNET_MAX_MEGAPIXELS=… raises that limit"
    )


def _orientation(image: Image.Image) -> int:
    """Return EXIF's orientation tag alone: what else stands there need not be readable. 1 where it is none of 1 … 8."""
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # a damaged block raises a dozen kinds
        return 1
    return value if isinstance(value, int) else 1


def _is_deep(image: Image.Image) -> bool:
    """Return whether it is gray with more than 8 bits."""
    return image.mode.startswith(("I", "F"))


def _to_rgb(image: Image.Image, levels: Sequence[float]) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    convert = _conversion(image, levels)
    target = Image.new("RGB", image.size)
    top = 0
    for strip in _strips(image):
        target.paste(convert(strip), (0, top))
        top += strip.height
    return target


def _strips(image: Image.Image) -> Iterator[Image.Image]:
    """Yield the image's rows, some at a time."""
    rows = max(1, PIXELS_PER_STRIP // image.width)
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(top + rows, image.height)))


def _conversion(image: Image.Image, levels: Sequence[float]) -> Callable[[Image.Image], Image.Image]:
    """Return what converts a part of `image` RGB."""
    if _is_deep(image):
        black, white = levels or (0.0, _guess_white(image))
        clear = image.info.get("transparency")
        return lambda part: _gray(np.asarray(part), black, white, clear).convert("RGB")
    if image.mode in ALPHA_MODES or "transparency" in image.info:
        return _over_white
    if image.mode == "LAB":
        return _from_lab
    return lambda part: part.convert("RGB")


def _over_white(image: Image.Image) -> Image.Image:
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA")).convert("RGB")


def _from_lab(image: Image.Image) -> Image.Image:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    assert converted is not None
    return converted


def _gray(values: np.ndarray, black: float, white: float, clear: int | None) -> Image.Image:
    """Scale values (H, W), from `black` to `white`, as 0 to 255; `clear` ones are transparent, so white."""
    gray = _scale(values, black, white)
    if clear is not None:
        gray[values == clear] = 255
    return Image.fromarray(gray)


def _scale(values: np.ndarray, black: float, white: float) -> np.ndarray:
    """Scale values, from `black` to `white`, as uint8 0 to 255."""
    scaled = (np.nan_to_num(values.astype(np.float64)) - black) * 255 / (white - black)
    return np.clip(np.round(scaled), 0, 255).astype(np.uint8)


def _guess_white(image: Image.Image) -> float:
    if image.mode.startswith("I;16"):
        return 65535.0
    most = max(float(np.nan_to_num(np.asarray(part)).max()) for part in _strips(image))
    if image.mode == "F":
        return 1.0 if most <= 1 else 255.0
    return 65535.0 if most > 255 else 255.0


def _guess_array_white(values: np.ndarray) -> float:
    if values.dtype.kind == "f":
        return 1.0 if float(np.nan_to_num(values).max()) <= 1 else 255.0
    return 65535.0 if values.dtype.itemsize == 2 or int(values.max()) > 255 else 255.0
