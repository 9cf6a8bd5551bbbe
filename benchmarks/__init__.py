"""What the core's scale costs: every file here measures one claim and yields rows for one table.

A new benchmark is a module with `rows()`, a generator of `Row`. `python -m benchmarks [words]` runs all of them, or those
whose module name contains one of the words. Numbers are medians over repeats of the same run; where there is a baseline,
the ratio to it carries the claim, since absolute times follow the machine.
"""
