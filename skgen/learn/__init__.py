"""How parameters are found; nothing here knows a model."""
