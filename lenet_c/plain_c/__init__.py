"""Networks as one C99 file: see `lenet_c.export.c`."""
