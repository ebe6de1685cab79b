import os
import threading

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context, get_config
from threadpoolctl import ThreadpoolController, threadpool_limits

from skbq import RandomRotation
from skbq._utils.parallel import map_slices, one_blas_thread, run_threads
from skbq._utils.row_products import row_products


def blas_threads():
    """Threads of the BLAS of numpy and scipy; that of faiss is not used here."""
    found = ThreadpoolController().select(user_api="blas").lib_controllers
    return {lib.get_num_threads() for lib in found if "faiss" not in lib.filepath}


@pytest.fixture
def two_blas_threads():
    with threadpool_limits(2, user_api="blas"):
        if blas_threads() != {2}:
            pytest.skip("BLAS takes no number of threads here")
        with one_blas_thread:  # lets other threads than this one set limits
            pass
        yield


@pytest.mark.usefixtures("two_blas_threads")
class TestOneBlasThread:
    def test_in_our_own_threads(self):
        assert run_threads(lambda part: blas_threads(), [0, 1]) == [{1}, {1}]
        assert map_slices(lambda rows: blas_threads(), 10, n_jobs=3) == [{1}] * 3
        assert blas_threads() == {2}

    def test_one_part_runs_as_it_is(self):
        assert run_threads(lambda part: blas_threads(), [0]) == [{2}]

    def test_is_restored_after_an_error(self):
        with pytest.raises(ZeroDivisionError):
            run_threads(lambda part: 1 // part, [1, 0])
        assert blas_threads() == {2}

    def test_last_one_out_restores(self):
        """Of two threads that overlap, neither restores the limit of the other."""
        first_is_in, second_is_in, first_is_out = (threading.Event() for _ in range(3))
        seen = []

        def first():
            with one_blas_thread:
                first_is_in.set()
                second_is_in.wait(10)
            seen.append(blas_threads())
            first_is_out.set()

        def second():
            first_is_in.wait(10)
            with one_blas_thread:
                second_is_in.set()
                first_is_out.wait(10)

        threads = [threading.Thread(target=target) for target in (first, second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert seen == [{1}]
        assert blas_threads() == {2}

    def test_nested(self):
        with one_blas_thread:
            with one_blas_thread:
                pass
            assert blas_threads() == {1}
            assert one_blas_thread.n_threads() == 1
        assert one_blas_thread.n_threads() == 2

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
    @pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
    def test_forked_process_starts_afresh(self):
        with one_blas_thread:
            child = os.fork()
            if child == 0:
                os._exit(0 if blas_threads() == {2} else 1)
        assert os.waitpid(child, 0)[1] == 0

    def test_while_a_rotation_is_drawn_and_applied(self, monkeypatch, rng):
        seen = []
        qr, matmul = np.linalg.qr, np.matmul
        monkeypatch.setattr(
            np.linalg, "qr", lambda a: seen.append(blas_threads()) or qr(a)
        )
        monkeypatch.setattr(
            np,
            "matmul",
            lambda *ab, **to: seen.append(blas_threads()) or matmul(*ab, **to),
        )
        RandomRotation(random_state=0).fit_transform(rng.standard_normal((3, 8)))
        assert seen == [{1}, {1}]
        assert blas_threads() == {2}


def test_threads_keep_scikit_learns_settings():
    with config_context(working_memory=7):
        seen = run_threads(lambda part: get_config()["working_memory"], [0, 1])
    assert seen == [7, 7]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8])
@pytest.mark.parametrize(
    ("d", "k"), [(1, 1), (7, 3), (185, 185), (300, 300), (33, 100), (384, 128)]
)
def test_products_of_a_row_alone_and_in_a_batch(rng, dtype, d, k):
    X = (10 * rng.standard_normal((300, d))).astype(dtype)
    matrix = rng.standard_normal((d, k))
    products = row_products(X, matrix)
    assert_allclose(products, X.astype(np.float64) @ matrix, atol=1e-11)
    for rows in (slice(0, 1), slice(255, 257), slice(20, 51), slice(299, 300)):
        assert_array_equal(row_products(X[rows], matrix), products[rows])
    assert_array_equal(row_products(np.asfortranarray(X), matrix), products)
    assert_array_equal(row_products(X[:5], matrix.T.copy().T), products[:5])


@pytest.mark.parametrize("d", [3, 64, 185, 300])
def test_products_where_blas_adds_differently_at_edges(rng, monkeypatch, d):
    """A BLAS that is as free as it may be: sums of edge tiles in another order."""
    matmul = np.matmul

    def edgy_matmul(a, b, out):
        matmul(a, b, out=out)
        rows, columns = len(a) // 16 * 16, b.shape[1] // 32 * 32
        out[rows:] = matmul(a[rows:, ::-1], b[::-1]) * (1 + 2**-52)
        out[:, columns:] *= 1 + len(a) * 2**-52
        return out

    monkeypatch.setattr(np, "matmul", edgy_matmul)
    X, matrix = rng.standard_normal((40, d)), rng.standard_normal((d, d))
    products = row_products(X, matrix)
    for row in (0, 17, 39):
        assert_array_equal(row_products(X[row : row + 1], matrix)[0], products[row])


@pytest.mark.parametrize("method", ["haar", "dct", "hadamard"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("d", [1, 5, 33, 100, 185, 300, 385])
def test_rotated_row_alone_and_in_a_batch(rng, method, dtype, d):
    X = rng.standard_normal((100, d)).astype(dtype)
    rotation = RandomRotation(method, random_state=0).fit(X)
    for apply in (rotation.transform, rotation.inverse_transform):
        batch = apply(X)
        alone = np.concatenate([apply(X[i : i + 1]) for i in range(len(X))])
        assert_array_equal(alone, batch)
