from openrlhf.trainer.ppo_trainer import prepare_datasets
from openrlhf.trainer.ppo_utils.samples_generator import SamplesGenerator


class GenerateSamplesActor:
    def __init__(self, strategy, vllm_engines):
        self.prompts_dataloader, self.eval_dataloader, self.max_steps = prepare_datasets(strategy, None)
        self.samples_generator = SamplesGenerator(
            strategy, self.prompts_dataloader, self.eval_dataloader, None, vllm_engines
        )
