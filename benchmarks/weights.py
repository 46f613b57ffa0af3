"""Are imported weights right? Logits of ours against torchvision's and timm's own networks.

    python -m venv peers && peers/bin/pip install -r benchmarks/peers.txt
    python benchmarks/weights.py --torch-python peers/bin/python

The other Python makes each network with random weights and shaken statistics, writes its state (.pth in PyTorch's
present and former format, .safetensors for timm) and its logits for 8 random images; this one imports the state.
No weights are downloaded. Exit code 1 if a network differs by more than 1e-4 of its largest logit.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

TORCHVISION = (
    *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "resnext101_32x8d"),
    *("wide_resnet50_2", "vgg11", "vgg13_bn", "vgg16", "vgg19", "vgg19_bn"),
)
TIMM = ("resnet18", "resnet50", "resnet50d", "resnet101d", "seresnet50", "resnext50_32x4d", "resnet200", "vgg16_bn")
TOLERANCE = 1e-4
CASES = [f"torchvision:{name}" for name in TORCHVISION] + [f"timm:{name}" for name in TIMM]


def make(case: str, folder: Path) -> None:
    """Run by the other Python: the network `case`, its state and its logits, in `folder`."""
    import numpy as np
    import torch

    source, _, name = case.partition(":")
    torch.manual_seed(0)
    if source == "timm":
        import timm

        model = timm.create_model(name, pretrained=False)
    else:
        import torchvision

        model = getattr(torchvision.models, name)(weights=None)
    with torch.no_grad():
        for key, values in model.named_buffers():
            if key.endswith("running_mean"):
                values.copy_(0.2 * torch.randn_like(values))
            if key.endswith("running_var"):
                values.copy_(0.6 + 0.8 * torch.rand_like(values))
        for values in model.parameters():
            if values.ndim == 1:
                values.add_(0.1 * torch.randn_like(values))
        pixels = torch.randint(0, 256, (8, 3, 224, 224))
        mean = 255 * torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
        std = 255 * torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
        logits = model.eval()((pixels - mean) / std)
    np.savez(folder / "answer.npz", pixels=pixels.permute(0, 2, 3, 1).numpy().astype("uint8"), logits=logits.numpy())
    if source == "timm":
        from safetensors.torch import save_file

        save_file(model.state_dict(), folder / "state.safetensors")
    else:
        former = TORCHVISION.index(name) % 2 == 1
        torch.save(model.state_dict(), folder / "state.pth", _use_new_zipfile_serialization=not former)


def compare(folder: Path) -> tuple[str, float]:
    """Our network's name, and the largest difference relative to the largest logit."""
    import numpy as np

    import keras_resnet
    from keras_resnet.pretrained.load import assign_weights, fetch_weights

    (state,) = folder.glob("state.*")
    weights = fetch_weights(str(state))
    assert weights.network is not None
    model = keras_resnet.create_model(weights.network, normalization=weights.normalization)
    placed = assign_weights(model, weights, state.name)
    assert not placed.new and not placed.unused, str(placed)
    answer = np.load(folder / "answer.npz")
    ours = model.predict(answer["pixels"], verbose=0)
    return model.name, float(np.abs(ours - answer["logits"]).max() / np.abs(answer["logits"]).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--torch-python", default=sys.executable, help="A Python with torch, torchvision, timm.")
    parser.add_argument("--make", nargs=2, metavar=("CASE", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.make:
        make(arguments.make[0], Path(arguments.make[1]))
        return
    worst = 0.0
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([arguments.torch_python, __file__, "--make", case, folder], check=True)
            name, difference = compare(Path(folder))
        print(f"{case:32} {name:20} {difference:.1e}", flush=True)
        worst = max(worst, difference)
    sys.exit(worst > TOLERANCE)


if __name__ == "__main__":
    main()
