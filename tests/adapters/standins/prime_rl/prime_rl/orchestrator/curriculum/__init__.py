from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import cycle


class TaskSampler(Iterator, ABC):
    @abstractmethod
    def __next__(self): ...

    def observe(self, group): ...

    def state_dict(self):
        return {}

    def load_state_dict(self, state_dict): ...

    def metrics(self):
        return {}


class StandardSampler(TaskSampler):
    def __init__(self, tasks):
        self.tasks = tuple(tasks) if isinstance(tasks, Sequence) else None
        self.task_iterator = tasks if self.tasks is None else cycle(self.tasks)

    def __next__(self):
        return next(self.task_iterator)


class DifficultyPoolSampler(TaskSampler):
    def __init__(self, tasks):
        self.tasks = tuple(tasks)

    def __next__(self):
        return self.tasks[0]


class AdmissionGate:
    def admit(self, group):
        return True

    def state_dict(self):
        return {}

    def load_state_dict(self, state_dict): ...

    def metrics(self):
        return {}


class Curriculum:
    """A sampler and gates; every gate sees every group, after the sampler has observed it."""

    def __init__(self, config, tasks):
        self.sampler = (config.sampler if config else StandardSampler)(tasks)
        self.gates = {}

    def on_result(self, group):
        (key,) = {episode.task.key for episode in group}
        assert key is not None
        self.sampler.observe(group)
        verdicts = [gate.admit(group) for gate in self.gates.values()]
        assert all(isinstance(verdict, bool) for verdict in verdicts)
        return all(verdicts)

    def state_dict(self):
        gates = {name: gate.state_dict() for name, gate in self.gates.items()}
        return {"sampler": self.sampler.state_dict(), "gates": gates}

    def load_state_dict(self, state_dict):
        assert set(state_dict["gates"]) == set(self.gates)
        self.sampler.load_state_dict(state_dict["sampler"])

    def metrics(self):
        return {f"sampler/{name}": float(value) for name, value in self.sampler.metrics().items()}
