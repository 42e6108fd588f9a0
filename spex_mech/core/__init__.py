"""What every other room speaks of: players, masks, spectra, interactions, limits, estimates.

Nothing here knows of models or tasks, or of files but how their text is read (`text_files`).
A *player* is a part of a system that can be switched off.
A *mask* is a row of bools, one for each player, True = present. A *game* is a function from masks to
values. A *spectrum* is a game written as a sum of few terms, one for each set of players that act
together.

In: names of players, masks as bool arrays (m, n). Out: the types that all other rooms exchange, above
all `PlayerSet` (players), `Spectrum` (spectrum), `Interactions` (interactions), `Limit` (limits) and
`Estimate` (estimates); the protocols of games are in `games`, errors in `errors`, and how
they quote what was given in `quoting`.

    >>> from spex_mech.core.spectrum import Spectrum
    >>> spectrum = Spectrum.from_supports([(0,), (1, 2)], [-1.0, 0.5], n=3)
    >>> spectrum([[True, False, False]])
    array([1.5])

A new interaction index is a weight function in `index_weights`; a new limit on kept players is a
function in `limits` that returns a `Limit`.
"""
