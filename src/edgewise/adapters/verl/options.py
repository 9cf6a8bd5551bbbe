"""Options under `data.edgewise` in verl's config, and the curriculum they describe."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError

from edgewise.adapters.success import Success
from edgewise.allocation import make_allocation
from edgewise.curriculum import Curriculum
from edgewise.errors import ConfigError, unknown_name
from edgewise.pool import PromptPool
from edgewise.replay import Recorder


@dataclass(frozen=True)
class Options:
    """The keys of `data.edgewise`, each of them optional; null is the default of each but `category`.

    Attributes:
        selector: name of a selector.
        selector_options: its options by name.
        allocation: how the rollouts of a step are divided among its prompts: "constant", or, in the v1 trainer's modes,
            "knapsack" or "cures"; `actor_rollout_ref.rollout.n` is their mean, and the total of a step is exact.
        allocation_options: its options by name (`minimum`, `maximum`).
        ids: "index": `extra_info.index` of each row, or a hash of the prompt where the data has none; "prompt": the hash.
        category: a column of labels that prompts share, dotted inside a struct (`extra_info.level`); null: none.
        priors: success rates known before the run: a column (dotted inside a struct), or a JSON file of `edgewise fit
            --priors`; null: none.
        prior_strength: rollouts that a known rate is worth.
        features: numbers that describe each prompt, such as the log-likelihood of its answer: a column (dotted inside a
            struct), or a JSON file of `edgewise features`; null: none.
        success: correctness of a rollout: a threshold on its score; the name of an entry of what else the reward function
            returns (`acc`), correct from 0.5 on; or a function (`path`, `name`) of the scores (rollouts,) and of those
            entries by name that returns one bool a rollout, None or NaN where it is unknown. null: scores in [0, 1] are
            judged by the curriculum itself.
        random_share: share of each batch drawn uniformly, to judge the predictions, in [0, 1).
        trace: file to record a trace in, for `edgewise replay`.
    """

    selector: str = "edge"
    selector_options: dict[str, Any] = field(default_factory=dict)
    allocation: str = "constant"
    allocation_options: dict[str, Any] = field(default_factory=dict)
    ids: str = "index"
    category: str | None = "data_source"
    priors: str | None = None
    prior_strength: float = 4.0
    features: str | None = None
    success: Any = None
    random_share: float = 0.0
    trace: str | None = None

    @classmethod
    def read(cls, data_config: DictConfig) -> Options:
        """The options of a run.

        Raises:
            ConfigError: an option that does not exist or does not fit.
        """
        given = data_config.get("edgewise") or {}
        values = OmegaConf.to_container(given, resolve=True) if isinstance(given, DictConfig) else given
        if not isinstance(values, dict):
            raise ConfigError(
                f"data.edgewise holds options by name, such as +data.edgewise.selector=edge; got {values!r}"
            )
        defaults = vars(cls())
        for name, value in values.items():
            if name not in defaults:
                raise unknown_name("option data.edgewise.", name, defaults)
            kind = type(defaults[name])
            if value is not None and kind in (str, dict) and not isinstance(value, kind):
                wanted = "a text" if kind is str else "options by name"
                raise ConfigError(f"data.edgewise.{name} is {wanted}, got {value!r}")
        options = cls(**{name: value for name, value in values.items() if value is not None or name == "category"})
        if options.ids not in ("index", "prompt"):
            raise ConfigError(f"data.edgewise.ids is 'index' or 'prompt', got {options.ids!r}")
        return options

    def rollouts(self, data_config: DictConfig) -> int:
        """`actor_rollout_ref.rollout.n`, the rollouts of a prompt."""
        rollouts = setting(data_config, "actor_rollout_ref.rollout.n")
        if rollouts is None:
            raise ConfigError(
                "the config has no actor_rollout_ref.rollout.n: hand over the whole config's `data` section"
            )
        return int(rollouts)

    def curriculum(self, pool: PromptPool, data_config: DictConfig) -> Curriculum:
        """The curriculum over the pool."""
        options = [f"{name}={json.dumps(value)}" for name, value in self.selector_options.items()]
        return Curriculum(
            pool,
            ":".join([self.selector, *options]),
            rollouts=make_allocation(self.allocation, rollouts=self.rollouts(data_config), **self.allocation_options),
            random_share=self.random_share,
            seed=int(data_config.get("seed") or 0),
        )

    def recorder(self, curriculum: Curriculum) -> Recorder | None:
        """Recorder of the trace of this curriculum, if one is wanted."""
        if self.trace is None:
            return None
        return Recorder(curriculum.pool, self.trace, every=10, about={"trainer": "verl"}).attach(curriculum)

    def judge(self) -> Success:
        """The rule that decides which rollouts are correct."""
        given = self.success
        if isinstance(given, dict) and set(given) == {"path", "name"}:
            from verl.utils.import_utils import load_extern_object

            given = load_extern_object(given["path"], given["name"])
        elif not (given is None or isinstance(given, (int, float, str))):
            raise ConfigError(
                "data.edgewise.success is a number, the name of a score, or path and name of a function; got"
                f" {self.success!r}"
            )
        return Success(given, names=None)


def setting(data_config: DictConfig, key: str) -> Any:
    """A value of the whole config that this `data` section belongs to; None if it is not there."""
    try:
        return OmegaConf.select(data_config, f"..{key}")
    except ConfigKeyError:  # a section that belongs to no config
        return None


def saves_to(data_config: DictConfig) -> Path | None:
    """Folder in which the run keeps its checkpoints, `global_step_N`."""
    folder = setting(data_config, "trainer.default_local_dir")
    return None if folder is None else Path(folder).absolute()


def resumes_from(data_config: DictConfig) -> Path | None:
    """The checkpoint that the run is about to resume from, as verl finds it; None for a run that starts anew."""
    mode = setting(data_config, "trainer.resume_mode")
    if mode == "resume_path":
        path = setting(data_config, "trainer.resume_from_path")
        return None if path is None else Path(path).absolute()  # which verl itself refuses
    folder = saves_to(data_config)
    if mode != "auto" or folder is None:
        return None
    from verl.utils.checkpoint.checkpoint_manager import find_latest_ckpt_path

    latest = find_latest_ckpt_path(str(folder))
    return None if latest is None else Path(latest)
