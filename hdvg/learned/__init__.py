"""Measures by models, of the stored pictures of several clips at once: answers to questions, and quality."""
