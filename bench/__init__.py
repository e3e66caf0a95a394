"""Benchmarks: what each stage costs, how much the gateways take, and what others do with the same bodies."""
