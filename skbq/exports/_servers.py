"""Search servers that are set up by JSON requests."""

from ._plan import (
    Export,
    Recommendation,
    measure_again,
    only_one_bit,
    other_two_bits,
    prepare,
    requests,
)

_QUERY = "<the query's coordinates>"

_QDRANT = (
    "Qdrant 1.19, documentation page 'Quantization' "
    "(https://qdrant.tech/documentation/manage-data/quantization/), the article "
    "'TurboQuant in Qdrant' (https://qdrant.tech/articles/turboquant-quantization/) "
    "and, for the thresholds, the source of the binary encoder"
)


def qdrant(rec: Recommendation) -> Export:
    """Use TurboQuant for rotated codes with float queries, else binary quantization."""
    turbo = rec.rotate and rec.query == "vectors"
    coded_query = rec.query == "codes"
    # One bit is the sign about zero; two bits lie about the means of the segment.
    prepared = prepare(
        rec,
        centre=rec.centre and rec.bits == 1 and not turbo,
        rotate=rec.rotate and not turbo,
        coded_query=coded_query,
    )
    distance = {"cosine": "Cosine", "euclidean": "Euclid", "inner_product": "Dot"}
    search: dict[str, object] = {"rescore": rec.oversampling is not None}
    if rec.oversampling is not None:
        search["oversampling"] = rec.oversampling
    create = {
        "vectors": {
            "size": rec.n_features,
            "distance": distance[prepared.metric],
            "on_disk": True,
        },
        "quantization_config": _qdrant_quantization(rec, turbo),
    }
    ask = {
        "query": _QUERY,
        "limit": rec.n_neighbors,
        "params": {"quantization": search},
    }
    settings = requests(
        **{
            "PUT /collections/items": create,
            "POST /collections/items/points/query": ask,
        }
    )
    done, cannot = _qdrant_limits(rec, turbo)
    return Export(
        "qdrant",
        settings,
        prepared.code,
        done,
        [
            *prepared.steps,
            *prepared.results,
            "Since 1.19 always_ram and on_disk are older forms of the setting "
            "'memory': codes 'pinned', vectors 'cold'. Use whichever your version has.",
            measure_again(
                "the HNSW graph may lose some more, less with a higher hnsw_ef."
            ),
        ],
        [*prepared.cannot, *cannot],
        _QDRANT,
    )


def _qdrant_quantization(rec: Recommendation, turbo: bool) -> dict[str, object]:
    if turbo:
        return {"turbo": {"bits": f"bits{rec.bits}", "always_ram": True}}
    encoding = {} if rec.bits == 1 else {"encoding": "two_bits"}
    query = "binary" if rec.query == "codes" else "scalar8bits"
    return {"binary": {**encoding, "query_encoding": query, "always_ram": True}}


def _qdrant_limits(rec: Recommendation, turbo: bool) -> tuple[list[str], list[str]]:
    done = ["Quantization, from the float vectors that it is given."]
    cannot = []
    if rec.oversampling is not None:
        done.append("Oversampling and reranking with the vectors kept on disk.")
    if turbo:
        done += [
            "Rotation, centring (a shift and scale for each coordinate and segment) "
            "and full-precision queries, by TurboQuant (since 1.18)."
        ]
        if not rec.centre:
            cannot.append("Leave out centring: TurboQuant always calibrates.")
        cannot += other_two_bits(
            rec, "TurboQuant has four Lloyd-Max values for each rotated coordinate."
        )
        return done, cannot
    if rec.query == "vectors":
        done.append("Finer queries than rows, scalar-quantized to 8 bits (since 1.15).")
        cannot.append("Float queries with binary quantization: 8 bits are the most.")
    if rec.bits == 2:
        done.append("Centring: its two bits lie about the means of each segment.")
        if not rec.centre:
            cannot.append("Two bits about zero: they lie about the means.")
    cannot += other_two_bits(
        rec,
        "two_bits (since 1.15) has three values, -1, 0 and 1, of which 0 stands for "
        "the middle of the coordinate's range. Expect other recall than measured.",
    )
    return done, cannot


_ELASTIC = (
    "Elasticsearch 9.4, reference pages 'Better Binary Quantization (BBQ)' and 'Dense "
    "vector field type' (https://www.elastic.co/docs/reference/elasticsearch/"
    "mapping-reference/bbq and .../dense-vector)"
)
_ELASTIC_OVERSAMPLE = 10.0
_ELASTIC_DIMS = (64, 4096)


def elasticsearch(rec: Recommendation) -> Export:
    """Use BBQ: with HNSW for one bit, on disk for two."""
    prepared = prepare(rec, centre=False, rotate=rec.rotate)
    k, oversample = rec.n_neighbors, 0.0  # 0 switches reranking off
    if rec.oversampling is not None:
        k, oversample = rec.within(_ELASTIC_OVERSAMPLE)
    options: dict[str, object] = {"type": "bbq_hnsw"}
    if rec.bits == 2:
        options = {"type": "bbq_disk", "bits": 2}
    options["rescore_vector"] = {"oversample": oversample}
    similarity = {
        "cosine": "cosine",
        "euclidean": "l2_norm",
        "inner_product": "max_inner_product",
    }
    vector = {
        "type": "dense_vector",
        "dims": rec.n_features,
        "index": True,
        "similarity": similarity[prepared.metric],
        "index_options": options,
    }
    knn = {
        "field": "embedding",
        "query_vector": _QUERY,
        "k": k,
        "num_candidates": max(100, rec.candidates),
    }
    settings = requests(
        **{
            "PUT /items": {"mappings": {"properties": {"embedding": vector}}},
            "POST /items/_search": {"knn": knn, "size": rec.n_neighbors},
        }
    )
    done = [
        "Quantization and centring (about the centroid of each segment).",
        "Queries of 4 bits for each coordinate, between codes and floats.",
    ]
    if rec.oversampling is not None:
        done.append("Oversampling and reranking with the float vectors that it keeps.")
    return Export(
        "elasticsearch",
        settings,
        prepared.code,
        done,
        [
            *prepared.steps,
            measure_again("bbq_hnsw and bbq_disk skip rows, bbq_flat scans all."),
        ],
        [*prepared.cannot, *_elastic_limits(rec)],
        _ELASTIC,
    )


def _elastic_limits(rec: Recommendation) -> list[str]:
    cannot = []
    if not rec.centre:
        cannot.append("Leave out centring: BBQ always centres.")
    if rec.query == "vectors":
        cannot.append("Float queries: BBQ quantizes them to 4 bits.")
    else:
        cannot.append(
            "Coded queries: BBQ's have 4 bits, which are finer. To search skbq's own "
            "one-bit codes, map a field with element_type 'bit'; it compares them by "
            "Hamming distance and reranks nothing."
        )
    cannot += other_two_bits(
        rec,
        "bbq_disk has its own (since 9.4, and asks for an Enterprise subscription); "
        "bbq_hnsw and bbq_flat have one bit.",
    )
    low, high = _ELASTIC_DIMS
    if not low < rec.n_features <= high:
        cannot.append(
            f"Vectors of {rec.n_features} coordinates: BBQ takes more than {low}, a "
            f"dense_vector at most {high}."
        )
    return cannot


_OPENSEARCH = (
    "OpenSearch 3.2 and later, documentation pages 'Binary quantization' and 'k-NN "
    "query' (https://docs.opensearch.org/latest/vector-search/optimizing-storage/"
    "binary-quantization/ and .../query-dsl/specialized/k-nn/), and, for the "
    "thresholds, the source of the k-NN plugin"
)
_OPENSEARCH_OVERSAMPLE = 100.0


def opensearch(rec: Recommendation) -> Export:
    """Use the binary encoder of its Faiss engine."""
    parameters: dict[str, object] = {"bits": rec.bits, "random_rotation": rec.rotate}
    adc = rec.bits == 1 and rec.query == "vectors"
    if rec.bits == 1:
        parameters["enable_adc"] = adc
    space = {
        "cosine": "cosinesimil",
        "euclidean": "l2",
        "inner_product": "innerproduct",
    }
    field = {
        "type": "knn_vector",
        "dimension": rec.n_features,
        "space_type": space[rec.metric],
        "method": {
            "name": "hnsw",
            "engine": "faiss",
            "parameters": {"encoder": {"name": "binary", "parameters": parameters}},
        },
    }
    k = rec.n_neighbors
    rescore: object = False
    if rec.oversampling is not None:
        k, factor = rec.within(_OPENSEARCH_OVERSAMPLE)
        rescore = {"oversample_factor": factor}
    knn = {
        "vector": _QUERY,
        "k": k,
        "method_parameters": {"ef_search": max(100, rec.candidates)},
        "rescore": rescore,
    }
    settings = requests(
        **{
            "PUT /items": {
                "settings": {"index": {"knn": True}},
                "mappings": {"properties": {"embedding": field}},
            },
            "POST /items/_search": {
                "size": rec.n_neighbors,
                "query": {"knn": {"embedding": knn}},
            },
        }
    )
    return Export(
        "opensearch",
        settings,
        "",
        _opensearch_done(rec, adc),
        [
            measure_again(
                "the HNSW graph may lose some more, less with a higher ef_search."
            )
        ],
        _opensearch_limits(rec),
        _OPENSEARCH,
    )


def _opensearch_done(rec: Recommendation, adc: bool) -> list[str]:
    done = ["Quantization and centring (thresholds at the means of each segment)."]
    if rec.rotate:
        done.append("Rotation (random_rotation, since 3.2).")
    if adc:
        done.append("Float queries (enable_adc, since 3.2).")
    if rec.oversampling is not None:
        done.append("Oversampling and reranking with the float vectors that it keeps.")
    return done


def _opensearch_limits(rec: Recommendation) -> list[str]:
    cannot = []
    if not rec.centre:
        cannot.append("Leave out centring: thresholds are always means.")
    if rec.bits == 2 and rec.query == "vectors":
        cannot.append("Float queries with two bits: enable_adc needs one bit.")
    return cannot + other_two_bits(
        rec,
        "its two bits say which of two thresholds a coordinate exceeds, hence three "
        "values. Expect other recall than measured.",
    )


_MILVUS = (
    "Milvus 2.6, documentation page 'IVF_RABITQ' (https://milvus.io/docs/ivf-rabitq.md)"
)
_MILVUS_LISTS = 128


def milvus(rec: Recommendation) -> Export:
    """Use IVF_RABITQ, with all lists probed, as the recommendation was measured."""
    metric = {"cosine": "COSINE", "euclidean": "L2", "inner_product": "IP"}
    build: dict[str, object] = {"nlist": _MILVUS_LISTS, "refine": False}
    search: dict[str, object] = {
        "nprobe": _MILVUS_LISTS,
        "rbq_query_bits": 0 if rec.query == "vectors" else 1,
    }
    done = [
        "Quantization, centring (about the centroid of each list) and rotation.",
        "Float queries (rbq_query_bits 0)."
        if rec.query == "vectors"
        else "Queries of one bit (rbq_query_bits 1); 0 keeps them floats and is finer.",
    ]
    if rec.oversampling is not None:
        build |= {"refine": True, "refine_type": "FP32"}
        search["refine_k"] = rec.oversampling
        done.append("Oversampling (refine_k) and reranking with float32 vectors.")
    settings = requests(
        index_params={
            "field_name": "embedding",
            "index_type": "IVF_RABITQ",
            "metric_type": metric[rec.metric],
            "params": build,
        },
        search_params={"params": search},
        limit=rec.n_neighbors,
    )
    cannot = only_one_bit(rec, "IVF_RABITQ stores one bit.")
    if not rec.centre:
        cannot.append("Leave out centring: RaBitQ always centres.")
    if not rec.rotate:
        cannot.append("Leave out rotation: RaBitQ always rotates.")
    by_user = [
        "Pass index_params to MilvusClient.prepare_index_params().add_index(**...) and "
        "search_params and limit to MilvusClient.search().",
        measure_again(
            "nprobe = nlist does so too, a lower nprobe is faster and loses recall."
        ),
    ]
    return Export("milvus", settings, "", done, by_user, cannot, _MILVUS)


_WEAVIATE = (
    "Weaviate (1.33 or later), documentation pages 'Vector index' and 'Compression "
    "(Vector Quantization)' (https://docs.weaviate.io/weaviate/config-refs/indexing/"
    "vector-index and .../concepts/vector-quantization), and, for the threshold, the "
    "source of its binary quantizer"
)


def weaviate(rec: Recommendation) -> Export:
    """Use BQ for plain one-bit codes, rotational quantization for all else."""
    plain = rec.bits == 1 and rec.query == "codes" and not rec.rotate
    prepared = prepare(rec, centre=rec.centre, rotate=False, coded_query=plain)
    distance = {
        "cosine": "cosine",
        "euclidean": "l2-squared",
        "inner_product": "dot",
    }
    quantizer: dict[str, object] = {"enabled": True}
    limit = 0 if rec.oversampling is None else rec.candidates
    if not plain:
        quantizer |= {"bits": 1 if rec.bits == 1 else 4, "rescoreLimit": limit}
    elif rec.oversampling is not None:
        quantizer["rescoreLimit"] = limit
    create = {
        "class": "Items",
        "vectorizer": "none",
        "vectorIndexType": "flat" if plain else "hnsw",
        "vectorIndexConfig": {
            "distance": distance[prepared.metric],
            "bq" if plain else "rq": quantizer,
        },
    }
    done, cannot = _weaviate_limits(rec, plain)
    by_user = [
        f"Ask for limit {rec.n_neighbors} in the query.",
        *prepared.steps,
        *prepared.results,
    ]
    if not plain:
        by_user.append(
            measure_again("the HNSW graph may lose some more, less with a higher ef.")
        )
    return Export(
        "weaviate",
        requests(**{"POST /v1/schema": create}),
        prepared.code,
        done,
        by_user,
        [*prepared.cannot, *cannot],
        _WEAVIATE,
    )


def _weaviate_limits(rec: Recommendation, plain: bool) -> tuple[list[str], list[str]]:
    done = ["Quantization, from the float vectors that it is given."]
    cannot = []
    if plain:
        done.append("Coded queries and a scan over all codes (flat index).")
        cannot.append(
            "Set rescoreLimit for BQ under an hnsw index: there it is ignored and "
            "Weaviate chooses. The flat index here obeys it."
        )
        if rec.oversampling is None:
            cannot.append("Leave out reranking: under BQ Weaviate always reranks.")
    else:
        done.append("Rotation (part of rotational quantization, RQ).")
        if not rec.rotate:
            cannot.append(
                "Leave out rotation: finer queries and more than one bit come only "
                "with RQ, which always rotates."
            )
        if rec.query == "vectors" and rec.bits == 1:
            cannot.append("Float queries: RQ of one bit quantizes them to 5 bits.")
        if rec.query == "codes":
            cannot.append("Coded queries: RQ's are finer than its rows.")
    if rec.oversampling is not None:
        done.append("Reranking of rescoreLimit candidates with the float vectors.")
    if rec.bits == 2:
        cannot.append(
            "Two bits per coordinate: RQ has 1, 4 and 8. These settings take 4, twice "
            "the bytes (4 is missing in older versions); where bytes decide, set 1, "
            "and measure the rescoreLimit that it needs."
        )
    return done, cannot
