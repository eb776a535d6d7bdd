"""Where images come from: folders, archives, label files, Kaggle; and the complete list of C-NMC 2019."""
