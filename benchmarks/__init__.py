"""What users wait for, timed against what they would otherwise pick (`make bench`); see docs/performance.md."""
