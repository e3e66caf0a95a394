"""Housekeeping: deletes or archives old day files, never one that is still written to."""
