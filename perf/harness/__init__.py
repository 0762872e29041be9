"""The benchmark harness: one subject per module; `cli` is where a run begins."""
