"""Elephas's helpers under elephas's names."""
