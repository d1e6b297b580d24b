"""The training cache: clips as latents and captions as token states, made once and read from memory-mapped files."""
