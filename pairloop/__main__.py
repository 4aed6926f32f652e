"""`python -m pairloop` is `pairloop`."""

from pairloop.cli import main

main()
