"""Write a .tflite file as C source for microcontrollers, where there is no file system. Imports no TensorFlow."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from .errors import ExportError

C_SUFFIX = ".c"
ARRAY_NAME = "kresnet_model"
BYTES_PER_LINE = 16


def write_c_array(content: bytes, folder: Path, comment: Sequence[str] = ()) -> Path:
    """Write `content` as kresnet_model.c and .h, with `comment` in the latter, in `folder`; returns the former."""
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / f"{ARRAY_NAME}{C_SUFFIX}"
    source.write_text(format_c_source(content), encoding="utf-8")
    (folder / f"{ARRAY_NAME}.h").write_text(
        f"{_write_comment(comment)}#ifndef KRESNET_MODEL_H_\n#define KRESNET_MODEL_H_\n"
        '#ifdef __cplusplus\nextern "C" {\n#endif\n'
        f"extern const unsigned char {ARRAY_NAME}[];\nextern const unsigned int {ARRAY_NAME}_len;\n"
        "#ifdef __cplusplus\n}\n#endif\n#endif\n",
        encoding="utf-8",
    )
    return source


def format_c_source(content: bytes) -> str:
    """Return `content` as C source."""
    lines = (content[start : start + BYTES_PER_LINE] for start in range(0, len(content), BYTES_PER_LINE))
    body = "\n".join("    " + " ".join(f"0x{byte:02x}," for byte in line) for line in lines)
    # TFLite Micro reads tensors in place and wants them aligned.
    return (
        f'#include "{ARRAY_NAME}.h"\n\nconst _Alignas(16) unsigned char {ARRAY_NAME}[] = {{\n{body}\n}};\n'
        f"const unsigned int {ARRAY_NAME}_len = {len(content)};\n"
    )


def _write_comment(lines: Sequence[str]) -> str:
    """Return lines as a comment in C and an empty line; "" of none."""
    return "".join(f"// {line}".rstrip() + "\n" for line in lines) + "\n" * bool(lines)


def read_c_array(source: Path) -> bytes:
    """Return the bytes that the array in `source` holds. Raises ExportError if there are not as many as it says."""
    text = source.read_text(encoding="ascii", errors="replace")
    length = re.search(rf"{ARRAY_NAME}_len = ([0-9]{{1,10}});", text)
    try:
        # Numbers one by one would take a hundred times the memory.
        content = bytes.fromhex(text.partition("= {")[2].partition("}")[0].replace("0x", "").replace(",", ""))
    except ValueError:
        content = b""
    if not length or not content or int(length[1]) != len(content):
        raise ExportError(f"{source} does not hold a whole file as an array {ARRAY_NAME}")
    return content
