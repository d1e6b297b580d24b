"""The trainer: samples in an order that can be replayed, steps, checkpoints, and reports."""

NEEDS = {name: name for name in ("torch", "diffusers", "safetensors", "tensorboard", "transformers")}
"""The modules without which nothing is trained or sampled, and what people call them."""
