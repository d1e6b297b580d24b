"""The text-to-video model: a latent spatiotemporal U-Net with Swap-CA, its diffusion process and its weights.

`config` loads nothing heavy; every other module here imports torch.
"""
