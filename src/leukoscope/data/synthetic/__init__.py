"""Cells that a program draws, with C-NMC's names, folds and traps."""
