"""`python -m bench.performance --data DIR`."""

from bench.performance.scoring import main

main()
