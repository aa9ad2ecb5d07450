"""Measurements: each is a program of its own, compares alternatives within one run, and writes JSON to results/."""
