"""The trainer: samples in an order that can be replayed, steps, checkpoints, and what it tells of itself."""
