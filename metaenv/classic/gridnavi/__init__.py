"""GridNavi."""
