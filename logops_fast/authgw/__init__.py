"""Auth Gateway (C4 container): proves who sent a batch and refuses what would hurt."""
