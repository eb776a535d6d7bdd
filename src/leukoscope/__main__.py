"""`python -m leukoscope` is the command line."""

from leukoscope.cli import main

main()
