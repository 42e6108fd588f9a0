"""A Gaussian process with a Walsh kernel."""
