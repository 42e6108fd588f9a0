"""A weighted stack of several decoders."""
