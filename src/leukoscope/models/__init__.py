"""What a model is: backbones, heads, embedding (frozen features), training."""
