# %% [markdown]
# # Prune a model, and load it elsewhere
#
# Find the heads that a task needs, choose how many, cut the others out, and load the smaller model with
# plain Transformers.

# %%
import numpy as np

import spex_mech as sm

model = sm.load_model("embedded")
task = sm.load_task("embedded/travel").first(40).first(100, "validation").first(100, "test")
players = sm.select_players(model, "heads")
game = sm.TaskGame(model, task, players, metric="margin")
masks = sm.designs.biased(players.n, 1_000, keep_rate=(0.5, 0.95), seed=0)
run = sm.evaluate(game, masks, questions=1, progress=False)
spectrum = sm.decode(masks, run, seed=0)

# %% [markdown]
# One search finds sets of several sizes. Every candidate that looks good is ablated for real, and what is
# learnt at one size helps the others.

# %%
curve = sm.prune_curve(
    game, spectrum, keeps=[24, 16, 12, 8], validate=60, known=run, questions="auto", seed=0
)
choice = sm.choose_size(curve, game.with_split("validation"), metric="accuracy", tolerance=0.01)
for size, loss in choice.losses.items():
    print(f"{size:>3} heads: accuracy {-loss.mean:+.2f} on validation questions")
print("chosen:", choice.keep)

# %% [markdown]
# The size was chosen on validation questions. The test questions, which nobody has used yet, say what it is
# worth:

# %%
test = game.with_split("test")
full, kept = test.per_example(test.scores(np.stack([np.ones(32, dtype=bool), choice.pruned.mask])))
print(f"right on {len(full)} test questions with 32 heads: {(full > 0).mean():.2f}")
print(f"with {choice.keep} heads: {(kept > 0).mean():.2f}")

# %% [markdown]
# ## Cut it out
#
# A *compact* checkpoint lacks the weights of the removed heads. Its *form* says who reads it.

# %%
for form, obstacle in sm.export_forms(model, players, choice.pruned.mask).items():
    print(f"{form:<7} {'fits' if obstacle is None else 'does not fit'}")

# %%
folder = sm.export(model, players, choice.pruned.mask, "small", mode="compact")
print([path.name for path in sorted(folder.iterdir())])

# %% [markdown]
# The form `own` holds any set of heads. After `sm.register_compact()` Transformers loads it, without
# running any code from the folder. It must answer as the masked model does.

# %%
import torch
import transformers

sm.register_compact()
loaded = transformers.AutoModelForCausalLM.from_pretrained("small")
tokenizer = transformers.AutoTokenizer.from_pretrained("small")
example = task.select("test")[0]
with torch.no_grad():
    logits = loaded(**tokenizer(example.prompt, return_tensors="pt")).logits[0, -1]
letters = [tokenizer(example.prompt + " " + option)["input_ids"][-1] for option in example.options]
masked = test.scores(choice.pruned.mask[None])[0, 0]
print(
    "answer:",
    example.options[int(logits[letters].argmax())],
    "right:",
    example.options[example.answer],
)
print("as the masked model says:", bool(np.allclose(logits[letters].numpy(), masked, atol=1e-4)))

# %% [markdown]
# ## A stock model
#
# To need nothing of this library at the other end, keep to sets that a stock class can hold.
# `servable("family")` makes all layers keep equally many heads, so that the result is an ordinary, smaller
# Llama.

# %%
rule = sm.servable("family")
even = sm.prune(
    game, spectrum, keep=16, limits=rule, validate=20, known=run, questions="auto", seed=0
)
sm.export(model, players, even.mask, "stock", mode="compact", form="family")
stock = transformers.AutoModelForCausalLM.from_pretrained("stock")
print(type(stock).__name__, "with", stock.config.num_attention_heads, "heads in each layer")
before, after = (sum(p.numel() for p in m.parameters()) for m in (model.hf, stock))
print(f"{before:,} parameters before, {after:,} after")

# %% [markdown]
# With SmolLM2, Llama or Mistral, `form="gguf"` writes a file that `llama-server -m small/model.gguf`
# serves, and with Qwen3 `form="laguna"` a folder for vLLM.
