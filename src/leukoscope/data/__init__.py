"""What an image set is: sources, synthetic cells, manifest, expectations, splits, packed arrays, augmentation."""
