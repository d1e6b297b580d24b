"""Which clips are kept: what other thresholds would do, and what is near them."""
