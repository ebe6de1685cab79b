"""Used everywhere: parameters, validation, similarity, threads."""
