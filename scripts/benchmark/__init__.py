"""The parts of scripts/bench: each measures ours beside its peers and records what it saw as JSON."""
