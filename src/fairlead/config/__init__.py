"""Text -> typed, validated objects, with one declaration per parameter."""
