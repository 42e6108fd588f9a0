"""A mask becomes a checkpoint that other tools load.

In: a `Model`, its players, and a mask, True = kept. Out: a folder in Hugging Face's format with weights,
config, tokenizer and a model card. `export` (export) writes it: ``dense`` zeroes what is removed and
keeps every tensor's size; ``compact`` cuts it out, in one of several forms (forms), of which some are read
by vLLM or llama.cpp without code of ours. `footprints` (footprint) measures what that saves,
`recover` (recovery) fine-tunes what is left, `parameter_limit` (parameters) lets pruning count
parameters, and `servable` (servable) keeps it to sets that a form can hold. The card's table of tasks before
and after pruning is in `comparison`.

    >>> import numpy as np, tempfile, spex_mech as sm
    >>> model = sm.load_model("embedded")
    >>> players = sm.select_players(model, "heads")
    >>> sm.export(model, players, np.arange(32) % 2 == 0, tempfile.mkdtemp() + "/pruned").name
    'pruned'

The room is not called ``export`` because `spex_mech.export` is a function, which a package of that name
would replace. A new form of compact checkpoint is a file in ``forms``.
"""
