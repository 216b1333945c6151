"""Who may log in: accounts loaded from the servers, and the authenticators."""
