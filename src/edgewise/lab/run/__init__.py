"""Infrastructure of runs: configurations, journals, interrupts, processes, presets, schedules, budgets, pre-training."""
