"""Import of the logs that trainers write: rollouts by prompt and step, in bounded memory, also while a run goes on."""

from edgewise.replay.logs.folders import LogReader, open_log, open_logs, read_log
from edgewise.replay.logs.identity import digest
from edgewise.replay.logs.log import RunLog
from edgewise.replay.logs.traces import log_of_trace

__all__ = ["LogReader", "RunLog", "digest", "log_of_trace", "open_log", "open_logs", "read_log"]
