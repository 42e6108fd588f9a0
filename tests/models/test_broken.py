"""A broken checkpoint gives one error: the folder, the file or setting at fault, and the remedy."""

from __future__ import annotations

import json

import pytest
import torch

import spex_mech as sm
from spex_mech.core.errors import InputError


def cut(folder, name, share=0.5):
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: int(len(data) * share)])


def shards(folder, change):
    """The weights in shards, whose index is then changed."""
    hf = sm.load_model(folder.path, device="cpu").hf
    (folder / "model.safetensors").unlink()
    hf.save_pretrained(folder.path, max_shard_size="10KB")
    change(folder)


def index(folder, change):
    path = folder / "model.safetensors.index.json"
    found = json.loads(path.read_text())
    found["weight_map"] = change(found["weight_map"])
    path.write_text(json.dumps(found))


def write(name, text):
    return lambda folder: (folder / name).write_bytes(text.encode())


def pickled_only(folder):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"would be unpickled")


def pickled_shard(folder):
    write("part.bin", "would be unpickled")(folder)
    index(folder, lambda found: dict.fromkeys(found, "part.bin"))


def custom(folder):
    folder.set(model_type="own", auto_map={"AutoConfig": "own.C", "AutoModelForCausalLM": "own.M"})
    write("own.py", f"open({str(folder.path.parent / 'ran')!r}, 'w')")(folder)


def no_head_dim(folder, **values):
    folder.set(head_dim=None, **values)


def quantised(folder, **values):
    folder.set(quantization_config=values)


REMEDIES = ("save", "use", "copy", "convert", "install", "merge")
WEIGHTS, CONFIG = r"model\.safetensors is not a whole safetensors", r"config\.json"
TOKENIZER, SETTINGS = r"tokenizer\.json is not", r"tokenizer_config\.json"
INDEX = r"model\.safetensors\.index\.json"
CASES = {
    "weights empty": (write("model.safetensors", ""), WEIGHTS),
    "weights junk": (write("model.safetensors", "junk" * 100), WEIGHTS),
    "weights truncated": (lambda f: cut(f, "model.safetensors"), WEIGHTS),
    "weights header only": (lambda f: cut(f, "model.safetensors", 0.001), WEIGHTS),
    "weights a web page": (write("model.safetensors", "<html>not found</html>"), WEIGHTS),
    "weights pickled": (pickled_only, r"only pytorch_model\.bin.*convert it to safetensors"),
    "shard missing": (
        lambda f: shards(f, lambda f: sorted(f.path.glob("model-*"))[1].unlink()),
        r"lacks 1 of the 15 shards that .*index\.json names \(model-00002-of-00015\.safetensors\)",
    ),
    "shard truncated": (
        lambda f: shards(f, lambda f: cut(f, sorted(f.path.glob("model-*"))[1].name)),
        r"model-00002-of-\d+\.safetensors is not a whole",
    ),
    "shard pickled": (lambda f: shards(f, pickled_shard), INDEX + r".* \*\.safetensors files only"),
    "index junk": (lambda f: shards(f, write("model.safetensors.index.json", "{")), INDEX),
    "index a list": (lambda f: shards(f, write("model.safetensors.index.json", "[]")), INDEX),
    "index without map": (lambda f: shards(f, lambda f: index(f, lambda m: None)), INDEX),
    "index of numbers": (lambda f: shards(f, lambda f: index(f, lambda m: {"a": 1})), INDEX),
    "config junk": (write("config.json", "{'a': 1"), CONFIG + " is not JSON"),
    "config empty": (write("config.json", ""), CONFIG + " is not JSON"),
    "config a list": (write("config.json", "[1]"), CONFIG + r" holds \[1\], expected an object"),
    "config null": (write("config.json", "null"), CONFIG + " holds null, expected an object"),
    "config binary": (lambda f: (f / "config.json").write_bytes(b"\xff\xfe\x00"), CONFIG),
    "config of no kind": (write("config.json", "{}"), CONFIG),
    "config of an unknown kind": (lambda f: f.set(model_type="nosuch"), "model_type to 'nosuch'"),
    "architectures a number": (lambda f: f.set(architectures=3), CONFIG),
    "activation unknown": (lambda f: f.set(hidden_act="nosuch"), "hidden_act to 'nosuch'"),
    "rope junk": (lambda f: f.set(rope_parameters="junk"), CONFIG),
    "0 heads": (lambda f: f.set(num_attention_heads=0), "num_attention_heads to 0"),
    "3 heads": (lambda f: f.set(num_attention_heads=3), "number of attention heads .3."),
    "3 heads of no width": (
        lambda f: no_head_dim(f, num_attention_heads=3),
        "number of attention heads .3.",
    ),
    "heads a text": (lambda f: f.set(num_attention_heads="8"), "num_attention_heads to '8'"),
    "heads a fraction": (lambda f: f.set(num_attention_heads=4.5), "num_attention_heads to 4.5"),
    "3 key heads": (lambda f: f.set(num_key_value_heads=3), CONFIG),
    "0 layers": (lambda f: f.set(num_hidden_layers=0), "num_hidden_layers to 0"),
    "-1 layers": (lambda f: f.set(num_hidden_layers=-1), "num_hidden_layers to -1"),
    "layers true": (lambda f: f.set(num_hidden_layers=True), "num_hidden_layers to True"),
    "more layers": (lambda f: f.set(num_hidden_layers=4), r"lacks 9 weights .* config\.json"),
    "vocabulary of another size": (lambda f: f.set(vocab_size=99), r"of other sizes than config"),
    "width a text": (lambda f: f.set(hidden_size="wide"), "hidden_size to 'wide'"),
    "width negative": (lambda f: f.set(intermediate_size=-48), "intermediate_size to -48"),
    "GPTQ": (lambda f: quantised(f, quant_method="gptq", bits=4), "quantization_config"),
    "bitsandbytes": (
        lambda f: quantised(f, quant_method="bitsandbytes", load_in_4bit=True),
        "quantization_config",
    ),
    "custom code": (custom, r"code that came with it.*load_model\(\.\.\., trust_remote_code=True"),
    "adapter": (
        lambda f: f.set(
            "adapter_config.json", base_model_name_or_path="else/where", peft_type="LORA"
        ),
        r"adapter_config\.json.*merge_and_unload",
    ),
    "tokenizer junk": (write("tokenizer.json", "{"), TOKENIZER),
    "tokenizer empty": (write("tokenizer.json", ""), TOKENIZER),
    "tokenizer null": (write("tokenizer.json", "null"), r"tokenizer\.json holds null"),
    "tokenizer a list": (write("tokenizer.json", "[]"), r"tokenizer\.json holds \[\]"),
    "tokenizer of nothing": (write("tokenizer.json", "{}"), TOKENIZER),
    "tokenizer of an unknown model": (
        lambda f: f.set("tokenizer.json", model={"type": "NoSuch"}),
        TOKENIZER,
    ),
    "tokenizer settings junk": (write("tokenizer_config.json", "{"), SETTINGS),
    "tokenizer settings a list": (write("tokenizer_config.json", "[]"), SETTINGS),
    "tokenizer settings null": (write("tokenizer_config.json", "null"), SETTINGS),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("default")  # what Transformers warns of on the way is not the matter
def test_a_broken_checkpoint_gives_one_error(folder, case):
    spoil, at_fault = CASES[case]
    spoil(folder)
    with pytest.raises(InputError, match=at_fault) as caught:
        sm.load_model(folder.path, device="cpu")
    message = str(caught.value)
    assert repr(str(folder.path)) in message and "\n" not in message
    assert len(message) < 900
    assert any(f"{word} " in message.lower() for word in REMEDIES)
    assert not (folder.path.parent / "ran").exists()


def test_what_transformers_said_is_the_cause_and_is_quoted(folder):
    cut(folder, "model.safetensors")
    with pytest.raises(InputError, match=r"\(Error while deserializing header: .*\)") as caught:
        sm.load_model(folder.path)
    assert type(caught.value.__cause__).__name__ == "SafetensorError"
    folder.set(model_type="nosuch")
    with pytest.raises(InputError, match=r"\(Transformers says: .*\)$"):
        sm.load_model(folder.path)


@pytest.mark.parametrize(
    "error", [MemoryError, KeyboardInterrupt, torch.OutOfMemoryError, InputError]
)
def test_some_errors_pass_through(folder, error, monkeypatch):
    def fail(*args, **options):
        raise error("as it is")

    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", fail)
    with pytest.raises(error, match=r"^as it is$"):
        sm.load_model(folder.path)


def test_an_option_that_transformers_does_not_take(folder):
    with pytest.raises(
        InputError, match=r"does not take the option 'nonsense' here\. Leave it out"
    ):
        sm.load_model(folder.path, nonsense=1)


def test_a_hub_id_that_cannot_be_reached():
    with pytest.raises(InputError, match="'nobody/nothing' cannot be loaded: check the hub id"):
        sm.load_model("nobody/nothing")


def test_a_tokenizers_folder_that_is_not_there(tiny_llama):
    with pytest.raises(FileNotFoundError, match=r"'\./nowhere' does not exist"):
        sm.load_model(tiny_llama.hf, tokenizer="./nowhere")


def test_a_broken_tokenizer_given_beside_a_model(tiny_llama, folder):
    write("tokenizer.json", "{")(folder)
    with pytest.raises(InputError, match=TOKENIZER):
        sm.load_model(tiny_llama.hf, tokenizer=folder.path)
