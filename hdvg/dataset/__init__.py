"""A dataset on disk: its plan, its files and the views over them."""
