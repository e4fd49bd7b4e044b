"""Makes ``python -m streams`` the ``homeport`` command: what the launcher runs.

Not ``-m streams.cli``, which loads that package before it runs a line of ours.
"""

from streams import loading

loading.begin()

from streams.cli import main  # noqa: E402 -- it takes a while

main()
