def main():
    """Reads the command line and runs the orchestrator, whose module it imports only then."""
    from prime_rl.orchestrator import orchestrator

    main.started_with = orchestrator.TrainSource
