"""What a request body is: its media type, its content encoding, how many events it holds."""
