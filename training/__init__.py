"""Teaching the camera's feature model. Never runs on a device."""

import os

# The matrices here are small; several BLAS threads only wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
