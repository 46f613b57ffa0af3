"""A .tflite file as C source for microcontrollers, where there is no file system. Imports no TensorFlow."""

from __future__ import annotations

import re
from pathlib import Path

from .errors import ExportError

C_SOURCE = ".c"
NAME = "kresnet_model"
PER_LINE = 16


def write_c_array(content: bytes, folder: Path) -> Path:
    """Write `content` as kresnet_model.c and .h in `folder`; returns the former."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = (content[start : start + PER_LINE] for start in range(0, len(content), PER_LINE))
    body = "\n".join("    " + " ".join(f"0x{byte:02x}," for byte in line) for line in lines)
    source = folder / f"{NAME}{C_SOURCE}"
    # TFLite Micro reads tensors in place and wants them aligned.
    source.write_text(
        f'#include "{NAME}.h"\n\nconst _Alignas(16) unsigned char {NAME}[] = {{\n{body}\n}};\n'
        f"const unsigned int {NAME}_len = {len(content)};\n",
        encoding="utf-8",
    )
    (folder / f"{NAME}.h").write_text(
        f'#ifndef KRESNET_MODEL_H_\n#define KRESNET_MODEL_H_\n#ifdef __cplusplus\nextern "C" {{\n#endif\n'
        f"extern const unsigned char {NAME}[];\nextern const unsigned int {NAME}_len;\n"
        "#ifdef __cplusplus\n}\n#endif\n#endif\n",
        encoding="utf-8",
    )
    return source


def bytes_of(source: Path) -> bytes:
    """The bytes that the array in `source` holds. Raises ExportError if there are not as many as it says."""
    text = source.read_text(encoding="ascii", errors="replace")
    length = re.search(rf"{NAME}_len = ([0-9]{{1,10}});", text)
    try:
        # Numbers one by one would take a hundred times the memory.
        content = bytes.fromhex(text.partition("= {")[2].partition("}")[0].replace("0x", "").replace(",", ""))
    except ValueError:
        content = b""
    if not length or not content or int(length[1]) != len(content):
        raise ExportError(f"{source} does not hold a whole file as an array {NAME}")
    return content
