"""slime's fully asynchronous rollout: a thread draws one group at a time and keeps `args.concurrency` of them in flight.

`args.calls_filter`: since slime#2390 the dynamic sampling filter sees every group; before, no group. Exceptions of the thread
are kept in `worker.errors`, where slime logs them and goes on.
"""

import queue
import threading
import time
from types import SimpleNamespace

from slime.rollout.filter_hub.base_types import DynamicFilterOutput
from slime.utils.misc import load_function


class Worker:
    def __init__(self, args, data_source):
        self.args, self.data_source = args, data_source
        self.done, self.running, self.errors = queue.Queue(), True, []
        self.pending = []
        self.thread = threading.Thread(target=self._loop, daemon=True)
        self.thread.start()

    def _loop(self):
        while self.running:
            try:
                while len(self.pending) < self.args.concurrency and self.done.qsize() < self.args.concurrency:
                    self.pending += self.data_source.get_samples(1)
                finished, self.pending = self.args.finish(0, self.pending)
                for group in finished:
                    self.done.put(group)
            except Exception as error:
                self.errors.append(error)
            time.sleep(0.0005)

    def close(self):
        self.running = False
        self.thread.join(10)


def generate_rollout_fully_async(args, rollout_id, worker):
    keep = load_function(args.dynamic_sampling_filter_path) if args.calls_filter else None
    data = []
    while len(data) < args.rollout_batch_size:
        if worker.errors:
            raise worker.errors[0]
        try:
            group = worker.done.get(timeout=10)
        except queue.Empty:
            raise TimeoutError("no group came back") from None
        output = keep(args, group) if keep else DynamicFilterOutput(keep=True)
        if output.keep:
            data.append(group)
    if args.custom_rollout_log_function_path is not None:
        flat = [sample for group in data for sample in group]
        load_function(args.custom_rollout_log_function_path)(rollout_id, args, flat, {}, 0.0)
    return SimpleNamespace(samples=data, metrics={})
