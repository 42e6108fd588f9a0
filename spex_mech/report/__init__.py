"""The page and the figures of a run, from what its folder holds; needs no model and no torch.

In: a run's folder. Out: ``report.html``, one page with everything inside it, its figures as PNG and SVG,
and ``interactions.csv`` (downloads). `write_report` (page) writes them; `contents` gathers what the folder
has, `answer` says it in words, `words` explains the words, and the package `plots` draws. All text from
models and data is escaped.

    >>> from spex_mech.report import plots
    >>> from spex_mech.core.spectrum import Spectrum
    >>> "head_map" in plots.__all__
    True

A new figure is a function in `plots` that returns a matplotlib figure, and a line in `figures`.
"""

from spex_mech.report.page import write_report

__all__ = ["write_report"]
