"""An error about an option names the option, whoever finds it: click, the settings, or what the option leads to."""

import pytest

from keras_resnet.config.given_options import SETTINGS
from keras_resnet.errors import KresnetError
from keras_resnet.training.spec_request import build_spec

BAD = {int: -(10**6), float: -1e6, str: "nonsense"}
# What only the data, the devices or the network can judge; and flags.
JUDGED_LATER = {"data", "data_dir", "devices", "freeze"}


@pytest.mark.parametrize(
    "name", [name for name, each in SETTINGS.items() if each.kind in BAD and name not in JUDGED_LATER]
)
def test_settings(tmp_path, name):
    setting = SETTINGS[name]
    value = (BAD[setting.kind],) if setting.is_list else BAD[setting.kind]
    task = {"task": "detect"} if setting.key.startswith("head.") else {}
    with pytest.raises(KresnetError) as caught:
        build_spec({**task, name: value}, tmp_path, lambda message: None)
    assert setting.option.flag in str(caught.value)


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("train --depth 51", "--depth: 51 is not a ResNet depth"),
        ("train --depth fifty", "Invalid value for '--depth': 'fifty' is not a valid integer."),
        ("train --model resnet51", "kresnet: --model: 51 is not a ResNet depth"),
        ("train --weights nothing", "--weights: no run called 'nothing'"),
        ("train --weights none.pth", "--weights: there is no file"),
        ("train --teacher none", "--teacher: no run called 'none'"),
        ("train --deepen none --depth 56", "--deepen: no run called 'none'"),
        ("train --resume none", "--resume: no run called 'none'"),
        ("train --set optimizer.warmup_epochs=20", "optimizer.warmup_epochs must be below --epochs (15)"),
        ("train --task detect --mixup 0.2", "--mixup must be left out for detect"),
        ("train --model resnet50 --depth 18", "--model names the whole network; it takes no --depth"),
        ("train --find-lr --find-batch-size", "--find-lr and --find-batch-size"),
        ("train --resume none --epochs 5", "it takes no --epochs"),
        ("export --max-drop 101", "--max-drop must be between 0 and 100"),
        ("export --calibration-images 0", "--calibration-images must be 1 or more. Received: 0"),
        ("compress none --prune 2", "--prune must be the share of weights"),
        ("predict none x.png --top 0", "'--top': 0 is not in the range"),
        ("demo --port 99999", "'--port': 99999 is not in the range"),
        ("models --depth 17", "17 layers"),
    ],
)
def test_each_way_of_being_wrong(kresnet, tmp_path, monkeypatch, typed, words):
    monkeypatch.setenv("KRESNET_RUNS", str(tmp_path))
    code, out, err = kresnet(*typed.split())
    assert code in (1, 2) and out == "" and words in err[-1] and err[-1].startswith("kresnet: ")
    assert "See: " not in err[-1]
