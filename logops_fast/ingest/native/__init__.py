"""The interface to the native kernel (`kernel/`), which reads ordinary events; Python reads the others."""
