from types import SimpleNamespace

import ray

from openrlhf.trainer.ppo_utils.samples_generator import SamplesGenerator


class PromptDataset:
    def __init__(self, rows):
        self.prompts = [row["input"] for row in rows]
        self.labels = [row["label"] for row in rows]
        self.images = [None] * len(rows)
        self.datasources = [row.get("datasource", "default") for row in rows]

    def __len__(self):
        return len(self.prompts)

    def __getitem__(self, idx):
        return self.datasources[idx], self.prompts[idx], self.labels[idx], self.images[idx]


class StatefulDataLoader:
    """In order, one prompt a batch; the real one shuffles."""

    def __init__(self, dataset):
        self.dataset = dataset

    def __len__(self):
        return len(self.dataset)

    def __iter__(self):
        for row in range(len(self.dataset)):
            yield tuple([value] for value in self.dataset[row])

    def state_dict(self):
        return {"_snapshot": {}}

    def load_state_dict(self, state): ...


def prepare_datasets(strategy, tokenizer):
    dataset = PromptDataset(strategy.args.data.rows)
    loaders = StatefulDataLoader(dataset), StatefulDataLoader(PromptDataset(strategy.args.data.rows[:4]))
    return *loaders, len(dataset)


@ray.remote
class PPOTrainer:
    def __init__(self, strategy, vllm_engines):
        self.prompts_dataloader, self.eval_dataloader, self.max_steps = prepare_datasets(strategy, None)
        self.samples_generator = SamplesGenerator(
            strategy=strategy,
            prompts_dataloader=self.prompts_dataloader,
            eval_dataloader=self.eval_dataloader,
            tokenizer=None,
            vllm_engines=vllm_engines,
        )

    def fit(self, steps, state=None):
        """Samples of each step, and the states that the checkpoint after it would hold."""
        if state:
            self.prompts_dataloader.load_state_dict(state)
        history = []
        while len(history) < steps:
            samples, _, _, exhausted = self.samples_generator.generate_samples(max_len=128)
            if samples:
                # In a checkpoint these have been through Ray and torch.save.
                history.append(SimpleNamespace(samples=samples, state=self.prompts_dataloader.state_dict()))
            elif not exhausted:
                raise RuntimeError("nothing was generated")
        return history
