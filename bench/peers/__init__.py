"""lenet_c beside other libraries on one machine: `python -m bench.peers`."""
