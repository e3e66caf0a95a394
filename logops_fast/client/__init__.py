"""Client library: a logging handler and an async client."""
