"""Makes ``python -m streams.cli`` the same as ``homeport``."""

from streams.cli import main

main()
