"""The kernels of nbval inherit these: repeatable sums, no progress bars."""

import os

os.environ |= {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1", "PYTHONHASHSEED": "0"}
