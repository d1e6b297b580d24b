"""What is stored: one table a file, a sentence for every column; arrows point here and nowhere from here."""

SCHEMA_VERSION = 3
"""Written into every Parquet file's metadata; raised when the meaning of a column changes."""
