"""The words, tables and page of a report."""
