"""Charts and objects as SVG and PNG; knows no runs."""
