"""Columns of a log by their role: named by the user, or recognised by the names that trainers use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from edgewise.errors import ConfigError, unknown_name

MARKED = "edgewise_id"
"""Column of our adapters for the prompt that was selected."""
KNOWN: dict[str, tuple[str, ...]] = {
    "step": ("step", "global_step", "training_step", "train_step", "iteration", "rollout_id"),
    "prompt": ("prompt", "input", "question", "query", "problem", "messages", "instruction"),
    "id": (MARKED, "prompt_id", "problem_id", "question_id", "example_id", "task_id"),
    "reward": ("reward", "rewards", "score", "scores", "total_reward"),
    "correct": ("correct", "is_correct"),
    "completion": ("completion", "output", "response", "generation", "answer_text"),
    "length": ("completion_length", "response_length", "completion_tokens", "num_tokens", "n_tokens"),
    "group": ("uid", "group", "group_id", "group_index"),
    "category": ("category", "data_source", "level", "env", "task"),
    "advantage": ("advantage", "advantages"),
    "truncated": ("truncated", "is_truncated", "clipped"),
    "predicted": ("predicted", "edgewise_predicted"),
    "random": ("random", "edgewise_random"),
    "method": ("edgewise_method",),
}
"""Roles, and the names by which each is recognised, the first that is there."""
NOT_REWARDS = {name for role, names in KNOWN.items() if role != "reward" for name in names} | {"gts", "index", "epoch"}
PREFERRED = ("accuracy", "correct", "verif")
"""Parts of a name by which one reward of several is taken for correctness."""


@dataclass(frozen=True)
class Columns:
    """Column of each role that a log has.

    Attributes:
        by_role: names of columns by role.
        notes: choices that a reader of the result has to know.
    """

    by_role: dict[str, str]
    notes: list[str] = field(default_factory=list)

    def __getitem__(self, role: str) -> str | None:
        return self.by_role.get(role)


def parse_columns(text: str | None) -> dict[str, str]:
    """Read `prompt=question,reward=score,step=iteration`.

    Raises:
        ConfigError: no `role=column`, an unknown role, or one that is given twice.
    """
    found: dict[str, str] = {}
    for part in (text or "").split(","):
        if not part.strip():
            continue
        role, equals, column = (piece.strip() for piece in part.partition("="))
        if not equals or not column:
            raise ConfigError(
                f"--columns takes role=column, such as prompt=question,reward=score; got '{part.strip()}'"
            )
        if role not in KNOWN:
            raise unknown_name("role of a column", role, KNOWN)
        if role in found:
            raise ConfigError(f"--columns gives {role} twice: {found[role]} and {column}")
        found[role] = column
    return found


def choose_columns(
    present: Iterable[str], given: Mapping[str, str], place: str, numeric: Iterable[str] = ()
) -> Columns:
    """Columns of the roles.

    Args:
        present: names of the columns that are there.
        given: what the user named, by role.
        place: file, for messages.
        numeric: columns that hold numbers: one of them may be a reward function under a name of its own.

    Raises:
        ConfigError: a column that is not there, or a role without which nothing can be read; names those that are there.
    """
    names = list(dict.fromkeys(present))
    there = ", ".join(names[:30]) or "none"
    found, notes = {}, []
    for role, known in KNOWN.items():
        if role in given:
            if given[role] not in names:
                raise ConfigError(f"{place} has no column '{given[role]}' for {role}; it has {there}")
            found[role] = given[role]
        else:
            match = next((name for name in known if name in names), None)
            if match is not None:
                found[role] = match
    if "reward" not in found and "correct" not in found:
        rewards = [name for name in numeric if name not in NOT_REWARDS]
        chosen = rewards
        if len(rewards) > 1:
            chosen = [name for name in rewards if any(part in name.lower() for part in PREFERRED)]
            others = ", ".join(name for name in rewards if name not in chosen)
            if len(chosen) == 1:
                notes.append(f"A rollout is correct by '{chosen[0]}'; the other rewards are {others}.")
        if len(chosen) != 1:
            what = f"several that may be rewards ({', '.join(rewards)})" if rewards else "no reward that is recognised"
            raise ConfigError(f"{place} has {what}: name one with --columns reward=NAME; the columns are {there}")
        found["reward"] = chosen[0]
    if "step" not in found:
        raise ConfigError(
            f"{place} has no column for the training step: name one with --columns step=NAME; it has {there}"
        )
    if "prompt" not in found and "id" not in found:
        raise ConfigError(
            f"{place} has no column for the prompt or its id: name one with --columns prompt=NAME or id=NAME; it has {there}"
        )
    return Columns(found, notes)
