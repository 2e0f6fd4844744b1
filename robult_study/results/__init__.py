"""From records to statements: tables, intervals, variants, claims, latents, and the numbers that the paper prints."""
