"""Faults on purpose: full disks, killed processes, races, protected folders, signals."""
