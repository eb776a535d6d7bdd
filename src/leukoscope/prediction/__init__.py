"""Prediction: what a registered version says of pictures, and what its user must know of each answer.

`pictures` are read (from `sources`: files, folders, archives), brought to native optics (`optics`), looked at for what
is not one cell on black (`content`) and held against the cells that the version was trained on (`training_cells`);
`scoring` joins that with the model's p, `subjects` sums up by subject, `cautions` says what stands beside every answer.
"""
