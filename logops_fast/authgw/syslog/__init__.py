"""The syslog listener: lines over TCP, TLS and UDP, gathered into batches for the same pipeline as everything else."""
