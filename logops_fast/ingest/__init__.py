"""Ingest Gateway (C4 container): parses, normalises, masks and stores batches."""
