"""Models, tokenizers and processors that features load from folders: whose code runs, what is refused."""

from __future__ import annotations

import json
import re

import pytest
import safetensors.torch
import torch
import transformers

import spex_mech as sm
from spex_mech import features
from spex_mech.core.errors import InputError
from spex_mech.features.readers.images import load_classifier, load_pair_model
from spex_mech.features.readers.model import load_text_model

TEXT = "The trolley runs down the track."


def change(path, **values) -> None:
    found = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**found, **values}))


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """A folder with code that leaves a mark; whoever is asked on stdin says yes."""
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    yield folder
    assert not (tmp_path / "ran").exists()


@pytest.fixture
def classifier(make, hostile):
    make.bert().save_pretrained(hostile)
    make.word_piece().save_pretrained(hostile)
    return hostile


@pytest.fixture
def vit(make, hostile):
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1}
    config = transformers.ViTConfig(**sizes, num_attention_heads=4, image_size=24, patch_size=8)
    make.seeded(lambda: transformers.ViTForImageClassification(config)).save_pretrained(hostile)
    transformers.ViTImageProcessorPil(size={"height": 24, "width": 24}).save_pretrained(hostile)
    return hostile


@pytest.mark.parametrize("load", [load_classifier, load_pair_model, load_text_model])
def test_a_models_code_does_not_run(hostile, load):
    names = {"AutoModel", "AutoModelForCausalLM", "AutoModelForImageClassification", "AutoConfig"}
    auto = {name: f"evil.{name}" for name in names}
    change(
        hostile / "config.json", model_type="evil", architectures=["EvilForCausalLM"], auto_map=auto
    )
    (hostile / "model.safetensors").write_bytes(b"")
    (hostile / "tokenizer.json").write_bytes(b"")
    with pytest.raises(ValueError, match="trust_remote_code"):
        load(str(hostile), None)


def test_a_tokenizers_code_does_not_run(make, classifier):
    assert load_text_model(str(classifier), None).kind == "classifier"
    alone = classifier / "tokenizer"
    make.word_piece().save_pretrained(alone)
    (alone / "evil.py").write_text((classifier / "evil.py").read_text())
    change(
        alone / "tokenizer_config.json",
        tokenizer_class="EvilTokenizer",
        auto_map={"AutoTokenizer": ["evil.EvilTokenizer", None]},
    )
    for model in (str(classifier), make.bert()):
        with pytest.raises(ValueError, match="trust_remote_code"):
            load_text_model(model, str(alone))


def test_a_processors_code_does_not_run(vit):
    assert load_classifier(vit, None)[1] is not None
    change(
        vit / "preprocessor_config.json",
        image_processor_type="EvilProcessor",
        auto_map={
            "AutoImageProcessor": "evil.EvilProcessor",
            "AutoProcessor": "evil.EvilProcessor",
        },
    )
    with pytest.raises(ValueError, match="trust_remote_code"):
        load_classifier(vit, None)
    hf = transformers.ViTForImageClassification.from_pretrained(vit)
    with pytest.raises(ValueError, match="trust_remote_code"):
        load_pair_model(hf, vit)


def test_a_compact_checkpoint_is_read_with_the_packages_own_class(make, hostile):
    model = sm.load_model(make.gpt2(), tokenizer=make.byte_bpe())
    players = sm.select_players(model, "heads mlps")
    mask = [i not in (0, 5) for i in range(players.n)]
    folder = sm.export(model, players, mask, hostile / "compact", mode="compact")
    (folder / "modeling_compact.py").write_text((hostile / "evil.py").read_text())
    game = features.text(str(folder), TEXT, target=" not")
    assert game([[True] * game.players.n]).shape == (1,)
    reader = load_text_model(str(folder), None)
    assert type(reader.hf).__module__ == "spex_mech.models.modeling_compact"


def reweigh(folder, change) -> None:
    path = folder / "model.safetensors"
    found = change(safetensors.torch.load_file(path))
    safetensors.torch.save_file(found, path, metadata={"format": "pt"})


def without(part):
    return lambda found: {k: v for k, v in found.items() if part not in k}


@pytest.mark.parametrize("part", ["classifier.", "layer.1.output.dense.weight"])
def test_a_classifier_without_a_part(classifier, part):
    reweigh(classifier, without(part))
    with pytest.raises(InputError, match=rf"lacks .*{part}.* of BertForSequenceClassification"):
        load_text_model(str(classifier), None)


def test_an_image_classifier_without_its_head(vit):
    reweigh(vit, without("classifier."))
    with pytest.raises(InputError, match=r"lacks 2 weights \(classifier\.bias, classifier\.weight"):
        load_classifier(vit, None)


def test_an_encoder_decoder_without_a_layer(make, hostile):
    make.t5().save_pretrained(hostile)
    make.closed_bpe().save_pretrained(hostile)
    assert load_text_model(str(hostile), None).kind == "seq2seq"
    reweigh(hostile, without("decoder.block.1.layer.2.DenseReluDense.wo"))
    with pytest.raises(InputError, match=r"lacks 1 weight .* of T5ForConditionalGeneration"):
        load_text_model(str(hostile), None)


def test_a_contrastive_model_without_a_projection(make, hostile):
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1}
    config = transformers.CLIPConfig(
        text_config={**sizes, "num_attention_heads": 4, "vocab_size": 120},
        vision_config={**sizes, "num_attention_heads": 4, "image_size": 24, "patch_size": 8},
        projection_dim=16,
    )
    make.seeded(lambda: transformers.CLIPModel(config)).save_pretrained(hostile)
    reweigh(hostile, without("text_projection"))
    with pytest.raises(
        InputError, match=r"lacks 1 weight \(text_projection\.weight\) of CLIPModel"
    ):
        load_pair_model(str(hostile), None)


def test_a_pooler_that_nothing_reads_may_be_missing_or_left_over(make, classifier):
    pooler = {"bert.pooler.dense.extra": torch.ones(1)}
    reweigh(classifier, lambda found: {**found, **pooler})
    hf = load_text_model(str(classifier), None).hf
    hf.bert.save_pretrained(classifier)
    reweigh(classifier, without("pooler"))
    reader = load_text_model(str(classifier), None)
    assert reader.kind == "encoder" and reader.hf.pooler is None
    assert reader.key == load_text_model(str(classifier), None).key
    assert features.text(str(classifier), TEXT).source is not None


SPOILT = {
    "weights": (
        "model.safetensors",
        b"junk" * 20,
        r"model\.safetensors is not a whole safetensors",
    ),
    "config": ("config.json", b"null", r"config\.json holds null"),
    "pickled": ("model.safetensors", None, r"only pytorch_model\.bin: pickled .* convert it to"),
    "processor": ("preprocessor_config.json", b"{", r"preprocessor_config\.json is not JSON"),
    "tokenizer": ("tokenizer.json", b"{}", r"tokenizer\.json is not a tokenizer"),
}


def spoil(folder, case):
    name, content, message = SPOILT[case]
    if content is None:
        (folder / name).rename(folder / "pytorch_model.bin")
    else:
        (folder / name).write_bytes(content)
    return pytest.raises(InputError, match=rf"{re.escape(repr(str(folder)))}.*{message}")


@pytest.mark.parametrize("case", ["weights", "config", "pickled", "tokenizer"])
def test_broken_classifiers_give_one_error(classifier, case):
    with spoil(classifier, case):
        load_text_model(str(classifier), None)


@pytest.mark.parametrize("case", ["weights", "config", "pickled", "processor"])
@pytest.mark.parametrize("load", [load_classifier, load_pair_model])
def test_broken_image_models_give_one_error(vit, load, case):
    hf = transformers.ViTForImageClassification.from_pretrained(vit)
    paired = load is load_pair_model and case == "processor"
    with spoil(vit, case):
        load(hf if paired else vit, vit)
