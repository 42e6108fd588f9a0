"""Decoders: from masks and their values to a sparse spectrum.

In: a `MaskDesign` and the values of its masks. Out: a `Spectrum`, whose ``info`` says which method was
used, what it explains, and what R² to expect. `decode` (decode) calls any decoder by name, and chooses one
itself by default. `explain` (explain) evaluates and decodes in turns until the
spectrum is good enough.

    >>> import spex_mech as sm
    >>> design = sm.designs.uniform(10, 200, seed=0)
    >>> values = 2.0 * (design.masks[:, 1] & design.masks[:, 4])
    >>> spectrum = sm.decode(design, values, method="lasso", seed=0)
    >>> sm.interactions(spectrum, index="Moebius", order=2).top(1)[0][0]
    (1, 4)

The packages are `gp`, a Gaussian process with a Walsh kernel, `spex`, the decoder of coded designs, and
`stack`, a weighted mean of several decoders. `shapiq_approximator` (shapiq) lends them to the package
shapiq. A new decoder is a file here with a function ``(design,
values, *, seed) -> Spectrum``, and a line in ``DECODERS`` (decode).
"""
