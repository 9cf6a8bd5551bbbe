if __name__ == "__main__":
    from openrlhf.trainer import ppo_trainer

    ppo_trainer.started_with = ppo_trainer.SamplesGenerator
