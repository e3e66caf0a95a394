"""Shipping to Loki: follows the sink's files and pushes every acknowledged line once (contract 12)."""
