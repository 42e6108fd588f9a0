"""Decoders: from (masks, values) to a sparse Fourier spectrum."""
