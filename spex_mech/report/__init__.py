"""The report of a run: one self-contained HTML page, and its figures as files."""

from spex_mech.report.page import write_report

__all__ = ["write_report"]
