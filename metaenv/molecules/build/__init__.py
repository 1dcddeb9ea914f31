"""How the files in ``data/`` were made: the vocabulary from real molecules, then what is computed of them."""
