"""What the folds' models are worth: metrics with intervals, baselines, comparisons, importance, ensembles, figures."""
