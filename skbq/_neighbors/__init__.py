"""The index: rows, their codes, and the search among them."""
