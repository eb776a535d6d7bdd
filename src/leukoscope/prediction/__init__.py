"""Prediction: a registered version's answers for pictures.

`sources` finds files, folders and archives on this machine, `places` wherever fsspec reaches. `pictures` decodes a file
and brings other optics to native scale, `content` looks for pictures that are not one cell on black. `scoring` goes
from a file's bytes to its answer; `output` writes answers, `subjects` sums them up by subject, and `shards` writes
predictions of any size. `command` leads them.
"""
