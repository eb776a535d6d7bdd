"""What a reader sees at the end: one self-contained page, one small JSON for `dvc metrics`, and lines for a terminal.

`page.write_report` makes the page, summary.json and the tables behind `dvc plots`; it is imported from its module,
since it needs pandas and the evaluation. `terminal_summary` needs neither.
"""

from leukoscope.report.terminal import terminal_summary

__all__ = ["terminal_summary"]
