"""Stand-ins of trainers that need a GPU: what their adapters touch, with the names, arguments and order of calls of the real
packages (prime-rl 0.8, OpenRLHF 0.11, slime 0.3.1), and a loop around it that a test can drive on a CPU."""
