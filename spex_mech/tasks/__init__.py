"""Questions: where they come from, how a model is asked, and what an answer is worth.

In: the name of a task card (a small TOML file in the folder ``tasks/`` of the repository), or token ids.
Out: a `ChoiceTask` or `TokenTask` (task) whose examples are split into search, validation and test;
`encode` (prompts) makes token ids of them for one tokenizer, and `metric_for` (metrics) turns answer
scores into values.

    >>> from spex_mech.tasks.cards import load_task
    >>> task = load_task("embedded/people")
    >>> len(task.select("search")), len(task.select("test"))
    (240, 480)

A new task is a card, no code: see ``tasks/README.md`` in the repository. A new source of questions
(today: files, the hub, generators, planted games) is a file in the package `sources`, and a line in its
``SOURCES``. A new published file layout is a function in `layouts`; a new metric is one in `metrics`.
"""
