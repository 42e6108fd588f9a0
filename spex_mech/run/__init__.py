"""One run: its spec, its folder, and a step per file.

In: a spec (spec), read from TOML or YAML and checked before anything starts. Out: a folder (folder) that
holds everything that was done, as JSON (records) and stores; `opening` makes, opens and changes one. Each
step reads what the former wrote: `outline` says what a spec comes to before weights are read, and `setup`
loads the model and makes the games; `decode` needs no model; `prune`, `scores`, `compare`, `export`,
`circuit` and `steps` do the rest; `under` compares kinds of ablation, and `constants` keeps those of
optimal ablation; `explain` works in rounds; `plan` and `memory` say what a run will cost before it starts;
`specialise` makes the spec of a run that prunes a model for one task.

    >>> from spex_mech.run.spec_file import read_spec
    >>> spec = read_spec(None, ["design.budget=100"])
    >>> spec.task, spec.design.budget
    ('embedded/people', 100)

A new step is a file here that reads and writes `records`, and a line in `steps`; a new key of the spec
is a field in `spec` with its check.
"""
