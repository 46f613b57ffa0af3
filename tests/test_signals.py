"""Signals that follow the one that ends a command: nothing is lost by them, and nothing is said of them."""

import signal
import subprocess
import sys

import pytest

from keras_resnet.signals import collect_stop_signals, ignore_stop_signals

# A training in small: it stops at the first signal, takes a while to save its state, and more to end.
TRAINING = """
import sys, time
from keras_resnet.signals import collect_stop_signals, exit_on_signals, ignore_stop_signals
with exit_on_signals():
    try:
        with collect_stop_signals() as received:
            print("training", flush=True)
            while not received:
                time.sleep(0.01)
            ignore_stop_signals()
            print("saving", flush=True)
            time.sleep(0.5)
            raise RuntimeError
    except RuntimeError:
        time.sleep(0.3)
        print("saved", flush=True)
time.sleep(0.3)
sys.exit(7)
"""
# A signal comes while an object is removed, where Python can only print what is raised.
REMOVAL = """
import os, signal, time
from keras_resnet.signals import SignalExit, exit_on_signals
class Removed:
    def __del__(self):
        os.kill(os.getpid(), NUMBER)
        time.sleep(0.01)
with exit_on_signals():
    try:
        Removed()
        time.sleep(10)
        print("lost")
    except (SignalExit, KeyboardInterrupt) as error:
        print(type(error).__name__)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_more_signals_while_a_training_saves_its_state_are_of_no_effect(number):
    process = subprocess.Popen(
        [sys.executable, "-c", TRAINING], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "training\n"
    process.send_signal(number)
    for _ in range(2):
        assert process.stdout.readline() in ("saving\n", "saved\n")
        process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (7, "")


@pytest.mark.parametrize(("number", "raised"), [("SIGTERM", "SignalExit"), ("SIGINT", "KeyboardInterrupt")])
def test_a_signal_while_an_object_is_removed_is_not_lost(number, raised):
    code = REMOVAL.replace("NUMBER", f"signal.{number}")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout.strip(), done.stderr) == (raised, "")


def test_a_program_that_trains_by_python_gets_its_signals_again_afterwards():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with collect_stop_signals() as received:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        ignore_stop_signals()
        signal.raise_signal(signal.SIGINT)
    assert received == [signal.SIGINT] * 2
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_third_ctrl_c_ends_a_training_that_has_not_begun_to_save():
    with pytest.raises(KeyboardInterrupt), collect_stop_signals():
        for _ in range(3):
            signal.raise_signal(signal.SIGINT)
