"""Counters that survive a worker and sum over all of them; their exposition; the program's own log."""
