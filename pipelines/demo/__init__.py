"""The demo: a small web site of real videos on this machine, curated by the same commands a user types."""
