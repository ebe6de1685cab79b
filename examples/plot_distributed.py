"""
From a folder of files to an index on a cluster
===============================================

Embeddings often lie in many files. Here a folder of Parquet files becomes an index that
two workers of dask search together, with the answers of one machine.
"""

# %%
# A folder of four Parquet files stands for the many that you have.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from skbq.datasets import load_wordnet_minilm

glosses = load_wordnet_minilm()
folder = Path(tempfile.mkdtemp())
for number, rows in enumerate(np.split(glosses.data, 4)):
    vectors = pa.array(list(rows), pa.list_(pa.float32()))
    pq.write_table(pa.table({"emb": vectors}), folder / f"{number}.parquet")

# %%
# A cluster. On one machine ``LocalCluster`` starts workers, as processes or as threads;
# on several, ``Client("scheduler:8786")`` is all that changes. Where dask is not
# installed, the rest of this page is skipped.

try:
    from distributed import Client, LocalCluster

    from skbq import distributed
except ImportError:
    raise SystemExit("pip install 'skbq[dask]'") from None

cluster = LocalCluster(n_workers=2, processes=False, dashboard_address=":0")
client = Client(cluster)

# %%
# The workers read the files, encode them with thresholds that were learned from a
# sample of all rows, and write shards into a folder.

index = distributed.BinaryNeighbors(
    10, folder=folder / "index", column="emb", shard_rows=1250, query="vectors"
).fit(str(folder / "*.parquet"))
distances, rows = index.kneighbors(glosses.queries)

# %%
# The answer is the one of a single machine, and the folder is opened by either.

from skbq import BinaryNeighbors, ShardedNeighbors

one = BinaryNeighbors(10, query="vectors").fit(glosses.data)
assert (one.kneighbors(glosses.queries)[1] == rows).all()
local = ShardedNeighbors.load(folder / "index")
assert (local.kneighbors(glosses.queries)[1] == rows).all()

# %%
# Each shard gives its share of the neighbors; merging by (distance, row) decides.

shard_of_row = rows // 1250
shares = np.bincount(shard_of_row.ravel(), minlength=4) / rows.size
_, ax = plt.subplots(figsize=(6, 3))
ax.bar([f"shard {number}" for number in range(4)], shares)
ax.set_ylabel("share of the neighbors found")
plt.show()

client.close()
cluster.close()
