"""What is true of the images: the manifest, duplicates, expectations."""
