"""The same job on what a user would pick instead, to run beside ours."""
