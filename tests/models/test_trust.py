"""Code that came with a checkpoint runs only when the caller asks for it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import transformers

import spex_mech as sm
from spex_mech.core.errors import InputError

PACKAGE = Path(sm.__file__).parent


@pytest.fixture(autouse=True)
def answers(monkeypatch):
    """Whoever is asked on stdin says yes."""
    monkeypatch.setattr("builtins.input", lambda *_: "y")


@pytest.fixture
def marker(folder):
    """The file that exists once a folder's code ran."""
    ran = folder.path.parent / "ran"
    for name in ("evil.py", "modeling_compact.py"):
        (folder / name).write_text(f"open({str(ran)!r}, 'w').close()\n")
    return ran


def test_every_call_says_whether_code_may_run():
    """Of classes that can run a folder's code: all of Transformers' but those named one by one."""
    found = 0
    for path in PACKAGE.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call):
                continue
            called = ast.unparse(call.func)
            of, _, method = called.rpartition(".")
            concrete = of[:1].isupper() and not of.startswith("Auto")
            loads = method in ("from_pretrained", "from_config") and not concrete
            if not (loads or method == "pipeline"):
                continue
            found += 1
            said = {k.arg: ast.unparse(k.value) for k in call.keywords}.get("trust_remote_code")
            assert said in ("False", "trust_remote_code"), f"{path}:{call.lineno} {called}: {said}"
    assert found >= 4


def test_a_models_code_does_not_run(folder, marker):
    for kind in ("evil", "llama"):
        folder.set(
            model_type=kind,
            auto_map={"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"},
        )
        if kind == "evil":
            with pytest.raises(ValueError, match="trust_remote_code"):
                sm.load_model(folder.path)
        else:
            assert type(sm.load_model(folder.path).hf) is transformers.LlamaForCausalLM
    assert not marker.exists()


def test_a_tokenizers_code_does_not_run(tiny_llama, folder, marker):
    folder.set(
        "tokenizer_config.json",
        tokenizer_class="EvilTokenizer",
        auto_map={"AutoTokenizer": ["evil.EvilTokenizer", None]},
    )
    for load in (
        lambda: sm.load_model(tiny_llama.hf, tokenizer=folder.path),
        lambda: sm.load_model(tiny_llama.hf, tokenizer=str(folder.path)),
        lambda: sm.load_model(folder.path),
    ):
        with pytest.raises(ValueError, match="trust_remote_code"):
            load()
    assert not marker.exists()


def test_a_compact_checkpoints_code_does_not_run_for_its_tokenizer(tiny_llama, folder, marker):
    players = sm.select_players(tiny_llama, "heads mlps")
    mask = [i not in (0, 5) for i in range(players.n)]
    model = sm.load_model(tiny_llama.hf, tokenizer=folder.path)
    compact = sm.export(model, players, mask, folder.path.parent / "compact", mode="compact")
    (compact / "modeling_compact.py").write_text((folder / "evil.py").read_text())
    assert sm.load_model(tiny_llama.hf, tokenizer=compact).tokenizer("A")["input_ids"] == [1]
    assert sm.load_model(compact).tokenizer("A")["input_ids"] == [1]
    assert not marker.exists()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"attn_implementation": "kernels-community/flash-attn2"}, "attn_implementation"),
        ({"_attn_implementation": "someone/kernels@main:attention"}, "_attn_implementation"),
        ({"_attn_implementation_internal": "paged|someone/kernels"}, "paged"),
        ({"attn_implementation": {"text_config": "someone/kernels"}}, "text_config"),
        ({"text_config": {"attn_implementation": "a:b"}}, r"text_config\.attn"),
    ],
)
def test_kernels_are_not_fetched(folder, settings, named):
    folder.set(**settings)
    with pytest.raises(InputError, match=rf"'.*m' sets .*{named}.* package of kernels .*'sdpa'"):
        sm.load_model(folder.path)
