"""What each method learns from CIFAR-10 in a time that a CPU has: curves, and the methods side by side."""
