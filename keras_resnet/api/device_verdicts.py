"""Verdicts on a run's files on devices, as Python has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from keras_resnet import progress
from keras_resnet.api.keywords import require_known, to_options
from keras_resnet.api.signatures import VERIFY
from keras_resnet.api.signatures import names as names_of
from keras_resnet.errors import VerdictError
from keras_resnet.export.device_settings import DeviceSettings
from keras_resnet.export.device_verdict import DeviceVerdict
from keras_resnet.export.devices.places import UsablePlaces, find_places
from keras_resnet.export.settings import ExportSettings
from keras_resnet.export.verdict import list_lines
from keras_resnet.reporting import html_tables
from keras_resnet.reporting.device_rows import list_device_remarks, show_devices
from keras_resnet.run import Run as RunFolder


class DeviceVerdicts(list[DeviceVerdict]):
    """A list of verdicts, one for each file on each device::

        verdicts = run.verify("local", "chromium:gpu")
        print(verdicts)  # a line for each: "PASSED: int8.tflite on local, CPU, top-1 accuracy 99.17% of 360 images, …"
        verdicts.passed  # whether all of them are
        [(verdict.file, verdict.place, verdict.drop) for verdict in verdicts if not verdict.passed]

    Each is a `DeviceVerdict`; a notebook shows them as a table.
    """

    @property
    def passed(self) -> bool:
        """Whether every file is within its budget on every device."""
        return all(verdict.passed for verdict in self)

    def __str__(self) -> str:
        """Return a line for each, and then, each once, what has to be known beside it."""
        return "\n".join(list_lines(self))

    def _repr_html_(self) -> str:
        if not self:
            return html_tables.table(["file"], [])
        rows = [verdict.as_dict() for verdict in self]
        return html_tables.table(*show_devices(rows)) + html_tables.items(list_device_remarks(rows))


def verify_places(
    run: RunFolder, places: Sequence[str], keywords: Mapping[str, object], must_pass: bool
) -> DeviceVerdicts:
    """Run the TFLite files of `run` on `places`, with the keywords of `Run.verify`. Raises as that does."""
    require_known("verify", keywords, names_of(VERIFY))
    options = {name: value for name, value in to_options(keywords).items() if value is not None}
    named = options.pop("on", ())
    places = (*places, *([named] if isinstance(named, str) else named))
    on, given = DeviceSettings.take({**options, "on": places or ("local",)})
    settings = ExportSettings(**given)
    found = find_places(on)
    from keras_resnet.export.run_on_devices import DeviceContext, list_files

    files = list_files(run)
    usable = UsablePlaces.test(found, progress.log)
    result = DeviceContext.prepare(run, settings, progress.log).verify(dict.fromkeys(files, ()), usable)
    problems = result.list_problems()
    if problems and (must_pass or not result.verdicts):
        raise VerdictError("\n".join(problems))
    for failure in result.failures:
        progress.log(failure)
    return DeviceVerdicts(result.verdicts)
