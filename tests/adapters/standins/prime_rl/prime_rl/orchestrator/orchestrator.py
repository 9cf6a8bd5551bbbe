"""The orchestrator as far as tasks and groups go: it keeps `inflight` groups going and ships a batch when it is full."""

from prime_rl.orchestrator.train_source import TrainSource


class Orchestrator:
    def __init__(self, train_envs, roll_out, batch_size, inflight):
        self.train_source = TrainSource(train_envs)
        self.roll_out, self.batch_size, self.inflight = roll_out, batch_size, inflight
        self.step, self.groups, self.pending = 1, [], []

    def run(self, steps):
        """Ships `steps` batches; `roll_out(groups)` takes what finishes next out of the groups in flight."""
        shipped = []
        while len(shipped) < steps:
            while len(self.groups) < self.inflight:
                self.groups.append(self.train_source.next_task(step=self.step))
            for group in self.roll_out(self.groups):
                if self.train_source.on_result(group):
                    self.pending.append(group)
            if len(self.pending) >= self.batch_size:
                batch, self.pending = self.pending[: self.batch_size], self.pending[self.batch_size :]
                shipped.append([group[0].task.key for group in batch])
                self.step += 1
        return shipped
