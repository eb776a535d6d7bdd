"""From a source to splits and packed arrays: what the images are."""
