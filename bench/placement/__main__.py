"""`python -m bench.placement --data DIR`."""

import sys

from bench.placement.run import main

main(sys.argv[1:])
