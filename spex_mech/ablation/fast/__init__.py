"""The fast ablation engine: the scores of the reference engine, computed in far fewer operations."""
