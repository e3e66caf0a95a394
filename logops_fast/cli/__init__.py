"""The logops command."""
