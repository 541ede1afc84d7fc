"""argparse and nothing else: one file a command, each ends in one call of a public function."""
