"""Datasets as released versions wrote them, and the script that made them."""
