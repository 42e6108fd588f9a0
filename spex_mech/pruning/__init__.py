"""Which players to keep, and whether a kept set is a circuit.

In: a game, the spectrum decoded from it, and a size or limits. Out:

- `Pruned` (prune), a kept set with its predicted and its measured value,
- `PruningCurve` (curve), kept sets of several sizes,
- `SizeChoice` (size), the smallest size whose loss is within the noise of validation questions,
- `Circuit` (circuit), a kept set tested for faithfulness, completeness and minimality by true ablations,
- `UnderAblation` (under), its faithfulness under each of several kinds of ablation,
- `CircuitCurve` (circuit_curve), the faithfulness of kept sets of growing size, with its areas CPR and CMD,
- `AlternativeCircuits` (alternatives), circuits of equal size that share as few players as possible.

    >>> import spex_mech as sm
    >>> spectrum = sm.Spectrum.from_supports([(0,), (1,), (2,)], [-3.0, -1.0, -2.0], n=3)
    >>> sm.prune(spectrum, spectrum, keep=2, validate=3, seed=0).mask
    array([ True, False,  True])

`search` decides which sets are truly ablated, `integer_program` bounds how far a kept set is from the
best one under the spectrum, and the package `methods` holds the methods that ours is compared with. A
new method is a file in `methods` with a function from a `Problem` to kept sets, and a line in ``METHODS``
(compare).
"""
