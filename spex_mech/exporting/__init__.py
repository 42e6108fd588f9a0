"""A mask becomes a checkpoint that other tools load."""
