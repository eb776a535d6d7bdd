"""Past one machine: `compute.engine: ray`. Ray schedules, retries and restarts; what is computed is the library's own.

Every machine has this package installed, and for all but `predict` the checkout at the same path, on a file system that
the machines share: tasks read the pipeline's data and write its outputs there, as `dvc repro` does.
"""
