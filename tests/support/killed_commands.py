"""Runs kresnet's commands, each in a fork of this process, which has imported TensorFlow once; a command gets a signal
when it comes to a place that is asked for. One JSON object a line: {"arguments", "said": where its words go, "place",
"signal"} → {"status"}."""

import importlib
import json
import os
import sys

import keras  # noqa: F401
import sklearn.datasets  # noqa: F401
import tensorflow as tf  # noqa: F401

# Where a signal comes: before the first or a later call of a function.
PLACES = {
    "start-up": ("keras_resnet.training.build_trainer", "build_trainer", 1),
    "run made": ("keras_resnet.training.checkpoint", "Checkpoints.restore", 1),
    "first step": ("keras_resnet.training.loop", "TrainingLoop._check_alive", 1),
    "steps": ("keras_resnet.training.loop", "TrainingLoop._check_alive", 31),
    "checkpoint half written": ("keras_resnet.training.checkpoint", "_sha256", 3),
    "validation": ("keras_resnet.training.loop", "TrainingLoop._validate", 1),
    "epoch recorded": ("keras_resnet.training.logger", "Logger._write_summaries", 1),
    "last epoch": ("keras_resnet.training.loop", "TrainingLoop._validate", 2),
    "last validation": ("keras_resnet.training.finish", "validate", 1),
    "model half written": ("keras_resnet.run", "Run.write_with", "model.keras"),
    "model written": ("keras_resnet.run", "Run.remove_training_state", 1),
    "report": ("keras_resnet.reporting.page", "render_report", 1),
}


def signal_at(place, number):
    """This process gets the signal `number` at that place; of a file that is being written, before it has its name."""
    module, path, which = PLACES[place]
    owner = importlib.import_module(module)
    *classes, name = path.split(".")
    for each in classes:
        owner = getattr(owner, each)
    genuine, calls = getattr(owner, name), []

    def called(*arguments, **options):
        calls.append(1)
        if which == len(calls):
            os.kill(os.getpid(), number)
        return genuine(*arguments, **options)

    def written(run, file, save):
        def save_first(path):
            save(path)
            os.kill(os.getpid(), number)

        return genuine(run, file, save_first if file.name == which else save)

    setattr(owner, name, written if isinstance(which, str) else called)


def run(request):
    """The exit status of one command, negative for a signal."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    said = os.open(request["said"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(said, stream)
    code = 70
    try:
        from keras_resnet.cli import main

        if request.get("place"):
            signal_at(request["place"], request["signal"])
        code = main.run_command(request["arguments"])
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps({"status": run(json.loads(line))}), flush=True)
