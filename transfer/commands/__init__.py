"""The command line: argparse, and one call of a library function for each verb."""
