"""A checkpoint becomes a `Model`.

In: a hub id, a local folder, a GGUF file, ``"embedded"``, or a Hugging Face model object. Out: a `Model`
(model): the weights, the tokenizer, numbers of layers and heads, and a fingerprint of the weights.
`load_model` (loading) reads it and refuses what it cannot read, with `read_config` and `read_weights`
(checkpoints), through which other rooms read their models too, or `read_gguf` (gguf). `get_model`
(downloads) fetches a small trained model. `read_decoder` (families) names the parts of each
architecture for the fast engine.

    >>> from spex_mech.models.loading import load_model
    >>> model = load_model("embedded")
    >>> model.shape.n_layers, model.shape.n_heads
    (4, 8)

A new architecture family is a line in ``families/traits.py`` where it is like Llama with other traits, else a
file in the package `families` with a function from a Hugging Face model to a `Decoder` (decoder), and a line
in its ``_FAMILIES``; without one, a model runs on the reference engine. ``modeling_compact.py`` is the
modelling file that compact checkpoints carry: its name, its classes and their fields are part of checkpoints
that exist. `register_compact` (registering) makes Transformers' auto classes know them, ``vllm_plugin.py``
vLLM.
"""
