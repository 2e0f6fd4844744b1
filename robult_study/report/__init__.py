"""All notebooks in order, a report over them, and its publication."""
