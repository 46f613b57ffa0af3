"""Commands spend little time on garbage collection, and leave it as they found it."""

from __future__ import annotations

import gc
import subprocess
import sys

from keras_resnet.machine.garbage_collection import COLLECT_AFTER, collect_rarely

COMMAND = """
import atexit, gc, sys
thresholds = gc.get_threshold()
atexit.register(lambda: print(gc.get_freeze_count() > 0))
from keras_resnet.cli import main
main.console.print_table = lambda *arguments, **options: print("threshold", gc.get_threshold()[0])
sys.argv = ["kresnet", "recipes"]
try:
    main.main()
except SystemExit:
    print(gc.get_threshold() == thresholds, gc.get_freeze_count())
"""


def test_collect_rarely_leaves_the_thresholds_as_they_were() -> None:
    before = gc.get_threshold()
    with collect_rarely():
        assert gc.get_threshold() == (COLLECT_AFTER, *before[1:])
    assert gc.get_threshold() == before


def test_a_command_collects_rarely_and_not_at_its_exit() -> None:
    done = subprocess.run([sys.executable, "-c", COMMAND], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *printed, after, at_exit = done.stdout.splitlines()
    assert f"threshold {COLLECT_AFTER}" in printed
    assert after == "True 0"
    assert at_exit == "True"
