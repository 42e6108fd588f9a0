"""One run: its spec, its folder and its steps."""
