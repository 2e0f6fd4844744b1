"""From records to statements: tables, intervals, claims, and the numbers that the paper prints."""
