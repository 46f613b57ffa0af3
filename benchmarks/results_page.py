"""Results as files, benchmarks/results/MACHINE.json, and as tables on pages of the documentation.

A page says where a table goes, and what stands between the two lines is written from the file:

    <!-- table: NAME, MACHINE -->
    <!-- end of table -->
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from result_tables import Table

ROOT = Path(__file__).resolve().parents[1]
RESULTS, PAGES = ROOT / "benchmarks" / "results", ROOT / "docs"
REGION = re.compile(
    r"(?P<start><!-- table: (?P<name>[\w-]+), (?P<machine>[\w-]+) -->\n).*?(?P<end><!-- end of table -->)", re.DOTALL
)
BREAK = re.compile(r"\n\s*")
# The names of packages, as people write them.
TITLES = {
    "executorch": "ExecuTorch",
    "keras": "Keras",
    "nncf": "NNCF",
    "numpy": "NumPy",
    "openvino": "OpenVINO",
    "pillow": "Pillow",
    "tensorflow": "TensorFlow",
    "torch": "PyTorch",
}


@dataclass(frozen=True)
class Measurement:
    """A table with when and of what it was measured.

    versions: of packages, by their names. revision: of git, with "-dirty" where files differed from it. date and
    revision are None for what was measured before they were recorded. remark: on the circumstances, a sentence.
    """

    table: Table
    versions: dict[str, str]
    date: str | None = None
    revision: str | None = None
    remark: str = ""

    def describe(self, machine: str) -> str:
        """Return how, where and when this was measured, in a line."""
        versions = ", ".join(f"{TITLES.get(name, name)} {version}" for name, version in self.versions.items())
        when = f"measured on {self.date} at revision {self.revision}" if self.date else "date and revision not recorded"
        sentence = "; ".join(filter(None, (machine, versions, when)))
        command = "" if not self.table.command else f"`{self.table.command}`."
        return " ".join(filter(None, (command, self.table.note, f"{sentence}.", self.remark)))


@dataclass
class MachineResults:
    """All results of one machine. description: of the machine, for people. details: what it is in numbers."""

    description: str
    details: dict[str, Any] = field(default_factory=dict)
    measurements: dict[str, Measurement] = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path) -> MachineResults:
        """Return what `write` wrote to `file`."""
        document = json.loads(file.read_text(encoding="utf-8"))
        measurements = {
            name: Measurement(Table.from_json(known.pop("table")), **known)
            for name, known in document.pop("measurements").items()
        }
        return cls(**document, measurements=measurements)

    def write(self, file: Path) -> None:
        """Write all to `file`, as JSON with a line for each row of a table."""
        lines = json.dumps(asdict(self), ensure_ascii=False, indent=1)
        # A list without lists in it is one line: a row of a table.
        lines = re.sub(r"\[\n([^\[\]{}]*)\n\s*\]", lambda row: f"[{re.sub(BREAK, ' ', row[1].strip())}]", lines)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(lines + "\n", encoding="utf-8")


def read_results(folder: Path = RESULTS) -> dict[str, MachineResults]:
    """Return the results of all machines by the names of their files."""
    return {file.stem: MachineResults.read(file) for file in sorted(folder.glob("*.json"))}


def render(measurement: Measurement, machine: str) -> str:
    """Return the lines of a page for a table: itself, in bold the names of kresnet's rows, and how it was measured."""
    table = measurement.table
    rows = [[f"**{first}**" if first.startswith("kresnet") else first, *rest] for first, *rest in table.texts()]
    head = [column.name for column in table.columns]
    lines = [f"| {' | '.join(cells)} |" for cells in (head, *rows)]
    lines.insert(1, f"|{'---|' * len(head)}")
    return "\n".join([f"{table.title}:", "", *lines, "", measurement.describe(machine), ""])


def list_regions(pages: Path = PAGES) -> Iterator[tuple[Path, str, str]]:
    """Yield (page, table, machine) of each table that a page has."""
    for page in sorted(pages.glob("*.md")):
        for region in REGION.finditer(page.read_text(encoding="utf-8")):
            yield page, region["name"], region["machine"]


def write_tables(text: str, results: dict[str, MachineResults]) -> str:
    """Return the text of a page with its tables as `results` have them. Raises KeyError for one that they lack."""

    def fill(region: re.Match[str]) -> str:
        machine = results[region["machine"]]
        return f"{region['start']}{render(machine.measurements[region['name']], machine.description)}{region['end']}"

    return REGION.sub(fill, text)


def find_differences(results: dict[str, MachineResults], pages: Path = PAGES) -> list[str]:
    """Return what pages and results do not have in common: tables without a place on a page, places without results,
    and pages of which a table is not what would be written."""
    placed = {(name, machine) for _, name, machine in list_regions(pages)}
    known = {(name, machine) for machine, each in results.items() for name in each.measurements}
    differences = [f"no page has the table {name} of {machine}" for name, machine in sorted(known - placed)]
    differences += [
        f"there are no results of the table {name} of {machine}" for name, machine in sorted(placed - known)
    ]
    if placed <= known:
        for page in sorted({page for page, _, _ in list_regions(pages)}):
            text = page.read_text(encoding="utf-8")
            if write_tables(text, results) != text:
                differences.append(f"a table of {page.name} is not that of its results")
    return differences
