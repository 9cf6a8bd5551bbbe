class BaseSelector:
    """Trinity's interface of a data selector."""

    def __init__(self, data_source, config):
        self.data_source, self.config = data_source, config

    def get_indices(self, batch_size, return_extra_info=False):
        raise NotImplementedError

    def feedback(self, indices, values):
        raise NotImplementedError

    def state_dict(self):
        raise NotImplementedError

    def load_state_dict(self, state_dict):
        raise NotImplementedError
