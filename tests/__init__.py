"""The tests of hdvg; their servers are on loopback addresses, which a recipe does not let links lead to by itself."""

import os

os.environ.setdefault("HDVG_PRIVATE_LINKS", "allow")
