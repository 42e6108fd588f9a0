"""The store: masks, values and scores of a run on disk."""
