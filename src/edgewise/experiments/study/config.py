"""A study as data: arms as chains of stages, and claims that are fixed before the run.

src/edgewise/experiments/study/studies/E1.yaml     one study: question, arms, evaluation, paper, verdict rule
src/edgewise/experiments/study/scales/laptop.yaml  what its arms are made of at one size, unless the study says otherwise
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgewise.errors import ConfigError, unknown_name
from edgewise.experiments.study.claims import Claim
from edgewise.experiments.study.stages import KINDS, Stage
from edgewise.lab.run.budgets import rl_tokens
from edgewise.lab.run.config import Count, NotNegative, from_dict, read_yaml

STUDIES, SCALES = Path(__file__).parent / "studies", Path(__file__).parent / "scales"
CHAINED = ("pretrain", "midtrain", "rl")
RESOURCES = ("cpus", "gpus")
NESTED = ("model", "pool", "evaluation")
"""Settings that an override changes name by name; all others it replaces."""


@dataclass(frozen=True)
class Paper:
    """What was published: setting and finding in words, numbers by what they measure."""

    source: str
    setting: str
    finding: str
    numbers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Region:
    """Problems that are measured together."""

    op: tuple[int, int]
    """First and last, both included."""
    context: str = ""
    """Empty: any."""

    def __post_init__(self) -> None:
        ends = self.op
        if (
            not isinstance(ends, tuple)
            or len(ends) != 2
            or not all(type(end) is int for end in ends)
            or ends[0] > ends[1]
        ):
            raise ConfigError(
                f"a region's op must be [first, last], got {list(ends) if isinstance(ends, tuple) else ends}"
            )


@dataclass(frozen=True)
class Dose:
    """A figure: a measure against the number of problems of a context that pre-training has shown."""

    context: str
    metric: str
    """pass@K."""
    where: str
    """A region of the study."""
    lines: dict[str, tuple[str, ...]]
    """Arms by the name of their line."""
    threshold: tuple[float, float] | None = None
    """Numbers of problems between which the published threshold lies: shaded."""


@dataclass(frozen=True)
class Budgets:
    """Charge of the arms, and the largest difference between them."""

    length: Count = 48
    """L: tokens that a rollout with its prompt is charged for."""
    tolerance: float = 0.01
    """Largest gap between arms, in pre-training and after it; .inf allows any."""


@dataclass(frozen=True)
class Study:
    """One study at one scale.

    `stages` and `evaluation` hold what all arms share; an arm lists its stages in order, each a kind or {kind: overrides}.
    """

    name: str
    scale: str
    title: str
    question: str
    seeds: tuple[int, ...]
    stages: dict[str, dict[str, Any]]
    arms: dict[str, Any]
    evaluation: dict[str, Any]
    regions: dict[str, Region]
    claims: tuple[Claim, ...]
    needs: tuple[Claim, ...] = ()
    paper: Paper | None = None
    differs: str = ""
    """How this scale differs from what was published."""
    show: tuple[int, ...] = (1, 128)
    """Values of k in tables."""
    dose: Dose | None = None
    budgets: Budgets = field(default_factory=Budgets)
    resources: dict[str, dict[str, NotNegative]] = field(default_factory=dict)
    """CPUs and GPUs of each kind of stage on a cluster: {rl: {cpus: 8, gpus: 1}}."""

    def __post_init__(self) -> None:
        for name in (self.name, self.scale):
            if not name.strip() or not name.isprintable() or {"/", "\\"} & set(name):
                raise ConfigError(
                    f"a study's name and scale name its files: they are printable text without / and \\, got {name!r}"
                )
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ConfigError(f"{self.name} needs at least one seed, and none twice, got {list(self.seeds)}")
        if any(type(seed) is not int or not 0 <= seed < 2**31 for seed in self.seeds):
            raise ConfigError(f"{self.name}: seeds must be whole numbers from 0 to 2^31 - 1, got {list(self.seeds)}")
        if not self.arms or not self.claims or not self.regions:
            raise ConfigError(f"{self.name} needs arms, regions and at least one claim")
        for kind in [*self.stages, *self.resources]:
            if kind not in KINDS:
                raise unknown_name("kind of stage", kind, KINDS)
        for kind, wanted in self.resources.items():
            for name in wanted:
                if name not in RESOURCES:
                    raise unknown_name(f"resource of {kind}", name, RESOURCES)
        samples = self.chain(next(iter(self.arms)), self.seeds[0])[-1].settings["samples"]
        for k in self.show:
            if not 1 <= k <= samples:
                raise ConfigError(f"{self.name} shows pass@{k}, but its evaluation draws {samples} rollouts")
        for claim in (*self.needs, *self.claims, *self.doses()):
            claim.check(list(self.arms), list(self.regions), samples)

    def doses(self) -> list[Claim]:
        """The measures of the figure over doses, as claims that hold always; none without that figure."""
        dose = self.dose
        if dose is None:
            return []
        arms = [arm for line in dose.lines.values() for arm in line]
        return [Claim("the figure over doses", arm, dose.metric, dose.where, at_least=0.0) for arm in arms]

    def chain(self, arm: str, seed: int) -> tuple[Stage, ...]:
        """The stages of an arm with one seed, its evaluation last.

        The seed decides the weights at the start, all texts, pools, rollouts and the evaluation; arms of one seed share the evaluation's
        problems and, if their pools have the same settings, the prompts.
        """
        given = self.arms[arm]
        if not isinstance(given, list) or not given:
            raise ConfigError(f"the arm {arm} must be a list of stages such as [pretrain, rl], got {given!r}")
        stage: Stage | None = None
        chain = []
        for item in given:
            kind, changes = _item(arm, item)
            if (stage is None) != (kind == "pretrain"):
                raise ConfigError(f"the arm {arm}: its first stage, and no other, must be pretrain")
            try:
                stage = Stage.of(kind, _seeded(kind, merged(self.stages.get(kind, {}), changes), seed), stage)
            except ConfigError as error:
                raise ConfigError(f"arm {arm}, {kind}: {error}") from error
            chain.append(stage)
        evaluation = Stage.of(
            "evaluation", {**self.evaluation, "seed": 3000 + seed, "k": [1], "by": [], "readable": 6}, stage
        )
        return (*chain, evaluation)

    def costs(self, arm: str) -> tuple[float, float]:
        """Tokens of training that an arm is charged for: of pre-training, and after it (mid-training and RL)."""
        before = after = 0.0
        for stage in self.chain(arm, self.seeds[0])[:-1]:
            settings = stage.settings
            if stage.kind == "rl":
                after += rl_tokens(settings["steps"] * settings["prompts"], settings["rollouts"], self.budgets.length)
            else:
                tokens = float(settings["steps"] * settings["accumulate"] * settings["tokens"])
                before, after = (before + tokens, after) if stage.kind == "pretrain" else (before, after + tokens)
        return before, after


def names() -> list[str]:
    """The studies that come with the package."""
    return sorted(path.stem for path in STUDIES.glob("*.yaml"))


def scales(name: str) -> list[str]:
    """The scales of a study, as it names them."""
    return list(read_yaml(_file(name))["scales"])


def load_study(name: str, scale: str = "laptop", changes: Mapping[str, Any] | None = None) -> Study:
    """A study by name (E1) or by its YAML file, at one of its scales, with settings changed.

    Raises:
        ConfigError: unknown study, scale or setting; the nearest known one is suggested.
    """
    path = _file(name)
    common = read_yaml(path)
    own = common.pop("scales", None)
    if not isinstance(own, dict) or not own:
        raise ConfigError(f"{path} must have `scales`, such as laptop, each with its settings")
    if scale not in own:
        raise unknown_name(f"scale of {name}", scale, own)
    layers = {layer: _settings(settings, f"{path}: scales.{layer}") for layer, settings in own.items()}
    # A variant of a scale says which: {like: laptop, ...}.
    like = layers[scale].pop("like", scale)
    if like not in layers:
        raise unknown_name(f"scale of {name} that {scale} is like", like, layers)
    parts = [_defaults(like), common, *(layers[layer] for layer in dict.fromkeys((like, scale)))]
    stages: dict[str, Any] = {}
    evaluation: dict[str, Any] = {}
    for part in parts:
        for kind, settings in _settings(part.pop("stages", None), f"{path}: stages").items():
            stages[kind] = merged(stages.get(kind, {}), _settings(settings, f"{path}: stages.{kind}"))
        evaluation.update(_settings(part.pop("evaluation", None), f"{path}: evaluation"))
    values = {key: value for part in parts for key, value in part.items()} | {"evaluation": evaluation}
    given = {"name": path.stem, "scale": scale, **values, "stages": stages, **(changes or {})}
    return study_of(given)


def study_of(values: Mapping[str, Any]) -> Study:
    """A study from plain values, as `to_dict` gives them."""
    given = dict(values)
    for key, kind in (("regions", Region), ("claims", Claim), ("needs", Claim)):
        if key in given:
            given[key] = _each(kind, given[key], key)
    return from_dict(Study, given)


def merged(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a stage with changes: nested configurations name by name, everything else as a whole."""
    both = {**settings, **changes}
    for name in NESTED:
        if name in settings and name in changes:
            both[name] = _settings(settings[name], name) | _settings(changes[name], name)
    return both


def _file(name: str) -> Path:
    if name.endswith((".yaml", ".yml")):
        return Path(name)
    if name not in names():
        raise unknown_name("study", name, names())
    return STUDIES / f"{name}.yaml"


def _defaults(scale: str) -> dict[str, Any]:
    path = SCALES / f"{scale}.yaml"
    return read_yaml(path) if path.exists() else {}


def _each(kind: type, given: Any, where: str) -> Any:
    if isinstance(given, dict):
        return {name: from_dict(kind, value, f"{where}.{name}") for name, value in given.items()}
    if not isinstance(given, (list, tuple)):
        raise ConfigError(f"{where} must be a mapping or a list, got {given!r}")
    return tuple(from_dict(kind, value, f"{where}[{index}]") for index, value in enumerate(given))


def _item(arm: str, item: Any) -> tuple[str, dict[str, Any]]:
    kind, changes = next(iter(item.items())) if isinstance(item, dict) and len(item) == 1 else (item, {})
    if kind not in CHAINED:
        raise unknown_name(f"stage in the arm {arm}", kind, CHAINED)
    return kind, _settings(changes, f"the arm {arm}: {kind}")


def _settings(given: Any, where: str) -> dict[str, Any]:
    """Settings, none where nothing is given."""
    if given is not None and not isinstance(given, dict):
        raise ConfigError(f"{where} must be a mapping of settings, got {given!r}")
    return given or {}


def _seeded(kind: str, settings: Mapping[str, Any], seed: int) -> dict[str, Any]:
    if kind != "rl":
        return {**settings, "seed": seed}
    parts = {"pool": {"seed": 1000 + seed}, "evaluation": {"seed": 2000 + seed}}
    nested = {name: _settings(settings.get(name), name) | own for name, own in parts.items()}
    return {**settings, "seed": seed, **nested}


def arms_and_seeds(study: Study) -> Iterator[tuple[str, int]]:
    """Every arm with every seed, seeds outermost: what is compared finishes together."""
    return ((arm, seed) for seed in study.seeds for arm in study.arms)
