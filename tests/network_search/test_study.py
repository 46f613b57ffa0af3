"""The trials of a search with a trainer that takes no time: what is left out, ended early, kept and gone on with."""

from types import SimpleNamespace

import pytest

from keras_resnet.errors import ExportError, SearchError, TrainingError, TrainingInterrupted, TrainingPruned, UsageError
from keras_resnet.export.device_settings import DeviceSettings
from keras_resnet.export.devices.base import UnusableDeviceError
from keras_resnet.network_search import search as search_module
from keras_resnet.network_search import study as study_module
from keras_resnet.network_search.budget import Budget
from keras_resnet.network_search.candidates import Architecture, Candidate, Recipe
from keras_resnet.network_search.cost import CostProbe
from keras_resnet.network_search.figure import plot, write_figure
from keras_resnet.network_search.outcome import BROKEN, FINISHED, PRUNED, REJECTED, Outcome, find_front, recommend
from keras_resnet.network_search.search import choose_first, find_folder
from keras_resnet.network_search.settings import SearchSettings
from keras_resnet.network_search.space import Space
from keras_resnet.network_search.study import Study
from keras_resnet.network_search.target import Target

RECIPE = Recipe("crop", 0.05, 5e-4, 0.1, "none", 0.0, 8)
DEFAULT = Candidate(Architecture("resnet20", 1.0, 8, 3), RECIPE)
SPACE = Space(("resnet8", "resnet20"), (0.5, 1.0), ("8", "16"), (1, 3), ("crop",), (4, 8), DEFAULT)
LIMITS = "latency<=1ms"


class Probe(CostProbe):
    """A millisecond for a million multiply-adds."""

    def _measure(self, architecture):
        return {"latency": self.counted[architecture].multiply_adds / 1e6, "size": 1e4}


class Trainer:
    """Trains nothing: its accuracy rises with the learning rate. begun: the names of runs, as often as they are
    begun."""

    def __init__(self, home, target):
        self.home, self.target, self.begun, self.candidates, self.interrupt = home, target, [], [], False
        self.error = self.refused = None
        self.ended = {}

    def note_end(self, name, document):
        self.ended[name] = document

    def train(self, candidate, name, goes_on):
        self.begun.append(name)
        self.candidates.append(candidate)
        if self.error:
            raise self.error
        epochs = candidate.recipe.epochs
        for epoch in range(1, epochs):
            if self.interrupt:
                raise TrainingInterrupted("interrupted")
            if not goes_on(epoch, candidate.recipe.learning_rate * epoch / epochs):
                raise TrainingPruned("ended")
        return candidate

    def export(self, candidate):
        if self.refused:
            raise self.refused
        macs = candidate.architecture.count(10).multiply_adds
        latencies = (SimpleNamespace(p50=macs / 1e6),)
        return SimpleNamespace(
            value=min(1.0, candidate.recipe.learning_rate * 5),
            model_value=0.9,
            words="PASSED",
            passed=True,
            bytes=1e4,
            latency_ms=macs / 1e6,
            cost=SimpleNamespace(latencies=latencies, peak_mib=1.0),
            micro=None,
        )


@pytest.fixture
def make(tmp_path):
    """A search in the same folder each time."""
    folder = tmp_path / "search-digits"
    folder.mkdir()
    logged = []

    def create(budget=LIMITS, **settings):
        settings = SearchSettings(data="digits", budget=budget, **settings)
        limits = Budget.parse(budget)
        target = Target.create(settings, DeviceSettings(), limits)
        counted = SPACE.architectures(10)
        probe = Probe(counted, None, tuple("0123456789"), target, limits, folder / "costs.json", logged.append)
        study = Study(folder, settings, limits, SPACE, probe, Trainer(tmp_path, target), logged.append)
        study.begin(choose_first(probe, DEFAULT))
        return study

    create.logged = logged
    return create


def run(study, trials, monkeypatch):
    """What `kresnet search` does after its preparation."""
    monkeypatch.setattr(search_module, "_free_memory", lambda: None)
    return search_module._search(study, SearchSettings(data="digits", budget=LIMITS, trials=trials), lambda words: None)


def test_candidates_outside_the_budget_are_never_trained(make, monkeypatch):
    study = make()
    result = run(study, 12, monkeypatch)
    assert len(study.trainer.begun) == len(result.trained) == 12
    assert all(each.architecture.count(10).multiply_adds <= 1e6 for each in study.trainer.candidates)
    rejected = [each for each in result.outcomes if each.state == REJECTED]
    assert rejected and all(each.candidate.architecture.count(10).multiply_adds > 1e6 for each in rejected)
    assert {each.candidate.architecture for each in rejected} == set(result.left_out)
    left_out = [line for line in make.logged if line.startswith("left out before training")]
    assert len(left_out) == len(set(left_out)) == len(result.left_out)


def test_the_largest_that_fits_is_first_where_the_default_does_not(make):
    study = make()
    outcome = study.try_next()
    alike = [e for e in study.probe.counted if (e.image_size, e.channels) == (8, 3)]
    fitting = [each for each in alike if study.probe.counted[each].multiply_adds <= 1e6]
    assert outcome.candidate.architecture == fitting[-1] and outcome.candidate.recipe == RECIPE
    assert outcome.state == FINISHED and outcome.is_within(study.budget)


def test_the_default_is_first_where_it_fits(make):
    assert make("latency<=100ms").try_next().candidate == DEFAULT


def test_worse_candidates_are_ended_early_and_the_best_is_recommended(make, monkeypatch):
    study = make("latency<=100ms")
    result = run(study, 20, monkeypatch)
    states = [each.state for each in result.trained]
    assert states.count(PRUNED) > 3 and states.count(FINISHED) > 2
    assert all(each.epochs < each.candidate.recipe.epochs for each in result.trained if each.state == PRUNED)
    pruned = {
        each.run: {"search": "search-digits", "epoch": each.epochs} for each in result.trained if not each.accuracy
    }
    assert study.trainer.ended == pruned
    finished = [each for each in result.trained if each.state == FINISHED]
    assert result.recommended.accuracy == max(each.accuracy for each in finished)
    assert result.recommended in result.front


def test_an_interrupted_search_goes_on_with_the_same_run(make, monkeypatch):
    study = make()
    run(study, 2, monkeypatch)
    study.trainer.interrupt = True
    result = run(study, 4, monkeypatch)
    assert result.is_interrupted and len(result.trained) == 2 and len(study.trainer.begun) == 3
    cut_off = study.trainer.begun[-1]
    assert [each.run for each in result.outcomes if each.state == "unfinished"] == [cut_off]
    again = make()
    assert again.count_trained() == 2
    result = run(again, 4, monkeypatch)
    assert again.trainer.begun[0] == cut_off and len(again.trainer.begun) == 2
    assert len(result.trained) == 4 and not result.is_interrupted
    assert (study.folder / "trials.json").is_file()
    assert run(again, 3, monkeypatch).trained == result.trained, "it had more than that already"


def test_ctrl_c_outside_a_training_keeps_what_there_is(make, monkeypatch):
    study = make()
    run(study, 1, monkeypatch)

    def interrupted(candidate):
        raise KeyboardInterrupt

    monkeypatch.setattr(study.trainer, "export", interrupted)
    assert run(study, 9, monkeypatch).is_interrupted
    result = run(make(), 2, monkeypatch)
    assert len(result.trained) == 2


def test_trainings_that_break_down_end_no_search(make, monkeypatch):
    study = make()
    study.trainer.error = TrainingError("the loss became nan")
    assert study.try_next().state == BROKEN
    study.trainer.error, study.trainer.refused = None, ExportError("no file")
    outcomes = [study.try_next() for _ in range(6)]
    assert {each.state for each in outcomes} <= {BROKEN, PRUNED} and "no file" in {each.reason for each in outcomes}
    result = run(study, 7, monkeypatch)
    with pytest.raises(SearchError, match=r"no candidate has a file yet, .*: the loss became nan"):
        result.require_recommended()


def test_a_device_that_has_gone_ends_the_search_and_a_file_that_it_refuses_does_not(make, monkeypatch):
    study = make("latency<=100ms")
    study.trainer.refused = ExportError("int8.tflite on pi: it is too large")
    assert study.try_next().state == BROKEN
    usable = Target.require_usable

    def is_gone(target, log):
        raise UnusableDeviceError("no file can be run on pi: it cannot be reached")

    monkeypatch.setattr(Target, "require_usable", is_gone)
    with pytest.raises(ExportError, match="no file can be run on pi"):
        run(study, 9, monkeypatch)
    begun = study.trainer.begun[-1]
    assert (study.folder / "trials.json").is_file()
    monkeypatch.setattr(Target, "require_usable", usable)
    again = make("latency<=100ms")
    again.try_next()
    assert again.trainer.begun == [begun], "it goes on with the run whose file could not be measured"


def test_one_within_the_budget_takes_the_place_of_many_that_are_not(make, monkeypatch):
    monkeypatch.setattr(study_module, "MAX_REJECTED", 1)
    study = make("latency<=250us")
    within = [each for each in study.probe.counted if study.probe.counted[each].multiply_adds <= 0.25e6]
    outcomes = [study.try_next() for _ in range(8)]
    assert within and all(each.candidate.architecture in within for each in outcomes)


def test_random_search_proposes_other_candidates(make, tmp_path):
    study = make("latency<=100ms", sampler="random")
    assert type(study._study.sampler).__name__ == "RandomSampler"


def outcome(number, accuracy, latency, size, passed=True):
    costs = {"latency": latency, "size": size}
    return Outcome(number, DEFAULT, FINISHED, f"run{number}", accuracy, accuracy, costs, "PASSED", passed)


def test_the_front_has_what_nothing_surpasses():
    outcomes = [
        outcome(0, 0.9, 2.0, 100),
        outcome(1, 0.8, 1.0, 50),
        outcome(2, 0.7, 1.5, 60),  # surpassed by 1
        outcome(3, 0.9, 2.0, 100),  # the same as 0
        outcome(4, 0.95, 9.0, 100, passed=False),
        Outcome(5, DEFAULT, PRUNED),
    ]
    assert [each.number for each in find_front(outcomes)] == [4, 0, 1]
    assert recommend(outcomes, Budget.parse("latency<=10ms")).number == 0
    assert recommend(outcomes, Budget.parse("latency<=1.2ms")).number == 1
    assert recommend(outcomes, Budget.parse("latency<=0.5ms")) is None


def test_the_figure_has_a_panel_for_latency_and_size(tmp_path):
    budget = Budget.parse("latency<=1.2ms")
    outcomes = [outcome(0, 0.9, 2.0, 100), outcome(1, 0.8, 1.0, 50), outcome(2, 0.7, 1.5, 60)]
    latency, size = plot(outcomes, budget).axes
    assert "latency" in latency.get_xlabel() and "size" in size.get_xlabel()
    steps = latency.lines[0].get_xdata().tolist(), latency.lines[0].get_ydata().tolist()
    assert steps == ([1.0, 2.0], pytest.approx([80.0, 90.0])), "the third is surpassed"
    assert latency.lines[1].get_xdata() == [1.2, 1.2] and len(size.lines) == 1
    assert write_figure([Outcome(5, DEFAULT, PRUNED)], budget, tmp_path / "pareto") is None
    assert write_figure(outcomes, budget, tmp_path / "pareto") == tmp_path / "pareto.png"
    assert (tmp_path / "pareto.svg").is_file()


def test_the_folder_of_the_same_search_is_found_again(tmp_path):
    settings = SearchSettings(data="photos/", budget=LIMITS)
    first = find_folder(tmp_path, settings, {"budget": "a"}, print)
    assert first.name == "search-photos" and find_folder(tmp_path, settings, {"budget": "a"}, print) == first
    assert find_folder(tmp_path, settings, {"budget": "b"}, print).name == "search-photos-2"
    named = SearchSettings(data="photos/", budget=LIMITS, name="search-photos")
    with pytest.raises(UsageError, match="is a search with other settings: budget was a, is b; choose another name"):
        find_folder(tmp_path, named, {"budget": "b"}, print)
