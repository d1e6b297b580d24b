"""`python -m hdvg.cli` is the console script."""

from hdvg.cli import main

main()
