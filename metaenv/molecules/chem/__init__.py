"""Fragments, their assembly into molecules, SMILES, exact properties and scores."""
