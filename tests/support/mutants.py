"""Exported files, damaged and forged by a fixed seed, and a process that lets the commands loose on them."""

import contextlib
import io
import json
import os
import queue
import random
import re
import struct
import subprocess
import sys
import threading
import time
import zipfile
from collections import Counter
from pathlib import Path

ENDINGS = ("answered", "refused", "traceback", "crash", "over limit")
# Seconds and bytes of one command, on a machine that has other things to do.
SECONDS, BYTES = 180, 2 * 2**30
WHOLE_NUMBERS = (0, -1, 1, 2, 3, 127, 255, 60000, 2**31 - 1, -(2**31), 10**6)
FRACTIONS = (0.0, float("nan"), float("inf"), -1.0, 4e-9, 1e-38, 1e30)
ANYTHING = (0, -1, 1.5, 60000, 2**80, True, None, "", "8", "x" * 10**5, [], [8], {}, {"a": 1}, "\x1b[2J")


def flipped(rng, content):
    """1, 8 or 64 bits turned over."""
    changed = bytearray(content)
    for _ in range(rng.choice((1, 8, 64))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(rng, content):
    """The end missing, or the beginning, or something in between."""
    start, end = sorted(rng.randrange(len(content)) for _ in range(2))
    return rng.choice((content[:start], content[end:], content[:start] + content[end:]))


def overwritten(rng, content):
    """A stretch of zeros, of ones, or of another part of the same file."""
    length = min(rng.choice((4, 64, 2048)), len(content))
    place, other = (rng.randrange(len(content) - length + 1) for _ in range(2))
    filling = rng.choice((b"\0" * length, b"\xff" * length, content[other : other + length]))
    return content[:place] + filling + content[place + length :]


def leaves(thing, rng, found, depth=0):
    """Every place below `thing`, of the schema's object API, that can be given another value."""
    for name, value in vars(thing).items():
        if name == "data":
            continue
        found.append((thing, name))
        for each in value if isinstance(value, list) else [value]:
            if hasattr(each, "__dict__") and depth < 6:
                leaves(each, rng, found, depth + 1)
    return found


def forged_value(rng, value):
    """Something hostile in place of a field's `value`."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return rng.choice((*WHOLE_NUMBERS, value + 1, value * 1000))
    if isinstance(value, float):
        return rng.choice(FRACTIONS)
    if isinstance(value, bytes):
        return rng.choice((b"", b"\xff" * 4, value * 2, None))
    if hasattr(value, "__dict__"):
        return None
    if value is None or not len(value):
        return rng.choice((None, [], [0]))
    values = list(value)
    place = rng.randrange(len(values))
    if hasattr(values[place], "__dict__"):
        return rng.choice((None, [], values[:place], values * 2, values[::-1]))
    other = forged_value(rng, values[place].item() if hasattr(values[place], "item") else values[place])
    return rng.choice((None, [], values[:place], values * 2, [*values[:place], other, *values[place + 1 :]]))


def edited(rng, content):
    """One to three fields of the FlatBuffer with other values; what stands behind it as it was."""
    from ai_edge_litert import schema_py_generated as schema

    from keras_resnet.export.flatbuffer import pack_model

    while True:
        model = schema.ModelT.InitFromPackedBuf(content, 0)
        for _ in range(rng.choice((1, 1, 3))):
            thing, name = rng.choice(leaves(model, rng, []))
            setattr(thing, name, forged_value(rng, getattr(thing, name)))
        with contextlib.suppress(struct.error, TypeError, AttributeError, ValueError, OverflowError, IndexError):
            return pack_model(model) + archive_of(content)


def rescaled(rng, content):
    """Other scales, of all tensors or of one: what dead channels and untrained ranges leave."""
    from ai_edge_litert import schema_py_generated as schema

    from keras_resnet.export.flatbuffer import pack_model

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    scaled = [t for t in model.subgraphs[0].tensors if t.quantization is not None and t.quantization.scale is not None]
    for tensor in scaled if rng.random() < 0.3 else rng.sample(scaled, min(1, len(scaled))):
        tensor.quantization.scale = [rng.choice(FRACTIONS)] * len(tensor.quantization.scale)
    return pack_model(model) + archive_of(content)


def archive_of(content):
    """What stands behind the FlatBuffer."""
    return content[content.index(b"PK\x03\x04") :]


def texts_of(content):
    """The labels and the details of a file."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.read("labels.txt").decode(), json.loads(archive.read("kresnet.json"))


def with_texts(content, labels, details, compression=zipfile.ZIP_DEFLATED):
    """The same file with other texts."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr("labels.txt", labels)
        archive.writestr("kresnet.json", details)
    return content[: content.index(b"PK\x03\x04")] + buffer.getvalue()


def forged_texts(rng, labels, details):
    """Other labels, or other details: of other types, sizes and numbers."""
    details = json.loads(json.dumps(details))
    rows = labels.splitlines()
    if rng.random() < 0.3:
        others = (rows[:-1], [*rows, "more"], rows[::-1], [], ["\x1b[2J", *rows[1:]], ["", *rows[1:]], rows * 1000)
        return "\n".join(rng.choice(others)) + "\n", json.dumps(details)
    name = rng.choice([*details, "cells", "levels", "provenance"])
    inner = details["provenance"] if name == "provenance" and rng.random() < 0.7 else details
    inner[rng.choice(list(inner)) if inner is not details else name] = rng.choice(
        (*ANYTHING, "detect", "segment", "localize", 7, 9, 16)
    )
    text = json.dumps(details)
    return labels, rng.choice((text, text, text, text[: len(text) // 2], "[" * 10**5, text.replace("8", "9" * 5000)))


def retold(rng, content):
    """Other texts behind the same FlatBuffer."""
    labels, details = texts_of(content)
    return with_texts(content, *forged_texts(rng, labels, details))


def bomb(content, size=3 * 2**30):
    """Labels that unpack to 3 GiB."""
    _, details = texts_of(content)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("labels.txt", "w", force_zip64=True) as file:
            for _ in range(size // 2**24):
                file.write(b"a" * 2**24)
        archive.writestr("kresnet.json", json.dumps(details))
    return content[: content.index(b"PK\x03\x04")] + buffer.getvalue()


TFLITE = (flipped, cut, overwritten, edited, edited, edited, rescaled, retold, retold)


def mutants_of_tflite(content, count, seed=0):
    """`count` mutants of a .tflite file by name, each kind in turn."""
    for number in range(count):
        kind = TFLITE[number % len(TFLITE)]
        yield f"{kind.__name__}{number}", kind(random.Random(f"{seed} {number}"), content)


def mutants_of_onnx(content, count, seed=0):
    """The same of an .onnx file."""
    import onnx

    def edit(rng, content):
        model = onnx.load_from_string(content)
        graph = model.graph
        tensor, node = rng.choice(graph.initializer), rng.choice(graph.node)
        what = rng.randrange(7)
        if what == 0:
            tensor.dims[:] = [rng.choice((0, -1, 2**40, 3))] * max(1, len(tensor.dims))
        elif what == 1:
            tensor.data_type = rng.choice((0, 2, 7, 11, 99))
        elif what == 2:
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            entry = tensor.external_data.add()
            entry.key, entry.value = "location", rng.choice(("/etc/passwd", "../0.png", "0.png"))
        elif what == 3:
            node.input[0] = rng.choice(("", "nowhere", node.output[0]))
        elif what == 4:
            node.op_type = rng.choice(("Nothing", "Loop", "Conv", "Resize"))
        elif what == 5:
            graph.input[0].type.tensor_type.shape.dim[1].dim_value = rng.choice((0, -1, 60000, 9))
        else:
            for each in node.attribute:
                each.ints[:] = [rng.choice((0, -1, 2**31))] * len(each.ints)
        return model.SerializeToString()

    def retell(rng, content):
        model = onnx.load_from_string(content)
        told = {each.key: each for each in model.metadata_props}
        labels, details = forged_texts(rng, told["labels.txt"].value, json.loads(told["kresnet.json"].value))
        told["labels.txt"].value, told["kresnet.json"].value = labels, details
        return model.SerializeToString()

    kinds = (flipped, cut, edit, edit, retell)
    for number in range(count):
        kind = kinds[number % len(kinds)]
        yield f"{kind.__name__}{number}", kind(random.Random(f"{seed} {number}"), content)


def mutants_of_c(text, count, seed=0):
    """The same of C source: as a text, and of the file that it holds."""
    numbers = [bytes.fromhex(each) for each in re.findall(r"0x(..),", text)]
    content = b"".join(numbers)

    def relength(rng, text):
        return re.sub(r"_len = \d+", f"_len = {rng.choice(('0', '7', '9' * 5000, '٣', '-1'))}", text)

    def letters(rng, text):
        place = rng.randrange(len(text))
        return text[:place] + rng.choice(("", "}", "é", "\0", "0x1ff, ", "int main() {")) + text[place + 1 :]

    def shortened(rng, text):
        return text[: rng.randrange(len(text))]

    def within(rng, text):
        inner = rng.choice(TFLITE)(rng, content)
        body = " ".join(f"0x{byte:02x}," for byte in inner)
        start, end = text.index("= {"), text.index("}")
        return re.sub(r"_len = \d+", f"_len = {len(inner)}", f"{text[:start]}= {{{body}{text[end:]}")

    kinds = (relength, letters, shortened, within, within)
    for number in range(count):
        kind = kinds[number % len(kinds)]
        yield f"{kind.__name__}{number}", kind(random.Random(f"{seed} {number}"), text).encode()


def damage_saved_model(folder, number, seed=0):
    """Damage one file of a SavedModel's folder."""
    rng = random.Random(f"{seed} {number}")
    files = ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001", "texts")
    name = files[number % len(files)]
    if name == "texts":
        told = folder / "assets.extra"
        labels, details = forged_texts(
            rng, (told / "labels.txt").read_text(), json.loads((told / "kresnet.json").read_text())
        )
        (told / "labels.txt").write_text(labels)
        (told / "kresnet.json").write_text(details)
        return
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(rng.choice((flipped, cut, overwritten))(rng, content))


def let_loose(jobs):
    """Run `jobs`, lists of a command's arguments, in another process, and in a new one after each that it died of.

    Returns how many ended in each of ENDINGS, and (arguments, what was told) of those that ended badly.
    """
    counts, bad = Counter(dict.fromkeys(ENDINGS, 0)), []
    left = list(jobs)
    while left:
        told = queue.Queue()
        worker = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        worker.stdin.write(json.dumps(left))
        worker.stdin.close()
        threading.Thread(target=_lines, args=(worker.stdout, told), daemon=True).start()
        while left:
            try:
                line = told.get(timeout=SECONDS)
                ending, words = json.loads(line) if line else ("crash", "")
            except queue.Empty:
                ending, words = "over limit", f"more than {SECONDS} s"
            if ending == "crash":
                words = f"exit {worker.wait()}"
            arguments = left.pop(0)
            counts[ending] += 1
            if ending not in ("answered", "refused"):
                bad.append((arguments, ending, words))
            if ending == "crash" or words.startswith("more than"):
                break
        worker.kill()
        worker.wait()
    return counts, bad


def _lines(stream, told):
    for line in stream:
        told.put(line)
    told.put("")


def main():
    """In the other process: each job's ending as a line of JSON."""
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    from keras_resnet.export import evaluate, verify
    from keras_resnet.runtime import sandbox

    # What is not under test is done once: the model's own answers, and how long a file takes.
    sandbox.TIMEOUT_SECONDS = 60.0
    evaluate.load_run_data, verify.measure_cost = _once(evaluate.load_run_data), _once(verify.measure_cost)
    evaluate.Reference.from_run = _once(evaluate.Reference.from_run)
    for arguments in json.loads(sys.stdin.read()):
        out.write(json.dumps(_ending(arguments)) + "\n")


def _once(function):
    """`function`, called once for each first argument, with what it answered then."""
    known = {}

    def answer(first, *others, **options):
        key = str(getattr(first, "folder", ""))
        if key not in known:
            known[key] = function(first, *others, **options)
        return known[key]

    return answer


def _ending(arguments):
    from keras_resnet.cli import main as commands
    from keras_resnet.export.benchmark import read_memory_mib
    from keras_resnet.runtime import cli

    before, (out, err) = (
        read_memory_mib("VmRSS"),
        (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in "oe"),
    )
    Path("/proc/self/clear_refs").write_text("5")  # the highest memory is counted anew
    start = time.monotonic()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = cli.main(arguments[1:]) if arguments[0] == "edge" else commands.run_command(arguments)
    except BaseException as error:
        return "traceback", f"{type(error).__name__}: {error}"[:300]
    took, peak = time.monotonic() - start, (read_memory_mib("VmHWM") - before) * 2**20
    told, answer = (each.buffer.getvalue().decode(errors="replace").strip() for each in (err, out))
    last = told.splitlines()[-1] if told else ""
    if took > SECONDS or peak > BYTES:
        return "over limit", f"{took:.0f} s, {peak / 2**20:.0f} MiB"
    if code == 0:
        return ("answered", "") if answer else ("traceback", "nothing was answered")
    sentence = last.startswith(("kresnet: ", "kresnet-edge: ")) and len(last) > 20 and code in (1, 2)
    return ("refused", last) if sentence else ("traceback", f"{code}: {last}")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    main()
