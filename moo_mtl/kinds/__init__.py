"""The kinds of run, ``kind = "trace" | "train" | "front"``: from a configuration to numbers in the run's folder."""
