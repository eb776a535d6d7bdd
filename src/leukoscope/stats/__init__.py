"""Numbers about y and p: metrics, resampled groups, calibration, operating points. No files are known here."""
