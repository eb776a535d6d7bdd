"""Frozen features: backbones, weights, pooling, statistics of the cell, and the memory of what was computed."""
