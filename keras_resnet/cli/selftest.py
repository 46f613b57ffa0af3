"""Print what `kresnet env --selftest` sees, as text to paste into a bug report, or as JSON."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from keras_resnet.cli import console
from keras_resnet.errors import TrainingError
from keras_resnet.runtime.plurals import counted

if TYPE_CHECKING:
    from keras_resnet.api.selftest import Row, SelfTest


def print_selftest(as_json: bool) -> None:
    """Run the self-test and print it. Raises TrainingError if a check failed."""
    from keras_resnet.api.selftest import run_selftest
    from keras_resnet.machine.processor import describe_processor
    from keras_resnet.run.description import package_versions

    test = run_selftest()
    system = {
        "machine": describe_processor(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": package_versions(),
    }
    if as_json:
        console.emit_json(system | test.as_dict())
    else:
        versions = ", ".join(f"{name} {version}" for name, version in package_versions().items())
        lines = [
            f"{system['machine']}, {system['system']}, Python {system['python']}",
            f"packages: {versions}",
            *_describe_gpus(test),
            *_format_rows(test.rows),
            "self-test: FAILED" if test.failed else "self-test: passed",
        ]
        for line in lines:
            console.emit(line)
    if test.failed:
        raise TrainingError(f"{counted(len(test.failed), 'check')} failed: {', '.join(test.failed)}")


def _describe_gpus(test: SelfTest) -> list[str]:
    """Return a line for each GPU as TensorFlow sees it, and what the driver says of them."""
    built_for = ", ".join(f"{name.removesuffix('_version')} {version}" for name, version in test.built_for.items())
    return [
        *(
            f"GPU {number}: {gpu['name']}, compute capability {gpu['compute_capability'] or 'unknown'}"
            for number, gpu in enumerate(test.gpus)
        ),
        *(f"driver: {line}" for line in test.driver),
        *([f"TensorFlow was built for {built_for}"] if built_for else []),
    ]


def _format_rows(rows: tuple[Row, ...]) -> list[str]:
    """Return the rows as lines with columns."""
    width = max(len(row.check) for row in rows)
    return [f"{row.status:<8} {row.check:<{width}}  {_describe(row)}" for row in rows]


def _describe(row: Row) -> str:
    parts = [row.reason]
    parts += [f"{row.images_per_second} images/s"] if row.images_per_second is not None else []
    parts += [f"{row.seconds:.0f} s"] if row.seconds is not None else []
    return ", ".join(parts)
