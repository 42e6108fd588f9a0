"""Templates: texts with fields in braces, which are names and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from string import Formatter

from spex_mech.core.errors import InputError
from spex_mech.core.quoting import quoted


def fill(template: str, fields: Mapping[str, str], name: str) -> str:
    """A template with its fields filled in; ``name`` is whose template it is.

    Raises:
        InputError: braces that do not close, a field that there is not, or one that is more than a name
            (``{a.b}``, ``{a:>9}``), which could do anything.
    """
    try:
        _check(template)
        return template.format(**fields)
    except (KeyError, IndexError, ValueError) as error:
        raise InputError(
            f"the template of {name} cannot be filled ({type(error).__name__}: {quoted(error)}); its "
            f"fields are {', '.join('{' + f + '}' for f in fields)}, and braces are written twice"
        ) from None


@lru_cache(maxsize=256)
def _check(template: str) -> None:
    for _, field, form, conversion in Formatter().parse(template):
        if field is not None and (form or conversion or not field.isidentifier()):
            raise ValueError(
                f"{field!r} with {form or conversion or 'nothing'} is no name of a field"
            )
