# varies: a network is trained on the spot, and processors round differently
# %% [markdown]
# # Which parts of an image make the class?
#
# A small network learns the ten digits, and the patches of one image are the players. A missing patch is
# filled with the image's mean grey. The classifier is a Hugging Face model, as any image classifier of the
# hub is.

# %%
import numpy as np
import torch
import transformers
from sklearn.datasets import load_digits

digits = load_digits()
images = np.kron(digits.images / 16.0, np.ones((4, 4))).astype(np.float32)  # 32 x 32
pixels = torch.tensor(images)[:, None].expand(-1, 3, -1, -1)
labels = torch.tensor(digits.target)
torch.manual_seed(0)
config = transformers.ResNetConfig(
    embedding_size=16, hidden_sizes=[16, 32], depths=[1, 1], layer_type="basic", num_labels=10
)  # fmt: skip
classifier = transformers.ResNetForImageClassification(config)
optimiser = torch.optim.Adam(classifier.parameters(), lr=3e-3)
for _ in range(6):
    for rows in torch.randperm(1500).split(50):
        optimiser.zero_grad()
        classifier(pixels[rows], labels=labels[rows]).loss.backward()
        optimiser.step()
classifier.eval()
with torch.no_grad():
    right = classifier(pixels[1500:]).logits.argmax(1) == labels[1500:]
print(f"share of new digits that it gets right: {right.float().mean():.2f}")

# %%
import spex_mech as sm

chosen = int(np.flatnonzero(digits.target[1500:] == 8)[0]) + 1500
game = sm.features.image(
    classifier, pixels[chosen].numpy(), level=sm.features.Regions(grid=8), value="margin", target=8
)  # fmt: skip
explained = sm.explain_features(game, budget=700, method="walsh_gp", seed=0, progress=False)
print(f"{game.players.n} patches; R² on held-out masks {explained.held_out.r2.mean:.2f}")

# %% [markdown]
# Left the image; in the middle what each patch does for "8" on average (blue helps); at the right the
# strongest pairs.

# %%
from matplotlib.figure import Figure

effects = sm.interactions(explained.found.spectrum, "Banzhaf", order=1)
grid = np.zeros((8, 8))
for (i,), value in effects.values.items():
    grid[divmod(i, 8)] = value
figure = Figure(figsize=(8.4, 3), layout="constrained")
left, middle, right = figure.subplots(1, 3)
for axes in (left, right):
    axes.imshow(
        images[chosen],
        cmap="gray_r",
        extent=(-0.5, 7.5, 7.5, -0.5),
        alpha=1 if axes is left else 0.35,
    )
span = np.abs(grid).max()
middle.imshow(grid, cmap="RdBu", vmin=-span, vmax=span)
pairs = [item for item in explained.interactions.joint(8)]
for (a, b), value in pairs:
    (ya, xa), (yb, xb) = divmod(a, 8), divmod(b, 8)
    color = "#2a6f97" if value > 0 else "#c8553d"
    right.plot(
        [xa, xb], [ya, yb], color=color, lw=1 + 3 * abs(value) / abs(pairs[0][1]), marker="o"
    )
for axes, title in ((left, "image"), (middle, "effects"), (right, "strongest pairs")):
    axes.set_title(title, size=10)
    axes.set_axis_off()
figure

# %% [markdown]
# Blue pairs are worth more together, red pairs can stand in for each other. With a model of the hub it is
# `sm.features.image("google/vit-base-patch16-224", "bird.jpg", level="superpixels")`, and `explained.view()`
# shows the image itself.
