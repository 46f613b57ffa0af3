"""Choose the size in pixels that images are brought to, how they fit in and their channels; log each choice with its
reason."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from keras_resnet.config.data import DataSpec, Fit
from keras_resnet.config.image_size import ImageSize, format_size, height_and_width, scale_size
from keras_resnet.config.provenance import describe_origin
from keras_resnet.progress import Log

# Pixels a side of images with objects: what is usual, and below what little can be found.
DEFAULT_SQUARE_SIZE, SMALL_SQUARE_SIZE = 320, 64
# Pixels a side that networks for photographs are trained with (Krizhevsky et al. 2012).
PHOTO_SIZE = 224
# Images are padded where at least this share of them is wider or taller than the longest side of a photograph, 3:2,
# lets them be; by rounding some are a little more than that.
MIN_CUT_SHARE, MAX_PROPORTION, TOLERANCE = 0.1, 1.5, 1.02
# So many of the images are alike where no more than so much apart from the median.
ALIKE_SHARE, ALIKE_FACTOR = 0.9, 1.05
# Height, width and channels of an image.
Shape = tuple[int, int, int]


def choose_native_size(sides: list[int]) -> tuple[int | None, str]:
    """Return the side in pixels that most of `sides` share, else their median, up to 64 as a multiple of 8 (None
    without sides); and the reason to give for it as the input size."""
    if not sides:
        return None, ""
    side, seen = Counter(sides).most_common(1)[0]
    if side >= 8 and seen > len(sides) / 2:
        return side, "the size of the images"
    median = float(np.median(sides))
    size = max(8, 8 * round(median / 8)) if median <= 64 else math.ceil(median)
    return size, "near the images' median shorter side"


def choose_fit(asked: Fit | None, shapes: Sequence[Shape], size: ImageSize | None, log: Log) -> Fit:
    """Return how images of `shapes` are brought to `size`, by default a square, with the reason said where it is not
    plain: "crop", or "pad" where that would cut too much off too many."""
    if asked:
        if asked != "crop":
            log(f"fit: {asked} ({describe_origin('data.fit')})")
        return asked
    height, width = height_and_width(size or 1)
    ratios = np.array([(w * height) / (h * width) for h, w, _ in shapes])
    limit = MAX_PROPORTION * TOLERANCE
    wide, tall = (float(np.mean(each)) if shapes else 0.0 for each in (ratios > limit, ratios < 1 / limit))
    than = "3:2" if height == width else f"{MAX_PROPORTION:g} times the proportions of {format_size(size or 1)}"
    if wide + tall >= MIN_CUT_SHARE:
        log(f"fit: pad ({_describe_cut(wide, tall, than)}{_suggest_size(shapes, size)}; --fit crop cuts them)")
        return "pad"
    if wide + tall:
        log(f"fit: crop ({wide + tall:.0%} of the images are wider or taller than {than}; --fit pad shows all of them)")
    return "crop"


def _describe_cut(wide: float, tall: float, than: str) -> str:
    """Say what a crop would cut off, of which share of the images."""
    both = f"{wide + tall:.0%} of the images are"
    if not tall:
        return f"{both} wider than {than}; their sides would be cut off"
    if not wide:
        return f"{both} taller than {than}; their tops and bottoms would be cut off"
    return f"{both} wider or taller than {than}; their ends would be cut off"


def _suggest_size(shapes: Sequence[Shape], size: ImageSize | None) -> str:
    """Return a hint at a size that nearly all images would fill, where there is one and none was asked for."""
    ratios = np.array([width / height for height, width, _ in shapes])
    median = float(np.median(ratios))
    alike = np.mean((ratios > median / ALIKE_FACTOR) & (ratios < median * ALIKE_FACTOR))
    if size is not None or alike < ALIKE_SHARE:
        return ""
    # About as many pixels as a square of 224, but no more than the images have.
    side = min(224.0, float(np.median([math.sqrt(height * width) for height, width, _ in shapes])))
    height, width = (8 * max(1, round(side * part / 8)) for part in (median**-0.5, median**0.5))
    return f"; --image-size {height}x{width}, or another of these proportions, would leave nothing black"


def choose_channels(asked: int | None, shapes: Sequence[Shape], log: Log) -> int:
    """Return the channels that images of `shapes` are read with, the reason said where it is not plain: as asked, 3, or
    what all of them have where neither gray nor colors are."""
    if asked:
        if asked != 3:
            log(f"channels: {asked} ({describe_origin('data.channels')})")
        return asked
    found = {channels for *_, channels in shapes}
    if len(found) == 1 and not found & {1, 3}:
        (channels,) = found
        log(f"channels: {channels} (those of the images)")
        return channels
    if found == {1}:
        log("channels: 3 (the default; the images are gray, and --channels 1 keeps them so, which suits small devices)")
    return 3


def choose_square_size(asked: ImageSize | None, native: int | None, log: Log) -> tuple[int, int]:
    """Return the side in pixels of the squares that whole images are brought to, twice, with the reason said: what was
    asked, else the images' own, else DEFAULT_SQUARE_SIZE. Of a small one it is said how to ask for another."""
    if asked:
        size, why = height_and_width(asked)[0], describe_origin("data.image_size")
    else:
        size, why = (native, "the size of the images") if native else (DEFAULT_SQUARE_SIZE, "usual for objects")
    small = (
        f"; objects are hard to find in so few pixels: --image-size {DEFAULT_SQUARE_SIZE} asks for the usual size"
        if size < SMALL_SQUARE_SIZE
        else ""
    )
    log(f"image size: {size} pixels ({why}), the whole image in a square{small}")
    return size, size


def choose_geometry(
    spec: DataSpec, shape: Sequence[int | None], shapes: Sequence[Shape], has_objects: bool, log: Log
) -> tuple[Fit, ImageSize, ImageSize]:
    """Return fit, image_size and resize for images that all have `shape`, as far as it is known, of which `shapes` are
    a sample; those that show objects are padded to squares."""
    height, width, *_ = shape
    known = (height, width, 3) if height and width else None
    if has_objects:
        return "pad", *choose_square_size(spec.image_size, min(known[:2]) if known else None, log)
    fit = choose_fit(spec.fit, shapes, spec.image_size, log)
    native = native_side(known, fit) if known else None
    return fit, *choose_sizes(spec.image_size, spec.resize, native, log, fit=fit)


def native_side(shape: Shape, fit: Fit) -> int:
    """Return the side that decides how large an image is: the shorter one where the longer one is cut."""
    return min(shape[:2]) if fit == "crop" else max(shape[:2])


def choose_sizes(
    asked: ImageSize | None,
    resize: ImageSize | None,
    native: int | None,
    log: Log,
    native_why: str = "the size of the images",
    fit: Fit = "crop",
) -> tuple[ImageSize, ImageSize]:
    """Return (image_size, resize) in pixels: what was asked, else `native` up to 64, else PHOTO_SIZE, with the reason
    said; for smaller images also that they are enlarged.

    Where images are cropped: never more than a `resize` that was asked for. Larger ones are resized to 8/7 of the size
    that is cut from them: 256 for 224 (Krizhevsky et al. 2012). Else `resize` is image_size.
    """
    size: ImageSize
    if asked is not None:
        size, why = asked, describe_origin("data.image_size")
    elif native is not None and native <= 64:
        size, why = native, native_why
    else:
        size, why = PHOTO_SIZE, "the usual size for photographs"
        if native is not None and native < PHOTO_SIZE:
            why += f"; most images are smaller (median side: {native} pixels) and are enlarged:"
            why += f" --image-size {8 * round(native / 8)} would be faster"
    if fit != "crop":
        how = "whole images, black beside them" if fit == "pad" else "whole images, stretched to it"
        log(f"image size: {format_size(size)} pixels ({why}), {how}")
        return size, size
    if resize is not None and _is_smaller(resize, size):
        size, why = resize, "as large as data.resize"
    chosen = resize or (size if min(height_and_width(size)) < 64 else scale_size(size, 8 / 7))
    if chosen == size:
        cropping = "; images of another shape are resized to cover it, and their center is kept"
    else:
        cropping = f", cropped from images resized to {format_size(chosen)}"
    log(f"image size: {format_size(size)} pixels ({why}){cropping}")
    return size, chosen


def _is_smaller(one: ImageSize, other: ImageSize) -> bool:
    return any(a < b for a, b in zip(height_and_width(one), height_and_width(other), strict=True))
