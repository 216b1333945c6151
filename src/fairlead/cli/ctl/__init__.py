"""The admin client: every verb of the REST API as a command. It knows the API only, not the server's code."""
