"""Metrics that survive a worker and are summed over all of them, their exposition, and the program's own log."""
