# %% [markdown]
# # Any function of your own: genes behind a trait
#
# A plant has 120 genes that may be switched off, and a trait that you can measure. The trait follows rules
# that nobody has told you: two pathways that need all their genes, a gene that blocks one of them, and a
# little of many. With 120 genes there are 2¹²⁰ combinations. How many plants must you grow?

# %%
import numpy as np

import spex_mech as sm

GENES = sm.PlayerSet.from_names([f"g{i}" for i in range(120)])


def trait(masks: np.ndarray) -> np.ndarray:
    """What you would measure: masks (m, 120), True = the gene is on, to one number for each plant."""
    pathway = masks[:, 12] & masks[:, 40] & masks[:, 77]
    other = masks[:, 3] & masks[:, 91]
    blocked = pathway & masks[:, 55]
    return 4.0 * pathway + 2.5 * other - 3.0 * blocked + 0.5 * masks[:, 100]


# %% [markdown]
# If you may choose the combinations, let a code choose them. `designs.spex` builds masks from which a
# sparse function is recovered exactly, as an error-correcting code recovers a message.

# %%
masks = sm.designs.spex(120, 3_500, max_degree=4, seed=0)
values = sm.evaluate(trait, masks, progress=False).values
spectrum = sm.decode(masks, values, method="spex")
print(f"{len(masks)} plants of 2^120; {spectrum.info['message']}")

# %% [markdown]
# The Moebius index reads a function as a sum of ANDs: what a set of genes adds when all of it is on. These
# are the rules:

# %%
for genes, value in sm.interactions(spectrum, "Moebius", order=4).top(5):
    if abs(value) > 0.01:
        print(f"{value:+.2f}  {GENES.label(genes)}")

# %% [markdown]
# ## With noise, and masks that you did not choose
#
# Field data are random combinations, measured with error. No code helps there, but boosted trees, turned
# into a spectrum, take any masks. (The default decoder does too; with 120 players it takes about a minute.)

# %%
rng = np.random.default_rng(0)
field = sm.designs.biased(120, 800, keep_rate=0.5, seed=1)
measured = trait(field.masks) + rng.normal(0, 0.5, len(field))
learned = sm.decode(field, measured, method="proxyspex", seed=0)
new = sm.designs.biased(120, 500, keep_rate=0.5, seed=2).masks
print(f"R² on new plants, without the noise: {sm.faithfulness(learned, new, trait(new)):.2f}")
for genes, value in sorted(sm.interactions(learned, "FBII", order=2).top(4)):
    print(f"{value:+.2f}  {GENES.label(genes)}")
