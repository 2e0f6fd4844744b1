"""What is fast here, and how fast: `python -m benchmarks` writes `results.md`."""
