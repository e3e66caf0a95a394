"""Settings, keys file and SLO: typed, strict, each value with where it came from."""
