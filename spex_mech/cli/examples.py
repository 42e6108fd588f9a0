"""An example of every command, and what ``spex-mech`` alone says."""

from __future__ import annotations

NEXT_STEPS = """\
spex-mech run                        which heads of a small model work together: a minute, a report
spex-mech open runs/demo             look at that report in the browser
spex-mech run MODEL TASK --keep 0.5  the same of a model and task of your own, pruned to half
spex-mech tasks                      the tasks there are; a table of your own questions will do too
spex-mech --help                     all commands; spex-mech COMMAND --help has examples"""

_EXAMPLES = {
    "run": (
        "spex-mech run",
        "spex-mech run smollm2 circuits/ioi --budget 200 --examples 12 --keep 0.8 --keep 0.6",
        "spex-mech run smollm2 questions.csv --players kv --keep 0.75",
        "spex-mech run my.toml --workers 4 --set design.seed=1 --out runs/second",
    ),
    "specialise": (
        "spex-mech specialise smollm2 --task circuits/ioi --plan",
        "spex-mech specialise smollm2 --task questions.csv --players kv --budget 60 --keep 0.9",
        "spex-mech specialise smollm2 --task circuits/ioi --form gguf --out runs/small",
    ),
    "plan": ("spex-mech plan smollm2 circuits/ioi --budget 200 --examples 12 --keep 0.6",),
    "status": ("spex-mech status runs/demo", "spex-mech status runs/demo --json"),
    "open": ("spex-mech open runs/demo",),
    "evaluate": ("spex-mech evaluate smollm2 circuits/ioi --budget 200 --out runs/ioi",),
    "decode": (
        "spex-mech decode runs/ioi --method lasso --index Shapley --order 1",
        "spex-mech decode runs/ioi/masks --metric accuracy --questions 0-29 --out runs/first-30",
    ),
    "prune": (
        'spex-mech prune runs/ioi --keep 0.8 --keep 0.5 --choose --baseline "greedy removal"',
    ),
    "export": ("spex-mech export runs/ioi --mode compact --measure --out ioi-small",),
    "circuit": ("spex-mech circuit runs/ioi --keep 162",),
    "report": ("spex-mech report runs/ioi --metric logprob",),
    "explain game": ("spex-mech explain game my.toml --target-r2 0.9 --budget 500",),
    "explain text": (
        'spex-mech explain text --model smollm2 --level word --text "Paris lies in" --target " France"',
        "spex-mech explain text --text @review.txt --model FOLDER --out runs/review",
    ),
    "get": ("spex-mech get smollm2",),
    "tasks": ("spex-mech tasks", "spex-mech tasks circuits/ioi --noise --model smollm2"),
    "players": ('spex-mech players smollm2 "heads:0-3 mlps"',),
}


def examples_of(command: str) -> str:
    """The examples of a command as the end of its help text; each stands on a line of its own."""
    lines = _EXAMPLES[command]
    title = "Example:" if len(lines) == 1 else "Examples:"
    return "\n".join(["\b", title, *(f"  {line}" for line in lines)])
