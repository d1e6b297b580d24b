"""The command line as a module: python -m hdvg.cli."""

from hdvg.cli import main

if __name__ == "__main__":
    main()
