"""The HTML report: one self-contained page on a model before and after."""
