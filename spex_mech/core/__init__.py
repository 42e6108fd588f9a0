"""What every room speaks of: players, masks, spectra, interactions, limits, estimates."""
