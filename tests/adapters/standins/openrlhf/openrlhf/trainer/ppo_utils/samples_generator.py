"""OpenRLHF's samples generator; `vllm_engines` is one function here: (prompt, label, n) -> n responses, or as many as survive."""

from dataclasses import dataclass, field

import torch


@dataclass
class Experience:
    prompts: list
    labels: list
    rewards: torch.Tensor | None
    scores: torch.Tensor | None
    info: dict = field(default_factory=dict)


def _collect_prompt_batch(dataloader_iter, num_prompts):
    prompts, labels = [], []
    while len(prompts) < num_prompts:
        try:
            _, some_prompts, some_labels, _ = next(dataloader_iter)
        except StopIteration:
            return prompts, labels, True
        prompts += some_prompts
        labels += some_labels
    return prompts, labels, False


class SamplesGenerator:
    def __init__(self, strategy, prompts_dataloader, eval_dataloader, tokenizer, vllm_engines):
        self.args = strategy.args
        self.prompts_dataloader, self.eval_dataloader = prompts_dataloader, eval_dataloader
        self.vllm_engines = vllm_engines

    def generate_eval_samples(self, **generate_kwargs):
        return self._generate_vllm(iter(self.eval_dataloader), len(self.eval_dataloader), False, **generate_kwargs)[0]

    def generate_samples(self, **generate_kwargs):
        """(samples of one training step, share that passed the filter in percent, prompts drawn, whether all are)."""
        if getattr(self, "_dataloader_iter", None) is None:
            self._dataloader_iter, self._sample_buffer = iter(self.prompts_dataloader), []
        rollout, rate, drawn = self.args.rollout, None, 0
        chunk = rollout.batch_size * rollout.n_samples_per_prompt
        if len(self._sample_buffer) < chunk and self._dataloader_iter is not None:
            filtering = self.args.algo.dynamic_filtering_enable
            size = getattr(rollout, "vllm_generate_batch_size", None) or rollout.batch_size
            samples, drawn, exhausted = self._generate_vllm(self._dataloader_iter, size, filtering, **generate_kwargs)
            rate = len(samples) / drawn * 100 if filtering and drawn else None
            self._sample_buffer += samples
            if exhausted:
                self._dataloader_iter = None
        samples, self._sample_buffer = self._sample_buffer[:chunk], self._sample_buffer[chunk:]
        return samples, rate, drawn, self._dataloader_iter is None and not self._sample_buffer

    def _generate_vllm(self, dataloader_iter, num_prompts, dynamic_filtering, **generate_kwargs):
        prompts, labels, exhausted = _collect_prompt_batch(dataloader_iter, num_prompts)
        if not prompts:
            return [], 0, True
        accepted, drawn = [], len(prompts)
        pending = list(zip(prompts, labels, strict=True))
        while pending:
            # Engines finish in any order; the last first will do.
            prompt, label = pending.pop()
            responses = self.vllm_engines(prompt, label, self.args.rollout.n_samples_per_prompt)
            group = [self._process_response_into_experience(response, **generate_kwargs) for response in responses]
            if dynamic_filtering and all(sample.scores is not None for sample in group):
                low, high = self.args.algo.dynamic_filtering_range
                if not low < sum(sample.scores.item() for sample in group) / max(len(group), 1) < high:
                    group = []
            accepted += group
            if not group and dynamic_filtering:
                more, labels, exhausted = _collect_prompt_batch(dataloader_iter, 1)
                drawn += len(more)
                if exhausted and not more:
                    return [], drawn, True  # whatever is pending is cancelled
                pending += zip(more, labels, strict=True)
        return accepted, drawn, exhausted

    def _process_response_into_experience(self, response, **generate_kwargs):
        reward, scores = response["reward"], response["scores"]
        return Experience(
            [response["prompt"]],
            [response["label"]],
            None if reward is None else torch.tensor([reward]),
            None if scores is None else torch.tensor([scores]),
            {} if reward is None else {"reward": torch.tensor([reward])},
        )
