"""NPUs of phones and laptops, by LiteRT's compilation ahead of time and the vendors' compilers."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from keras_resnet.errors import ExportError, UsageError, require_one_of
from keras_resnet.export.accelerators.base import Accelerator, AcceleratorReport
from keras_resnet.export.flatbuffer import read_contents
from keras_resnet.progress import show_activity
from keras_resnet.runtime.child_process import EXPECTED_ERROR_CODE, child_command, describe_exit
from keras_resnet.runtime.plurals import counted


@dataclass(frozen=True)
class Vendor:
    """A vendor of NPUs.

    module: of LiteRT, with the names of its chips. sdk: the package that fetches the vendor's compiler while it is
    installed, and the module in it.
    """

    title: str
    module: str
    sdk: tuple[str, str]

    def list_chips(self) -> dict[str, str]:
        """Return LiteRT's names of the chips by those that --target has: {"sm8750": "SM8750"}."""
        names = [each.value for each in self._targets().SocModel if each.name != "ALL"]
        return {name.lower().removeprefix("tensor_"): name for name in names}

    def build_target(self, chip: str) -> Any:
        """Return LiteRT's target for a chip, by LiteRT's name."""
        targets = self._targets()
        return targets.Target(targets.SocModel(chip))

    def _targets(self) -> Any:
        return import_module(f"ai_edge_litert.aot.vendors.{self.module}.target")


VENDORS = {
    "qualcomm": Vendor("Qualcomm", "qualcomm", ("ai-edge-litert-sdk-qualcomm", "ai_edge_litert_sdk_qualcomm")),
    "mediatek": Vendor("MediaTek", "mediatek", ("ai-edge-litert-sdk-mediatek", "ai_edge_litert_sdk_mediatek")),
    "google-tensor": Vendor(
        "Google", "google_tensor", ("ai-edge-litert-sdk-google-tensor", "ai_edge_litert_sdk_google_tensor")
    ),
    "intel": Vendor("Intel", "intel_openvino", ("ai-edge-litert-sdk-intel", "ai_edge_litert_sdk_intel")),
}


class PhoneNPU(Accelerator):
    """One chip, called VENDOR-CHIP, as in qualcomm-sm8750."""

    def __init__(self, name: str, vendor: Vendor, chip: str) -> None:
        super().__init__(name)
        self.vendor, self.chip = vendor, chip

    @classmethod
    def find(cls, name: str) -> PhoneNPU | None:
        """Return the chip called `name`, None where it begins with no vendor. Raises UsageError for an unknown chip."""
        prefix = next((each for each in VENDORS if name.startswith(f"{each}-")), None)
        if prefix is None:
            return None
        chips = VENDORS[prefix].list_chips()
        require_one_of("--target", name, tuple(f"{prefix}-{chip}" for chip in chips))
        return cls(name, VENDORS[prefix], chips[name.removeprefix(f"{prefix}-")])

    def require_installed(self) -> None:
        """Raise UsageError unless the vendor's compiler is installed, and there is one for this system."""
        package, module = self.vendor.sdk
        if not sys.platform.startswith("linux"):
            raise UsageError(f"--target {self.name} needs Linux: LiteRT compiles ahead of time there alone")
        if importlib.util.find_spec(module) is None:
            raise UsageError(
                f"--target {self.name} needs {self.vendor.title}'s compiler, which this package downloads while it is"
                f" installed: pip install {package}"
            )

    def check(self, file: Path, folder: Path) -> AcceleratorReport:
        """Compile `file` to `folder`. Raises ExportError if that fails, naming its log."""
        folder.mkdir(parents=True, exist_ok=True)
        log, target = folder / f"{file.stem}-{self.name}.log", folder / f"{file.stem}-{self.name}.tflite"
        command = child_command(__name__, str(file), self.name, str(target))
        with log.open("wb") as output, show_activity(f"compiling {file.name} for {self.name}"):
            ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=output, check=False)
        printed = ended.stdout.decode(errors="replace").splitlines()
        if ended.returncode or not printed or not target.is_file():
            why = (
                printed[-1] if ended.returncode == EXPECTED_ERROR_CODE and printed else describe_exit(ended.returncode)
            )
            raise ExportError(f"{self.vendor.title}'s compiler failed on {file.name} ({why}); its output is in {log}")
        taken, total = json.loads(printed[-1])
        return AcceleratorReport(
            self.name, file.name, taken / total, _describe_rest(target), {}, target.name, _describe_proof(file)
        )


def _describe_rest(compiled: Path) -> tuple[str, ...]:
    """Return which operators of a compiled file stay on the CPU."""
    contents = read_contents(compiled.read_bytes())
    return tuple(f"{counted(count, name)} left to the CPU" for name, count in sorted(contents.operators.items()))


def _describe_proof(file: Path) -> str:
    """Return what gives the compiled file a verdict: it runs on its chip alone."""
    return (
        f"UNVERIFIED: run it there on the images that `kresnet bundle {file}` writes, then: kresnet verify {file}"
        " --outputs RESULTS"
    )


def compile_file(file: Path, accelerator: PhoneNPU, target: Path) -> tuple[int, int]:
    """Write `file` to `target`, compiled; return (operators compiled, all operators). Raises ExportError."""
    from ai_edge_litert.aot.aot_compile import aot_compile

    chip = accelerator.vendor.build_target(accelerator.chip)
    with tempfile.TemporaryDirectory() as folder:
        try:
            result = aot_compile(str(file), output_dir=folder, target=chip, keep_going=False)
        except (ValueError, RuntimeError, OSError) as error:
            raise ExportError(" ".join(str(error).split())[:200]) from error
        ((_, model),) = result.models_with_backend
        model.save(target, export_only=True)
    parts = model.partition_stats.subgraph_stats
    return sum(each.num_ops_offloaded for each in parts), sum(each.num_total_ops for each in parts)


def main(arguments: list[str]) -> int:
    """Compile what `arguments` name, in the child process: vendors' compilers print, and may take it down."""
    file, name, target = arguments
    accelerator = PhoneNPU.find(name)
    assert accelerator is not None
    try:
        print(json.dumps(compile_file(Path(file), accelerator, Path(target))))
    except ExportError as error:
        print(error)
        return EXPECTED_ERROR_CODE
    return 0
