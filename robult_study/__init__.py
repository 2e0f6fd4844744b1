"""The study of Robult: runs and their records, results, figures, reports and the command line.

It stands on `robult_core` and the notebooks stand on it; the core imports nothing from here.
"""
