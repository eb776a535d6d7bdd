"""What a result is: metrics, group bootstrap, calibration, figures."""
