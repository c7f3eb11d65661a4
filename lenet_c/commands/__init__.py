"""What `lenet-c` does, a module for each part of it."""
