import abc
import copy
import json
from pathlib import Path

from slime.utils.data import Dataset
from slime.utils.misc import load_function


class DataSource(abc.ABC):
    @abc.abstractmethod
    def get_samples(self, num_samples): ...

    @abc.abstractmethod
    def add_samples(self, samples): ...

    @abc.abstractmethod
    def save(self, rollout_id): ...

    @abc.abstractmethod
    def load(self, rollout_id=None): ...

    @abc.abstractmethod
    def __len__(self): ...


class RolloutDataSource(DataSource):
    """Prompts in order, epoch after epoch. The real one writes its counters with torch.save; JSON will do here."""

    COUNTERS = ("sample_offset", "epoch_id", "sample_group_index", "sample_index")

    def __init__(self, args):
        self.args = args
        self.epoch_id = self.sample_group_index = self.sample_index = self.sample_offset = 0
        self.dataset = None
        if args.rollout_global_dataset and args.prompt_data is not None:
            self.dataset = Dataset(
                args.prompt_data,
                prompt_key=args.input_key,
                label_key=args.label_key,
                metadata_key=args.metadata_key,
                seed=args.rollout_seed,
            )
            if args.rollout_shuffle:
                self.dataset.shuffle(self.epoch_id)

    def get_samples(self, num_samples):
        groups = []
        for _ in range(num_samples):
            if self.sample_offset == len(self.dataset):
                self.epoch_id, self.sample_offset = self.epoch_id + 1, 0
                if self.args.rollout_shuffle:
                    self.dataset.shuffle(self.epoch_id)
            group = [
                copy.deepcopy(self.dataset.samples[self.sample_offset]) for _ in range(self.args.n_samples_per_prompt)
            ]
            self.sample_offset += 1
            for sample in group:
                sample.group_index, sample.index = self.sample_group_index, self.sample_index
                self.sample_index += 1
            self.sample_group_index += 1
            groups.append(group)
        return groups

    def add_samples(self, samples):
        raise RuntimeError("read-only")

    def _file(self, folder, rollout_id):
        return Path(folder) / "rollout" / f"global_dataset_state_dict_{rollout_id}.pt"

    def save(self, rollout_id):
        if self.args.rollout_global_dataset:
            path = self._file(self.args.save, rollout_id)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({name: getattr(self, name) for name in self.COUNTERS}))

    def load(self, rollout_id=None):
        if not self.args.rollout_global_dataset or self.args.load is None:
            return
        path = self._file(self.args.load, rollout_id)
        if path.exists():
            for name, value in json.loads(path.read_text()).items():
                setattr(self, name, value)

    def __len__(self):
        return 0 if self.dataset is None else len(self.dataset)


class RolloutDataSourceWithBuffer(RolloutDataSource):
    def __init__(self, args):
        super().__init__(args)
        self.buffer = []
        self.buffer_filter = pop_first if args.buffer_filter_path is None else load_function(args.buffer_filter_path)

    def get_samples(self, num_samples):
        groups = self._get_samples_from_buffer(num_samples)
        return groups + super().get_samples(num_samples - len(groups))

    def _get_samples_from_buffer(self, num_samples):
        if not self.buffer or not num_samples:
            return []
        return self.buffer_filter(self.args, None, self.buffer, num_samples)

    def add_samples(self, samples):
        for group in samples:
            assert len(group) == self.args.n_samples_per_prompt
            self.buffer.append(group)


def pop_first(args, rollout_id, buffer, num_samples):
    taken = buffer[:num_samples]
    del buffer[:num_samples]
    return taken
