"""What the product is about, as values and decisions. Standard library only; no I/O, no clock, no chance."""
