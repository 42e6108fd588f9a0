"""Training on many subsets with PyTorch."""
