"""The fault harness: `make faults` breaks hdvg in every way that it should survive, and says how often it did not."""
