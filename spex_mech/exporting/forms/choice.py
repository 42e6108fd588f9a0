"""Which form a compact checkpoint is written in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from spex_mech.core.errors import InputError
from spex_mech.core.layer_rules import EXPORT_FORMS
from spex_mech.exporting.cuts import LayerCut, filled
from spex_mech.exporting.forms.family import FamilyForm
from spex_mech.exporting.forms.form import ExportForm, rule_fault
from spex_mech.exporting.forms.gguf import GgufForm
from spex_mech.exporting.forms.laguna import LagunaForm
from spex_mech.exporting.forms.own import OwnForm
from spex_mech.models.model import Model

FORMS: dict[str, ExportForm] = {
    form.name: form for form in (FamilyForm(), LagunaForm(), GgufForm(), OwnForm())
}
"""Every form by its name, in the order in which ``auto`` tries them."""


@dataclass(frozen=True)
class ChosenForm:
    """A form, and the cuts that it holds.

    Attributes:
        form: the form.
        kept: what is left of each layer; more than the mask keeps, where the gaps were filled.
        refused: every form that was tried before, with the reason why it cannot hold the mask.
    """

    form: ExportForm
    kept: list[LayerCut]
    refused: Mapping[str, str] = field(default_factory=dict)


def choose_form(name: str, model: Model, kept: list[LayerCut], *, even: bool = False) -> ChosenForm:
    """The form with a name, or for ``auto`` the first of `FORMS` that holds the cuts.

    Args:
        name: a form's name, or ``auto``.
        model: the model that is cut.
        kept: what the mask leaves of each layer.
        even: fill the layers up to what the form holds; ``own`` is filled up to ``family``.

    Raises:
        InputError: an unknown name, or a form that cannot hold the cuts: which layer, why, and what would do.
    """
    check_form(name)
    if name == "auto":
        return _first_that_fits(model, kept, even)
    form = FORMS[FamilyForm.name if even and name == OwnForm.name else name]
    chosen = ChosenForm(form, _fitted(form, kept, model, even))
    fault = _fault(chosen, model)
    if fault is not None:
        raise InputError(f"form={form.name!r} cannot hold this mask: {fault}. {_remedy(chosen)}")
    return chosen


def forms_that_fit(
    model: Model, kept: list[LayerCut], *, even: bool = False
) -> dict[str, str | None]:
    """Every form by name, and None or the reason why it cannot hold the cuts; see `choose_form`."""
    fitted = (ChosenForm(form, _fitted(form, kept, model, even)) for form in FORMS.values())
    return {chosen.form.name: _fault(chosen, model) for chosen in fitted}


def check_form(name: str) -> None:
    """Refuse a form that there is not.

    Raises:
        InputError: an unknown name.
    """
    if name not in EXPORT_FORMS:
        known = ", ".join(repr(form) for form in EXPORT_FORMS)
        raise InputError(f"unknown form {name!r}; expected one of {known}")


def _first_that_fits(model: Model, kept: list[LayerCut], even: bool) -> ChosenForm:
    """The first form that holds the cuts; the last holds any."""
    *stock, last = FORMS.values()
    refused: dict[str, str] = {}
    for form in stock:
        chosen = ChosenForm(form, _fitted(form, kept, model, even), dict(refused))
        fault = _fault(chosen, model)
        if fault is None:
            return chosen
        refused[form.name] = fault
    return ChosenForm(last, kept, refused)


def _fitted(form: ExportForm, kept: list[LayerCut], model: Model, even: bool) -> list[LayerCut]:
    return filled(kept, form.rule, model.shape.n_heads) if even and form.rule else kept


def _fault(chosen: ChosenForm, model: Model) -> str | None:
    return chosen.form.obstacle(model, chosen.kept) or rule_fault(chosen.form, chosen.kept)


def _remedy(chosen: ChosenForm) -> str:
    name = chosen.form.name
    if rule_fault(chosen.form, chosen.kept) is None:
        return "Use form='own', which holds any mask, or mode='dense'"
    return (
        f"Let prune choose sets that it holds with limits=sm.servable({name!r}), fill the gaps with zeros by "
        "even=True, or use form='own', which holds any mask"
    )
