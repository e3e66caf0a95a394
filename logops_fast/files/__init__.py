"""File primitives shared by all packages: advisory locks, and files that are replaced as a whole."""
