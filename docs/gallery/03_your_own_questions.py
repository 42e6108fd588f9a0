# %% [markdown]
# # Your own questions, from a CSV file
#
# Your questions are in a table. A card of seven lines says how to ask them, and the model is pruned for
# just these questions. Here the table is made from the embedded model's world, since that is all this small
# model knows; with a model of yours, take any table.

# %%
from pathlib import Path

import spex_mech as sm

questions = sm.load_task("embedded/capitals").select("search")[:100]
lines = ["question,A,B,C,D,answer"]
for asked in questions:
    first, *choices, _ = asked.prompt.split("\n")
    lines.append(",".join([first, *(choice[3:] for choice in choices), "ABCD"[asked.answer]]))
Path("quiz.csv").write_text("\n".join(lines) + "\n")
print("\n".join(lines[:4]))

# %% [markdown]
# The card says where the table is, how a row becomes a prompt, and what the model must answer. Columns
# stand in braces.

# %%
Path("quiz.toml").write_text(
    "version = 1\n"
    'description = "questions of my own"\n'
    'data = "quiz.csv"\n'
    'template = "{question}\\nA. {A}\\nB. {B}\\nC. {C}\\nD. {D}\\nAnswer:"\n'
    'options = ["A", "B", "C", "D"]\n'
    'metric = "margin"\n'
)
task = sm.load_task("quiz.toml")
print(task)
print(task.examples[0].prompt)

# %% [markdown]
# Rows without a column `split` are divided by a hash of the question: half to search, a tenth to
# validation, the rest to test. How large a difference can so few test questions show?

# %%
model = sm.load_model("embedded")
for split, noise in sm.task_noise(model, task).items():
    print(f"{split:<11}{noise}")

# %% [markdown]
# From here all is as with any task: masks, spectrum, pruning, and a score on the test questions, which
# nothing above has used.

# %%
import numpy as np

players = sm.select_players(model, "heads")
game = sm.TaskGame(model, task, players)
masks = sm.designs.biased(players.n, 800, keep_rate=(0.4, 0.95), seed=0)
run = sm.evaluate(game, masks, questions=1, progress=False)
spectrum = sm.decode(masks, run, seed=0)
pruned = sm.prune(game, spectrum, keep=12, validate=20, questions="auto", seed=0)
test = game.with_split("test")
full, kept = test.per_example(test.scores(np.stack([np.ones(32, dtype=bool), pruned.mask])))
print(f"right on {len(full)} test questions with all heads: {(full > 0).mean():.2f}")
print(f"with 12 heads: {(kept > 0).mean():.2f}")

# %% [markdown]
# The same from the command line, with a report: `spex-mech run my.toml --out runs/quiz`, where `my.toml`
# says `task = "quiz.toml"`.
