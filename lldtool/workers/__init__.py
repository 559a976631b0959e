"""Function calls in processes of their own, here or on a Dask cluster."""
