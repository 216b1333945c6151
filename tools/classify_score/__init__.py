"""Judges the classifier of src/fairlead/sql by statements, a server and programs that know nothing of it."""
