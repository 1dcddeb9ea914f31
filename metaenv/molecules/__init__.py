"""Drug design with molecules made of real fragments.

`chem` holds the chemistry: the mined vocabulary of fragments, their assembly into molecules, SMILES, properties and
scores. `reference_molecules` are real and random molecules and what is known of them, `objectives` is what all
hidden objectives have in common. `design` and `lead` are the two environments, and `assay` is the variant of `design`
with real targets. `build` makes a chemistry; ``data/`` holds that of the package.

RDKit is imported inside functions only: building molecules and their additive properties do not need it.
"""
