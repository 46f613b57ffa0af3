"""What of a run's documents is for everybody: settings and verdicts, without paths, addresses and other text that is
about its owner's machines."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from keras_resnet.config.section import flatten
from keras_resnet.config.settings import iterate_settings
from keras_resnet.config.spec import Spec
from keras_resnet.data.sources.tfds import BUNDLED, FLIP_SAFE, FLIP_UNSAFE
from keras_resnet.export.verdict import Verdict
from keras_resnet.pretrained.hub import is_hub_name
from keras_resnet.pretrained.hub_repository import SOURCE
from keras_resnet.run import Run
from keras_resnet.runtime.image_files import to_path

# Datasets that everybody knows; other names may be those of folders.
PUBLIC_DATA = frozenset((*BUNDLED, *FLIP_SAFE, *FLIP_UNSAFE))
# Settings that are text of any kind: a new one is not published before it is thought of here.
PRIVATE_SETTINGS = tuple(
    each.key for each in iterate_settings(Spec) if each.kind is str and not each.choices and not each.is_list
)
# Of a device: not its address, nor what it wrote.
DEVICE_FACTS = (
    *("accelerator", "unit", "machine", "system", "runtime", "emulated", "accelerated", "fully_accelerated"),
    *("partitions", "load_ms", "windows", "arena_bytes"),
)
VERDICT_FACTS = (*(each.name for each in fields(Verdict)), "latency_ms", "cpu_agreement", "cpu_difference")
# A name of TFDS, with its configuration and version.
_DATA_NAME = re.compile(r"(\w+)(?:/\w[\w.-]*)?(?::[\d.*]+)?", re.ASCII)
_PATH_LIKE = re.compile(r"[/\\]|\.[A-Za-z]\w{1,4}\b")


def name_data(source: str) -> str | None:
    """Return the name of a public dataset; None of data of one's own."""
    match = _DATA_NAME.fullmatch(source)
    if match is None or match[1] not in PUBLIC_DATA:
        return None
    # What is bundled is meant by its name, whatever lies in the current folder.
    return source if match[1] in BUNDLED or not to_path(source).exists() else None


def publish_spec(spec: Spec) -> dict[str, Any]:
    """Return the settings of a spec, nested, without text that could be a path, an address or a name of one's own."""
    document = asdict(spec)
    for key, value in flatten(document).items():
        if key in PRIVATE_SETTINGS and isinstance(value, str) and not _is_public(key, value):
            section, _, name = key.rpartition(".")
            del document[section][name]
    return document


def _is_public(key: str, value: str) -> bool:
    if key == "data.source":
        return name_data(value) is not None
    # A repository of one's own may be private.
    return key == "start.weights" and is_hub_name(value) and not value.startswith(f"{SOURCE}:")


def publish_verdicts(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return rows of verdicts.json with what measurements gave, also those on devices, and of these what they are."""
    published = []
    for row in rows:
        public = {name: row[name] for name in VERDICT_FACTS if name in row}
        if "device" in row:
            device = {name: row["device"][name] for name in DEVICE_FACTS if name in row["device"]}
            where = device.get("machine") or "a device"
            public |= {"device": {**device, "where": where, "warnings": []}, "problems": []}
        published.append(public)
    return published


def select_public(lines: Iterable[str]) -> tuple[list[str], int]:
    """Return those of the `lines` that name no file, and how many others there are."""
    known = list(lines)
    public = [line for line in known if not _PATH_LIKE.search(line)]
    return public, len(known) - len(public)


def compile_private_paths(run: Run, spec: Spec) -> re.Pattern[bytes]:
    """Return what finds paths of this machine, the home folder, the run's and those of its spec, in files that are
    published."""
    folders = [Path.home(), run.folder.absolute(), run.folder.resolve()]
    settings = flatten(asdict(spec))
    named = [settings[key] for key in PRIVATE_SETTINGS if isinstance(settings[key], str)]
    folders += [path for text in named if (path := to_path(text)).is_absolute()]
    paths = sorted({str(folder) for folder in folders if len(folder.parts) > 1})
    return re.compile(b"(?:" + b"|".join(re.escape(os.fsencode(path)) for path in paths) + rb")(?![\w.-])")
