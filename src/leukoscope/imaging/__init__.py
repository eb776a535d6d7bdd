"""What a picture is, for training and for predicting alike: reading, framing, the cell, augmentation, turns."""
