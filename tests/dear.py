"""Seconds of the dearest files of tests, on two cores; a file that is not here takes less than ten."""

SECONDS: dict[str, float] = {}
