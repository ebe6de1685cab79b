"""Products that are set up by SQL or from Python."""

from math import ceil

from ._plan import (
    Export,
    Prepared,
    Recommendation,
    measure_again,
    only_one_bit,
    other_two_bits,
    own_codes,
    prepare,
    unit_rows,
)

_GIVEN = "# vectors, queries: arrays of float32, a row each"

_PGVECTOR = (
    "pgvector 0.8.1, README, sections 'Binary Quantization', 'Binary Vectors', 'HNSW' "
    "and 'Iterative Index Scans' (https://github.com/pgvector/pgvector)"
)
_PGVECTOR_EF = (40, 1000)  # default and largest hnsw.ef_search


def pgvector(rec: Recommendation) -> Export:
    """Index signs taken by pgvector, or skbq's codes where these need more than signs.

    A column of its own for the codes leaves the vectors as they are, so that they are
    reranked by the metric itself.
    """
    own, reranks = rec.centre or rec.rotate, rec.oversampling is not None
    done = ["Hamming distance between codes, with an HNSW index."]
    by_user = [
        measure_again("the HNSW graph may lose some more; raise hnsw.ef_search.")
    ]
    if own:
        by_user.insert(
            0,
            "Encode rows and queries with skbq, by the code given, and fill the column "
            "'code'. Save the quantizer: what comes later needs the same.",
        )
    else:
        done.insert(0, "One-bit codes by binary_quantize: 1 where positive.")
    if reranks:
        done.append(f"Reranking of {rec.candidates} candidates, by the query given.")
    cannot = only_one_bit(rec, "pgvector compares bits by Hamming distance.")
    if rec.query == "vectors":
        cannot.append("Float queries against codes: queries are one-bit codes too.")
    return Export(
        "pgvector",
        "\n".join(_pgvector_sql(rec, own)),
        _pgvector_codes(rec) if own else "",
        done,
        by_user,
        cannot,
        _PGVECTOR,
    )


def _pgvector_sql(rec: Recommendation, own: bool) -> list[str]:
    d, reranks = rec.n_features, rec.oversampling is not None
    columns = ["id bigserial PRIMARY KEY"]
    if reranks or not own:
        columns.append(f"embedding vector({d})")
    if own:
        columns.append(f"code bit({d})")
        code = indexed = "code"
        asked = f"$2::bit({d})" if reranks else f"$1::bit({d})"
        bound = "$1 the query, $2 its code" if reranks else "$1 the code of the query"
    else:
        code = f"binary_quantize(embedding)::bit({d})"
        indexed, bound = f"({code})", "$1 the query"
        asked = f"binary_quantize($1::vector({d}))"
    return [
        "CREATE EXTENSION IF NOT EXISTS vector;",
        f"CREATE TABLE items ({', '.join(columns)});",
        "-- once the rows are in:",
        f"CREATE INDEX ON items USING hnsw ({indexed} bit_hamming_ops);",
        *_pgvector_ef(rec.candidates),
        f"-- bind {bound}",
        *_pgvector_query(rec, f"{code} <~> {asked}"),
    ]


def _pgvector_ef(wanted: int) -> list[str]:
    default, largest = _PGVECTOR_EF
    lines = [
        "-- an index scan gives no more rows than this:",
        f"SET hnsw.ef_search = {min(max(default, wanted), largest)};",
    ]
    if wanted > largest:
        lines += [
            "-- and goes on until there are enough (since 0.8.0)",
            "SET hnsw.iterative_scan = strict_order;",
        ]
    return lines


def _pgvector_query(rec: Recommendation, distance: str) -> list[str]:
    k = rec.n_neighbors
    if rec.oversampling is None:
        return [f"SELECT id FROM items ORDER BY {distance} LIMIT {k};"]
    operators = {"cosine": "<=>", "euclidean": "<->", "inner_product": "<#>"}
    exact = f"embedding {operators[rec.metric]} $1::vector({rec.n_features})"
    return [
        "SELECT id FROM (",
        "  SELECT id, embedding FROM items",
        f"  ORDER BY {distance} LIMIT {rec.candidates}",
        ") AS candidates",
        f"ORDER BY {exact} LIMIT {k};",
    ]


def _pgvector_codes(rec: Recommendation) -> str:
    imports, body = own_codes(rec)
    return "\n".join(
        [
            *imports,
            "",
            *body,
            "",
            "def bit_strings(rows):",
            "    ones = quantizer.transform(rows).unpack() > 0",
            '    return ["".join(row) for row in np.where(ones, "1", "0")]',
            "",
            "codes, query_codes = bit_strings(rows), bit_strings(query_rows)",
            "# send vectors with codes, and queries with query_codes",
        ]
    )


_LANCEDB = (
    "LanceDB, documentation pages 'Quantization', 'RaBitQ' and 'Vector Indexes' "
    "(https://docs.lancedb.com/indexing/quantization, .../rabitq and .../vector-index)"
)
_LANCEDB_MULTIPLE = 8


def lancedb(rec: Recommendation) -> Export:
    """Use IVF_RQ, which is RaBitQ of any number of bits."""
    metric = {"cosine": "cosine", "euclidean": "l2", "inner_product": "dot"}
    refine = rec.oversampling is not None
    lines = [
        "# table: a LanceDB table whose column 'vector' holds the vectors",
        "table.create_index(",
        f'    metric="{metric[rec.metric]}",',
        '    vector_column_name="vector",',
        '    index_type="IVF_RQ",',
        f"    num_bits={rec.bits},",
        ")",
        "found = (",
        "    table.search(query)",
        f'    .distance_type("{metric[rec.metric]}")',
        f"    .limit({rec.n_neighbors})",
        *([f"    .refine_factor({ceil(rec.oversampling or 1)})"] if refine else []),
        "    .to_list()",
        ")",
    ]
    done = [
        "Quantization, centring (about the centroid of each partition) and rotation.",
        "Queries finer than the rows.",
    ]
    if refine:
        done.append(
            "Oversampling (refine_factor, a whole number) and reranking with the "
            "vectors of the table."
        )
    return Export(
        "lancedb",
        "\n".join(lines),
        "",
        done,
        [
            measure_again(
                "nprobes = num_partitions in the query does so too, and "
                "bypass_vector_index() gives the exact neighbors."
            )
        ],
        _lancedb_limits(rec),
        _LANCEDB,
    )


def _lancedb_limits(rec: Recommendation) -> list[str]:
    cannot = []
    if not rec.centre:
        cannot.append("Leave out centring: RaBitQ always centres.")
    if not rec.rotate:
        cannot.append("Leave out rotation: RaBitQ always rotates.")
    if rec.query == "codes":
        cannot.append("Coded queries: RaBitQ's are finer than its rows.")
    cannot += other_two_bits(
        rec,
        "RaBitQ of two bits has its own; older versions cannot read such an index.",
    )
    if rec.n_features % _LANCEDB_MULTIPLE:
        cannot.append(
            f"Vectors of {rec.n_features} coordinates: IVF_RQ needs a multiple of "
            f"{_LANCEDB_MULTIPLE}. Append columns of zeros to rows and queries."
        )
    return cannot


_FAISS = (
    "faiss 1.15.1, which skbq's tests run these snippets with, and the faiss wiki "
    "(https://github.com/facebookresearch/faiss/wiki)"
)


def faiss(rec: Recommendation) -> Export:
    """Search skbq's one-bit codes, or use RaBitQ for float queries and two bits."""
    if rec.bits == 1 and rec.query == "codes":
        lines = _faiss_binary(rec)
        done = ["Hamming distance between all codes (IndexBinaryFlat)."]
        by_user = ["Encode with skbq's quantizer (part of the snippet), and save it."]
        if rec.oversampling is not None:
            by_user.append(
                "Rerank, since a binary index keeps no vectors (part of the snippet; "
                "search many queries in batches, it copies their candidates)."
            )
        return Export("faiss", "\n".join(lines), "", done, by_user, [], _FAISS)
    done = ["Quantization and float queries (IndexRaBitQ with qb = 0)."]
    if rec.centre:
        done.append("Centring at the mean.")
    if rec.rotate:
        done.append("Rotation (RandomRotationMatrix).")
    if rec.oversampling is not None:
        done.append("Oversampling (k_factor) and reranking (IndexRefineFlat).")
    by_user = [
        "Keep NaN and infinity out (the snippet checks): one such row spoils the "
        "answers to every query, without an error."
    ]
    cannot = other_two_bits(
        rec, "RaBitQ of two bits has its own. Expect other recall than measured."
    )
    if rec.query == "codes":
        cannot.append("Coded queries with two bits: these settings keep them floats.")
    return Export(
        "faiss", "\n".join(_faiss_rabitq(rec)), "", done, by_user, cannot, _FAISS
    )


def _faiss_binary(rec: Recommendation) -> list[str]:
    imports, body = own_codes(rec)
    return [
        _GIVEN,
        "import faiss",
        *imports,
        "",
        *body,
        "codes = np.asarray(quantizer.transform(rows))",
        "index = faiss.IndexBinaryFlat(8 * codes.shape[1])",
        "index.add(codes)",
        "query_codes = np.asarray(quantizer.transform(query_rows))",
        f"_, found = index.search(query_codes, min({rec.candidates}, len(rows)))",
        *_rerank(rec),
    ]


def _rerank(rec: Recommendation) -> list[str]:
    """Write the reranking of ``found`` among ``vectors``."""
    if rec.oversampling is None:
        return ["neighbors = found"]
    if rec.metric == "euclidean":
        scores = "-np.square(queries[:, None] - vectors[found]).sum(axis=2)"
    elif rec.metric == "cosine":
        scores = (
            'np.einsum("qd,qcd->qc", normalize(queries), normalize(vectors)[found])'
        )
    else:
        scores = 'np.einsum("qd,qcd->qc", queries, vectors[found])'
    return [
        f"scores = {scores}",
        'order = np.argsort(-scores, axis=1, kind="stable")',
        f"neighbors = np.take_along_axis(found, order[:, :{rec.n_neighbors}], axis=1)",
    ]


def _faiss_rabitq(rec: Recommendation) -> list[str]:
    imports, given = unit_rows(rec.metric == "cosine")
    metric = "METRIC_L2" if rec.metric == "euclidean" else "METRIC_INNER_PRODUCT"
    lines = [
        _GIVEN,
        "import faiss",
        "import numpy as np",
        *imports,
        "",
        given,
        "assert np.isfinite(rows).all() and np.isfinite(query_rows).all()",
        "d = rows.shape[1]",
        f"rabitq = faiss.IndexRaBitQ(d, faiss.{metric}, {rec.bits})",
        "rabitq.qb = 0  # float queries",
        "index = rabitq",
    ]
    if rec.rotate:
        lines.append(
            "index = faiss.IndexPreTransform(faiss.RandomRotationMatrix(d, d), index)"
        )
    lines.append("index.train(rows)")
    if not rec.centre:
        lines.append(
            'faiss.copy_array_to_vector(np.zeros(d, "float32"), rabitq.center)'
        )
    if rec.oversampling is not None:
        lines += [
            "index = faiss.IndexRefineFlat(index)",
            f"index.k_factor = {rec.oversampling}",
        ]
    return [
        *lines,
        "index.add(rows)",
        f"_, neighbors = index.search(query_rows, {rec.n_neighbors})",
    ]


_SENTENCE_TRANSFORMERS = (
    "sentence-transformers, API page 'quantization' "
    "(https://sbert.net/docs/package_reference/quantization.html), and its source"
)
_SENTENCE_TRANSFORMERS_MULTIPLIER = 4  # of its examples


def sentence_transformers(rec: Recommendation) -> Export:
    """Use packed bits and semantic_search_faiss."""
    prepared = prepare(rec, centre=rec.centre, rotate=rec.rotate, coded_query=True)
    done = ["One-bit codes: 1 where positive, in the bit order of skbq's codes."]
    by_user = list(prepared.steps)
    finer = rec.query == "vectors"
    if finer:
        done.append(
            "Float queries, but only to rescore rows that Hamming distance found: "
            f"rescore_multiplier = {_SENTENCE_TRANSFORMERS_MULTIPLIER}, as in its own "
            "examples, chooses how many."
        )
    if rec.oversampling is not None:
        by_user.append(
            "Rerank with the float vectors (part of the snippet): the library's "
            "'rescore' compares the float query with the bits and not with the vectors."
        )
    return Export(
        "sentence-transformers",
        "\n".join(_sentence_transformers_lines(rec, prepared, finer)),
        "",
        done,
        by_user,
        [*prepared.cannot, *_sentence_transformers_limits(rec, finer)],
        _SENTENCE_TRANSFORMERS,
    )


def _sentence_transformers_lines(
    rec: Recommendation, prepared: Prepared, finer: bool
) -> list[str]:
    reranks_unit, _ = unit_rows(rec.metric == "cosine" and rec.oversampling is not None)
    imports = ["import numpy as np", *reranks_unit, *prepared.imports]
    names = "quantize_embeddings, semantic_search_faiss"
    rescore = f"rescore={finer}"
    if finer:
        rescore += f", rescore_multiplier={_SENTENCE_TRANSFORMERS_MULTIPLIER}"
    return [
        _GIVEN,
        *dict.fromkeys(imports),
        "try:",
        f"    from sentence_transformers.util.quantization import {names}",
        "except ImportError:  # older versions",
        f"    from sentence_transformers.quantization import {names}",
        "",
        *(prepared.body or [unit_rows(False)[1]]),
        "hits, _ = semantic_search_faiss(",
        "    query_rows,",
        '    corpus_embeddings=quantize_embeddings(rows, precision="ubinary"),',
        '    corpus_precision="ubinary",',
        f"    top_k=min({rec.candidates}, len(rows)),",
        f"    {rescore},",
        ")",
        'found = np.array([[hit["corpus_id"] for hit in row] for row in hits])',
        *_rerank(rec),
    ]


def _sentence_transformers_limits(rec: Recommendation, finer: bool) -> list[str]:
    cannot = only_one_bit(rec, "'ubinary' and 'binary' have one.")
    if finer:
        cannot.append("Compare a float query with all codes: only with those rescored.")
    if rec.n_features % 8:
        cannot.append(
            f"Rescore codes of {rec.n_features} coordinates in older versions: they do "
            "not cut off the bits that fill up the last byte."
        )
    return cannot
