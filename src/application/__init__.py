"""What the product can do: one file a use case, written against ports."""
