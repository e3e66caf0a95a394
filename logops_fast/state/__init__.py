"""Nonces, token buckets and batch ids: in memory, shared by a machine's workers, or in Redis."""
