"""What works with packages that a project may or may not use."""
