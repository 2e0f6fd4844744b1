"""One run and many: configuration, execution, records on disk, grids, the search."""
