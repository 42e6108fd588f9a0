# %% [markdown]
# # Which documents does an answer rest on?
#
# A search has found documents, and a model answers from them. Which of them does it use? Some questions
# need two documents at once, and some documents only repeat others. Single scores hide both; interactions
# show both.

# %%
import spex_mech as sm

model = sm.load_model("embedded")
example = sm.load_task("embedded/boxes").examples[0]
passage, question = example.prompt.split("\n", 1)
documents = [sentence.strip() + "." for sentence in passage.split(".") if sentence.strip()]
for number, document in enumerate(documents):
    print(number, document)
print(question.split("\n")[0])

# %% [markdown]
# The thing is in a container (one document), and the container is in a room (another). With eight documents
# there are only 256 masks, and all are taken: nothing is estimated.

# %%
right = example.options[example.answer]
target = [right, *(option for option in example.options if option != right)]
game = sm.features.text(
    model, [document + " " for document in documents], level="document", template="{text}\n" + question,
    target=target, value="probability",
)  # fmt: skip
explained = sm.explain_features(game, budget=256, seed=0, progress=False)
effects = sm.interactions(explained.found.spectrum, "Shapley", order=1)
for i, document in enumerate(documents):
    print(f"{effects.values[(i,)]:+.2f}  {document}")

# %%
for members, value in explained.interactions.joint(1):
    print(f"{value:+.2f}", " + ".join(documents[i] for i in members))

# %% [markdown]
# ## A document twice
#
# Now the search finds one of the two needed documents twice. Either copy does, so the two copies have a
# negative interaction: the second adds nothing to the first.

# %%
(first, second), _ = explained.interactions.joint(1)[0]
doubled = [*documents, documents[second]]
again = sm.features.text(
    model, [document + " " for document in doubled], level="document", template="{text}\n" + question,
    target=target, value="probability",
)  # fmt: skip
explained = sm.explain_features(again, budget=512, seed=0, progress=False)
copies = explained.interactions.values[(second, len(documents))]
print(f"the two copies together: {copies:+.2f}")

# %%
from spex_mech.report import plots

plots.interaction_matrix(
    sm.interactions(explained.found.spectrum, "Banzhaf", order=1), explained.interactions, again.players
)  # fmt: skip
