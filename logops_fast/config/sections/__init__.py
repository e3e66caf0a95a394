"""The sections of ``logops.yaml``: a module for each concern, one struct for each section."""
