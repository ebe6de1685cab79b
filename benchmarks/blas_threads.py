"""Drawing and applying a Haar rotation with one thread of BLAS and with all of them.

    python benchmarks/blas_threads.py

On a quiet machine the two columns are near each other for hundreds of coordinates; with
other work on all processors, threads that wait for each other take many times as long.
"""

import numpy as np
from threadpoolctl import ThreadpoolController

from skbq import RandomRotation
from skbq._utils.row_products import row_products
from skbq._utils.timing import timed


def main():
    """Print seconds for each number of coordinates."""
    blas = ThreadpoolController().select(user_api="blas")
    rng = np.random.default_rng(0)
    n_threads = max(library.get_num_threads() for library in blas.lib_controllers)
    print(f"seconds with 1 and with {n_threads} BLAS threads; what skbq takes")
    for d in (185, 384, 768):
        normal, X = rng.standard_normal((d, d)), rng.standard_normal((2048, d))
        rotation = RandomRotation(random_state=0).fit(X)
        calls = {
            "QR decomposition": (
                lambda a=normal: np.linalg.qr(a),
                lambda x=X: RandomRotation(random_state=0).fit(x[:1]),
            ),
            "2,048 rows rotated": (
                lambda x=X, q=rotation.rotation_: x @ q,
                lambda x=X, q=rotation.rotation_: row_products(x, q),
            ),
        }
        for name, (plain, ours) in calls.items():
            with blas.limit(limits=1, user_api="blas"):
                one = timed(plain, at_least=0.5)[0]
            all_of_them = timed(plain, at_least=0.5)[0]
            mine = timed(ours, at_least=0.5)[0]
            print(f"{d:4} {name:18} {one:8.4f} {all_of_them:8.4f} {mine:8.4f}")


if __name__ == "__main__":
    main()
