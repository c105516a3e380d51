"""Judging models through the public contract alone: metrics, scorers, and one table for many models."""
