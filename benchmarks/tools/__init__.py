"""How it is measured and shown: clocks, instruction counts, records, tables, plots."""
