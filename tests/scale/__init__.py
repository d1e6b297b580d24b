"""What commands cost as a dataset grows: `python -m tests.scale`."""
