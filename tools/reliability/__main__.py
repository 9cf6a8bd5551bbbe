"""The command `python -m tools.reliability`; see the package."""

from __future__ import annotations

import argparse
import resource
import sys
import time

from tools.reliability import TRIALS, attempt
from tools.reliability import __doc__ as usage
from tools.reliability.page import keep


def main() -> None:
    parser = argparse.ArgumentParser(description=usage, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(TRIALS)}")
    parser.add_argument("--fast", action="store_true", help="a few of each; nothing is recorded")
    parser.add_argument("--n", type=int, help="number of trials instead of the full one")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(TRIALS))
    if unknown:
        parser.error(f"no trial {unknown[0]}; there are {', '.join(TRIALS)}")
    failed = False
    for name in options.names or TRIALS:
        function, _, fast = TRIALS[name]
        if options.fast and not fast:
            continue
        began = time.process_time() + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
        outcome = attempt(name, fast if options.fast else options.n)
        seconds = time.process_time() + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) - began
        failed |= bool(outcome.faults)
        print(f"{name}: {outcome.trials} trials, {len(outcome.faults)} faults, {seconds:.1f} s of CPU", flush=True)
        for line in outcome.faults[:10]:
            print(f"  {line}", flush=True)
        if not options.fast:
            keep(name, function, outcome, seconds)
    sys.exit(failed)


if __name__ == "__main__":
    main()
