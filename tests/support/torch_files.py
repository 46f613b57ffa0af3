"""Files as torch.save writes them, and as nobody should: without PyTorch."""

import io
import pickle
import zipfile
from collections import OrderedDict

import numpy as np

KINDS = {"float32": "FloatStorage", "float16": "HalfStorage", "int64": "LongStorage"}


class Name:
    """What a pickle asks for by module and name."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class Storage:
    """Values of a kind under a key, of which the pickle claims `count`."""

    def __init__(self, key, values, count=None):
        self.key, self.values, self.count = str(key), values, len(values) if count is None else count


class Called:
    """What comes of calling `what` with `arguments`; then `state` is set, if there is one."""

    def __init__(self, what, arguments, state=None):
        self.what, self.arguments, self.state = what, arguments, state


def tensor(storage, shape, stride=None, offset=0, state=None):
    if stride is None:
        stride = tuple(int(np.prod(shape[place + 1 :])) for place in range(len(shape)))
    arguments = (storage, offset, shape, stride, False, OrderedDict())
    return Called(Name("torch._utils", "_rebuild_tensor_v2"), arguments, state)


def tensors(state):
    """{name: array} as {name: tensor}, each with a storage of its own."""
    return OrderedDict(
        (name, tensor(Storage(number, value.ravel()), value.shape))
        for number, (name, value) in enumerate(state.items())
    )


class _Writer(pickle._Pickler):
    """Protocol 2, as torch.save."""

    def __init__(self, file):
        super().__init__(file, 2)
        self.storages = {}

    def save(self, each, save_persistent_id=True):
        if isinstance(each, Name):
            self.write(f"c{each.module}\n{each.name}\n".encode())
        elif isinstance(each, Called):
            self.save(each.what)
            self.save(each.arguments)
            self.write(pickle.REDUCE)
            if each.state is not None:
                self.save(each.state)
                self.write(pickle.BUILD)
        elif isinstance(each, Storage):
            self.storages[each.key] = each
            kind = Name("torch", KINDS[str(each.values.dtype)])
            self.save(("storage", kind, each.key, "cpu", each.count))
            self.write(pickle.BINPERSID)
        else:
            super().save(each, save_persistent_id)


def pickled(loaded):
    """(bytes, the storages in them by key)."""
    file = io.BytesIO()
    writer = _Writer(file)
    writer.dump(loaded)
    return file.getvalue(), writer.storages


def save_zip(path, loaded, compression=zipfile.ZIP_STORED):
    """`loaded`, with tensors in it, as PyTorch has written it since 1.6."""
    content, storages = loaded if isinstance(loaded, tuple) else pickled(loaded)
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/version", "3")
        for key, storage in storages.items():
            archive.writestr(f"archive/data/{key}", storage.values.tobytes())
    return path


def save_stream(path, loaded, counts=None):
    """The same as it was before; `counts` instead of the storages' own."""
    content, storages = pickled(loaded)
    with path.open("wb") as file:
        for each in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
            file.write(pickle.dumps(each, 2))
        file.write(content)
        file.write(pickle.dumps(list(storages), 2))
        for key, storage in storages.items():
            count = (counts or {}).get(key, len(storage.values))
            file.write(count.to_bytes(8, "little") + storage.values.tobytes())
    return path


# torchvision's names of our layers, and where timm's of ResNet-D differ.
MODULES = {"stem_conv": "conv1", "stem_norm": "bn1", "logits": "fc"}
DEEP = {"stem_conv1": "conv1.0", "stem_norm1": "conv1.1", "stem_conv2": "conv1.3", "stem_norm2": "conv1.4"}
DEEP |= {"stem_conv": "conv1.6", "stem_norm": "bn1", "logits": "fc"}


def module_of(layer, deep=False):
    """ "stage2_unit1_proj" → "layer2.0.downsample.0"."""
    if layer in (DEEP if deep else MODULES):
        return (DEEP if deep else MODULES)[layer]
    stage, unit, part = layer.split("_", 2)
    first = 1 if deep else 0
    parts = {"proj": f"downsample.{first}", "proj_norm": f"downsample.{first + 1}", "se1": "se.fc1", "se2": "se.fc2"}
    return f"layer{stage[5:]}.{int(unit[4:]) - 1}.{parts.get(part, part.replace('norm', 'bn'))}"


def torch_state(model, deep=False):
    """The weights of a classifier of ours under torchvision's names, or with `deep` under timm's."""
    state = {}
    for layer in model.layers:
        values = layer.get_weights()
        if not values:
            continue
        names = ("weight", "bias", "running_mean", "running_var") if len(values) == 4 else ("weight", "bias")
        for name, value in zip(names, values, strict=False):
            turned = {4: (3, 2, 0, 1), 2: (1, 0)}.get(value.ndim)
            value = value.transpose(turned) if turned else value
            state[f"{module_of(layer.name, deep)}.{name}"] = np.ascontiguousarray(value, np.float32)
    return state
