"""Feature attribution: the parts of a text or an image as players of a value function."""

from spex_mech.core.shapiq import from_shapiq, to_shapiq
from spex_mech.features.endpoints import Endpoint, EndpointError
from spex_mech.features.followups import insert_delete, remove_members, subtract_top
from spex_mech.features.game import FeatureGame
from spex_mech.features.image import image, image_text
from spex_mech.features.options import (
    Chat,
    ExplainOptions,
    Generated,
    Regions,
    Removal,
    TextPair,
)
from spex_mech.features.spans import Span, find_spans, split_text
from spex_mech.features.text import text
from spex_mech.features.view import View, view

__all__ = [
    "Chat",
    "Endpoint",
    "EndpointError",
    "ExplainOptions",
    "FeatureGame",
    "Generated",
    "Regions",
    "Removal",
    "Span",
    "TextPair",
    "View",
    "find_spans",
    "from_shapiq",
    "image",
    "image_text",
    "insert_delete",
    "remove_members",
    "split_text",
    "subtract_top",
    "text",
    "to_shapiq",
    "view",
]
