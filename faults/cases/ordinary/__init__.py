"""Ordinary life: mistakes of people and habits of APIs, a module for each point."""
