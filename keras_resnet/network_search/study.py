"""The trials of a search, as Optuna proposes and ends them; kept in a folder, so that a search can go on."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_resnet.errors import (
    ExportError,
    TrainingError,
    TrainingInterrupted,
    TrainingPruned,
    TrainingStopped,
    UsageError,
)
from keras_resnet.network_search.budget import Budget
from keras_resnet.network_search.candidates import Architecture, Candidate
from keras_resnet.network_search.cost import CostProbe, Finding
from keras_resnet.network_search.outcome import BROKEN, FINISHED, PRUNED, REJECTED, TRAINED, UNFINISHED, Outcome
from keras_resnet.network_search.settings import SearchSettings
from keras_resnet.network_search.space import Space
from keras_resnet.network_search.training import Trainer, list_costs
from keras_resnet.progress import Log
from keras_resnet.run.folders import free_name

if TYPE_CHECKING:
    import optuna

NOT_INSTALLED = "search needs optuna, which is not installed: pip install 'kresnet[search]'"
# Successive halving (Jamieson & Talwalkar 2016; asynchronous as Li et al. 2020): of the candidates that were trained
# for a quarter of their epochs the better half goes on to a half, and of these the better half to the end. In shares of
# the candidate's own schedule, since learning rates fall with it. One bracket, not Hyperband's several, each of which
# would begin by proposing at random.
SHARES, HALVES = 4, 2
# Proposals in a row that are not within the budget, after which one that is takes their place.
MAX_REJECTED = 20
# What is kept with a trial in Optuna's storage.
_CANDIDATE, _OUTCOME, _RUN = "candidate", "outcome", "run"
# Optuna's storage, and the name of the one study in it.
STORAGE, STUDY = "study.log", "search"
# By how much the budget counts as exceeded at least, where something else than its limits is not kept.
_EXCESS = 0.01


def require_optuna() -> None:
    """Raise UsageError unless Optuna is installed."""
    try:
        import optuna
    except ImportError as error:
        raise UsageError(NOT_INSTALLED) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)


@dataclass
class Study:
    """The trials of one search in `folder`, whose runs are beside it."""

    folder: Path
    settings: SearchSettings
    budget: Budget
    space: Space
    probe: CostProbe
    trainer: Trainer
    log: Log
    _logged: set[Architecture] = field(default_factory=set)

    def __post_init__(self) -> None:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        storage = JournalStorage(JournalFileBackend(str(self.folder / STORAGE)))
        self._study = optuna.create_study(
            storage=storage,
            study_name=STUDY,
            direction="maximize",
            pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=HALVES),
            load_if_exists=True,
        )
        # What was proposed before it was cut off is not proposed again.
        seed = self.settings.seed + len(self._study.trials)
        samplers = optuna.samplers
        is_random = self.settings.sampler == "random"
        self._study.sampler = samplers.RandomSampler(seed) if is_random else samplers.TPESampler(seed=seed)
        self._random = random.Random(seed)

    @staticmethod
    def is_in(folder: Path) -> bool:
        """Return whether a study was begun in `folder`."""
        return (folder / STORAGE).exists()

    def list_outcomes(self) -> list[Outcome]:
        """Return what became of the candidates so far, in their order."""
        return [
            _read_outcome(trial) for trial in self._study.trials if _CANDIDATE in trial.user_attrs and _is_kept(trial)
        ]

    def count_trained(self) -> int:
        """Return how many candidates were trained, to the end or not."""
        return sum(each.state in TRAINED for each in self.list_outcomes())

    def begin(self, first: Candidate) -> None:
        """Put `first` in front of what Optuna proposes; where the search was cut off, what it was at."""
        import optuna

        states = optuna.trial.TrialState
        if not self._study.trials:
            self._study.enqueue_trial(first.options())
        for trial in self._study.get_trials(states=(states.RUNNING,)):
            self._study.tell(trial.number, state=states.FAIL)
            self._study.enqueue_trial(trial.params, user_attrs=trial.user_attrs)

    def try_next(self) -> Outcome:
        """Try one candidate that is within the budget as far as is known before its training, and return what became of
        it. Raises TrainingInterrupted or TrainingStopped, with the state saved, and ExportError where the device
        has gone."""
        for _ in range(MAX_REJECTED):
            outcome = self._try(self._study.ask())
            if outcome.state != REJECTED:
                return outcome
        within = [each for each in self.probe.counted if _is_within(self.probe.find_evident(each))]
        self._study.enqueue_trial(self._random.choice(within).options())
        return self._try(self._study.ask())

    def _try(self, trial: optuna.Trial) -> Outcome:
        candidate = self.space.propose(trial)
        trial.set_user_attr(_CANDIDATE, candidate.options())
        finding = self.probe.find(candidate.architecture)
        if not finding.is_within:
            return self._reject(trial, candidate, finding)
        began = time.monotonic()
        outcome = self._train(trial, candidate)
        return self._keep(trial, {**vars(outcome), "seconds": time.monotonic() - began})

    def _reject(self, trial: optuna.Trial, candidate: Candidate, finding: Finding) -> Outcome:
        architecture = candidate.architecture
        if architecture not in self._logged:
            self.log(f"left out before training: {architecture}: {finding.reason}")
            self._logged.add(architecture)
        outcome = Outcome(trial.number, candidate, REJECTED, costs=dict(finding.costs), reason=finding.reason)
        return self._keep(trial, vars(outcome))

    def _train(self, trial: optuna.Trial, candidate: Candidate) -> Outcome:
        """Train, export and verify a candidate."""
        name = trial.user_attrs.get(_RUN) or free_name(self.trainer.home, f"{self.folder.name}-{trial.number:03d}")
        trial.set_user_attr(_RUN, name)
        halving = _Halving(trial, candidate.recipe.epochs)
        base: dict[str, Any] = {"number": trial.number, "candidate": candidate, "run": name}
        try:
            run = self.trainer.train(candidate, name, halving.goes_on)
            verdict = self.trainer.export(run)
        except (TrainingInterrupted, TrainingStopped):
            raise
        except TrainingPruned:
            self.trainer.note_end(name, {"search": self.folder.name, "epoch": halving.epoch})
            return Outcome(state=PRUNED, epochs=halving.epoch, **base)
        except (TrainingError, UsageError, ExportError) as error:
            if isinstance(error, ExportError):
                self.trainer.target.require_usable(self.log)  # where the device has gone, the next would fare no better
            return Outcome(state=BROKEN, epochs=halving.epoch, reason=str(error), **base)
        return Outcome(
            state=FINISHED,
            accuracy=verdict.value,
            model_accuracy=verdict.model_value,
            costs=list_costs(verdict, self.probe.counted[candidate.architecture]),
            verdict=verdict.words,
            passed=verdict.passed,
            epochs=candidate.recipe.epochs,
            **base,
        )

    def _keep(self, trial: optuna.Trial, values: Mapping[str, Any]) -> Outcome:
        """Keep what became of a trial, and tell Optuna."""
        import optuna

        outcome = Outcome(**values)
        document = {**asdict(outcome), "candidate": None, "costs": dict(outcome.costs)}
        trial.set_user_attr(_OUTCOME, document)
        trial.set_constraint("budget", self._excess(outcome))
        if outcome.state == FINISHED:
            self._study.tell(trial, outcome.accuracy)
        else:
            self._study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        return outcome

    def _excess(self, outcome: Outcome) -> float:
        """Return by how much a candidate is outside the budget; 0 or less where it is within it."""
        excess = self.budget.excess(outcome.costs)
        is_refused = outcome.state == REJECTED or (outcome.state == FINISHED and not outcome.passed)
        return max(excess, _EXCESS) if is_refused else excess if outcome.state == FINISHED else 0.0


@dataclass
class _Halving:
    """Reports how a training does to Optuna's pruner, once for each of `SHARES` of its epochs."""

    trial: optuna.Trial
    epochs: int
    epoch: int = 0
    share: int = 0

    def goes_on(self, epoch: int, value: float) -> bool:
        """Return whether a training goes on after `epoch`, at whose end the metric has `value`."""
        self.epoch, share = epoch, SHARES * epoch // self.epochs
        if share <= self.share:
            return True
        self.share = share
        self.trial.report(value, share)
        return not self.trial.should_prune()


def _is_within(finding: Finding | None) -> bool:
    return finding is not None and finding.is_within


def _is_kept(trial: optuna.trial.FrozenTrial) -> bool:
    """Return whether a trial counts: one that was cut off goes on as another."""
    return bool(trial.state.name != "FAIL")


def _read_outcome(trial: optuna.trial.FrozenTrial) -> Outcome:
    candidate = Candidate.from_options(trial.user_attrs[_CANDIDATE])
    if document := trial.user_attrs.get(_OUTCOME):
        return Outcome(**{**document, "candidate": candidate})
    return Outcome(trial.number, candidate, UNFINISHED, run=trial.user_attrs.get(_RUN, ""))
