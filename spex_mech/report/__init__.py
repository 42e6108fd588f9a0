"""The page and the figures of a run, from what its folder holds; needs no model and no torch.

In: a run's folder. Out: ``report.html``, one page with everything inside it, its figures as PNG and SVG,
``circuit.html`` where a circuit was tested, and ``interactions.csv`` (downloads). `write_report` and
`write_circuit_page` (page) write them; `contents` gathers what the folder has, `answer` says it in words,
`words` explains the words, `relations` lists what a circuit's parts are to each other, and the package
`plots` draws. All text from models and data is escaped.

    >>> from spex_mech.report import plots
    >>> from spex_mech.core.spectrum import Spectrum
    >>> "head_map" in plots.__all__
    True

A new figure is a function in `plots` that returns a matplotlib figure, and a line in `figures`.
"""

from spex_mech.report.page import write_circuit_page, write_report

__all__ = ["write_circuit_page", "write_report"]
