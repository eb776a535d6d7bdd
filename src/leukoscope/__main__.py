"""`python -m leukoscope` is the command line."""

from leukoscope.cli.commands import main

main()
