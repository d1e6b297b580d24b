"""What is said of a dataset or a machine."""
