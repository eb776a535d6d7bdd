"""Optuna studies: what they may try, what a trial is worth, where they are kept, and what becomes of the winner."""
