"""Objectives from measured assays, for MoleculeDesign's variant `assay`."""
