"""A question in a file; cells of ordinary commands, run where they are missing; a report."""
