"""Each stage alone: ``pytest bench/micro``, and ``python -m bench.stages`` for the table of what an event costs."""
