"""readconnroute: one server per session, chosen when the session begins."""
