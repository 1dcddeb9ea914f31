"""``python -m metaenv``: the console script."""

import sys

from metaenv.cli import main

if __name__ == "__main__":
    sys.exit(main())
