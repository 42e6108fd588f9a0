"""The flag ``--paper``: a paper's setting as the defaults of a script's other options."""

from __future__ import annotations

import argparse

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"


def parse(parser: argparse.ArgumentParser, what: str, **setting: object) -> argparse.Namespace:
    """Read the command line; with ``--paper`` an option that is not given has the paper's value.

    So somebody with a smaller GPU can say, for example, ``--paper --splits 1``, and each part of it can be
    tried on its own.

    Args:
        parser: the script's options, without ``--paper``.
        what: what the setting is and what it needs, for ``--help``.
        setting: the paper's values, by the names of the options in the result.
    """
    parser.add_argument("--paper", action="store_true", help=f"{what}; options beside it hold")
    if parser.parse_known_args()[0].paper:
        parser.set_defaults(**setting)
    return parser.parse_args()
