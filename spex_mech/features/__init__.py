"""Feature attribution: the parts of a text or an image as players of a game.

In: a text or an image, and a model that reads it: a Hugging Face model, any function from texts to
numbers, or an OpenAI-compatible endpoint. Out: a `FeatureGame` (game), made by `text`, `image` or
`image_text`, whose masks say which parts are left in; and `view`, which shows effects and interactions
on the input itself.

    >>> from spex_mech import features
    >>> game = features.text(lambda texts: [len(t) for t in texts], "a bb ccc", level="word")
    >>> game.players.names
    ['a', 'bb', 'ccc']

The package `readers` holds one file per kind of Hugging Face model. A new kind of model is a file there
and a branch of `load_text_model` (readers.model); a new value of a model's answers is a function in
`values`; a new way of removing parts is one in `wording`.
"""

from spex_mech.core.shapiq import from_shapiq, to_shapiq
from spex_mech.features.endpoints import Endpoint, EndpointError
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
    "split_text",
    "text",
    "to_shapiq",
    "view",
]
