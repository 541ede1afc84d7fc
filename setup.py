"""Which packages there are: every folder of the two, and the configs, which pyproject.toml lays inside them."""

from setuptools import find_packages, setup

CONFIGS = ["pretrain.configs", *(f"transfer.configs.{kind}" for kind in ("detection", "segmentation", "studies"))]

setup(packages=find_packages(include=["pretrain", "pretrain.*", "transfer", "transfer.*"]) + CONFIGS)
