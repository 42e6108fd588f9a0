"""Where questions come from: files, the hub, generators; and how they become a task."""
