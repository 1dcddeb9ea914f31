"""Molecules from real fragments: a vocabulary, the state machine that joins it, notation, and exact properties.

`fragments` is the mined vocabulary, `anchors` are real molecules it can build, `assembly` is the batched building of
molecules without chemistry, `notation` build sequence to SMILES and back, `properties` what is scored. `cuts` and
`alerts` are the chemistry of fragments; `mine` and `contexts` made the files in ``data/``.

RDKit is imported inside functions only: building and the additive properties do not need it.
"""
