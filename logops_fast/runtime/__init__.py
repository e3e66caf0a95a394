"""Processes: supervisor, workers, signals, and the wiring of the gateways."""
