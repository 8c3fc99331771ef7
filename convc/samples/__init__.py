"""Data for fitting and judging: the user's images, synthetic ones, and their split."""
