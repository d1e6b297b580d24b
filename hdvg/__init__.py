"""How one item of a text-video dataset is processed: fetch, decode, measure, cut, caption, store."""

from hdvg.environment import switch_off_telemetry

__version__ = "0.1.0"

switch_off_telemetry()  # before a library reads its variable
