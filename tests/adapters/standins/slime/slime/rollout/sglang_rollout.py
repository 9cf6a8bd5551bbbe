"""slime's rollout loop with the engines replaced by `args.finish(rollout_id, pending)`, which says what finishes next."""

from types import SimpleNamespace

from slime.rollout.filter_hub.base_types import DynamicFilterOutput
from slime.utils.misc import load_function
from slime.utils.types import Sample


def generate_rollout(args, rollout_id, data_source):
    """Groups for training and the metrics of the filter; what is unfinished then is aborted."""
    filter_of_user = load_function(args.dynamic_sampling_filter_path) if args.dynamic_sampling_filter_path else None
    pending, data, dropped, remaining = [], [], {}, 0
    while len(data) < args.rollout_batch_size:
        while remaining < args.rollout_batch_size:
            groups = data_source.get_samples(args.over_sampling_batch_size)
            pending += groups
            remaining += len(groups)
        done, pending = args.finish(rollout_id, pending)
        for group in done:
            # Several may finish at once: those that are not needed any more pass the filter too.
            output = filter_of_user(args, group) if filter_of_user else DynamicFilterOutput(keep=True)
            if not output.keep:
                dropped[output.reason] = dropped.get(output.reason, 0) + 1
                remaining -= 1
            elif len(data) < args.rollout_batch_size:
                data.append(group)
    if args.partial_rollout:
        for group in pending:
            for sample in group:
                sample.status = Sample.Status.ABORTED
        data_source.add_samples(pending)
    metrics = {f"rollout/dynamic_filter/drop_{reason}": count for reason, count in dropped.items()}
    return SimpleNamespace(samples=data, metrics=metrics)
