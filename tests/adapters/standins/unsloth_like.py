"""Unsloth's treatment of TRL's GRPO trainer, as far as it touches the adapter; unsloth itself needs a GPU to be imported.

After `unsloth/models/rl.py` and `rl_replacements.py` of 2026.10.9: the source of the trainer is rewritten and compiled anew,
`_generate_and_score_completions` calls `_calculate_rewards` through a branch on its locals and puts more into its output, a
class with another signature stands on top, whose method is wrapped, and it takes TRL's place in its modules.
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import trl.trainer.grpo_trainer as module

CALL = "        rewards_per_func = self._calculate_rewards(inputs, prompts, completions, completion_ids_list)"
REWRITTEN = """        _locals = locals()
        if images is not None and 'prompts_text' in _locals:
            rewards_per_func = self._calculate_rewards(inputs, prompts_text, completions_text, completion_ids_list)
        else:
            rewards_per_func = self._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        del _locals"""
RETURN = "        return output\n"
EXTRA = """        most = (output["prompt_mask"] == 0).sum(1).max().item()
        output["max_left_pad"] = torch.tensor(prompt_ids.shape[0] * [most]).unsqueeze(-1)
        return output
"""


def rewritten() -> type:
    """TRL's class with the source of one method changed."""
    original = inspect.getsource(module.GRPOTrainer._generate_and_score_completions)
    assert CALL in original
    assert RETURN in original
    changed = original.replace(CALL, REWRITTEN).replace(RETURN, EXTRA)
    source = inspect.getsource(module.GRPOTrainer).replace(original, changed)
    source = source.replace("class GRPOTrainer", "class _UnslothGRPOTrainer", 1)
    names: dict[str, Any] = dict(vars(module))
    exec(compile(source, "UnslothGRPOTrainer.py", "exec"), names)
    base = names["_UnslothGRPOTrainer"]

    class UnslothGRPOTrainer(base):  # type: ignore[misc, valid-type]
        def __init__(
            self,
            model: Any,
            reward_funcs: Any,
            args: Any = None,
            train_dataset: Any = None,
            eval_dataset: Any = None,
            processing_class: Any = None,
            **kwargs: Any,
        ):
            super().__init__(
                model=model,
                reward_funcs=reward_funcs,
                args=args,
                train_dataset=train_dataset,
                eval_dataset=eval_dataset,
                processing_class=processing_class,
                **kwargs,
            )

    generate = UnslothGRPOTrainer._generate_and_score_completions

    @functools.wraps(generate)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        return generate(self, *args, **kwargs)

    # As Unsloth's wrapper, without the original's signature.
    del wrapped.__wrapped__  # type: ignore[attr-defined]
    UnslothGRPOTrainer._generate_and_score_completions = wrapped
    return UnslothGRPOTrainer


@contextmanager
def unsloth_imported() -> Iterator[type]:
    """What `import unsloth` leaves behind."""
    import trl

    trl.GRPOTrainer  # noqa: B018  (TRL fills its names in when they are first read)
    places = [trl, trl.trainer, module]
    before = [place.GRPOTrainer for place in places]
    patched = rewritten()
    sys.modules["unsloth"] = types.ModuleType("unsloth")
    for place in places:
        place.GRPOTrainer = patched
    try:
        yield patched
    finally:
        del sys.modules["unsloth"]
        for place, cls in zip(places, before, strict=True):
            place.GRPOTrainer = cls
