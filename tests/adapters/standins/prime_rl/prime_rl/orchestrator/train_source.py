import random
from types import SimpleNamespace

from prime_rl.orchestrator.curriculum import Curriculum


class TrainSource:
    """Mixes train environments, with one curriculum for each."""

    def __init__(self, train_envs):
        self.rng = random.Random(42)
        self.envs = list(train_envs)
        self.curricula = {}
        for env in self.envs:
            tasks = env.tasks if env.num_tasks is None else list(env.tasks)
            self.curricula[env.name] = Curriculum(env.config.curriculum, tasks)
        self.env_names = [env.name for env in self.envs]
        self.weights = [float(env.config.ratio) for env in self.envs]

    def next_task(self, *, step):
        name = self.rng.choices(self.env_names, weights=self.weights, k=1)[0]
        return SimpleNamespace(env_name=name, task=next(self.curricula[name].sampler), step=step)

    def on_result(self, group):
        return self.curricula[group[0].env.name].on_result(group)

    def metrics(self):
        return {
            f"curriculum/{env}/{name}": float(value)
            for env, curriculum in self.curricula.items()
            for name, value in curriculum.metrics().items()
        }

    def state_dict(self):
        envs = {name: curriculum.state_dict() for name, curriculum in self.curricula.items()}
        return {"rng": self.rng.getstate(), "envs": envs}

    def load_state_dict(self, state_dict):
        assert set(state_dict["envs"]) == set(self.curricula)
        self.rng.setstate(state_dict["rng"])
        for name, curriculum in self.curricula.items():
            curriculum.load_state_dict(state_dict["envs"][name])
