"""Questions: task cards, where they come from, prompts and metrics."""
