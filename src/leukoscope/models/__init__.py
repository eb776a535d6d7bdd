"""What a model is: backbones, heads, embedding (frozen features), training."""

import os

# TensorFlow reads this once, when it is first imported: its start-up notes are no news to anyone who waits for a stage.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
