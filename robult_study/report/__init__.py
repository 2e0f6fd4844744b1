"""All notebooks, a report over them, and its publication."""
