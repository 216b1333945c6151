"""The processes: supervisor, workers, and the control bus between them."""
