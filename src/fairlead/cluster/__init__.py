"""Servers and the shared facts about them: definitions, status, the status board of all processes."""
