"""In what order and where: the graph of stages, its runners, and the recipes of whole runs. Only here is Ray."""

import os
import sys
from pathlib import Path

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reports to its makers unless it reads this
TOKEN_FILE = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or "~/.ray/auth_token").expanduser()
# to a cluster Ray shows its token only where this says so, which it reads when it is imported
if "ray" not in sys.modules and (os.environ.get("RAY_AUTH_TOKEN") or TOKEN_FILE.is_file()):
    os.environ.setdefault("RAY_AUTH_MODE", "token")
