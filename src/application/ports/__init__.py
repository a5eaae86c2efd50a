"""What the use cases need of the world: I/O, time and chance, in the product's own verbs."""
