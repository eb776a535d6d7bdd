"""Leukoscope: leukemia cell classifiers, from images to a promoted model, with honest numbers."""

__version__ = "0.1.0"
