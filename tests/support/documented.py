"""The commands that stand in README.md and docs/, and what the tests do with each."""

import re
import shlex
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PROGRAMS = ("kresnet", "kresnet-edge")


@dataclass(frozen=True)
class Fails:
    """A command that here ends at once: its exit code, and words of the one sentence that says why."""

    code: int
    words: str


# Each pattern is of commands as they stand, with * for anything. On the desk where they are run (the fixture of
# test_documented_commands.py) there are the runs RUN and my-run, and for slow commands head, all the same small one;
# photo.jpg, docs/images/two.png and street.mp4; photos/ and signs/, with a folder a class; folder/ of images;
# int8.tflite, also as exports/int8.tflite and under other names in exports/. FILE is such a file.

# Run with every suite: seconds each.
QUICK = """
kresnet models*
kresnet recipes
kresnet schema
kresnet runs*
kresnet env
kresnet completion *
kresnet inspect *
kresnet verify *exports/int8.tflite
kresnet verify *int8-int8-io.tflite --on tflm
kresnet verify * --on local --runtime openvino
kresnet bundle *
kresnet evaluate
kresnet evaluate RUN
kresnet evaluate RUN --tta *
kresnet evaluate exports/int8.tflite*
kresnet predict RUN photo.jpg*
kresnet predict RUN folder/ --explain --save maps/
kresnet predict * docs/images/two.png
kresnet predict RUN street.mp4*
kresnet predict *exports/int8.tflite photo.jpg*
kresnet report*
kresnet compare RUN *
kresnet compare exports/int8.tflite *
kresnet robustness RUN --corruptions *
kresnet diagnose RUN
kresnet demo RUN --save page
kresnet check photos/
kresnet-edge predict *
"""

# Started with every suite, and stopped by Ctrl-C when they say that they serve.
SERVING = """
kresnet-edge serve int8.tflite
kresnet demo
kresnet verify RUN --on browser
kresnet data-service --port 5050
"""

# Others of that kind, with -m slow.
SLOWLY_SERVING = """
kresnet demo RUN
kresnet demo RUN --open
kresnet demo resnet20-digits*
kresnet verify RUN --on browser[: ]*
kresnet data-service --port 5050 *
"""

# Run with -m slow, in the order of the pages: minutes to an hour each, on data made here.
SLOW = """
kresnet train
kresnet train --depth 20
kresnet train --depth 50
kresnet train --depth 50 --name teacher
kresnet train --depth 8 --teacher teacher
kresnet train --depth 50 --find-*
kresnet train --find-lr
kresnet train --weights my-run --data photos/
kresnet export RUN --tflite
kresnet train --model plain34
kresnet train --teacher RUN
kresnet train --devices 4
kresnet env --selftest
kresnet train --recipe timm-a2 --quick
kresnet train --task detect
kresnet train --task multilabel
kresnet train --task localize --depth 18
kresnet train --task segment --depth 18
kresnet train --model resnet8 --data photos/*
kresnet train --depth 18 --data photos/*
kresnet train --depth 50 --data photos/
kresnet train --data digits --model resnet20 --epochs 6 --seed 0
kresnet train --data photos/ --depth 18*
kresnet train --data photos/ --weights head *
kresnet train --data signs/*
kresnet launch --workers 2 -- train --depth 50
kresnet compress RUN *
kresnet verify
kresnet export
kresnet export RUN
kresnet export --tflite
kresnet export --tflite --quantize float32 --quantize int8
kresnet export RUN --quantize int8 --auto
kresnet export --tflite --quantize all --savedmodel --onnx --c-array
kresnet export --tflite --quantize int8 --auto
kresnet export RUN-qat --tflite
kresnet export RUN --tflite --quantize all --savedmodel --onnx --c-array
kresnet export RUN --tflite --quantize int8
kresnet export RUN --openvino *
kresnet export RUN --tflite --quantize int8 --auto
kresnet export RUN --tflite --quantize dynamic --quantize int8-float-io
kresnet export RUN --tflite --quantize * --with-nms
kresnet export RUN --c-array*
kresnet export RUN --savedmodel*
kresnet calibrate RUN*
kresnet robustness
kresnet robustness RUN
kresnet robustness *exports/int8.tflite
kresnet verify RUN --on chromium*
kresnet verify *exports/int8.tflite --on tflm
kresnet verify *exports/int8.tflite --on chromium
kresnet search --data photos/ --budget *
kresnet search --data digits --budget *
kresnet study degradation --quick
kresnet study degradation --quick --seeds 3
kresnet study degradation --models vgg19,plain34,resnet34 --quick *
kresnet study identity --quick
"""

# What needs what is not here: a network, data, a GPU, a camera, a compiler, a run that only a longer command makes.
FAILING = {
    "kresnet predict *exports/int8.tflite --reject photo.jpg": Fails(2, "has no rule by which images are rejected"),
    "kresnet verify * --outputs *": Fails(1, "there is no file"),
    "kresnet train --recipe timm-a2": Fails(1, "'imagenet2012' is not prepared"),
    "kresnet train --recipe timm-a2 --data-dir /data/tfds": Fails(1, "'imagenet2012' is not prepared"),
    "kresnet train --recipe timm-a2 --set *": Fails(1, "'imagenet2012' is not prepared"),
    "kresnet train --recipe he2015-cifar --model resnet20 --stop-after 20": Fails(1, "'cifar10' is not prepared"),
    "kresnet train --recipe he2015-cifar --model resnet20 --download": Fails(1, "cannot be reached"),
    "kresnet check ~/signs --task detect": Fails(1, "has no boxes of objects: it has class folders"),
    "kresnet train --task detect --data ~/signs *": Fails(1, "has no boxes of objects: it has class folders"),
    "kresnet calibrate resnet10-signs": Fails(1, "no run called 'resnet10-signs'"),
    "kresnet predict resnet10-signs * --save found.png": Fails(1, "no run called 'resnet10-signs'"),
    "kresnet predict resnet10-signs * --save found": Fails(2, "no run called 'resnet10-signs'"),
    "kresnet train --data photos/labels.csv": Fails(1, "no such file or folder"),
    "kresnet train --data zero-to-eight/ *": Fails(1, "no such file or folder"),
    "kresnet calibrate --unknown nines/": Fails(1, "cannot read nines/: no such file or folder"),
    "kresnet check photos/labels.csv": Fails(1, "no such file or folder"),
    "kresnet train --task multilabel --data photos/labels.csv": Fails(1, "no such file or folder"),
    "kresnet train --data cifar10 --data-dir /data/tfds": Fails(1, "'cifar10' is not prepared"),
    "kresnet train --data cifar10 --download": Fails(1, "cannot be reached"),
    "kresnet study degradation --quick --data cifar10": Fails(1, "'cifar10' is not prepared"),
    "kresnet study degradation --download --seeds 5": Fails(1, "cannot be reached"),
    "kresnet evaluate resnet20-cifar10 --split test": Fails(1, "no run called 'resnet20-cifar10'"),
    "kresnet train --weights torchvision:*": Fails(1, "cannot be reached"),
    "kresnet train --weights timm:*": Fails(1, "cannot be reached"),
    "kresnet train --weights keras:*": Fails(1, "cannot be reached"),
    "kresnet train --weights hf:*": Fails(1, "cannot be reached"),
    "kresnet push *": Fails(1, "publishing needs a token with write access"),
    "kresnet train --data photos/ --weights torchvision:*": Fails(1, "cannot be reached"),
    "kresnet train --task detect --weights torchvision:*": Fails(1, "cannot be reached"),
    "kresnet train --task segment --weights cls18 *": Fails(1, "no run called 'cls18'"),
    "kresnet train --weights weights.pth --data photos/": Fails(1, "weights.pth"),
    "kresnet train --model resnet8 --weights digits.keras *": Fails(1, "digits.keras"),
    "kresnet train --task detect --depth 50 --data ~/coco --image-size 512": Fails(1, "no such file or folder"),
    "kresnet train --recipe edge --data photos/ --teacher RUN *": Fails(2, "--teacher RUN must have the labels"),
    "kresnet train --devices gpu:0,2": Fails(2, "gpu:0,2"),
    "kresnet data-service --dispatcher 10.0.0.1:5050*": Fails(2, "no data service can be reached there"),
    "kresnet train * --data-service 10.0.0.1:5050": Fails(2, "no data service can be reached there"),
    "kresnet check photos/ --run RUN*": Fails(1, "has other labels than photos"),
    "kresnet predict RUN --camera 0 *": Fails(1, "camera 0 cannot be opened"),
    "kresnet verify * --on local:gpu": Fails(1, "no GPU was found"),
    "kresnet verify * --on ssh:*": Fails(1, "raspberrypi.local"),
    "kresnet verify * --on 'ssh *": Fails(1, "raspberrypi.local"),
    "kresnet verify * --on 'docker *": Fails(2, "docker"),
    "kresnet verify * --on 'qemu-*": Fails(2, "qemu-aarch64 "),
    "kresnet export * --target ethos-u55-128*": Fails(2, "needs Arm's compiler"),
    "kresnet export * --target rk3588 *": Fails(2, "cannot run rockchip/bin/python for rknn-toolkit2"),
}


@dataclass(frozen=True)
class Documented:
    """A command as typed, and where it stands: names of pages with lines."""

    command: str
    places: list[str] = field(compare=False)

    @property
    def words(self) -> list[str]:
        """Program and arguments."""
        return shlex.split(self.command)

    @property
    def runnable(self) -> list[str]:
        """The same with what stands on the desk: only a run that finds objects takes --with-nms, and the newest
        run, which an earlier command made, may have learned its 8 bits and take no --quantize."""
        here = {"FILE": "int8.tflite"} | ({"RUN": "finder"} if "--with-nms" in self.words else {})
        words = [here.get(word, word) for word in self.words]
        newest = words[1:2] == ["export"] and "--quantize" in words and words[2].startswith("--")
        return [*words[:2], "RUN", *words[2:]] if newest else words


def documented(pages=None) -> list[Documented]:
    """All of them, each once, in the order of the pages."""
    found: dict[str, list[str]] = {}
    for page in PAGES if pages is None else pages:
        for number, line in command_lines(page.read_text(), tables=page.name == "README.md"):
            for command in commands_in(line):
                found.setdefault(command, []).append(f"{page.name}:{number}")
    return [Documented(command, places) for command, places in found.items()]


def command_lines(text, tables):
    """(number, line) of fenced blocks, continued ones joined; of `tables` also the code in their first column."""
    fenced, begun, first = False, "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip().startswith("```"):
            fenced, begun = not fenced, ""
        elif fenced:
            first = first if begun else number
            begun += line.strip()
            if begun.endswith("\\"):
                begun = begun[:-1]
            else:
                yield first, begun
                begun = ""
        elif tables and line.startswith("|"):
            for code in re.findall("`([^`]+)`", re.split(r"(?<!\\)\|", line)[1]):
                # Others are no complete commands.
                if not re.search(r"[…\[|<]", code):
                    yield number, code


def commands_in(line):
    """The commands of this project that a line of a shell runs, without comments and without where output goes.

    What a command prints may name others, two spaces before what they are for.
    """
    if re.search(r"\S {2,}[a-z]", line):
        return
    if not re.search(rf"(^|\s)({'|'.join(PROGRAMS)})\s", line):
        return
    lexer = shlex.shlex(line.strip().removeprefix("$ "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    into = False
    for token in [*lexer, ";"]:
        if set(token) <= set(";&|()"):
            if words and words[0] in PROGRAMS:
                yield " ".join(word if word.split() == [word] else shlex.quote(word) for word in words)
            words, into = [], False
        elif set(token) <= set("<>"):
            into = True
        elif into:
            into = False
        else:
            words.append(token)


def kind_of(command):
    """ "quick", "serving", "slow", "slowly serving", or how it fails. Raises LookupError unless one line alone is about
    `command`."""
    sets = {"quick": QUICK, "serving": SERVING, "slow": SLOW, "slowly serving": SLOWLY_SERVING}
    kinds = [kind for kind, lines in sets.items() for each in lines.split("\n") if each and fnmatchcase(command, each)]
    kinds += [fails for pattern, fails in FAILING.items() if fnmatchcase(command, pattern)]
    if len(kinds) != 1:
        raise LookupError(
            f"{command!r} is documented, and {len(kinds)} lines of tests/support/documented.py are about it. Give it"
            " one: in QUICK if it takes seconds, in SERVING or SLOWLY_SERVING if it serves until Ctrl-C, in SLOW if it"
            " takes minutes, in FAILING if it needs what is not everywhere, with the sentence that says so"
        )
    return kinds[0]
