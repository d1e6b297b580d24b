"""How one item of a text-video dataset is processed: fetch, decode, measure, cut, caption, store."""

__version__ = "0.1.0"
