"""Files of weights from elsewhere: they read nothing but themselves, run nothing, and take no more than they hold.

Each is read in a child process, by what `--weights` and `load_weights` read with, which needs no TensorFlow: the child
tells what was said of each file, and the most memory that it took.
"""

import json
import pickle
import struct
import subprocess
import sys
import zipfile
import zlib
from collections import OrderedDict
from pathlib import Path

import h5py
import numpy as np
import pytest
from safetensors.numpy import save_file
from torch_files import Called, Name, Storage, pickled, save_stream, save_zip, tensor, tensors

import keras_resnet
from keras_resnet.errors import WeightsError
from keras_resnet.pretrained.load import load_weights
from keras_resnet.pretrained.readers import read_weights

MEGABYTES = 2**20
# More than the reader and its libraries take, and far less than any of these files asks for.
MOST = 400 * MEGABYTES
CHILD = """
import json, resource, sys
from pathlib import Path
from keras_resnet.errors import WeightsError
from keras_resnet.pretrained.readers import read_weights
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for line in sys.stdin:
    file = Path(line.rstrip("\\n"))
    try:
        found = read_weights(file)
        arrays = [each for value in found.values() for each in (value if isinstance(value, list) else [value])]
        said = {"arrays": len(found), "bytes": sum(each.nbytes for each in arrays)}
    except WeightsError as error:
        said = {"refused": str(error)}
    # Its own, and that of a child which it has had.
    most = max(resource.getrusage(whose).ru_maxrss for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    peak = 1024 * (most - before)
    print(json.dumps({"file": file.name, "peak": peak, **said}), flush=True)
"""
KERNEL = np.arange(27, dtype="float32").reshape(3, 3, 1, 3)


def told(files):
    """What the child says of each file, in order; fails if it dies or says less."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        input="\n".join(map(str, files)) + "\n",
        capture_output=True,
        text=True,
        check=False,
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and len(rows) == len(files), (done.returncode, rows[-1:], done.stderr[-2000:])
    return rows


def assert_refused(files):
    rows = told(list(files))
    for row, (file, words) in zip(rows, files.items(), strict=True):
        assert row.get("refused", "").startswith(f"cannot read weights {file}: "), row
        assert words in row["refused"] and "\n" not in row["refused"] and len(row["refused"]) < 500 + len(str(file)), (
            row
        )
        assert row["peak"] < MOST, row


def keras3(path, fill):
    """An .h5 of Keras 3 whose one layer, stem_conv, has the array 0 that `fill` makes in its group."""
    with h5py.File(path, "w") as file:
        group = file.create_group("layers/conv2d/vars")
        group.attrs["name"] = "stem_conv"
        fill(group)
    return path


def zipped(h5):
    """The same inside of a .keras."""
    path = h5.with_suffix(".keras")
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(h5, "model.weights.h5")
        archive.writestr("config.json", "{}")
    return path


def secret(folder):
    """A local file that is nobody's weights."""
    file = folder / "secret.bin"
    file.write_bytes(np.arange(27, dtype="float32").tobytes())
    return str(file)


def other(folder):
    """Another .h5 of the user's."""
    path = folder / "other.hdf5"
    with h5py.File(path, "w") as file:
        file["0"] = KERNEL
        file["vars/0"] = KERNEL
    return str(path)


def packed_zeros(group, shape, chunk):
    """Zeros of `shape` (N,), packed, of which only one chunk is made and put everywhere."""
    dataset = group.create_dataset("0", shape, "float32", chunks=(chunk,), compression="gzip")
    content = zlib.compress(bytes(4 * chunk), 9)
    for place in range(0, shape[0], chunk):
        dataset.id.write_direct_chunk((place,), content)


def virtual(folder):
    layout = h5py.VirtualLayout((3, 3, 1, 3), "float32")
    layout[...] = h5py.VirtualSource(other(folder), "0", shape=(3, 3, 1, 3))
    return lambda group: group.create_virtual_dataset("0", layout)


def hdf5_files(folder):
    """{file: words of its refusal}."""
    link = "is a link to somewhere else"
    absent = "claims values that are not there"
    trusted = "may take"
    external = [(secret(folder), 0, 108)]
    ways = {
        "external": (lambda g: g.create_dataset("0", (27,), "float32", external=external), "in another file"),
        "link": (lambda g: g.__setitem__("0", h5py.ExternalLink(other(folder), "0")), link),
        "soft": (lambda g: g.__setitem__("0", h5py.SoftLink("/layers/conv2d/vars/1")), link),
        "virtual": (virtual(folder), "takes its values from other datasets"),
        "sparse": (lambda g: g.create_dataset("0", (2_100_000_000,), "float32"), absent),
        "chunked": (
            lambda g: g.create_dataset("0", (2_100_000_000,), "float32", chunks=(1000,), fillvalue=1.0),
            absent,
        ),
        "unwritten": (lambda g: g.create_dataset("0", (2_100_000_000,), "float32", compression="gzip"), absent),
        "packed": (lambda g: packed_zeros(g, (2_100_000_000,), 21_000_000), trusted),
        "chunk": (lambda g: one_wide_chunk(g), trusted),
        "text": (lambda g: g.create_dataset("0", data=["a", "b"]), "not numbers"),
        "pairs": (lambda g: g.create_dataset("0", (3,), np.dtype([("a", "f4"), ("b", "f4")])), "not numbers"),
        "circle": (lambda g: g.__setitem__("round", g.parent), "stands in it twice"),
        "doubled": (doubled, trusted),
        "deep": (nested, "lies too deep"),
    }
    files = {keras3(folder / f"{name}.h5", fill): words for name, (fill, words) in ways.items()}
    files |= {zipped(file): words for file, words in files.items()}
    for name, place in (("group", "layers/conv2d"), ("weights", "model_weights"), ("all", "layers")):
        with h5py.File(folder / f"{name}.h5", "w") as file:
            file[place] = h5py.ExternalLink(other(folder), "/")
        files[folder / f"{name}.h5"] = link
    return files


def one_wide_chunk(group):
    dataset = group.create_dataset("0", (10,), "float32", chunks=(500_000_000,), maxshape=(None,), compression="gzip")
    dataset.id.write_direct_chunk((0,), zlib.compress(bytes(1000)))


def doubled(group):
    """One array under a thousand names."""
    group["0"] = np.zeros(300_000, "float32")
    for number in range(1, 1000):
        group[str(number)] = group["0"]


def nested(group):
    for _ in range(3000):
        group = group.create_group("g")


@pytest.mark.parametrize("suffix", [".h5", pytest.param(".keras", marks=pytest.mark.slow)])
def test_hdf5_takes_nothing_from_outside_and_no_more_than_it_holds(tmp_path, suffix):
    """Also where it is the weights of a .keras file: with every suite two of these."""
    files = hdf5_files(tmp_path)
    assert len(files) == 31 and max(file.stat().st_size for file in files) < 16 * MEGABYTES
    also = [tmp_path / "external.keras", tmp_path / "packed.keras"] if suffix == ".h5" else []
    assert_refused({file: words for file, words in files.items() if file.suffix == suffix or file in also})


def keras_files(folder):
    """Archives that are packed otherwise than weights."""
    good = keras3(folder / "good.h5", lambda group: group.create_dataset("0", data=KERNEL))
    zipped(good)
    bomb = zipfile.ZipFile(folder / "bomb.keras", "w", zipfile.ZIP_DEFLATED)
    with bomb as archive, archive.open("model.weights.h5", "w") as file:
        file.write(good.read_bytes())
        for _ in range(150):
            file.write(bytes(MEGABYTES))
    with zipfile.ZipFile(folder / "bzip.keras", "w", zipfile.ZIP_BZIP2) as archive:
        archive.write(good, "model.weights.h5")
    with zipfile.ZipFile(folder / "empty.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    content = bytearray((folder / "good.keras").read_bytes())
    place = content.rindex(b"PK\x01\x02", 0, content.rindex(b"PK\x01\x02"))
    struct.pack_into("<II", content, place + 20, 3_000_000_000, 3_000_000_000)
    (folder / "claims.keras").write_bytes(content)
    return {
        folder / "bomb.keras": "model.weights.h5 claims 1",
        folder / "bzip.keras": "is packed in a way that weights are not",
        folder / "empty.keras": "not a .keras file, or damaged",
        folder / "claims.keras": "claims 3 GB in a file of",
    }


def test_archives_of_keras_are_bounded(tmp_path):
    assert_refused(keras_files(tmp_path))


def claiming(path):
    """A storage of 4 values of which the archive's directory says that they are a billion."""
    count = 1_000_000_000
    save_zip(path, OrderedDict(w=tensor(Storage(0, np.ones(4, "float32"), count), (count,))))
    content = bytearray(path.read_bytes())
    place = content.rindex(b"archive/data/0") - 46
    assert content[place : place + 4] == b"PK\x01\x02"
    struct.pack_into("<II", content, place + 20, 4 * count, 4 * count)
    path.write_bytes(content)
    return path


def torch_zips(folder):
    ones, count = np.ones(16, "float32"), 2_000_000_000
    four = Storage(0, ones)
    changed = tensor(four, (4,), state={"_size": (1000, 1000), "_offset": 10**6})
    itself = OrderedDict(w=1)
    itself["state_dict"] = itself
    ways = {
        "stride0": (OrderedDict(w=tensor(four, (count,), (0,))), "repeats values of its storage"),
        "overlaps": (OrderedDict(w=tensor(four, (8, 8), (1, 1))), "repeats values of its storage"),
        "outside": (OrderedDict(w=tensor(four, (17,))), "reaches outside of its storage"),
        "offset": (OrderedDict(w=tensor(four, (4,), offset=13)), "reaches outside of its storage"),
        "before": (OrderedDict(w=tensor(four, (4,), (-1,), offset=8)), "reaches outside of its storage"),
        "changed": (OrderedDict(w=changed), "changes what it has made"),
        "slots": (OrderedDict(w=tensor(four, (4,), state=(None, {"_size": (9999,)}))), "changes what it has made"),
        "more": (OrderedDict(w=tensor(Storage(0, ones, 2 * count), (2 * count,))), "other sizes than its tensors say"),
        "itself": (itself, "holds no tensors by name"),
        "set": (OrderedDict(w=frozenset((1, 2))), "it asks for __builtin__.frozenset"),
        "runs": (Called(Name("os", "system"), ("touch attacked",)), "it may run code"),
        "method": (Called(Name("builtins", "getattr"), ({}, "clear")), "it may run code"),
        "list": ([tensor(four, (4,))], "holds no tensors by name"),
        "numbers": (OrderedDict([(1, tensor(four, (4,)))]), "holds no tensors by name"),
    }
    files = {save_zip(folder / f"{name}.pth", each): words for name, (each, words) in ways.items()}
    shared = Storage(0, np.ones(10**6, "float32"))
    many = OrderedDict((f"w{n}", tensor(shared, (10**6,))) for n in range(1000))
    files[save_zip(folder / "many.pth", many)] = " claims "
    zeros = tensors({"w": np.zeros(100 * MEGABYTES // 4, "float32")})
    files[save_zip(folder / "bomb.pth", zeros, zipfile.ZIP_DEFLATED)] = " claims "
    files[claiming(folder / "claims.pth")] = "claims 4 GB after 165 bytes, and weights in a file of 522 bytes"
    raw = {
        "memo": (b"\x80\x02}r\xff\xff\xff\x3f.", "claims memory that it has no use for"),
        "bytes": (b"\x80\x04\x8e\x00\x00\x00\x00\x02\x00\x00\x00.", "not a .pth file, or damaged"),
        "emptysets": (b"\x80\x04" + b"\x8f" * 1000 + b".", "it holds what tensors have no need of (EMPTY_SET)"),
        "long": (b"\x80\x02" + b"N0" * (3 * MEGABYTES) + b"N.", "is longer than 4.19 MB"),
        "cut": (pickled(tensors({"w": ones}))[0][:-30], "not a .pth file, or damaged"),
    }
    return files | {save_zip(folder / f"{name}.pth", (each, {})): words for name, (each, words) in raw.items()}


def torch_streams(folder):
    ones = np.ones(16, "float32")
    big = 2_000_000_000
    files = {
        save_stream(
            folder / "s-claims.pth", OrderedDict(w=tensor(Storage(0, ones, big), (big,))), {"0": big}
        ): "claims 8 GB",
        save_stream(folder / "s-more.pth", OrderedDict(w=tensor(Storage(0, ones, big), (4,)))): "have other sizes",
        save_stream(folder / "s-stride.pth", OrderedDict(w=tensor(Storage(0, ones), (big,), (0,)))): "repeats values",
    }
    raw = {"s-memo": b"\x80\x02}r\xff\xff\xff\x3f.", "s-text": b"I'm not a pickle", "s-nothing": b""}
    words = {
        "s-memo": "claims memory that it has no use for",
        "s-text": "not a .pth file: it is text, which begins with",
        "s-nothing": "not a .pth file: it is empty",
    }
    for name, content in raw.items():
        (folder / f"{name}.pth").write_bytes(content)
        files[folder / f"{name}.pth"] = words.get(name, "not a .pth file, or damaged")
    return files


def test_states_of_pytorch_run_nothing_and_are_bounded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_refused(torch_zips(tmp_path) | torch_streams(tmp_path))
    assert not Path("attacked").exists()


def safetensors(path, header, content=b"", length=None):
    text = json.dumps(header).encode() if isinstance(header, dict) else header
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + content)
    return path


def test_headers_of_safetensors_are_held_against_the_file(tmp_path):
    def w(shape, ends, kind="F32"):
        return {"w": {"dtype": kind, "shape": shape, "data_offsets": ends}}

    many = 2_100_000_000
    files = [
        safetensors(tmp_path / "beyond.safetensors", w([many], [0, 4 * many]), bytes(16)),
        safetensors(tmp_path / "shape.safetensors", w([many], [0, 16]), bytes(16)),
        safetensors(tmp_path / "overflow.safetensors", w([2**62, 2**62], [0, 16]), bytes(16)),
        safetensors(tmp_path / "header.safetensors", w([4], [0, 16]), bytes(16), length=2**62),
        safetensors(tmp_path / "large.safetensors", w([4], [0, 16]), bytes(16), length=90 * MEGABYTES),
        safetensors(tmp_path / "negative.safetensors", w([4], [-16, 0]), bytes(16)),
        safetensors(tmp_path / "kind.safetensors", w([4], [0, 16], "F99"), bytes(16)),
        safetensors(tmp_path / "text.safetensors", b"[" * 100_000, bytes(16)),
        safetensors(tmp_path / "double.safetensors", w([4], [0, 16]) | {"v": w([4], [0, 16])["w"]}, bytes(16)),
    ]
    assert_refused({file: "not a .safetensors file, or damaged" for file in files})


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A small network's file of each kind."""
    folder = tmp_path_factory.mktemp("good")
    model = keras_resnet.create_model(keras_resnet.NetworkSpec(8, width=0.5), classes=3, input_shape=(16, 16, 3))
    model.save(folder / "a.keras")
    model.save(folder / "a.h5")
    model.save_weights(folder / "a.weights.h5")
    rng = np.random.default_rng(0)
    state = {f"{n}.weight": rng.normal(size=(4, 3)).astype("float32") for n in "abc"}
    save_zip(folder / "a.pth", tensors(state))
    save_stream(folder / "b.pth", tensors(state))
    save_file(state, folder / "a.safetensors")
    return folder


def test_good_files_are_read_and_cut_ones_are_refused(good, tmp_path):
    files = sorted(good.iterdir())
    for row in told(files):
        assert row.get("arrays", 0) >= 3, row
    cut = []
    for file in files:
        content = file.read_bytes()
        for tenth in (0, 3, 6, 9):
            cut.append(tmp_path / f"{tenth}-{file.name}")
            cut[-1].write_bytes(content[: len(content) * tenth // 10])
    rows = told(cut)
    assert all("cannot read weights" in row.get("refused", "") for row in rows), rows


@pytest.mark.parametrize("count", [8, pytest.param(600, marks=pytest.mark.slow)])
def test_changed_bytes_end_in_weights_or_a_sentence(count, good, tmp_path):
    """Seeded, as a fuzzer would: a few bytes of each kind of file are others."""
    rng, changed = np.random.default_rng(0), []
    for file in sorted(good.iterdir()):
        content = file.read_bytes()
        for number in range(count):
            new = bytearray(content)
            # Half of them near the beginning or the end, where formats keep what they say of the rest.
            for place in rng.integers(0, len(new), 4):
                at = [place, place % 2048, len(new) - 1 - place % 1024][number % 3]
                new[min(at, len(new) - 1)] = rng.integers(256)
            changed.append(tmp_path / f"{number}-{file.name}")
            changed[-1].write_bytes(new)
    rows = told(changed)
    for row in rows:
        assert ("refused" in row) != ("arrays" in row) and row["peak"] < MOST, row
    assert any("refused" in row for row in rows) and any("arrays" in row for row in rows)


def test_a_file_far_larger_than_the_network_is_refused(tmp_path):
    """Though it holds what it claims: it is held against what the network needs."""
    model = keras_resnet.create_model(keras_resnet.NetworkSpec(8, width=0.5), classes=3, input_shape=(16, 16, 3))
    save_file({"layer1.0.conv1.weight": np.zeros((5000, 5000), "float32")}, tmp_path / "large.safetensors")
    keras3(tmp_path / "large.h5", lambda group: group.create_dataset("0", data=np.zeros((5000, 5000), "float32")))
    save_zip(tmp_path / "large.pth", tensors({"w": np.zeros((5000, 5000), "float32")}))
    for name in ("large.safetensors", "large.h5", "large.pth"):
        assert read_weights(tmp_path / name)
        with pytest.raises(WeightsError, match=r"claims 100 MB.*, and weights for a network of 76\.9 kB may take"):
            load_weights(model, tmp_path / name)


@pytest.mark.parametrize("tenths", [1, 5, 9])
def test_a_cut_model_ends_in_a_sentence(tenths, good, tmp_path, kresnet):
    """By the command and by Python, as a file and as that of a run."""
    content = (good / "a.keras").read_bytes()
    cut = tmp_path / "cut.keras"
    cut.write_bytes(content[: len(content) * tenths // 10])
    code, out, err = kresnet("train", "--weights", cut, "--runs", tmp_path / "runs")
    assert code == 1 and out == "" and err[-1].endswith("not a .keras file, or damaged"), err
    assert not (tmp_path / "runs").exists()
    model = keras_resnet.create_model(keras_resnet.NetworkSpec(8, width=0.5), classes=3, input_shape=(16, 16, 3))
    with pytest.raises(WeightsError, match=r"not a \.keras file, or damaged"):
        load_weights(model, cut)


def test_a_hostile_model_leaves_the_users_files_alone(tmp_path, kresnet):
    for name, (file, words) in enumerate(list(hdf5_files(tmp_path).items())[:2]):
        code, _, err = kresnet("train", "--weights", file, "--runs", tmp_path / f"runs{name}")
        assert code == 1 and words in err[-1] and not (tmp_path / f"runs{name}").exists(), err


def test_the_files_are_what_they_say(tmp_path):
    """The checks are worth something: h5py itself would have read a local file."""
    file = keras3(
        tmp_path / "x.h5",
        lambda group: group.create_dataset("0", (27,), "float32", external=[(secret(tmp_path), 0, 108)]),
    )
    with h5py.File(file) as opened:
        np.testing.assert_array_equal(opened["layers/conv2d/vars/0"], np.arange(27))
    assert pickle.loads(pickled(OrderedDict(a=1))[0]) == {"a": 1}
