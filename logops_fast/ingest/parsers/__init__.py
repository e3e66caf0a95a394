"""Parsers: bytes of one format in, events and faults out."""
