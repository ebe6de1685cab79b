"""Statistics of embeddings that decide how well they quantize."""
