"""`python -m hdvg.cli`: the command `hdvg`."""

from hdvg.cli import main

main()
