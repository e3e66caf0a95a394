"""The seam to the native kernel (`kernel/`), which reads the events that are in order; Python reads the others."""
