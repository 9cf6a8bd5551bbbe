"""Dataset over a curriculum, in a module that worker processes can import."""

from torch.utils.data import IterableDataset


class PromptStream(IterableDataset):
    def __init__(self, curriculum):
        self.curriculum = curriculum

    def __iter__(self):
        for _ in range(2):
            yield self.curriculum.select(2).ids.tolist()
