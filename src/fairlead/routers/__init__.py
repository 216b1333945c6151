"""Where a statement goes: one package per router."""
