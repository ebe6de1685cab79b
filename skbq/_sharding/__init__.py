"""One index of many files: shards that share what was learned, and a manifest."""
