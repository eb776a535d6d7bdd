"""MLflow: the store, the runs, what its pages show."""
