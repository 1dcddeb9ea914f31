"""The simulated observatory: ephemeris, visibility, weather, exposures, and the environment."""
