"""Values of parameters that several predictions share."""

QUERIES = ("codes", "vectors")
METRICS = ("inner_product", "cosine")
CODE_METRICS = ("auto", "hamming", "penalty", "dot")
