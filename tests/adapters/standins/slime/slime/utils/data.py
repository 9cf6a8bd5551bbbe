import json
import random
from pathlib import Path

from slime.utils.types import Sample


class Dataset:
    def __init__(self, path, *, prompt_key, label_key, metadata_key, seed):
        rows = [json.loads(line) for line in Path(path).read_text().splitlines()]
        self.origin_samples = [
            Sample(prompt=row[prompt_key], label=row.get(label_key), metadata=row.get(metadata_key) or {})
            for row in rows
        ]
        self.samples, self.seed, self.epoch_id = self.origin_samples, seed, -1

    def shuffle(self, epoch_id):
        if epoch_id != self.epoch_id:
            order = list(range(len(self.samples)))
            random.Random(self.seed + epoch_id).shuffle(order)
            self.samples, self.epoch_id = [self.origin_samples[i] for i in order], epoch_id

    def __len__(self):
        return len(self.samples)
