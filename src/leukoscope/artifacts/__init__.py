"""The files that pass between stages, as typed values: each is read and written here and nowhere else."""
