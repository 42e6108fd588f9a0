"""The colours of all figures and pages."""

from __future__ import annotations

HELPS = "#2a6f97"  # blue: raises the value, or worth more together (synergy)
HURTS = "#c8553d"  # red: lowers the value, or worth less together (redundancy)
INK = "#333333"  # text and axes
GREY = "#8a8d91"  # neither
FAINT = "#b9bcc0"  # background marks
ORANGE = "#e09f3e"  # warnings
LINES = (  # one per method in a plot of several
    HELPS,
    GREY,
    ORANGE,
    "#9e2a2b",
    "#6a994e",
    "#7b5ea7",
    "#3a8f8a",
    "#b56576",
    "#5c677d",
    "#bc8a5f",
)
