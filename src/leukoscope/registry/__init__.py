"""Versions of the model: ranked, held to the gate, packaged, promoted, loaded."""
