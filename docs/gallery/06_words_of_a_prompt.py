# %% [markdown]
# # Which words of a prompt make the answer?
#
# Four people, two facts about each, and a question about one of them. The words of the passage are the
# players: a missing word is left out of the prompt.

# %%
import spex_mech as sm

model = sm.load_model("embedded")
example = sm.load_task("embedded/people").examples[2]
passage, question = example.prompt.split("\n", 1)
right = example.options[example.answer]
others = [option for option in example.options if option != right]
print(example.prompt, right)

# %% [markdown]
# The value is the margin: the score of the right letter minus that of the best other one. `template` stands
# around the passage and always stays.

# %%
game = sm.features.text(
    model, passage, level="word", template="{text}\n" + question, target=[right, *others], value="margin"
)  # fmt: skip
explained = sm.explain_features(game, "runs/words", budget=700, seed=0, progress=False)
print(f"{game.players.n} words; R² on held-out masks {explained.held_out.r2.mean:.2f}")

# %% [markdown]
# Which words matter by themselves? The two that help most, and the one that hurts most. (`Ivan #2` is the
# second time that the word stands in the passage.)

# %%
effects = sm.interactions(explained.found.spectrum, "Banzhaf", order=1)
ranked = sorted(effects.values.items(), key=lambda item: -item[1])
for (i,), value in (*ranked[:2], ranked[-1]):
    print(f"{value:+.2f}  {game.players.names[i]}")

# %% [markdown]
# And which pairs? Words of the fact that is asked for work together: neither the name nor the pet says
# anything without the other. Where another name stands before the pet, the answer suffers.

# %%
from spex_mech.report import plots

plots.top_interactions(explained.interactions, game.players, k=10)

# %% [markdown]
# In a notebook `explained.view()` shows the text itself with highlights and arcs. The folder `runs/words`
# makes a page of it: `spex-mech report runs/words`.

# %%
print(sm.write_report("runs/words"))
