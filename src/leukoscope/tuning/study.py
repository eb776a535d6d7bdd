"""A study: its name, what it was begun on, and its first trials."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from leukoscope.core.errors import StudyError
from leukoscope.tuning.space import distributions, own_values, paper_values
from leukoscope.tuning.storage import open_storage

if TYPE_CHECKING:
    import optuna
    from optuna.storages import BaseStorage

    from leukoscope.tuning.bench import Bench


SCORE = "mean AUROC over inner folds"  # a trial's value

# A study's attributes.
BEGUN_ON = "begun_on"  # hashes by name
PAPER = "paper"  # the values of its first trial
ABOUT = "about"  # data set, row, protocol, fold and mode


@dataclass(frozen=True)
class Identity:
    """What a study is about: the words of its name, and hashes of what it was begun on."""

    words: tuple[str, ...]
    begun_on: Mapping[str, str]

    @classmethod
    def of(cls, bench: Bench) -> Identity:
        """The identity of a study on `bench`: its data set, row, protocol, fold and mode."""
        params, row = bench.params, bench.row
        tried = distributions(params, row)
        # Weights count by what they are, not by where a machine keeps their file.
        fixed = row.model_dump(mode="json", exclude={"weights", *tried})
        settings = [fixed, params.train.model_dump(), params.augment.model_dump(exclude=set(tried))]
        space = {name: repr(of) for name, of in tried.items()}
        return cls(
            (params.fetch.name, bench.name, params.tune.protocol, f"fold{bench.fold}", row.mode),
            {**bench.identity, "settings": _hash(settings), "space": _hash([space, params.tune.seed])},
        )

    @property
    def prefix(self) -> str:
        """The name without its hash."""
        return "-".join(self.words) + "-"

    @property
    def name(self) -> str:
        """The study's name."""
        return self.prefix + _hash(self.begun_on)[:12]


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def open_study(bench: Bench, storage: BaseStorage, *, another: bool = False) -> optuna.Study:
    """The study on `bench`, begun with the paper's values, or gone on with.

    Raises StudyError where a study of the same name was begun on something else, unless `another` may stand beside it.
    """
    import optuna

    identity = Identity.of(bench)
    names = [name for name in optuna.get_all_study_names(storage) if name.startswith(identity.prefix)]
    if identity.name not in names and names and not another:
        raise StudyError(_difference(identity, optuna.load_study(study_name=names[-1], storage=storage)))
    study = optuna.create_study(
        study_name=identity.name, storage=storage, direction="maximize", load_if_exists=True, pruner=pruner(bench)
    )
    if not study.get_trials(deepcopy=False):
        _begin(study, bench, identity)
    return study


def load_study(url: str, name: str, bench: Bench) -> optuna.Study:
    """A study that is there, with its pruner."""
    import optuna

    return optuna.load_study(study_name=name, storage=open_storage(url), pruner=pruner(bench))


def pruner(bench: Bench) -> optuna.pruners.BasePruner:
    """What ends a trial early: a paired test over inner folds, or, where all layers train, its epochs."""
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if bench.row.mode == "frozen":
            return optuna.pruners.WilcoxonPruner(p_threshold=0.1)
        return optuna.pruners.HyperbandPruner(max_resource=bench.scores * bench.epochs_of_a_fold)


def _begin(study: optuna.Study, bench: Bench, identity: Identity) -> None:
    import optuna

    tried = distributions(bench.params, bench.row)
    paper = paper_values(bench.params, bench.row, tried)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([SCORE])  # what the dashboard's charts call it
    study.set_user_attr(BEGUN_ON, dict(identity.begun_on))
    study.set_user_attr(PAPER, paper)
    study.set_user_attr(ABOUT, dict(zip(("data", "row", "protocol", "fold", "mode"), identity.words, strict=True)))
    study.enqueue_trial(paper, skip_if_exists=True)
    own = own_values(bench.params, bench.row, tried)
    if own != paper and all(_inside(tried[name], value) for name, value in own.items()):
        study.enqueue_trial(own, skip_if_exists=True)


def _inside(of: Any, value: Any) -> bool:
    return value in of.choices if hasattr(of, "choices") else of.low <= value <= of.high


def _difference(identity: Identity, other: optuna.Study) -> str:
    before = other.user_attrs.get(BEGUN_ON, {})
    differ = [what for what, hashed in identity.begun_on.items() if before.get(what) != hashed]
    return (
        f"study {other.study_name} was begun on other {' and '.join(differ)} than params.yaml and data/ have now: put "
        f"them back to go on with it, or begin another beside it with --another"
    )
