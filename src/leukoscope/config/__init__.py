"""What params.yaml says: its sections, its rows, the profiles, and what is wrong in it."""
