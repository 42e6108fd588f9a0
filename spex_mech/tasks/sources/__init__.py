"""Where the questions of a card come from: one file per source.

A new source is a file here with a `Source` (source), which has the keys of its cards and a function from a
card to pools of questions, and a line in ``SOURCES`` below.
"""

from spex_mech.tasks.sources import file, game, generator, hub
from spex_mech.tasks.sources.source import Source

SOURCES: tuple[Source, ...] = (
    file.SOURCE,
    hub.SOURCE,
    generator.SOURCE,
    game.SOURCE,
)
