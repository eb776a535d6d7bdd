"""From features or pictures to a model for each fold."""
