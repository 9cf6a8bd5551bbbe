"""One rank of two: trains with a gate and writes what each rank selected, predicts and trained on."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from tests.adapters.known_rates import OFTEN, by_completion, spy, table

from edgewise import gates
from edgewise.adapters.trl import EdgewiseGRPOTrainer
from edgewise.errors import EdgewiseError


class Outputs(EdgewiseGRPOTrainer):
    def _generate_and_score_completions(self, inputs: Any) -> Any:
        output = super()._generate_and_score_completions(inputs)
        self.__dict__.setdefault("outputs", []).append(output)
        return output


def main(model: Path, out: Path, generations: int, seeds: str) -> None:
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
    from trl import GRPOConfig

    args = GRPOConfig(
        output_dir=str(out / "run"),
        per_device_train_batch_size=6,
        num_generations=generations,
        max_completion_length=4,
        max_steps=8,
        save_steps=4,
        logging_steps=1,
        report_to="none",
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        disable_tqdm=True,
        seed=3,
    )
    data = table(OFTEN)
    rank = args.process_index
    curriculum = spy(
        data,
        "edge",
        rollouts=generations,
        gates=gates.make_gate("informative", max_rounds=30),
        seed=rank if seeds == "different" else 0,
    )
    tokenizer = PreTrainedTokenizerFast.from_pretrained(model, padding_side="left")
    trainer = Outputs(
        model=AutoModelForCausalLM.from_pretrained(model),
        processing_class=tokenizer,
        args=args,
        reward_funcs=by_completion,
        train_dataset=data,
        curriculum=curriculum,
        id_column="name",
        trace=out / "trace.npz",
    )
    try:
        trainer.train()
    except EdgewiseError as error:
        (out / f"{rank}.json").write_text(json.dumps({"error": str(error)}))
        sys.exit(0)
    trained = [
        {
            "prompts": tokenizer.batch_decode(output["prompt_ids"], skip_special_tokens=True),
            "completions": tokenizer.batch_decode(output["completion_ids"], skip_special_tokens=True),
            "advantages": output["advantages"].tolist(),
            "tokens": int(output["completion_mask"].sum()),
            "items": int(output["num_items_in_batch"]),
        }
        for output in trainer.outputs
    ]
    observed = [[batch.ids.tolist(), np.asarray(rewards).tolist()] for batch, rewards in curriculum.observed]
    result = {
        "selected": curriculum.selected(),
        "observed": observed,
        "beliefs": curriculum.selector.predict().tolist(),
        "metrics": curriculum.metrics(),
        "trained": trained,
    }
    (out / f"{rank}.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
