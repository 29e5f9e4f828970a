"""Pages about jobs: one HTML file that needs nothing else, from plain values."""
