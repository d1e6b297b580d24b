"""In what order and where: the graph of stages, its runners, and the recipes of whole runs. Only here is Ray."""

import os

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reports to its makers unless it reads this
