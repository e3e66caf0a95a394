"""HTTP/1.1 over raw asyncio protocols: a strict server and a pooled client. Knows nothing of logs."""
