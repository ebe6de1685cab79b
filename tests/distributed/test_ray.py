"""The same index on Ray, by the scheduler that Ray has for dask."""

import dask
import numpy as np
import pytest
from helpers import check_equal, queries_near, rows_with_ties

from skbq import BinaryNeighbors, distributed

da = pytest.importorskip("dask.array")
ray = pytest.importorskip("ray")

pytestmark = [
    pytest.mark.distributed,
    pytest.mark.exhaustive,
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture(scope="module", autouse=True)
def on_ray():
    from ray.util.dask import ray_dask_get

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    with dask.config.set(scheduler=ray_dask_get):
        yield
    ray.shutdown()


@pytest.mark.parametrize("options", [{}, {"oversampling": 2}], ids=["codes", "vectors"])
def test_answers_equal_those_of_one_machine(options, tmp_path):
    X = rows_with_ties()
    queries = queries_near(X)
    lazy = da.from_array(X, chunks=(150, -1))
    one = BinaryNeighbors(query="vectors", **options).fit(X)
    held = distributed.BinaryNeighbors(query="vectors", **options).fit(lazy)
    kinds = {
        type(value) for s in held._rows.shards for value in dict(s.rows.dask).values()
    }
    assert not any(issubclass(kind, np.ndarray) for kind in kinds)
    check_equal(held, one, queries)
    folder = tmp_path / "index"
    written = distributed.BinaryNeighbors(query="vectors", folder=folder, **options)
    check_equal(written.fit(lazy), one, queries)
    check_equal(written, one, queries, mask=np.arange(len(X)) % 3 > 0)
