"""`python -m edge` is `earwitness-edge`."""

from edge.cli import main

main()
